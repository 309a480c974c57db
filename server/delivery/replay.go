package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// Replay scores stored mail again: with another model, to learn what that would
// change before it judges new mail, and to make its verdicts those of old mail. It
// never changes bytes, header fields or UIDs, and moves nothing: what it would put
// away, or would have let in, people decide about. // PI-9
//
// It works on one message at a time, as slowly as others want to write, and holds
// no transaction while it reads. What it applied counts: a replay that was cut off
// goes on where it was when it is asked for again.
type Replay struct {
	store *storage.Store
	judge Judge
	model string // skip what it judged last; empty: nothing
}

// NewReplay makes a Replay by a judge, whose verdicts are those of a model.
func NewReplay(store *storage.Store, judge Judge, model string) *Replay {
	return &Replay{store, judge, model}
}

// ReplayQuery says which mail of an organization is scored again.
type ReplayQuery struct {
	Org    uuid.UUID
	Inbox  uuid.UUID // zero: all
	Domain uuid.UUID // zero: all
	Since  time.Time // that came then or later; zero: all
	// Unjudged: only what came before there was a scorer.
	Unjudged bool
	Apply    bool // else it is only told what would change
	Cause    storage.ScoringCause
}

// Rescored is a message whose verdict is, or would be, another.
type Rescored struct {
	Message  uuid.UUID
	Inbox    uuid.UUID
	Mailbox  storage.Role
	UID      uint32
	Was, Now storage.Verdict
	Scoring  storage.Scoring
	// Placed is where the message would go if it came now.
	Placed storage.Role
}

// Replayed sums up.
type Replayed struct {
	Scored  int // messages
	Changed int // of those: with another verdict
	Same    int // messages that this model judged last, and that were not scored again
	Failed  int // messages that could not be read
}

// Run scores the messages of a query in the order of inboxes, mailboxes and UIDs, and
// tells each that changes. It ends with the context, or with the error of tell.
func (r *Replay) Run(ctx context.Context, actor audit.Actor, q ReplayQuery, tell func(Rescored) error) (sum Replayed, err error) {
	for after := uuid.Nil; ; {
		inboxes, err := r.store.InboxRecords(ctx, q.Org, after, replayPage)
		if err != nil {
			return sum, err
		}
		for i := range inboxes {
			in := &inboxes[i]
			after = in.ID
			if q.Inbox != uuid.Nil && in.ID != q.Inbox || q.Domain != uuid.Nil && in.Domain != q.Domain {
				continue
			}
			if err := r.inbox(ctx, actor, &q, in, &sum, tell); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return sum, err
			}
		}
		if len(inboxes) < replayPage {
			return sum, nil
		}
	}
}

// replayPage is how many inboxes are read at a time.
const replayPage = 100

// allUIDs is every message of a mailbox.
var allUIDs = []storage.UIDRange{{First: 1, Last: 1<<32 - 1}}

func (r *Replay) inbox(ctx context.Context, actor audit.Actor, q *ReplayQuery, record *storage.InboxRecord, sum *Replayed, tell func(Rescored) error) error {
	in, err := r.store.OpenInbox(ctx, record.Org, record.ID)
	if err != nil {
		return err // removed meanwhile
	}
	boxes, err := in.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for i := range boxes {
		at := place{in: in, box: &boxes[i], actor: actor, query: q, sum: sum, tell: tell}
		err := in.Scan(ctx, boxes[i].ID, allUIDs, true, func(m *storage.Message) error { return r.message(ctx, &at, m) })
		var corrupt *storage.CorruptError
		switch {
		case errors.As(err, &corrupt):
			sum.Failed += len(corrupt.UIDs)
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return err
		}
	}
	return nil
}

// place is the mailbox that a replay is at.
type place struct {
	in    *storage.Inbox
	box   *storage.Mailbox
	actor audit.Actor
	query *ReplayQuery
	sum   *Replayed
	tell  func(Rescored) error
}

// message scores one message, and applies or tells what that changes.
func (r *Replay) message(ctx context.Context, at *place, m *storage.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q := at.query
	if m.Received.Before(q.Since) {
		return nil
	}
	runs, err := m.Scorings()
	if err != nil || q.Unjudged && len(runs) > 0 {
		return err
	}
	if len(runs) > 0 && runs[0].Model == r.model && r.model != "" {
		at.sum.Same++ // the same bytes and model: the same score
		return nil
	}
	found, from, err := r.score(ctx, at, m)
	if errors.Is(err, errUnreadable) {
		at.sum.Failed++
		return nil
	}
	if err != nil {
		return err
	}
	at.sum.Scored++
	return r.conclude(ctx, at, m, found, from)
}

// score judges the stored bytes, parsed as they came, and says who wrote them.
func (r *Replay) score(ctx context.Context, at *place, m *storage.Message) (j Judgement, senders []string, err error) {
	body, err := at.in.OpenBody(ctx, m)
	if err != nil {
		return j, nil, errors.Join(errUnreadable, err)
	}
	defer body.Close()
	parsed := message.Parse(body, body.Size())
	if parsed.Defects.Has(message.DefectReadFailed) {
		return j, nil, errUnreadable
	}
	for { // others go first
		j, err = r.judge.Of(ctx, Judged{Body: body, Size: body.Size(), Structure: parsed, Origin: m.Content.Origin})
		if !errors.Is(err, ErrBusy) {
			return j, Senders(&parsed.Envelope, message.Path{}), err
		}
	}
}

// conclude applies a judgement, if that was asked for, and tells it if it is another
// than before.
func (r *Replay) conclude(ctx context.Context, at *place, m *storage.Message, j Judgement, senders []string) error {
	bands, err := policy.LoadBands(ctx, r.store, at.in.Org(), at.in.Domain(), at.in.ID())
	if err != nil {
		return err
	}
	placed := policy.Receive(policy.ReceiveFacts{Verdict: j.Verdict, Hard: j.Hard(), Bands: bands})
	was := m.Content.Verdict
	scoring := *j.Record()
	scoring.Message, scoring.Cause = m.ID, at.query.Cause
	if at.query.Apply {
		mark := placed.Mark && j.Flags() != 0
		err := r.apply(ctx, at, m.UID, storage.Rescoring{Scoring: scoring, Mark: mark, Senders: senders})
		if errors.Is(err, storage.ErrNotFound) {
			return nil // it left the mailbox meanwhile
		}
		if err != nil {
			return err
		}
	}
	if was == j.Verdict {
		return nil
	}
	at.sum.Changed++
	return at.tell(Rescored{Message: m.ID, Inbox: at.in.ID(), Mailbox: at.box.Role, UID: m.UID, Was: was, Now: j.Verdict, Scoring: scoring, Placed: placed.Mailbox})
}

// apply makes a judgement the message's.
func (r *Replay) apply(ctx context.Context, at *place, uid uint32, s storage.Rescoring) error {
	return r.store.WritePatiently(ctx, at.actor, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.MessageRescored, Outcome: audit.OK})
		if err := tx.AlertUnscored(&s.Scoring, at.in.Org(), at.in.ID()); err != nil {
			return err
		}
		return tx.Rescore(e, at.in, at.box.ID, uid, s)
	})
}
