package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// maxOverlap is how long a predecessor may work beside its successor: longer is
// two credentials for one job.
const maxOverlap = 90 * 24 * time.Hour

// Rotation says how a credential is to be replaced.
type Rotation struct {
	Overlap time.Duration // for which both work
	Life    time.Duration // of the successor; zero: as long as its predecessor's, or as policy allows
	Waiver  string        // why the successor may live longer than policy allows; that of the predecessor is not inherited
}

// Rotated is a credential's successor, with the secret that is shown this once,
// and the predecessor with its new end.
type Rotated struct {
	Successor, Predecessor storage.Credential
	Secret                 string
}

// RotateCredential makes a successor with the same scopes, networks, environment
// and view. Both work for the overlap; then, or at its own end if that is
// sooner, the predecessor ends and with it its live sessions. A credential has one
// successor; when that was revoked, its secret having gone astray, it may have
// another. // AC-8
func (d *Directory) RotateCredential(ctx context.Context, actor audit.Actor, org, id uuid.UUID, how Rotation) (Rotated, error) {
	was, err := d.store.Credential(ctx, org, id)
	if err != nil {
		return Rotated{}, err
	}
	life, err := d.mayRotate(ctx, was, how.Overlap)
	if err != nil {
		return Rotated{}, err
	}
	spec, waived, err := d.successor(ctx, actor, was, life, how)
	if err != nil {
		return Rotated{}, err
	}
	token := NewToken(was.Env)
	r := Rotated{Secret: token.Secret()}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		before := was
		after := d.newCredential(org, was.Agent, token, spec)
		after.Predecessor, after.ID, after.Waiver = was.ID, storage.NewID(), waived
		before.Successor = after.ID
		if end := tx.Now().Add(how.Overlap); end.Before(before.Expires) {
			before.Expires = end
		}
		e := tx.Record(audit.Event{Verb: audit.CredentialRotate, Outcome: audit.OK, Fields: specFields(after),
			Personal: audit.Fields{audit.Text(audit.KeyBefore, describe(was)), audit.Text(audit.KeyAfter, describe(before))}})
		e.Fields = append(e.Fields, audit.ID(audit.KeyCredential, after.ID), audit.Time(audit.KeyLast, before.Expires))
		if err := tx.CreateCredential(e, &after); err != nil {
			return err
		}
		r.Successor, r.Predecessor = after, before
		if err := tx.UpdateCredential(e, &r.Predecessor); err != nil { // last: the event is the predecessor's
			return err
		}
		recordWaiver(tx, &after)
		return nil
	})
	if err != nil {
		return Rotated{}, taken(err, "credential")
	}
	d.registry.shorten(was.ID, r.Predecessor.Expires)
	d.Expire() // an overlap of nothing ends it now
	return r, nil
}

// successor is what the successor of a credential is to be. Inboxes that were
// removed since are not in it.
func (d *Directory) successor(ctx context.Context, actor audit.Actor, was storage.Credential, life time.Duration, how Rotation) (CredentialSpec, *storage.Waiver, error) {
	spec := CredentialSpec{Agent: was.Agent, Networks: was.Networks, Env: was.Env, View: ViewOf(&was), Waiver: how.Waiver}
	for _, s := range was.Scopes {
		_, err := d.store.InboxRecord(ctx, was.Org, s.Inbox)
		switch {
		case err == nil:
			spec.Scopes = append(spec.Scopes, s)
		case !errors.Is(err, storage.ErrNotFound):
			return spec, nil, err
		}
	}
	if how.Life != 0 {
		life = how.Life
	} else if how.Waiver == "" { // nobody asked for more than policy allows
		terms, err := d.Terms(ctx, &was)
		if err != nil {
			return spec, nil, err
		}
		life = min(life, terms.MaxAge)
	}
	spec.Expires = d.now().Add(life)
	return d.completeSpec(ctx, actor, was.Org, spec)
}

// mayRotate holds a credential that is to be rotated to its state, and says how
// long its life was to be.
func (d *Directory) mayRotate(ctx context.Context, c storage.Credential, overlap time.Duration) (life time.Duration, err error) {
	terms, err := d.Terms(ctx, &c)
	if err != nil {
		return 0, err
	}
	switch {
	case !c.Revoked.IsZero():
		return 0, fmt.Errorf("%w: the credential is revoked: issue another", ErrState)
	case terms.lapse(&c, d.now()) == ruleView:
		return 0, fmt.Errorf("%w: policy demands the safe view (credential-view), and a successor has its predecessor's: issue another credential", ErrRefused)
	case terms.lapse(&c, d.now()) != "":
		return 0, fmt.Errorf("%w: the credential has expired: issue another", ErrState)
	case overlap < 0 || overlap > maxOverlap:
		return 0, fmt.Errorf("%w: an overlap lasts 0 to %s", ErrInvalid, days(maxOverlap))
	}
	if _, err := d.activeAgent(ctx, c.Org, c.Agent); err != nil || c.Successor == zeroID {
		return c.Expires.Sub(c.Created), err
	}
	next, err := d.store.Credential(ctx, c.Org, c.Successor)
	if err == nil && next.Revoked.IsZero() {
		err = fmt.Errorf("%w: the credential has a successor", ErrState)
	}
	return next.Expires.Sub(next.Created), err // its own end was moved forward
}

// DueCredentials lists the credentials of an agent that let nobody in any more
// when a time has passed, and have no successor yet.
func (d *Directory) DueCredentials(ctx context.Context, a *storage.Agent, within time.Duration) ([]storage.Credential, error) {
	if a.State == storage.AgentDecommissioned {
		return nil, nil
	}
	all, err := d.store.Credentials(ctx, a.Org, a.ID)
	if err != nil {
		return nil, err
	}
	now := d.now()
	var due []storage.Credential
	for i := range all {
		c := &all[i]
		if !c.Revoked.IsZero() || c.Successor != zeroID {
			continue
		}
		terms, err := d.Terms(ctx, c)
		if err != nil {
			return nil, err
		}
		if terms.lapse(c, now) == "" && terms.End(c).Sub(now) <= within {
			due = append(due, *c)
		}
	}
	return due, nil
}
