package control

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// MessageRef names a message by its Message-ID; the angle brackets may be left out.
type MessageRef struct {
	MessageID string `json:"message_id"`
}

// Trace is who, what, when and why of a message, on one page. // AU-2
type Trace struct {
	MessageID  string      `json:"message_id"`
	From       string      `json:"from,omitempty"` // envelope sender
	Subject    string      `json:"subject,omitempty"`
	Verdict    string      `json:"verdict,omitempty"`
	Reasons    []string    `json:"reasons,omitempty"`  // of the verdict, codes of a closed list
	Scorings   []Judgement `json:"scorings,omitempty"` // the newest first; none of a message that is not here any more
	SHA256     []string    `json:"sha256,omitempty"`   // as it came or was submitted, and as it was stored
	Declared   []string    `json:"declared,omitempty"` // what the agent said of it // AU-3
	Recipients []Recipient `json:"recipients"`
	Events     []Event     `json:"events"`
	Truncated  bool        `json:"truncated,omitempty"` // there were more events

	Received   *Reception  `json:"received,omitempty"`   // from outside
	Provenance *Provenance `json:"provenance,omitempty"` // of a message that an agent submitted // AU-3
	Readers    []Read      `json:"readers"`              // who saw it
	Sequels    []Sequel    `json:"sequels"`              // what those sent next
	Decisions  []Decision  `json:"decisions"`            // of rules and people
	Hashes     []Hash      `json:"hashes"`               // at each step // AU-5

	Names map[string]string `json:"names"` // what people call the ids in the events
}

// Recipient is what became of a message for one address.
type Recipient struct {
	Address  string    `json:"address"`
	Outcome  string    `json:"outcome"` // received, duplicate, refused, queued, retrying, held, delivered, failed, expired, bounced, rejected
	Time     time.Time `json:"time"`
	Code     int64     `json:"code,omitempty"`
	Enhanced string    `json:"enhanced,omitempty"`
	TLS                // of the connection on which the outcome came
}

func (s *Server) messageCommands() {
	answer(s, "message.trace", s.messageTrace)
}

// Trace tells the history of a message. That somebody looked is an event.
func (c *Client) Trace(ctx context.Context, messageID string) (Trace, error) {
	return ask[MessageRef, Trace](ctx, c, "message.trace", MessageRef{messageID})
}

func (s *Server) messageTrace(ctx context.Context, by caller, q MessageRef) (Trace, error) {
	id := angled(q.MessageID)
	if id == "" {
		return Trace{}, invalid("a Message-ID is needed")
	}
	found, err := s.Store.Trace(ctx, by.Actor, by.org, id)
	if err != nil {
		return Trace{}, err
	}
	if len(found.Events) == 0 {
		return Trace{}, missing(storage.ErrNotFound, "message", id)
	}
	t := Trace{MessageID: id, Truncated: found.Truncated, Recipients: []Recipient{}, Names: map[string]string{}}
	names := s.newNames(by)
	for i := range found.Events {
		e := &found.Events[i]
		// A notice about the message is on the page, and a message of its own.
		if e.Verb != audit.NoticeDelivered || e.Personal.Text(audit.KeyMessageID) == id {
			t.describe(e)
			t.account(e)
		}
		row, err := names.row(ctx, e)
		if err != nil {
			return Trace{}, err
		}
		t.Events = append(t.Events, row.Event)
		maps.Copy(t.Names, row.Names)
	}
	t.tell(found)
	if err := s.scorings(ctx, by, &t, found.Events); err != nil {
		return Trace{}, err
	}
	for _, e := range slices.Concat(found.Before, found.Sequels) {
		fresh, err := names.fresh(ctx, &e)
		if err != nil {
			return Trace{}, err
		}
		maps.Copy(t.Names, fresh)
	}
	return t, nil
}

// maxTraceScored bounds the messages with one Message-ID of which the places are told.
const maxTraceScored = 16

