package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/msgauth"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
	"postern/storage/audit"
)

// mail is a message made ready outside of the transaction: parsed, judged, its
// view fixed, its mailboxes found.
type mail struct {
	id        uuid.UUID
	r         *Received
	source    source
	origin    storage.Origin
	verb      audit.Verb
	structure *message.Structure
	auth      msgauth.Results
	judgement Judgement
	view      []byte             // the structure as the mailbox shows it, in binary
	overlay   []byte             // in binary
	size      int64              // of the view
	rendition *Rendition         // nil: nobody with the safe view waits for it
	shown     *storage.Rendition // by the last run of store
	to        []target
	senders   []string
	actor     *audit.Actor // whose doing the copies are; nil: that of who has the transaction
	stored    int          // by the last run of store
}

// target is one inbox that gets a copy.
type target struct {
	path    message.Path
	record  storage.InboxRecord
	inbox   *storage.Inbox
	mailbox uuid.UUID
	flags   storage.Flags

	safe      bool             // a credential with the safe view reads the inbox
	treatment policy.Treatment // by DMARC
	placed    policy.Placement
	allowance uuid.UUID // that lets in what a score would put away
	reports   bool      // the domain in From is told how its mail fared here
}

// errUnreadable: the disk failed under the parser. What it saw is not the message.
var errUnreadable = errors.New("delivery: the message could not be read back")

// prepare does all that needs no transaction. A message that policy does not
// admit is a *RefusedError, and in the log.
func (in *Inbound) prepare(ctx context.Context, r *Received, src source, origin storage.Origin) (*mail, error) {
	m := &mail{id: storage.NewID(), r: r, source: src, origin: origin, verb: audit.MessageReceived}
	header, err := m.parse()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	if err := m.address(); err != nil {
		return nil, err
	}
	if d := policy.Admit(m.facts(header)); !d.Allow {
		return nil, in.refuse(ctx, m, d.Rule)
	}
	in.authenticate(ctx, m)
	if err := in.obey(ctx, m); err != nil {
		return nil, err
	}
	if err := in.judge(ctx, m); err != nil {
		return nil, err
	}
	overlay := message.NewOverlay(header, in.block(m), in.hides)
	m.overlay = overlay.AppendBinary(nil)
	m.view = m.structure.Overlaid(overlay).AppendBinary(nil)
	m.size = src.size + overlay.Delta()
	return m, in.render(ctx, m)
}

// parse reads the message and returns its header; nil for one that is too long.
func (m *mail) parse() (header []byte, err error) {
	m.structure = message.Parse(m.source, m.source.size)
	if m.structure.Defects.Has(message.DefectReadFailed) {
		return nil, errUnreadable
	}
	header, err = message.ReadHeader(m.source, m.structure)
	if errors.Is(err, message.ErrHeaderLong) {
		return nil, nil
	}
	return header, err
}

// authenticate judges who a message from outside comes from.
func (in *Inbound) authenticate(ctx context.Context, m *mail) {
	if in.o.Auth == nil || m.origin != storage.OriginMX {
		return
	}
	m.auth = in.o.Auth.Check(ctx, msgauth.Facts{
		Remote: m.r.Remote.Addr(), Helo: m.r.HELO, From: m.r.From, Data: m.source, Parsed: m.structure})
	if m.auth.DMARC.Value == msgauth.Pass {
		for i := range m.to {
			m.to[i].flags |= storage.SenderVerified
		}
	}
}

