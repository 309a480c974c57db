package submission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
	"postern/storage/audit"
)

// Submit decides about a whole message and puts it into the queue, or nothing.
// It returns after the commit. The error is a *RefusedError when policy says no,
// a *directory.AuthError when the credential ended meanwhile; any other is a
// temporary failure.
func (o *Outbound) Submit(ctx context.Context, s Submitted) (Receipt, error) {
	if err := o.dir.Check(s.Principal); err != nil {
		return Receipt{}, err
	}
	m, err := o.read(s)
	if err != nil {
		return Receipt{}, err
	}
	if err := o.trace(ctx, m); err != nil {
		return Receipt{}, err
	}
	if err := o.facts(ctx, m); err != nil {
		return Receipt{}, err
	}
	// What no policy could allow is refused before its body is sealed. What people
	// set is asked in the transaction.
	if d := policy.Submit(m.facts); !d.Allow {
		return Receipt{}, o.refusedWhole(ctx, m, d)
	}
	defer m.discard()
	if err := o.complete(ctx, m); err != nil {
		return Receipt{}, err
	}
	err = o.store.Write(ctx, s.Principal.Actor(), func(tx *storage.Tx) error { return o.commit(tx, m) })
	var no *refusal
	if errors.As(err, &no) {
		err = o.refusedWhole(ctx, m, no.Decision)
	}
	if err != nil {
		return Receipt{}, err
	}
	s.Principal.Count.Add(1)
	o.o.Queued(m.rows)
	return m.receipt, nil
}

// refusedWhole records and returns the refusal of a whole message.
func (o *Outbound) refusedWhole(ctx context.Context, m *submission, d policy.Decision) error {
	to := m.s.To
	if m.provenance.leak.addressed {
		to = nil // the log is no place for a secret either
	}
	return o.refused(ctx, m.s.Principal, "DATA", d, m.s.From, to, m.about)
}

// submission is a message under way from the stage to the queue.
type submission struct {
	s        Submitted
	id       uuid.UUID
	whole    *message.Structure // of the message as submitted
	header   []byte             // of it
	edited   edited
	facts    policy.SubmitFacts // but for what is known in the transaction alone
	subjects policy.Subjects
	local    []bool // by recipient
	captured []bool // by recipient: kept, and never written to
	stage    *storage.Stage
	eightBit bool
	sent     storage.Deposit // the copy in Sent, but for its body
	mailbox  uuid.UUID       // Sent
	message  string          // Message-ID
	receipt  Receipt
	rows     []storage.Outgoing // of the queue, by the last run of commit

	provenance provenance
}

func (m *submission) discard() {
	if m.stage != nil {
		m.stage.Discard()
	}
}

var errUnreadable = errors.New("submission: the message could not be read back")

// read finds out how a submitted message is made.
func (o *Outbound) read(s Submitted) (*submission, error) {
	m := &submission{s: s, id: storage.NewID()}
	m.whole = message.Parse(s.Stage, s.Stage.Size())
	if m.whole.Defects.Has(message.DefectReadFailed) {
		return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, errUnreadable)
	}
	var err error
	m.header, err = message.ReadHeader(s.Stage, m.whole)
	if err != nil && !errors.Is(err, message.ErrHeaderLong) { // policy refuses that one
		return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	return m, nil
}

// commit is the write transaction: a copy in Sent or Outbox, a row in the queue
// for each recipient, and the event.
func (o *Outbound) commit(tx *storage.Tx, m *submission) error {
	p := m.s.Principal
	if err := o.dir.Check(p); err != nil {
		return err // revoked while the message was under way // AC-9
	}
	m.receipt, m.rows = Receipt{ID: m.id}, nil
	if again, err := o.again(tx, m); again || err != nil {
		return err
	}
	h, err := o.weigh(tx, m)
	if err != nil {
		return err
	}
	body, err := tx.AddBody(m.stage)
	if err != nil {
		return err
	}
	e := tx.Record(m.event(audit.MessageSubmitted))
	if m.sent.Scoring != nil {
		e.Fields = append(e.Fields, m.sent.Scoring.Fields()...)
	}
	if err := tx.AlertUnscored(m.sent.Scoring, p.Credential.Org, p.Inbox.ID()); err != nil {
		return err
	}
	if h.firstTime > 0 {
		e.Fields = append(e.Fields, audit.Int(audit.KeyFirstTime, h.firstTime)) // PI-7: what the monitor counts
	}
	for _, r := range h.warn {
		e.Fields = append(e.Fields, audit.Word(audit.KeyRemark, r.String())) // AU-4
	}
	if err := m.provenance.alert(tx, m); err != nil {
		return err
	}
	if m.receipt.Held = h.waits(m); m.receipt.Held {
		err = o.wait(tx, e, m, body, h)
	} else {
		err = o.send(tx, e, m, body, h)
	}
	if err != nil {
		return err
	}
	return o.capture(tx, m, body)
}

