package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/policy"
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
	verdict   storage.Verdict
	view      []byte // the structure as the mailbox shows it, in binary
	overlay   []byte // in binary
	size      int64  // of the view
	to        []target
	stored    int // by the last run of store
}

// target is one inbox that gets a copy.
type target struct {
	path    message.Path
	record  storage.InboxRecord
	inbox   *storage.Inbox
	mailbox uuid.UUID
	flags   storage.Flags
}

// errUnreadable: the disk failed under the parser. What it saw is not the message.
var errUnreadable = errors.New("delivery: the message could not be read back")

// prepare does all that needs no transaction.
func (in *Inbound) prepare(ctx context.Context, r *Received, src source, origin storage.Origin) (*mail, error) {
	m := &mail{id: storage.NewID(), r: r, source: src, origin: origin, verb: audit.MessageReceived, verdict: storage.Unscored}
	m.structure = message.Parse(src, src.size)
	if m.structure.Defects.Has(message.DefectReadFailed) {
		return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, errUnreadable)
	}
	header, err := message.ReadHeader(src, m.structure)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	overlay := message.NewOverlay(header, in.block(m), in.hides)
	m.overlay = overlay.AppendBinary(nil)
	m.view = m.structure.Overlaid(overlay).AppendBinary(nil)
	m.size = src.size + overlay.Delta()
	return m, in.address(ctx, m)
}

// address finds the mailbox of each recipient. Two recipients of one inbox are
// one copy.
func (in *Inbound) address(ctx context.Context, m *mail) error {
	placed := policy.Receive(policy.ReceiveFacts{Verdict: m.verdict})
	seen := map[uuid.UUID]bool{}
	for _, rcpt := range m.r.To {
		if seen[rcpt.Inbox.ID] {
			continue
		}
		seen[rcpt.Inbox.ID] = true
		inbox, err := in.store.OpenInbox(ctx, rcpt.Inbox.Org, rcpt.Inbox.ID)
		if err != nil {
			return err
		}
		mailbox, err := inbox.MailboxByRole(ctx, placed.Mailbox)
		if err != nil {
			return err
		}
		m.to = append(m.to, target{path: rcpt.Path, record: rcpt.Inbox, inbox: inbox, mailbox: mailbox.ID})
	}
	if len(m.to) == 0 {
		return errors.New("delivery: a message without recipients")
	}
	return nil
}

func (m *mail) facts() policy.AdmitFacts {
	return policy.AdmitFacts{
		FromFields: m.structure.FromFields, Hops: m.structure.ReceivedFields, Size: m.source.size,
		HeaderTruncated: m.structure.Defects.Has(message.DefectHeaderTruncated),
	}
}

// store runs in the write transaction, perhaps more than once.
func (m *mail) store(tx *storage.Tx) error {
	m.stored = 0
	var body storage.BodyRef
	for _, t := range m.to {
		seen, err := m.seen(tx, t)
		if err != nil {
			return err
		}
		if seen {
			tx.Record(m.event(audit.MessageDuplicate, t))
			continue
		}
		if m.stored == 0 {
			if body, err = m.source.body(tx); err != nil {
				return err
			}
		}
		m.stored++
		if _, err := tx.Deposit(tx.Record(m.event(m.verb, t)), t.inbox, t.mailbox, m.deposit(t, body, tx)); err != nil {
			return err
		}
	}
	return nil
}

// seen reports whether this inbox got an equal message within three days.
func (m *mail) seen(tx *storage.Tx, t target) (bool, error) {
	return tx.Receipt(t.inbox, []byte(m.r.From.Canonical().String()), []byte(t.path.Canonical().String()),
		[]byte(m.structure.Envelope.MessageID), m.source.sha256[:])
}

func (m *mail) deposit(t target, body storage.BodyRef, tx *storage.Tx) storage.Deposit {
	return storage.Deposit{
		ID: m.id, Received: tx.Now(), Flags: t.flags, Size: m.size,
		Content: storage.Content{
			Body: body, Structure: m.view, Overlay: m.overlay, Verdict: m.verdict,
			SHA256: m.source.sha256, MessageID: m.structure.Envelope.MessageID, Origin: m.origin,
		},
	}
}

// event is what one recipient's copy leaves in the log.
func (m *mail) event(verb audit.Verb, t target) audit.Event {
	return audit.Event{
		Verb: verb, Outcome: audit.OK, Org: t.record.Org, Inbox: t.record.ID, Object: m.id,
		Fields:   append(m.fields(), audit.Word(audit.KeyVerdict, verdictWord(m.verdict))),
		Personal: append(m.personal(), audit.Text(audit.KeyTo, t.path.String())),
	}
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
	if m.r.Cipher != "" {
		f = append(f, audit.Word(audit.KeyCipher, m.r.Cipher))
	}
	return f
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

func (m *mail) recipients() (f audit.Fields) {
	for _, t := range m.to {
		f = append(f, audit.Text(audit.KeyTo, t.path.String()))
	}
	return f
}

// verdictWord is the verdict as header fields and events write it.
func verdictWord(v storage.Verdict) string {
	switch v {
	case storage.Clean:
		return "clean"
	case storage.Suspicious:
		return "suspicious"
	case storage.Quarantine:
		return "quarantine"
	case storage.Partial:
		return "partial"
	}
	return "unscored"
}
