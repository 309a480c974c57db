package storage

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Invitation is a link by which a person begins an account that somebody made for
// them, once. The link's secret is never stored. // AC-6
type Invitation struct {
	Head
	Person    uuid.UUID `json:"person"`
	TokenHash []byte    `json:"token_hash"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
}

// CreateInvitation adds an invitation, in place of one that the person has. The
// event's object stays as it is.
func (tx *Tx) CreateInvitation(e *audit.Event, in *Invitation) error {
	others, err := listIn[Invitation](tx, "invitation", "person = $1", in.Person[:])
	if err != nil {
		return err
	}
	for i := range others {
		if err := tx.DeleteInvitation(e, &others[i]); err != nil {
			return err
		}
	}
	in.Created = tx.now
	sealed, err := tx.sealRecord(e, "invitation", in)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO invitation (id, org, person, version, event, token_hash, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		in.ID[:], in.Org[:], in.Person[:], in.Version, in.Event[:], in.TokenHash, sealed)
}

// DeleteInvitation takes an invitation away; ErrConflict when it is gone already:
// of two who use a link at a time, one does.
func (tx *Tx) DeleteInvitation(e *audit.Event, in *Invitation) error {
	tx.forget(e, "invitation", in)
	n, err := tx.execN("DELETE FROM invitation WHERE id = $1 AND version = $2", in.ID[:], in.Version)
	return changed(n, err)
}

// HashInvitation is the keyed hash under which an invitation's secret is found.
func (s *Store) HashInvitation(token string) []byte { return s.hashName("invitation", token) }

// InvitationByHash finds an invitation by its secret's keyed hash, whether its
// time is over or not.
func (s *Store) InvitationByHash(ctx context.Context, hash []byte) (Invitation, error) {
	in, err := find[Invitation](ctx, s, "invitation", "token_hash = $1", hash)
	if err == nil && !bytes.Equal(in.TokenHash, hash) {
		return Invitation{}, ErrCorrupt // the row was given another secret
	}
	return in, err
}