// again answers a message whose idempotency key was used before: as the first was
// answered, or by what people decided about that one. Who asks again does not learn
// that all is well with what was rejected.
func (o *Outbound) again(tx *storage.Tx, m *submission) (bool, error) {
	p, key := m.s.Principal, m.edited.idempotencyKey
	if key == "" {
		return false, nil
	}
	first, seen, err := tx.Idempotent(p.Inbox, p.Agent.ID, key, m.id)
	if err != nil || !seen {
		return false, err
	}
	held, err := tx.Waits(p.Credential.Org, first)
	if err != nil {
		return false, err
	}
	if !held {
		ended, err := o.store.Events(context.Background(), storage.EventQuery{
			Object: first, Verbs: []audit.Verb{audit.ApprovalReject, audit.ApprovalExpire}, Limit: 1})
		if err != nil {
			return false, err
		}
		if len(ended) > 0 {
			return false, &refusal{policy.Decision{Rule: policy.NotApproved}}
		}
	}
	m.receipt = Receipt{ID: first, Duplicate: true, Held: held}
	e := m.event(audit.MessageDuplicate)
	if e.Object = first; held {
		e.Outcome = audit.Held
	}
	tx.Record(e)
	return true, nil
}

// copy is the sender's own copy. It carries no signature: nothing that an agent
// can read does, or a held message could be sent from elsewhere in our name.
func (m *submission) copy(tx *storage.Tx, body storage.BodyRef) storage.Deposit {
	d := m.sent
	d.Body, d.Received = body, tx.Now()
	return d
}

// row is what the rows of all recipients have in common.
func (m *submission) row(state storage.OutgoingState, expires time.Time) storage.Outgoing {
	p := m.s.Principal
	return storage.Outgoing{
		Head: storage.Head{Org: p.Credential.Org}, Inbox: p.Inbox.ID(), Message: m.id,
		Agent: p.Agent.ID, Credential: p.Credential.ID, State: state,
		From: m.s.From.String(), MessageID: m.message,
		EightBit: m.eightBit, UTF8: m.edited.utf8, RequireTLS: m.s.RequireTLS, TLSOptional: m.edited.tlsOptional && !m.s.RequireTLS, SHA256: m.sent.SHA256[:], Expires: expires,
	}
}

// enqueue puts a recipient into the queue, unless its mail is captured. There is
// no other way into the queue for any part of the server: reports and notices are
// stored in the sender's own inbox and never leave. // PI-8, invariant 7
func (m *submission) enqueue(tx *storage.Tx, e *audit.Event, row storage.Outgoing, i int, to message.Path, body storage.BodyRef) error {
	if m.captured[i] {
		return nil
	}
	row.Local, row.To = m.local[i], to.String()
	err := tx.CreateOutgoing(e, &row, body, message.CanonicalDomain(to.Domain))
	m.rows = append(m.rows, row)
	return err
}

// event is what a submission leaves in the log: all envelope recipients, Bcc
// included (AU-6), and the digests of the message as it was submitted and as it
// is stored and leaves, in this order (AU-5).
func (m *submission) event(verb audit.Verb) audit.Event {
	p, submitted := m.s.Principal, m.s.Stage.SHA256()
	e := audit.Event{
		Verb: verb, Outcome: audit.OK,
		Org: p.Credential.Org, Agent: p.Agent.ID, Credential: p.Credential.ID, Inbox: p.Inbox.ID(), Object: m.id,
		Fields: audit.Fields{
			audit.Word(audit.KeyDoor, p.Door), audit.Int(audit.KeyRecipients, len(m.s.To)), audit.Int(audit.KeySize, m.stage.Size()),
			audit.Digest(audit.KeySHA256, submitted[:]), audit.Digest(audit.KeySHA256, m.sent.SHA256[:])},
		Personal: audit.Fields{audit.Text(audit.KeyFrom, m.s.From.String()), audit.Text(audit.KeyMessageID, m.message)},
	}
	if m.s.TLS != "" {
		e.Fields = append(e.Fields, audit.Word(audit.KeyTLS, m.s.TLS))
	}
	if m.s.RequireTLS {
		e.Fields = append(e.Fields, audit.Word(audit.KeyTLSDemand, queue.DemandRequireTLS))
	} else if m.edited.tlsOptional {
		e.Fields = append(e.Fields, audit.Word(audit.KeyTLSDemand, queue.DemandNone))
	}
	for _, path := range m.s.To {
		e.Personal = append(e.Personal, audit.Text(audit.KeyTo, path.String()))
	}
	env := &m.whole.Envelope
	for _, v := range []struct {
		key  audit.Key
		text string
	}{{audit.KeySubject, env.Subject}, {audit.KeyInReplyTo, env.InReplyTo}, {audit.KeyHELO, m.s.HELO}} {
		if v.text != "" {
			e.Personal = append(e.Personal, audit.Text(v.key, v.text))
		}
	}
	m.provenance.addTo(&e)
	return e
}
