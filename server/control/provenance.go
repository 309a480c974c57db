package control

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// Reception is how a message came from outside, and what was found out about it.
type Reception struct {
	Time    time.Time `json:"time"`
	Network string    `json:"network,omitempty"`
	HELO    string    `json:"helo,omitempty"`
	TLS     string    `json:"tls,omitempty"`
	SPF     string    `json:"spf,omitempty"`
	DKIM    string    `json:"dkim,omitempty"`
	DMARC   string    `json:"dmarc,omitempty"`
	Policy  string    `json:"policy,omitempty"`  // of mail that fails DMARC: what the domain in From asks for
	Verdict string    `json:"verdict,omitempty"` // none of a message that was refused
}

// Provenance is where a message comes from that an agent submitted: what the agent
// declares, what the server knows, and where they differ. // AU-3
type Provenance struct {
	Time           time.Time `json:"time"`
	Agent          string    `json:"agent"`
	Credential     string    `json:"credential"`
	Session        string    `json:"session"`
	Declared       Declared  `json:"declared"`
	Observed       Observed  `json:"observed"`
	Contradictions []string  `json:"contradictions"`
	Remarks        []string  `json:"remarks"`
}

// Declared is what an agent says of its message.
type Declared struct {
	Trigger  string   `json:"trigger,omitempty"` // message, schedule, user, event, agent
	Ref      string   `json:"ref,omitempty"`
	Derived  bool     `json:"derived,omitempty"` // nothing was declared: the trigger is what the message answers
	Origin   string   `json:"origin,omitempty"`  // generated, templated, human, mixed
	MadeWith string   `json:"made_with,omitempty"`
	Run      string   `json:"run,omitempty"`
	Sources  []string `json:"sources,omitempty"`
}

// Observed is what the server knows of where a message comes from.
type Observed struct {
	Answers   *Cause  `json:"answers,omitempty"`
	AnswersMS *int64  `json:"answers_read_before_ms,omitempty"` // since the agent last saw that message's text
	Quotes    []Cause `json:"quotes"`
	Reads     []Read  `json:"reads"` // by the agent, before
}

