package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/seal"
)

// Health is how the checks of an organization's health stood: what each came to, and
// when, for as long as somebody may ask what changed. It decides nothing, and is sealed
// because of the names of domains.
type Health struct {
	Checks map[string][]HealthState `json:"checks"` // by the name of the check; the newest last
}

// HealthState is what a check came to from a moment on.
type HealthState struct {
	State string    `json:"state"` // empty: there is no such check any more
	At    time.Time `json:"at"`
}

func healthIdentity(org uuid.UUID) seal.Identity {
	return seal.Identity{Org: org, Table: "health", ID: org[:], Purpose: "health"}
}

// Health finds how the checks of an organization stood; an empty one where nobody has
// looked yet.
func (s *Store) Health(ctx context.Context, org uuid.UUID) (h Health, err error) {
	var sealed []byte
	err = s.look(ctx, func(r *reads) error {
		return found(r.row("SELECT sealed FROM health WHERE org = $1", org[:]).Scan(&sealed))
	})
	if errors.Is(err, ErrNotFound) {
		return Health{}, nil
	}
	if err != nil {
		return Health{}, err
	}
	key, err := s.orgKey(ctx, org)
	if err != nil {
		return Health{}, err
	}
	plain, err := key.Open(sealed, healthIdentity(org))
	if err == nil {
		err = json.Unmarshal(plain, &h)
	}
	if err != nil {
		return Health{}, fmt.Errorf("%w: health of organization %s: %v", ErrCorrupt, org, err)
	}
	return h, nil
}

// PutHealth writes how the checks of an organization stand.
func (u *Upkeep) PutHealth(org uuid.UUID, h *Health) error {
	key, err := u.tx.store().orgKey(context.Background(), org)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return u.tx.exec("INSERT INTO health (org, sealed) VALUES ($1, $2) ON CONFLICT (org) DO UPDATE SET sealed = excluded.sealed",
		org[:], key.Seal(plain, healthIdentity(org)))
}
