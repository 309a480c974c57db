package imapd

import (
	"errors"
	"io"
	"math"
	"time"

	"github.com/emersion/go-imap/v2"

	"postern/server/delivery"
	"postern/server/message"
	"postern/server/msgauth"
	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// AppendLimit is the size of the largest message that APPEND takes, in bytes (RFC 7889).
func (s *session) AppendLimit() uint32 { return appendLimit(s.server.limits.Message) }

func appendLimit(largest int64) uint32 { return uint32(min(largest, math.MaxUint32)) }

// Append is APPEND. The message is sealed as it arrives. It is judged like any other on its way into a mailbox
// (invariant 5). What is found to belong into quarantine goes there, whatever mailbox was named, and the answer is OK
// without a UID: the client has no part in that mailbox. // PI-3
func (s *session) Append(name string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	if err := s.may("APPEND", storage.Append); err != nil {
		return nil, err
	}
	box, err := s.mailbox(name)
	if err != nil {
		return nil, s.fault(into(err))
	}
	if box.Role == storage.RoleOutbox {
		return nil, s.refuse("APPEND", "outbox", errOutbox)
	}
	flags := sortFlags(o.Flags)
	if flags.unknown {
		return nil, bad("There is no such system flag")
	}
	if err := s.server.store.Room(); err != nil {
		return nil, s.fault(err)
	}
	stage := s.server.store.Stage()
	defer stage.Discard()
	in := upstream{r: r}
	if _, err := io.Copy(stage, &in); err != nil {
		if in.err != nil {
			return nil, bad("The message did not arrive whole") // nobody hears it: the guard has answered, or the client is gone
		}
		return nil, s.fault(err)
	}
	if err := stage.Finish(); err != nil {
		return nil, s.fault(err)
	}
	d, err := s.judge(stage)
	if err != nil {
		return nil, s.fault(err)
	}
	bands, err := policy.LoadBands(s.ctx, s.server.store, s.inbox.Org(), s.inbox.Domain(), s.inbox.ID())
	if err != nil {
		return nil, s.fault(err)
	}
	placed := policy.Receive(policy.ReceiveFacts{Verdict: d.judgement.Verdict, Hard: d.judgement.Hard(), Bands: bands})
	quarantined := placed.PutAway()
	if placed.Mark {
		d.deposit.Flags |= d.judgement.Flags()
	}
	if quarantined || placed.Spared() {
		d.event.Fields = append(d.event.Fields, audit.Word(audit.KeyRule, placed.Rule.String()))
	}
	if quarantined {
		if box, err = s.inbox.MailboxByRole(s.ctx, placed.Mailbox); err != nil {
			return nil, s.fault(err)
		}
	}
	d.deposit.Flags |= flags.flags
	d.deposit.Keywords, d.deposit.Received = flags.keywords, internalDate(o.Time)
	var uid uint32
	err = s.write(func(tx *storage.Tx) error {
		uid, err = d.store(tx, s, stage, &box, placed)
		return err
	})
	if err != nil {
		return nil, s.fault(into(err))
	}
	s.principal.Count.Add(1)
	if quarantined {
		return nil, nil
	}
	return &imap.AppendData{UID: imap.UID(uid), UIDValidity: box.UIDValidity}, nil
}

// internalDate is the date that a client gave a message, or the zero time if it gave none. RFC 9051, section 9, date-year:
// four digits; clients give messages of unknown date the beginning of 1970, which the store has no number for.
func internalDate(t time.Time) time.Time {
	first, last := time.Unix(1, 0), time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
	switch {
	case t.IsZero():
		return t
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t
}

// upstream tells an error of the client's stream from one of the store.
type upstream struct {
	r   io.Reader
	err error
}

func (u *upstream) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		u.err = err
	}
	return n, err
}

// appended is a message made ready to store.
type appended struct {
	deposit   storage.Deposit
	judgement delivery.Judgement
	event     audit.Event
}

var errUnreadable = errors.New("imapd: the message could not be read back")

// judge parses and scores a message and fixes its view, in which nothing speaks in Postern's name that does not come from it: the
// fields that delivery hides are hidden here. All other bytes are shown as they came.
func (s *session) judge(stage *storage.Stage) (*appended, error) {
	parsed := message.Parse(stage, stage.Size())
	if parsed.Defects.Has(message.DefectReadFailed) {
		return nil, errors.Join(storage.ErrUnavailable, errUnreadable)
	}
	header, err := message.ReadHeader(stage, parsed)
	if errors.Is(err, message.ErrHeaderLong) || parsed.Defects.Has(message.DefectHeaderTruncated) {
		// Nothing could be said of such a header, nor hidden in it.
		return nil, no(imap.ResponseCodeTooBig, policy.Refusal(policy.HeaderTooLarge).Public)
	}
	if err != nil {
		return nil, errors.Join(storage.ErrUnavailable, err)
	}
	overlay := message.NewOverlay(header, nil, func(f message.Field) bool { return delivery.Hides(f, s.server.hostname) })
	sum := stage.SHA256()
	a := &appended{event: s.event(audit.MessageAppended)}
	a.judgement, err = s.server.scorer.Of(s.ctx, delivery.Judged{Body: stage, Size: stage.Size(), Structure: parsed, Origin: storage.OriginAppend})
	if err != nil {
		return nil, err
	}
	a.deposit = storage.Deposit{
		ID: storage.NewID(), Size: stage.Size() + overlay.Delta(),
		Senders: delivery.Senders(&parsed.Envelope, message.Path{}),
		Content: storage.Content{
			Structure: parsed.Overlaid(overlay).AppendBinary(nil), Overlay: overlay.AppendBinary(nil),
			Auth: msgauth.Results{}.AppendBinary(nil), SHA256: sum,
			MessageID: parsed.Envelope.MessageID, Origin: storage.OriginAppend,
		},
	}
	a.judgement.Put(&a.deposit)
	a.event.Object = a.deposit.ID
	a.event.Fields = append(a.event.Fields, audit.Digest(audit.KeySHA256, sum[:]), audit.Int(audit.KeySize, stage.Size()))
	a.event.Fields = append(a.event.Fields, a.judgement.Record().Fields()...)
	a.describe(&parsed.Envelope)
	return a, nil
}

// describe puts into the event, sealed, what finds the message again.
func (a *appended) describe(env *message.Envelope) {
	for _, v := range []struct {
		key  audit.Key
		text string
	}{{audit.KeyMessageID, env.MessageID}, {audit.KeyInReplyTo, env.InReplyTo}, {audit.KeySubject, env.Subject}} {
		if v.text != "" {
			a.event.Personal = append(a.event.Personal, audit.Text(v.key, v.text))
		}
	}
}

// store runs in the write transaction, perhaps more than once.
func (a *appended) store(tx *storage.Tx, s *session, stage *storage.Stage, box *storage.Mailbox, placed policy.Placement) (uint32, error) {
	body, err := tx.AddBody(stage)
	if err != nil {
		return 0, err
	}
	d := a.deposit
	d.Body = body
	if err := tx.AlertUnscored(a.judgement.Scoring, s.inbox.Org(), s.inbox.ID()); err != nil {
		return 0, err
	}
	if placed.PutAway() {
		return tx.Quarantine(tx.Record(a.event), s.inbox, box.ID, d, placed.Rule.String())
	}
	return tx.Deposit(tx.Record(a.event), s.inbox, box.ID, d)
}
