package delivery

import (
	"context"
	"errors"

	"postern/server/directory"
	"postern/server/queue"
	"postern/storage"
	"postern/storage/audit"
)

// Local is the queue's transport to inboxes of this server. Local mail takes the
// same way as any other: queued, judged, recorded; only the body is not copied, and
// the copies are stored in the transaction that takes the message out of the queue.
type Local struct{ in *Inbound }

// NewLocal makes the transport.
func NewLocal(in *Inbound) *Local { return &Local{in} }

var _ queue.Transport = (*Local)(nil)

// Results for recipients.
var (
	delivered = queue.Result{Outcome: queue.Delivered, Rule: "stored", Enhanced: "2.1.5"}
	// An unknown inbox, one of an organization that does not want it known, and a
	// live one for a test sender: a report says the same. // AC-5, AC-14
	noInbox    = queue.Result{Outcome: queue.Permanent, Rule: "no-such-inbox", Enhanced: "5.1.1"}
	notOurs    = queue.Result{Outcome: queue.Permanent, Rule: "domain-removed", Enhanced: "5.1.2"}
	senderGone = queue.Result{Outcome: queue.Permanent, Rule: "sender-gone", Enhanced: "5.3.0"}
	failed     = queue.Result{Outcome: queue.Temporary, Rule: "storage", Enhanced: "4.3.0"}
)

// Attempt makes a message ready for those of its recipients that exist; they get
// it, all of them, when the queue settles it.
func (l *Local) Attempt(ctx context.Context, batch []queue.Item) []queue.Result {
	results := make([]queue.Result, len(batch))
	sender, err := l.in.store.InboxRecord(ctx, batch[0].Org, batch[0].Inbox)
	if err != nil {
		return fill(results, l.failure(err, senderGone))
	}
	var to []Recipient
	for i := range batch {
		rcpt, err := l.in.dir.Recipient(ctx, batch[i].Recipient)
		switch {
		case errors.Is(err, directory.ErrNotLocal):
			results[i] = notOurs
		case err != nil:
			results[i] = l.failure(err, noInbox)
		case sender.Env == storage.Test && rcpt.Env != storage.Test:
			results[i] = noInbox
		default:
			results[i] = delivered
			to = append(to, Recipient{Path: batch[i].Recipient, Inbox: rcpt})
		}
	}
	if len(to) == 0 {
		return results
	}
	m, err := l.prepare(ctx, batch[0], sender, to)
	deposit := &queue.Deposit{Failed: func(err error) queue.Result {
		l.in.o.Log.Error("a local delivery failed", "message", batch[0].Message, "error", err)
		return l.failure(err, noInbox)
	}}
	if err == nil {
		deposit.Store = m.store
	}
	for i := range results {
		switch {
		case results[i].Outcome != queue.Delivered:
		case err != nil:
			results[i] = deposit.Failed(err)
		default:
			results[i].Deposit = deposit
		}
	}
	return results
}

// failure is the result for an error: gone for good, refused, or for now.
func (l *Local) failure(err error, gone queue.Result) queue.Result {
	var refused *RefusedError
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, directory.ErrNoSuchInbox):
		return gone
	case errors.As(err, &refused):
		return queue.Result{Outcome: queue.Permanent, Rule: refused.Rule.String(), Enhanced: refused.Enhanced}
	}
	return failed
}

func fill(results []queue.Result, r queue.Result) []queue.Result {
	for i := range results {
		results[i] = r
	}
	return results
}

// prepare makes copies ready that share the queue's body.
func (l *Local) prepare(ctx context.Context, it queue.Item, sender storage.InboxRecord, to []Recipient) (*mail, error) {
	ref, err := l.in.store.OutgoingBody(ctx, &it.Outgoing)
	if err != nil {
		return nil, err
	}
	r := &Received{
		Actor: audit.Actor{Kind: audit.Agent, ID: it.Agent, Credential: it.Credential},
		Door:  "submission", From: it.Sender, To: to, org: sender.Org,
	}
	src := source{ReaderAt: it.Body, size: it.Size, body: func(*storage.Tx) (storage.BodyRef, error) { return ref, nil }}
	copy(src.sha256[:], it.SHA256)
	m, err := l.in.prepare(ctx, r, src, storage.OriginSubmission)
	if err != nil {
		return nil, err
	}
	m.actor = &r.Actor
	for i := range m.to {
		// The credential vouches for the sender inside one organization; mail of
		// another is judged like a stranger's.
		if m.to[i].record.Org == sender.Org {
			m.to[i].flags |= storage.SenderVerified
		}
	}
	return m, nil
}
