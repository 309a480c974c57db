package storage

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Consent collects people for one act that needs several, until there are enough
// or it lapses.
type Consent struct {
	Head
	Act   string      `json:"act"` // exactly what is agreed to, in words
	Given []Consenter `json:"given"`
}

// Consenter is one who agreed.
type Consenter struct {
	Person uuid.UUID `json:"person"`
	At     time.Time `json:"at"`
}

// hashAct finds a consent by its act inside its organization.
func (s *Store) hashAct(ctx context.Context, org uuid.UUID, act string) ([]byte, error) {
	key, err := s.orgKey(ctx, org)
	if err != nil {
		return nil, err
	}
	return key.Hash("consent", []byte(act)), nil
}

// Consent finds what was agreed to an act so far, as the transaction sees it;
// without a Version when nobody has.
func (tx *Tx) Consent(org uuid.UUID, act string) (Consent, error) {
	hash, err := tx.store().hashAct(context.Background(), org, act)
	if err != nil {
		return Consent{}, err
	}
	all, err := listIn[Consent](tx, "consent", "act_hash = $1", hash)
	switch {
	case err != nil:
		return Consent{}, err
	case len(all) == 0:
		return Consent{Head: Head{Org: org}, Act: act}, nil
	case all[0].Act != act || all[0].Org != org:
		return Consent{}, ErrCorrupt
	}
	return all[0], nil
}

// Consent finds what was agreed to an act so far; without a Version when nobody
// has.
func (s *Store) Consent(ctx context.Context, org uuid.UUID, act string) (Consent, error) {
	hash, err := s.hashAct(ctx, org, act)
	if err != nil {
		return Consent{}, err
	}
	c, err := find[Consent](ctx, s, "consent", "act_hash = $1", hash)
	switch {
	case errors.Is(err, ErrNotFound):
		return Consent{Head: Head{Org: org}, Act: act}, nil
	case err == nil && (c.Act != act || c.Org != org):
		return Consent{}, ErrCorrupt
	}
	return c, err
}

// PutConsent writes a consent that Consent returned.
func (tx *Tx) PutConsent(e *audit.Event, c *Consent) error {
	hash, err := tx.store().hashAct(context.Background(), c.Org, c.Act)
	if err != nil {
		return err
	}
	sealed, err := tx.sealRecord(e, "consent", c)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO consent (id, org, version, event, act_hash, at, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version, event = excluded.event, at = excluded.at, sealed = excluded.sealed`,
		c.ID[:], c.Org[:], c.Version, c.Event[:], hash, micros(tx.now), sealed)
}

// DeleteConsent removes a consent that was written: the act has enough.
func (tx *Tx) DeleteConsent(e *audit.Event, c *Consent) error {
	tx.forget(e, "consent", c)
	return tx.exec("DELETE FROM consent WHERE id = $1", c.ID[:])
}

// lapsedStep is how many lapsed consents one transaction removes.
const lapsedStep = 32

// DropLapsedConsents removes some of an organization's consents to which nobody
// has agreed since a time.
func (tx *Tx) DropLapsedConsents(e *audit.Event, org uuid.UUID, before time.Time) error {
	old, err := listIn[Consent](tx, "consent", "org = $1 AND at < $2 ORDER BY at, id LIMIT $3", org[:], micros(before), lapsedStep)
	for i := range old {
		if err == nil {
			err = tx.DeleteConsent(e, &old[i])
		}
	}
	return err
}