// Cause is a message that another one answers or quotes.
type Cause struct {
	ID        string    `json:"id"`
	MessageID string    `json:"message_id,omitempty"`
	From      string    `json:"from,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	SHA256    string    `json:"sha256,omitempty"` // of its bytes, as they came // AU-5
	Share     int64     `json:"share,omitempty"`  // percent of the content that stands in it
}

// Read is one time at which an agent saw content.
type Read struct {
	Seq        uint64    `json:"seq"`
	Time       time.Time `json:"time"`
	Agent      string    `json:"agent"`
	Credential string    `json:"credential"`
	Inbox      string    `json:"inbox"`
	Class      []string  `json:"class"`
	Messages   int64     `json:"messages"`            // how many were shown together
	BeforeMS   int64     `json:"before_ms,omitempty"` // the message was sent
	AfterMS    int64     `json:"after_ms,omitempty"`  // the message had come
}

// Sequel is a message that an agent submitted after it had read the one traced.
type Sequel struct {
	Time           time.Time `json:"time"`
	MessageID      string    `json:"message_id,omitempty"`
	Agent          string    `json:"agent"`
	Credential     string    `json:"credential"`
	To             []string  `json:"to"`
	Outcome        string    `json:"outcome"` // submitted, held, refused
	Rule           string    `json:"rule,omitempty"`
	AfterMS        int64     `json:"after_ms"` // the agent had read the message
	Answers        bool      `json:"answers"`
	Share          int64     `json:"share"` // percent of its content that stands in the message
	Contradictions []string  `json:"contradictions"`
}

// Decision is what a rule or a person decided about a message.
type Decision struct {
	Time  time.Time `json:"time"`
	What  string    `json:"what"`           // held, released, rejected, expired, refused, retried, bounced, quarantined, let in
	Kind  string    `json:"kind"`           // of who decided: system, person, unix, agent
	By    string    `json:"by,omitempty"`   // the name of a person or Unix user
	To    []string  `json:"to"`             // the recipients that it concerns; empty: all
	Rules []string  `json:"rules"`          // by which
	Note  string    `json:"note,omitempty"` // in the words of a person
}

// decided are the decisions by the event that has them.
var decided = map[audit.Verb]string{
	audit.MessageHeld: "held", audit.ApprovalRelease: "released", audit.ApprovalReject: "rejected", audit.ApprovalExpire: "expired",
	audit.QuarantineRelease: "released", audit.QuarantineReject: "rejected",
	audit.MessageRefused: "refused", audit.QueueHold: "held", audit.QueueRetry: "retried", audit.QueueBounce: "bounced",
}

// decide notes a decision.
func (t *Trace) decide(e *audit.Event) {
	what, ok := decided[e.Verb]
	by := e.Actor
	if slices.Contains(arriving, e.Verb) {
		what, ok = placed(e)
		by = storage.System // whoever sent it
	}
	if !ok {
		return
	}
	if e.Verb == audit.QueueHold && e.Fields.Text(audit.KeyState) == storage.OutgoingQueued.String() {
		what = "released"
	}
	t.Decisions = append(t.Decisions, Decision{Time: e.Time, What: what, Kind: by.Kind.String(), By: by.Name,
		To: all(e.Personal, audit.KeyTo), Rules: all(e.Fields, audit.KeyRule), Note: e.Personal.Text(audit.KeyNote)})
}

// placed says what a rule decided about a message that came in, if one did.
func placed(e *audit.Event) (what string, ok bool) {
	switch rule := e.Fields.Text(audit.KeyRule); rule {
	case "":
		return "", false
	case policy.InjectionAllowed.String(), policy.InjectionReportOnly.String():
		return "let in", true
	}
	return "quarantined", true
}

// Hash is the digest of a message at one step of its way. // AU-5
type Hash struct {
	Step   string    `json:"step"` // received, submitted, stored, sent, answers
	SHA256 string    `json:"sha256"`
	Time   time.Time `json:"time"`
	To     string    `json:"to,omitempty"` // of what was sent, signed, to a host
	Host   string    `json:"host,omitempty"`
}

// all are the texts of a key, as often as it stands.
func all(f audit.Fields, k audit.Key) (texts []string) {
	texts = []string{}
	for i := range f {
		if s, ok := f[i].Value.(string); ok && f[i].Key == k {
			texts = append(texts, s)
		}
	}
	return texts
}

func number(f audit.Fields, k audit.Key) int64 {
	n, _ := f.Int(k)
	return n
}

// tell fills in what a trace says beyond its events.
func (t *Trace) tell(found *storage.Trace) {
	t.Hashes, t.Readers, t.Sequels, t.Decisions = []Hash{}, []Read{}, []Sequel{}, []Decision{}
	var came time.Time
	for i := range found.Events {
		e := &found.Events[i]
		if e.Verb == audit.NoticeDelivered && e.Personal.Text(audit.KeyMessageID) != t.MessageID {
			continue
		}
		t.hash(e)
		t.decide(e)
		switch e.Verb {
		case audit.MessageRefused:
			t.receive(e)
		case audit.MessageReceived:
			came = e.Time
			t.receive(e)
		case audit.MessageSubmitted:
			t.trace(e, found)
		case audit.MessageRead:
			r := newRead(e)
			if !came.IsZero() {
				r.AfterMS = e.Time.Sub(came).Milliseconds()
			}
			t.Readers = append(t.Readers, r)
		}
	}
	for i := range found.Sequels {
		t.Sequels = append(t.Sequels, newSequel(&found.Sequels[i], found.Events))
	}
}

// receive notes the first arrival from outside, or the first try that was refused:
// that one has no verdict.
func (t *Trace) receive(e *audit.Event) {
	if t.Received != nil && t.Received.Verdict != "" || e.Fields.Text(audit.KeyDMARC) == "" {
		return
	}
	t.Received = &Reception{Time: e.Time, HELO: e.Personal.Text(audit.KeyHELO), TLS: e.Fields.Text(audit.KeyTLS),
		SPF: e.Fields.Text(audit.KeySPF), DKIM: e.Fields.Text(audit.KeyDKIM), DMARC: e.Fields.Text(audit.KeyDMARC), Policy: e.Fields.Text(audit.KeyPolicy),
		Verdict: e.Fields.Text(audit.KeyVerdict)}
	if e.Actor.Network.IsValid() {
		t.Received.Network = e.Actor.Network.Unmap().String()
	}
}

// hash notes the digests that an event has.
func (t *Trace) hash(e *audit.Event) {
	steps := map[audit.Verb][]string{
		audit.MessageReceived: {"received"}, audit.MessageAppended: {"received"}, audit.NoticeDelivered: {"received"},
		audit.MessageSubmitted: {"submitted", "stored"}, audit.QueueDelivered: {"sent"}, audit.QueueAttempt: {"sent"}, audit.QueueFailed: {"sent"},
	}[e.Verb]
	add := func(step string, f audit.Field) {
		sum, ok := f.Value.([]byte)
		if !ok {
			return
		}
		h := Hash{Step: step, SHA256: hex.EncodeToString(sum), Time: e.Time}
		if step == "sent" {
			h.To, h.Host = e.Personal.Text(audit.KeyTo), e.Personal.Text(audit.KeyHost)
		}
		same := func(o Hash) bool { return o.Step == step && o.SHA256 == h.SHA256 && o.To == h.To && o.Host == h.Host }
		if !slices.ContainsFunc(t.Hashes, same) {
			t.Hashes = append(t.Hashes, h)
		}
	}
	for _, f := range e.Fields {
		switch {
		case f.Key == audit.KeyAnswersSHA256:
			add("answers", f)
		case f.Key == audit.KeySHA256 && len(steps) > 0:
			add(steps[0], f)
			steps = steps[1:]
		}
	}
}

// trace reads where the message comes from off the event of its submission.
func (t *Trace) trace(e *audit.Event, found *storage.Trace) {
	if t.Provenance != nil {
		return
	}
	p := &Provenance{Time: e.Time, Agent: e.Agent.String(), Credential: e.Credential.String(), Session: e.Actor.Session.String(),
		Contradictions: all(e.Fields, audit.KeyContradiction), Remarks: all(e.Fields, audit.KeyRemark)}
	p.Declared = Declared{Trigger: e.Fields.Text(audit.KeyTrigger), Ref: e.Personal.Text(audit.KeyTriggerRef),
		Derived: e.Fields.Text(audit.KeyTriggerBy) == "derived", Origin: e.Fields.Text(audit.KeyOrigin),
		MadeWith: e.Personal.Text(audit.KeyMadeWith), Run: e.Personal.Text(audit.KeyRun), Sources: all(e.Personal, audit.KeySource)}
	o := &p.Observed
	o.Quotes, o.Reads = []Cause{}, []Read{}
	if id, ok := e.Fields.ID(audit.KeyAnswers); ok {
		c := newCause(id, found.Causes)
		if ms, ok := e.Fields.Int(audit.KeyMillis); ok {
			o.AnswersMS = &ms
		}
		o.Answers = &c
	}
	var quoted *Cause
	for _, f := range e.Fields {
		switch v := f.Value.(type) {
		case []byte:
			if f.Key == audit.KeyQuotes && len(v) == len(uuid.UUID{}) {
				o.Quotes = append(o.Quotes, newCause(uuid.UUID(v), found.Causes))
				quoted = &o.Quotes[len(o.Quotes)-1]
			}
		case int64:
			if f.Key == audit.KeyShare && quoted != nil {
				quoted.Share = v
			}
		}
	}
	for i := range found.Before {
		r := newRead(&found.Before[i])
		r.BeforeMS = e.Time.Sub(r.Time).Milliseconds()
		o.Reads = append(o.Reads, r)
	}
	t.Provenance = p
}

// newCause is a message by its id, with what its arrival says of it.
func newCause(id uuid.UUID, arrivals []audit.Event) Cause {
	c := Cause{ID: id.String()}
	for i := range arrivals {
		if a := &arrivals[i]; a.Object == id {
			c.MessageID, c.From, c.Time = a.Personal.Text(audit.KeyMessageID), a.Personal.Text(audit.KeyFrom), a.Time
			if sum, ok := a.Fields.Get(audit.KeySHA256).([]byte); ok {
				c.SHA256 = hex.EncodeToString(sum)
			}
		}
	}
	return c
}

func newRead(e *audit.Event) Read {
	return Read{Seq: e.Seq, Time: e.Time, Agent: e.Agent.String(), Credential: e.Credential.String(), Inbox: e.Inbox.String(),
		Class: all(e.Fields, audit.KeyClass), Messages: number(e.Fields, audit.KeyCount)}
}

// newSequel is a message that an agent submitted after it had read those of a
// history.
func newSequel(e *audit.Event, history []audit.Event) Sequel {
	s := Sequel{Time: e.Time, MessageID: e.Personal.Text(audit.KeyMessageID), Agent: e.Agent.String(), Credential: e.Credential.String(),
		To: all(e.Personal, audit.KeyTo), Outcome: "submitted", Rule: e.Fields.Text(audit.KeyRule), Contradictions: all(e.Fields, audit.KeyContradiction)}
	switch e.Outcome {
	case audit.Refused:
		s.Outcome = "refused"
	case audit.Held:
		s.Outcome = "held"
	}
	is := map[uuid.UUID]bool{}
	for i := range history {
		h := &history[i]
		if h.Object != uuid.Nil {
			is[h.Object] = true
		}
		if h.Verb == audit.MessageRead && h.Agent == e.Agent && h.Seq < e.Seq {
			s.AfterMS = e.Time.Sub(h.Time).Milliseconds()
		}
	}
	var quotes bool
	for _, f := range e.Fields {
		switch v := f.Value.(type) {
		case []byte:
			ours := len(v) == len(uuid.UUID{}) && is[uuid.UUID(v)]
			s.Answers = s.Answers || f.Key == audit.KeyAnswers && ours
			quotes = f.Key == audit.KeyQuotes && ours
		case int64:
			if f.Key == audit.KeyShare && quotes {
				s.Share = max(s.Share, v)
			}
		}
	}
	return s
}