// scorings tells as what the message was judged, and by which of its places. Several
// messages may have one Message-ID.
func (s *Server) scorings(ctx context.Context, by caller, t *Trace, events []audit.Event) error {
	asked := map[uuid.UUID]bool{}
	for i := range events {
		e := &events[i]
		if asked[e.Object] || len(asked) >= maxTraceScored || e.Fields.Text(audit.KeyVerdict) == "" {
			continue
		}
		asked[e.Object] = true
		all, err := s.Store.Scorings(ctx, by.org, e.Object)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		for _, run := range all {
			t.Scorings = append(t.Scorings, judgement(run))
		}
	}
	return nil
}

// describe takes from the events that brought the message in what it is.
func (t *Trace) describe(e *audit.Event) {
	if t.SHA256 != nil || e.Fields.Get(audit.KeySHA256) == nil {
		return
	}
	switch e.Verb {
	case audit.MessageReceived, audit.MessageSubmitted, audit.MessageAppended, audit.NoticeDelivered, audit.MessageRefused:
	default:
		return
	}
	t.From, t.Subject = e.Personal.Text(audit.KeyFrom), e.Personal.Text(audit.KeySubject)
	t.Verdict = e.Fields.Text(audit.KeyVerdict)
	for _, f := range e.Fields {
		if reason, ok := f.Value.(string); ok && f.Key == audit.KeyReason {
			t.Reasons = append(t.Reasons, reason)
		}
		if sum, ok := f.Value.([]byte); ok && f.Key == audit.KeySHA256 {
			t.SHA256 = append(t.SHA256, hex.EncodeToString(sum))
		}
	}
	for _, f := range e.Personal {
		if f.Key == audit.KeyText {
			t.Declared = append(t.Declared, f.Value.(string))
		}
	}
}

// outcomes are what events say of a recipient; a later one counts.
var outcomes = map[audit.Verb]string{
	audit.MessageReceived: "received", audit.NoticeDelivered: "received", audit.MessageDuplicate: "duplicate",
	audit.MessageRefused: "refused", audit.MessageSubmitted: "queued", audit.QueueAttempt: "retrying",
	audit.QueueRetry: "queued", audit.QueueHold: "held", audit.QueueDelivered: "delivered",
	audit.QueueFailed: "failed", audit.QueueExpired: "expired", audit.QueueBounce: "bounced",
	audit.MessageHeld: "held", audit.ApprovalRelease: "queued", audit.ApprovalReject: "rejected", audit.ApprovalExpire: "rejected",
}

// account notes what an event says of the recipients that it names.
func (t *Trace) account(e *audit.Event) {
	outcome, ok := outcomes[e.Verb]
	if !ok {
		return
	}
	if e.Verb == audit.QueueHold && e.Fields.Text(audit.KeyState) == storage.OutgoingQueued.String() {
		outcome = "queued" // the hold was lifted
	}
	switch e.Verb {
	case audit.MessageHeld, audit.ApprovalRelease, audit.ApprovalReject, audit.ApprovalExpire:
		for i := range t.Recipients { // it waits, goes or stays as a whole
			t.Recipients[i].Outcome, t.Recipients[i].Time = outcome, e.Time
		}
	}
	code, _ := e.Fields.Int(audit.KeyCode)
	for _, f := range e.Personal {
		if f.Key != audit.KeyTo {
			continue
		}
		r := Recipient{Address: f.Value.(string), Outcome: outcome, Time: e.Time, Code: code,
			Enhanced: e.Fields.Text(audit.KeyEnhanced)}
		if e.Verb != audit.MessageSubmitted { // that connection ended here
			r.TLS = tlsOf(e)
		}
		i := slices.IndexFunc(t.Recipients, func(known Recipient) bool { return known.Address == r.Address })
		if i < 0 {
			t.Recipients = append(t.Recipients, r)
			continue
		}
		t.Recipients[i] = r
	}
}
