package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

var (
	// ErrReserved: only people decide about what was put away.
	ErrReserved = errors.New("delivery: only people decide about mail in quarantine")
	// ErrDecided: somebody decided otherwise.
	ErrDecided = errors.New("delivery: somebody has decided otherwise")
)

// Quarantine is what people do about mail that was put away. Nothing that an agent
// can do, over any protocol, comes here. // PI-3
type Quarantine struct{ store *storage.Store }

// NewQuarantine makes a Quarantine.
func NewQuarantine(store *storage.Store) *Quarantine { return &Quarantine{store} }

// Ruling is what a person decides about a message that was put away.
type Ruling struct {
	Release bool   // else it is deleted
	Trusted bool   // of a release: it loses its mark, and reading it taints nobody
	Reason  string // for the log; the agent does not see it

	expired bool // nobody decided for as long as policy waits
}

// Decide carries out what a person decided. A released message is in INBOX as new
// mail, under a UID of its own and with the view that was frozen when it came; the
// connections that wait there wake. To decide the same again changes nothing, and
// changed is false; ErrDecided when it was decided otherwise, also in this very
// moment. ErrNotFound when the organization has no such message, or its inbox was
// removed.
func (k *Quarantine) Decide(ctx context.Context, actor audit.Actor, org, id uuid.UUID, r Ruling) (q storage.Quarantined, changed bool, err error) {
	if actor.Kind != audit.Person {
		return q, false, ErrReserved
	}
	if q, err = k.store.Quarantined(ctx, org, id); err != nil {
		return q, false, err
	}
	if q.State == storage.QuarantineWaiting {
		failed := k.decide(ctx, actor, &q, r)
		if failed == nil {
			return q, true, nil
		}
		// Perhaps somebody was faster: then the copy is gone, or the row another.
		if q, err = k.store.Quarantined(ctx, org, id); err != nil {
			return q, false, err
		}
		if q.State == storage.QuarantineWaiting {
			return q, false, failed
		}
	}
	if q.State != r.state() {
		return q, false, fmt.Errorf("%w: the message was %s already, by %s", ErrDecided, q.State, q.By)
	}
	return q, false, nil
}

func (r Ruling) state() storage.QuarantineState {
	if r.Release {
		return storage.QuarantineReleased
	}
	return storage.QuarantineRejected
}

// by says who decided.
func (r Ruling) by(actor audit.Actor) string {
	if r.expired {
		return string(policy.KeyQuarantineExpiry)
	}
	return actor.Name
}

// Expire rejects what nobody decided about for as long as the policy of its inbox
// says: like every hold, one that ends by itself ends as a rejection (invariant 12). It
// returns how many that were.
func (k *Quarantine) Expire(ctx context.Context, now time.Time) (n int, err error) {
	orgs, err := k.store.Organizations(ctx)
	for i := 0; i < len(orgs) && err == nil; i++ {
		var of int
		of, err = k.expire(ctx, orgs[i].ID, now)
		n += of
	}
	return n, err
}

// expire goes through what waits in one organization.
func (k *Quarantine) expire(ctx context.Context, org uuid.UUID, now time.Time) (n int, err error) {
	for after := uuid.Nil; ; {
		waiting, err := k.store.Quarantine(ctx, org, after, replayPage, false)
		if err != nil {
			return n, err
		}
		for i := range waiting {
			q := &waiting[i]
			after = q.ID
			switch over, err := k.over(ctx, q, now); {
			case errors.Is(err, storage.ErrNotFound) || err == nil && !over:
				continue // its inbox was removed, or it still waits
			case err != nil:
				return n, err
			}
			switch err := k.decide(ctx, storage.System, q, Ruling{expired: true}); {
			case err == nil:
				n++
			case !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrNotFound): // somebody was faster
				return n, err
			}
		}
		if len(waiting) < replayPage {
			return n, nil
		}
	}
}

// over reports whether a message has waited for as long as the policy of its inbox says.
func (k *Quarantine) over(ctx context.Context, q *storage.Quarantined, now time.Time) (bool, error) {
	in, err := k.store.InboxRecord(ctx, q.Org, q.Inbox)
	if err != nil {
		return false, err
	}
	bands, err := policy.LoadBands(ctx, k.store, q.Org, in.Domain, q.Inbox)
	return bands.Expiry > 0 && !now.Before(q.Created.Add(bands.Expiry)), err
}

// decide is the one transaction of a decision.
func (k *Quarantine) decide(ctx context.Context, actor audit.Actor, q *storage.Quarantined, r Ruling) error {
	in, m, err := k.Open(ctx, q)
	if err != nil {
		return err
	}
	to, err := in.MailboxByRole(ctx, storage.RoleInbox)
	if err != nil {
		return err
	}
	var decided storage.Quarantined
	err = k.store.Write(ctx, actor, func(tx *storage.Tx) error {
		decided = *q // the function may run twice
		e := tx.Record(r.event(&m))
		if r.Release {
			return tx.ReleaseQuarantined(e, in, &decided, to.ID, r.Trusted, actor.Name)
		}
		return tx.RejectQuarantined(e, in, &decided, r.by(actor))
	})
	if err == nil {
		*q = decided
	}
	return err
}

// event says what was decided, and about what.
func (r Ruling) event(m *storage.Message) audit.Event {
	e := audit.Event{Verb: audit.QuarantineReject, Outcome: audit.OK, Fields: audit.Fields{
		audit.Digest(audit.KeySHA256, m.Content.SHA256[:]), audit.Word(audit.KeyVerdict, m.Content.Verdict.String())}}
	if r.Release {
		e.Verb = audit.QuarantineRelease
	}
	if r.expired {
		e.Fields = append(e.Fields, audit.Word(audit.KeyState, "expired"))
	}
	if r.Release && r.Trusted {
		e.Fields = append(e.Fields, audit.Word(audit.KeyState, "trusted"))
	}
	if m.Content.MessageID != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyMessageID, m.Content.MessageID))
	}
	if r.Reason != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyNote, r.Reason))
	}
	return e
}

// Open finds the copy that waits. ErrNotFound when it was decided about, or its
// inbox is gone.
func (k *Quarantine) Open(ctx context.Context, q *storage.Quarantined) (in *storage.Inbox, m storage.Message, err error) {
	if in, err = k.store.OpenInbox(ctx, q.Org, q.Inbox); err != nil {
		return nil, m, err
	}
	m, err = in.Message(ctx, q.Mailbox, q.UID)
	if err == nil && m.ID != q.Message {
		err = fmt.Errorf("%w: quarantined message %s", storage.ErrCorrupt, q.ID)
	}
	return in, m, err
}