// judge scores the message, and with that finds the mailbox of each recipient.
func (in *Inbound) judge(ctx context.Context, m *mail) error {
	var err error
	m.judgement, err = in.o.Judge.Of(ctx, Judged{Body: m.source, Size: m.source.size, SHA256: m.source.sha256, Structure: m.structure, Auth: m.auth, Origin: m.origin})
	if err != nil {
		return err
	}
	m.senders = Senders(&m.structure.Envelope, m.r.From)
	for i := range m.to {
		t := &m.to[i]
		bands, err := policy.LoadBands(ctx, in.store, t.record.Org, t.record.Domain, t.record.ID)
		if err != nil {
			return err
		}
		facts := policy.ReceiveFacts{Verdict: m.judgement.Verdict, Hard: m.judgement.Hard(), Refused: t.treatment.Disposition == policy.Reject, Bands: bands}
		if t.allowance, facts.Allowed, err = in.allowance(ctx, m, t); err != nil {
			return err
		}
		t.placed = policy.Receive(facts)
		door, err := in.mailboxes.find(ctx, t.record, t.placed.Mailbox)
		if err != nil {
			return err
		}
		t.inbox, t.mailbox = door.inbox, door.mailbox
		if t.placed.Mark {
			t.flags |= m.judgement.Flags()
		}
	}
	return nil
}

// address notes the recipients. Two of one inbox are one copy.
func (m *mail) address() error {
	seen := map[uuid.UUID]bool{}
	for _, rcpt := range m.r.To {
		if seen[rcpt.Inbox.ID] {
			continue
		}
		seen[rcpt.Inbox.ID] = true
		m.to = append(m.to, target{path: rcpt.Path, record: rcpt.Inbox})
	}
	if len(m.to) == 0 {
		return errors.New("delivery: a message without recipients")
	}
	return nil
}

func (m *mail) facts(header []byte) policy.AdmitFacts {
	f := policy.AdmitFacts{
		FromFields: m.structure.FromFields, Hops: m.structure.ReceivedFields, Size: m.source.size,
		HeaderBytes: m.structure.Header.Len(),
	}
	for range message.Fields(header) {
		f.HeaderFields++
	}
	return f
}

// store runs in the write transaction, perhaps more than once.
func (m *mail) store(tx *storage.Tx) error {
	m.stored, m.shown = 0, nil
	var body storage.BodyRef
	for _, t := range m.to {
		seen, err := m.seen(tx, t)
		if err != nil {
			return err
		}
		if seen {
			m.record(tx, audit.MessageDuplicate, t)
			continue
		}
		if m.stored == 0 {
			if body, err = m.source.body(tx); err != nil {
				return err
			}
		}
		m.stored++
		if err := m.put(tx, t, body); err != nil {
			return err
		}
		if err := m.correspond(tx, t); err != nil {
			return err
		}
		if err := tx.AlertUnscored(m.judgement.Scoring, t.record.Org, t.record.ID); err != nil {
			return err
		}
	}
	if m.stored == 0 {
		return nil
	}
	return m.count(tx.Upkeep())
}

// put stores a copy where policy said.
func (m *mail) put(tx *storage.Tx, t target, body storage.BodyRef) (err error) {
	e, d := m.record(tx, m.verb, t), m.deposit(t, body, tx)
	if m.verb == audit.MessageReceived {
		sender, err := m.sender(tx, t)
		if err != nil {
			return err
		}
		e.Fields = append(e.Fields, audit.Word(audit.KeySender, sender.String()))
	}
	if d.Rendition, err = m.show(tx, t); err != nil {
		return err
	}
	if t.placed.PutAway() {
		_, err = tx.Quarantine(e, t.inbox, t.mailbox, d, t.placed.Rule.String())
	} else {
		_, err = tx.Deposit(e, t.inbox, t.mailbox, d)
	}
	return err
}

// record notes what became of one recipient's copy.
func (m *mail) record(tx *storage.Tx, verb audit.Verb, t target) *audit.Event {
	if m.actor != nil {
		return tx.RecordAs(*m.actor, m.event(verb, t))
	}
	return tx.Record(m.event(verb, t))
}

// seen reports whether this inbox got an equal message within three days.
func (m *mail) seen(tx *storage.Tx, t target) (bool, error) {
	return tx.Receipt(t.inbox, []byte(m.r.From.Canonical().String()), []byte(t.path.Canonical().String()),
		[]byte(m.structure.Envelope.MessageID), m.source.sha256[:])
}

