package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// How long a consent stands, and how long an account must have been what it is
// before it counts where two are needed: nobody makes a second person of their
// own in a hurry.
const (
	consentLife = 24 * time.Hour
	settledFor  = 24 * time.Hour
)

// maxAct bounds the text of an act that is consented to, in bytes.
const maxAct = 4 << 10

// Consent notes that a person agrees to exactly this act, and says how many
// people have, and whether those are enough. The one whose consent completes the
// number does the act; if it then fails, all agree again. The same person counts
// once, whatever the session. Each consent lapses after 24 hours. Where more than
// one is needed, an account that somebody else created, enabled, or gave roles, a
// password or a factor within 24 hours counts for nothing, first or second:
// ErrRefused. With need of one or none, the actor is enough, and nothing is
// recorded here, since the act's own event names them.
func (d *Directory) Consent(ctx context.Context, actor audit.Actor, org uuid.UUID, act string, need int) (have int, done bool, err error) {
	switch {
	case actor.Kind != audit.Person || actor.ID == zeroID:
		return 0, false, fmt.Errorf("%w: only a person consents", ErrRefused)
	case act == "" || len(act) > maxAct:
		return 0, false, fmt.Errorf("%w: what is consented to needs 1 to %d bytes", ErrInvalid, maxAct)
	}
	p, err := d.store.Person(ctx, org, actor.ID)
	switch {
	case err != nil:
		return 0, false, err
	case !p.Disabled.IsZero():
		return 0, false, fmt.Errorf("%w: the account is disabled", ErrRefused)
	case need <= 1:
		return 1, true, nil
	case d.now().Sub(p.Settled) < settledFor:
		return 0, false, fmt.Errorf("%w: where %d people are needed, an account counts 24 hours after it was made or last changed by another", ErrRefused, need)
	}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		have, done, err = consent(tx, org, p.ID, act, need)
		return err
	})
	return have, done, err
}

// consent adds a person to those who agreed, in one transaction.
func consent(tx *storage.Tx, org, person uuid.UUID, act string, need int) (have int, done bool, err error) {
	c, err := tx.Consent(org, act)
	if err != nil {
		return 0, false, err
	}
	given := []storage.Consenter{{Person: person, At: tx.Now()}}
	for _, g := range c.Given {
		if g.Person != person && tx.Now().Sub(g.At) < consentLife {
			given = append(given, g)
		}
	}
	c.Given = given
	have, done = len(given), len(given) >= need
	e := tx.Record(audit.Event{Verb: audit.ConsentGive, Outcome: audit.OK, Org: org,
		Fields:   audit.Fields{audit.Int(audit.KeyCount, have), audit.Int(audit.KeyNeed, need)},
		Personal: audit.Fields{audit.Text(audit.KeyText, act)}})
	switch {
	case !done:
		err = tx.PutConsent(e, &c)
	case c.Version > 0:
		err = tx.DeleteConsent(e, &c)
	}
	if err != nil {
		return 0, false, err
	}
	e.Object = c.ID
	return have, done, tx.DropLapsedConsents(e, org, tx.Now().Add(-consentLife))
}

// Agreed is how many people have agreed to an act, and that stands.
func (d *Directory) Agreed(ctx context.Context, org uuid.UUID, act string) (have int, err error) {
	c, err := d.store.Consent(ctx, org, act)
	for _, g := range c.Given {
		if d.now().Sub(g.At) < consentLife {
			have++
		}
	}
	return have, err
}
