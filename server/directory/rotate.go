package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Rotated is a credential's successor, with the secret that is shown this once,
// and the predecessor with its new end.
type Rotated struct {
	Successor, Predecessor storage.Credential
	Secret                 string
}

// RotateCredential makes a successor with the same scopes, networks,
// environment and length of life. Both work for the overlap; then, or at its own
// end if that is sooner, the predecessor ends and with it its live sessions. A
// credential has one successor. // AC-8
func (d *Directory) RotateCredential(ctx context.Context, actor audit.Actor, org, id uuid.UUID, overlap time.Duration) (Rotated, error) {
	was, err := d.store.Credential(ctx, org, id)
	if err != nil {
		return Rotated{}, err
	}
	if err := d.mayRotate(ctx, was, overlap); err != nil {
		return Rotated{}, err
	}
	spec, err := d.completeSpec(ctx, org, CredentialSpec{
		Scopes: was.Scopes, Networks: was.Networks, Env: was.Env,
		Expires: d.now().Add(min(was.Expires.Sub(was.Created), MaxCredentialAge)),
	})
	if err != nil {
		return Rotated{}, err
	}
	token := NewToken(was.Env)
	r := Rotated{Secret: token.Secret()}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		before := was
		after := d.newCredential(org, was.Agent, token, spec)
		after.Predecessor, after.ID = was.ID, storage.NewID()
		before.Successor = after.ID
		if end := tx.Now().Add(overlap); end.Before(before.Expires) {
			before.Expires = end
		}
		e := tx.Record(audit.Event{Verb: audit.CredentialRotate, Outcome: audit.OK, Fields: specFields(after),
			Personal: audit.Fields{audit.Text(audit.KeyBefore, describe(was)), audit.Text(audit.KeyAfter, describe(before))}})
		e.Fields = append(e.Fields, audit.ID(audit.KeyCredential, after.ID), audit.Time(audit.KeyLast, before.Expires))
		if err := tx.CreateCredential(e, &after); err != nil {
			return err
		}
		r.Successor, r.Predecessor = after, before
		return tx.UpdateCredential(e, &r.Predecessor) // last: the event is the predecessor's
	})
	if err != nil {
		return Rotated{}, taken(err, "credential")
	}
	d.registry.shorten(was.ID, r.Predecessor.Expires)
	d.Expire() // an overlap of nothing ends it now
	return r, nil
}

// mayRotate holds a credential that is to be rotated to its state.
func (d *Directory) mayRotate(ctx context.Context, c storage.Credential, overlap time.Duration) error {
	switch {
	case !c.Revoked.IsZero():
		return fmt.Errorf("%w: the credential is revoked", ErrState)
	case !d.now().Before(c.Expires):
		return fmt.Errorf("%w: the credential has expired", ErrState)
	case c.Successor != zeroID:
		return fmt.Errorf("%w: the credential has a successor", ErrState)
	case overlap < 0 || overlap > MaxCredentialAge:
		return fmt.Errorf("%w: an overlap lasts 0 to %d days", ErrInvalid, MaxCredentialAge/(24*time.Hour))
	}
	_, err := d.activeAgent(ctx, c.Org, c.Agent)
	return err
}