func (m *mail) deposit(t target, body storage.BodyRef, tx *storage.Tx) storage.Deposit {
	d := storage.Deposit{
		ID: m.id, Received: tx.Now(), Flags: t.flags, Size: m.size, Senders: m.senders,
		Content: storage.Content{
			Body: body, Structure: m.view, Overlay: m.overlay, Auth: m.auth.AppendBinary(nil),
			SHA256: m.source.sha256, MessageID: m.structure.Envelope.MessageID, Origin: m.origin,
		},
	}
	m.judgement.Put(&d)
	return d
}

// event is what one recipient's copy leaves in the log.
func (m *mail) event(verb audit.Verb, t target) audit.Event {
	return audit.Event{
		Verb: verb, Outcome: audit.OK, Org: t.record.Org, Inbox: t.record.ID, Object: m.id,
		Fields:   slices.Concat(m.fields(), m.judgement.Record().Fields(), m.authenticity(), m.treated(t), t.placedBy()),
		Personal: append(m.personal(), audit.Text(audit.KeyTo, t.path.String())),
	}
}

// placedBy are the words of what put a copy away because of its verdict, or spared
// it.
func (t *target) placedBy() audit.Fields {
	p := t.placed
	if p.Rule == policy.DMARCFailed || !p.PutAway() && !p.Spared() {
		return nil // the first stands there already
	}
	f := audit.Fields{audit.Word(audit.KeyRule, p.Rule.String())}
	if p.Rule == policy.InjectionAllowed {
		f = append(f, audit.ID(audit.KeyAllowance, t.allowance))
	}
	return f
}

// fields are the clear facts of every event about the message.
func (m *mail) fields() audit.Fields {
	f := audit.Fields{
		audit.Word(audit.KeyDoor, m.r.Door), audit.Digest(audit.KeySHA256, m.source.sha256[:]),
		audit.Int(audit.KeySize, m.source.size),
	}
	if m.r.TLS != "" {
		f = append(f, audit.Word(audit.KeyTLS, m.r.TLS))
	}
	if m.r.RequireTLS {
		f = append(f, audit.Word(audit.KeyTLSDemand, queue.DemandRequireTLS))
	}
	if m.r.Cipher != "" {
		f = append(f, audit.Word(audit.KeyCipher, m.r.Cipher))
	}
	return f
}

// authenticity are the words of authentication; nothing where nobody looked.
func (m *mail) authenticity() audit.Fields {
	if m.origin != storage.OriginMX {
		return nil
	}
	dkim := msgauth.None
	for _, d := range m.auth.DKIM {
		if dkim != msgauth.Pass {
			dkim = d.Value // one good signature is enough (RFC 6376, section 6.1)
		}
	}
	return audit.Fields{audit.Word(audit.KeySPF, m.auth.SPF.Value.String()), audit.Word(audit.KeyDKIM, dkim.String()),
		audit.Word(audit.KeyDMARC, m.auth.DMARC.Value.String())}
}

// personal are the sealed facts of every event about the message.
func (m *mail) personal() audit.Fields {
	env := &m.structure.Envelope
	f := audit.Fields{audit.Text(audit.KeyFrom, m.r.From.String())}
	for _, v := range []struct {
		key  audit.Key
		text string
	}{{audit.KeyMessageID, env.MessageID}, {audit.KeyInReplyTo, env.InReplyTo}, {audit.KeySubject, env.Subject}, {audit.KeyHELO, m.r.HELO}} {
		if v.text != "" {
			f = append(f, audit.Text(v.key, v.text))
		}
	}
	return f
}

// org is the organization of all recipients; zero when there are several, for
// one must not read of the other's (AC-19).
func (m *mail) org() uuid.UUID {
	for _, t := range m.to[1:] {
		if t.record.Org != m.to[0].record.Org {
			return uuid.Nil
		}
	}
	return m.to[0].record.Org
}

func (m *mail) recipients() (f audit.Fields) {
	for _, t := range m.to {
		f = append(f, audit.Text(audit.KeyTo, t.path.String()))
	}
	return f
}
