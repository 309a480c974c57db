package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// ErrReserved: only people decide about what a rule made wait, and as many as the
// rule asked for.
var ErrReserved = errors.New("queue: only people decide about a held message")

// Decision is what became of a message that a rule made wait for people.
type Decision uint8

// The decisions. The zero Decision is none.
const (
	Released Decision = iota + 1
	Rejected
	Expired // nobody decided in time, which is a rejection (invariant 12)
)

// String is the word of a decision in notices.
func (d Decision) String() string {
	return [...]string{"", message.NoticeReleased, message.NoticeRejected, message.NoticeExpired}[min(d, Expired)]
}

// Approvals lists what waits for people in an organization after an id, at most
// limit messages.
func (q *Queue) Approvals(ctx context.Context, org, after uuid.UUID, limit int) ([]storage.Approval, error) {
	return q.store.Approvals(ctx, org, after, limit)
}

// Approval finds one message that waits, by the id of its submission.
func (q *Queue) Approval(ctx context.Context, org, id uuid.UUID) (storage.Approval, error) {
	return q.store.Approval(ctx, org, id)
}

// Releasable says with ErrState why a message cannot be released now, though
// people agree: its agent may not act any more, or the credential that sent it was
// revoked, and may have been in other hands. Such a message can be rejected. What
// is frozen is released and then waits in the queue, as all its mail does.
func (q *Queue) Releasable(ctx context.Context, a *storage.Approval) error {
	agent, err := q.store.Agent(ctx, a.Org, a.Agent)
	if err != nil {
		return err
	}
	if agent.State != storage.AgentActive {
		return fmt.Errorf("%w: its agent is %s, so the message can be rejected only", ErrState, agent.State)
	}
	cred, err := q.store.Credential(ctx, a.Org, a.Credential)
	if err != nil {
		return err
	}
	if !cred.Revoked.IsZero() {
		return fmt.Errorf("%w: the credential that sent it was revoked, so the message can be rejected only", ErrState)
	}
	return nil
}

// ReleaseApproval lets a held message go to all its recipients, byte for byte as
// it was submitted, with the time of a new message to get there. people is how
// many agreed, the actor included: ErrReserved when those are too few, or the
// actor is none.
func (q *Queue) ReleaseApproval(ctx context.Context, actor audit.Actor, org, id uuid.UUID, people int, reason string) error {
	a, err := q.store.Approval(ctx, org, id)
	if err != nil {
		return err
	}
	if actor.Kind != audit.Person || people < a.Persons {
		return ErrReserved
	}
	if err := q.Releasable(ctx, &a); err != nil {
		return err
	}
	return q.decide(ctx, actor, a, Released, reason)
}

// RejectApproval ends a held message; its agent is told. One person is enough.
func (q *Queue) RejectApproval(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) error {
	a, err := q.store.Approval(ctx, org, id)
	if err != nil {
		return err
	}
	if actor.Kind != audit.Person {
		return ErrReserved
	}
	return q.decide(ctx, actor, a, Rejected, reason)
}

// expire rejects a held message whose time is over.
func (q *Queue) expire(ctx context.Context, o *storage.Outgoing) error {
	a, err := q.store.Approval(ctx, o.Org, o.Message)
	if err != nil {
		return err
	}
	return q.decide(ctx, storage.System, a, Expired, "")
}

// decide carries out a decision in one transaction: the rows of all recipients,
// the copy in Outbox, the notice and the event. The copy of what goes is put where
// all that was sent is; the copy of what does not into Drafts, where the agent can
// change it and submit it anew, through the same gate.
func (q *Queue) decide(ctx context.Context, actor audit.Actor, a storage.Approval, d Decision, reason string) error {
	rows, err := q.store.OutgoingsOf(ctx, a.Org, a.ID)
	if err != nil {
		return err
	}
	if err := sameMessage(&a, rows); err != nil {
		if _, gone := q.store.Approval(ctx, a.Org, a.ID); errors.Is(gone, storage.ErrNotFound) {
			return gone // somebody decided between the two reads
		}
		return err
	}
	in, err := q.store.OpenInbox(ctx, a.Org, a.Inbox)
	if err != nil {
		return err
	}
	role := storage.RoleSent
	if d != Released {
		role = storage.RoleDrafts
	}
	to, err := in.MailboxByRole(ctx, role)
	if err != nil {
		return err
	}
	report, err := q.decided(ctx, &a, rows, d)
	if err != nil {
		return err
	}
	if report.Discard != nil {
		defer report.Discard()
	}
	err = q.store.Write(ctx, actor, func(tx *storage.Tx) error {
		a := a
		e := tx.Record(d.event(&a, reason))
		if err := tx.SettleApproval(e, in, &a, to.ID); err != nil {
			return err
		}
		if err := d.settle(tx, e, in, rows); err != nil || report.Store == nil {
			return err
		}
		return report.Store(tx)
	})
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: somebody else has just decided", ErrState)
	}
	q.Kick()
	return err
}

