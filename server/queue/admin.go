package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// ErrBusy: an attempt is under way, or the row has just changed. Ask again.
var ErrBusy = errors.New("queue: an attempt is under way")

// ErrState: the row is held and should be queued, or the other way round.
var ErrState = errors.New("queue: not in this state")

// List lists an organization's queue after an id, at most limit rows.
func (q *Queue) List(ctx context.Context, org, after uuid.UUID, limit int) ([]storage.Outgoing, error) {
	return q.store.Outgoings(ctx, org, after, limit)
}

// Get finds one row.
func (q *Queue) Get(ctx context.Context, org, id uuid.UUID) (storage.Outgoing, error) {
	return q.store.Outgoing(ctx, org, id)
}

// Counts says how many rows an organization has in each state.
func (q *Queue) Counts(ctx context.Context, org uuid.UUID) ([]storage.OutgoingCount, error) {
	return q.store.OutgoingCounts(ctx, org)
}

// Retry makes a queued row due now, and has the transports try hosts that they were leaving alone.
func (q *Queue) Retry(ctx context.Context, actor audit.Actor, org, id uuid.UUID) error {
	q.o.Forget()
	return q.change(ctx, actor, org, id, audit.QueueRetry, storage.OutgoingQueued, storage.OutgoingQueued, "")
}

// Hold keeps a queued row from being tried. A hold that reaches the row's end
// is a rejection (invariant 12).
func (q *Queue) Hold(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) error {
	return q.change(ctx, actor, org, id, audit.QueueHold, storage.OutgoingQueued, storage.OutgoingHeld, reason)
}

// Release lets a held row go.
func (q *Queue) Release(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) error {
	return q.change(ctx, actor, org, id, audit.QueueHold, storage.OutgoingHeld, storage.OutgoingQueued, reason)
}

func (q *Queue) change(ctx context.Context, actor audit.Actor, org, id uuid.UUID, verb audit.Verb, from, to storage.OutgoingState, reason string) error {
	was, err := q.store.Outgoing(ctx, org, id)
	if err != nil {
		return err
	}
	if err := waiting(&was); err != nil {
		return err
	}
	if was.State != from {
		return fmt.Errorf("%w: the message is %s", ErrState, was.State)
	}
	err = q.store.Write(ctx, actor, func(tx *storage.Tx) error {
		o := was
		o.State = to
		e := tx.Record(adminEvent(verb, o, reason))
		e.Personal = append(e.Personal, audit.Text(audit.KeyBefore, from.String()), audit.Text(audit.KeyAfter, to.String()))
		return tx.UpdateOutgoing(e, &o)
	})
	if errors.Is(err, storage.ErrConflict) {
		return ErrBusy
	}
	q.Kick()
	return err
}

// Bounce ends a row with a failure: the agent gets a report.
func (q *Queue) Bounce(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) error {
	o, err := q.store.Outgoing(ctx, org, id)
	if err == nil {
		err = waiting(&o)
	}
	if err != nil {
		return err
	}
	return q.end(ctx, actor, o, verdict{o: o, verb: audit.QueueBounce, r: Result{Rule: "operator", Enhanced: "5.7.1"}}, reason)
}

// end settles a row that no attempt is made for.
func (q *Queue) end(ctx context.Context, actor audit.Actor, o storage.Outgoing, v verdict, reason string) error {
	report, err := q.report(ctx, []verdict{v})
	if err != nil {
		return err
	}
	if report.Discard != nil {
		defer report.Discard()
	}
	err = q.store.Write(ctx, actor, func(tx *storage.Tx) error {
		if err := tx.OutgoingIdle(&o); err != nil {
			return err
		}
		e := tx.Record(v.event())
		if reason != "" {
			e.Personal = append(e.Personal, audit.Text(audit.KeyNote, reason))
		}
		if err := tx.SettleOutgoing(e, &o); err != nil {
			return err
		}
		if report.Store == nil {
			return nil
		}
		return report.Store(tx)
	})
	if errors.Is(err, storage.ErrConflict) {
		return ErrBusy
	}
	return err
}

func adminEvent(verb audit.Verb, o storage.Outgoing, reason string) audit.Event {
	e := audit.Event{
		Verb: verb, Outcome: audit.OK,
		Org: o.Org, Agent: o.Agent, Credential: o.Credential, Inbox: o.Inbox, Object: o.Message,
		Fields: audit.Fields{audit.ID(audit.KeyOutgoing, o.ID), audit.Word(audit.KeyState, o.State.String())},
		Personal: audit.Fields{audit.Text(audit.KeyFrom, o.From), audit.Text(audit.KeyTo, o.To),
			audit.Text(audit.KeyMessageID, o.MessageID)},
	}
	if reason != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyNote, reason))
	}
	return e
}

// watchHolds rejects what is held beyond its end.
func (q *Queue) watchHolds(ctx context.Context) {
	t := time.NewTicker(slowPoll)
	defer t.Stop()
	var looked time.Time
	for {
		// Every submission kicks, and none of them ends a hold.
		if since := q.o.Now().Sub(looked); since < 0 || since >= holdsEvery {
			looked = q.o.Now()
			if err := q.rejectHolds(ctx); err != nil && ctx.Err() == nil {
				q.o.Log.Error("holds that ended could not be rejected; it is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-q.holds:
		case <-t.C:
		}
	}
}

// holdsEvery is how often at the most holds are looked at.
const holdsEvery = time.Second

// holdsAtOnce bounds one read of holds that ended.
const holdsAtOnce = 100

func (q *Queue) rejectHolds(ctx context.Context) error {
	for {
		ended, err := q.store.EndedHolds(ctx, q.o.Now(), holdsAtOnce)
		if err != nil || len(ended) == 0 {
			return err
		}
		var failed []error
		for _, d := range ended {
			if err := q.rejectHold(ctx, d); err != nil {
				failed = append(failed, fmt.Errorf("message %s: %w", d.Message, err))
			}
		}
		if len(failed) == len(ended) {
			return errors.Join(failed...) // one that cannot be ended keeps no other from its end
		}
	}
}

// rejectHold ends what is held beyond its end: one row that an operator holds, or
// all of a message about which people did not decide.
func (q *Queue) rejectHold(ctx context.Context, d storage.DueOutgoing) error {
	o, err := q.store.Outgoing(ctx, d.Org, d.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // with another row of its message
	}
	if err != nil {
		return err
	}
	if o.Approval {
		return q.expire(ctx, &o)
	}
	v := verdict{o: o, verb: audit.QueueExpired, r: Result{Rule: "hold-expired", Enhanced: "5.7.1"}}
	return q.end(ctx, storage.System, o, v, "")
}
