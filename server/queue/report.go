package queue

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// Notice is a report that the queue wants delivered.
type Notice struct {
	Org, Inbox uuid.UUID    // that gets it
	Agent      uuid.UUID    // whose message it is about
	To         message.Path // address of the inbox: the return path of the message
	MessageID  string       // of the notice
	Data       []byte       // the notice, a whole message
	// Of a message about which people decided: how, and the id of its submission.
	Decision Decision
	Message  uuid.UUID
}

// Report is a notice that is ready to be stored. Store runs inside a
// transaction, perhaps more than once; Discard frees what was prepared.
type Report struct {
	Store   func(tx *storage.Tx) error
	Discard func()
}

// report makes one notice about all recipients that failed. An inbox that is
// gone gets none.
func (q *Queue) report(ctx context.Context, verdicts []verdict) (Report, error) {
	var failed []verdict
	for _, v := range verdicts {
		// Nobody is told about what has nobody to tell: RFC 5321, section 4.5.5.
		if v.verb != audit.QueueDelivered && v.verb != audit.QueueAttempt && v.o.From != "" {
			failed = append(failed, v)
		}
	}
	if len(failed) == 0 {
		return Report{}, nil
	}
	n, err := q.notice(ctx, failed)
	if err != nil {
		return Report{}, err
	}
	report, err := q.o.Report(ctx, n)
	if errors.Is(err, storage.ErrNotFound) {
		q.o.Log.Warn("a report was not delivered: its inbox is gone", "inbox", n.Inbox)
		return Report{}, nil
	}
	return report, err
}

// notice writes the delivery status notification about failed recipients.
func (q *Queue) notice(ctx context.Context, failed []verdict) (Notice, error) {
	first := failed[0].o
	to, err := message.ParsePath(first.From, true)
	if err != nil {
		return Notice{}, err
	}
	dsn := message.DSN{
		From: message.Path{Local: "postmaster", Domain: to.Domain}, To: to, ReportingMTA: q.o.Hostname,
		MessageID: message.NewMessageID(to.Domain), Arrival: first.Created, Time: q.o.Now(),
		Header: q.header(ctx, &first), Notice: failed[0].decision.String(),
	}
	for _, v := range failed {
		final, err := message.ParsePath(v.o.To, true)
		if err != nil {
			return Notice{}, err
		}
		dsn.Recipients = append(dsn.Recipients, message.DSNRecipient{
			Final: final, Action: message.ActionFailed, Status: v.status(), ReplyCode: v.r.Code, LastAttempt: q.o.Now(),
		})
	}
	return Notice{Org: first.Org, Inbox: first.Inbox, Agent: first.Agent, To: to, MessageID: dsn.MessageID, Data: dsn.Bytes()}, nil
}

// status is the code of RFC 3463 that a report gives.
func (v verdict) status() string {
	switch {
	case v.verb == audit.QueueExpired && !strings.HasPrefix(v.r.Enhanced, "5."):
		return "4.4.7" // delivery time expired
	case v.verb == audit.QueueBounce:
		return "5.7.1" // an operator's decision
	}
	return v.r.Enhanced
}

// header is the top header of a queued message, nil when it cannot be read: a
// report without it is better than none.
func (q *Queue) header(ctx context.Context, o *storage.Outgoing) []byte {
	body, err := q.store.OpenOutgoing(ctx, o)
	if err != nil {
		return nil
	}
	defer body.Close()
	s := message.Parse(body, min(body.Size(), 2*message.MaxHeaderBytes))
	header, err := message.ReadHeader(body, s)
	if err != nil {
		return nil
	}
	return header
}