// sameMessage holds the rows of the queue to what people were shown: these
// recipients, these bytes.
func sameMessage(a *storage.Approval, rows []storage.Outgoing) error {
	for _, o := range rows {
		if !o.Approval || !bytes.Equal(o.SHA256, a.SHA256) || o.From != a.From || !slices.Contains(a.Recipients, o.To) {
			return fmt.Errorf("%w: row %s of the queue is not of held message %s", storage.ErrCorrupt, o.ID, a.ID)
		}
	}
	if len(rows) != len(a.Recipients) {
		return fmt.Errorf("%w: held message %s has %d recipients and %d rows in the queue", storage.ErrCorrupt, a.ID, len(a.Recipients), len(rows))
	}
	return nil
}

// settle writes what a decision means for each recipient.
func (d Decision) settle(tx *storage.Tx, e *audit.Event, in *storage.Inbox, rows []storage.Outgoing) error {
	for _, o := range rows {
		if d != Released {
			if err := tx.SettleOutgoing(e, &o); err != nil {
				return err
			}
			continue
		}
		o.State, o.Approval, o.Expires = storage.OutgoingQueued, false, tx.Now().Add(Expiry)
		if err := tx.UpdateOutgoing(e, &o); err != nil {
			return err
		}
		to, err := message.ParsePath(o.To, true)
		if err != nil {
			return err
		}
		if err := tx.NoteSent(in, to.Canonical().String()); err != nil {
			return err
		}
	}
	return nil
}

// event says what was decided, and about what.
func (d Decision) event(a *storage.Approval, reason string) audit.Event {
	e := audit.Event{
		Outcome: audit.OK, Org: a.Org, Agent: a.Agent, Credential: a.Credential, Inbox: a.Inbox, Object: a.ID,
		Fields: audit.Fields{audit.Digest(audit.KeySHA256, a.SHA256), audit.Int(audit.KeyRecipients, len(a.Recipients)),
			audit.Int(audit.KeyPersons, a.Persons), audit.Time(audit.KeySince, a.Created)},
		Personal: audit.Fields{audit.Text(audit.KeyFrom, a.From), audit.Text(audit.KeyMessageID, a.MessageID)},
	}
	e.Verb = [...]audit.Verb{Released: audit.ApprovalRelease, Rejected: audit.ApprovalReject, Expired: audit.ApprovalExpire}[d]
	for _, r := range a.Rules {
		e.Fields = append(e.Fields, audit.Word(audit.KeyRule, r))
	}
	for _, to := range a.Recipients {
		e.Personal = append(e.Personal, audit.Text(audit.KeyTo, to))
	}
	if reason != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyNote, reason))
	}
	return e
}

// decided prepares the notice of a decision. It has codes and words of our own,
// and the header that the agent wrote; a person's reason is for people: it may
// quote what made the message wait.
func (q *Queue) decided(ctx context.Context, a *storage.Approval, rows []storage.Outgoing, d Decision) (Report, error) {
	n, err := q.decisionNotice(ctx, a, rows, d)
	if err != nil {
		return Report{}, err
	}
	n.Decision, n.Message = d, a.ID
	report, err := q.o.Report(ctx, n)
	if errors.Is(err, storage.ErrNotFound) {
		return Report{}, nil // the inbox is gone
	}
	return report, err
}

func (q *Queue) decisionNotice(ctx context.Context, a *storage.Approval, rows []storage.Outgoing, d Decision) (Notice, error) {
	if d != Released {
		verdicts := make([]verdict, len(rows))
		for i, o := range rows {
			verdicts[i] = verdict{o: o, verb: audit.QueueExpired, r: Result{Enhanced: "5.7.1"}, decision: d}
		}
		return q.notice(ctx, verdicts)
	}
	to, err := message.ParsePath(a.From, true)
	if err != nil {
		return Notice{}, err
	}
	notice := message.ReleaseNotice{
		From: message.Path{Local: "postmaster", Domain: to.Domain}, To: to, Host: q.o.Hostname, Answers: a.MessageID,
		MessageID: message.NewMessageID(to.Domain), Time: q.o.Now(), Held: a.Created, Recipients: a.Recipients,
	}
	return Notice{Org: a.Org, Inbox: a.Inbox, Agent: a.Agent, To: to, MessageID: notice.MessageID, Data: notice.Bytes()}, nil
}

// waiting refuses to touch a row of a message about which people decide.
func waiting(o *storage.Outgoing) error {
	if !o.Approval {
		return nil
	}
	return fmt.Errorf("%w: a rule holds the message until people decide: postern approval show %s", ErrState, o.Message)
}
