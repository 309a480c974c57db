package storage

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// ScoringCause is why a message was scored.
type ScoringCause string

// The causes.
const (
	ScoredAtDelivery ScoringCause = "delivery" // before it came into a mailbox
	ScoredAtReplay   ScoringCause = "replay"   // again, with another model
	ScoredAtUpgrade  ScoringCause = "upgrade"  // it came before there was a scorer
)

// Bounds of what is kept of one scoring.
const (
	maxEvidence = 16
	maxSkips    = 32
)

// maxRuns is how many scorings of one message are kept: the first, which its header
// fields tell, and the newest. // PI-9
const maxRuns = 16

// Scoring is one judgement of a message: what it was, by which model, and which
// places spoke for it. It has no text of the message. It is sealed with the message's
// content under a key of the inbox, so that COPY and MOVE carry it along, and it goes
// with the message.
type Scoring struct {
	Message  uuid.UUID         `json:"-"`
	At       time.Time         `json:"at"`
	Cause    ScoringCause      `json:"cause"`
	Model    string            `json:"model,omitempty"` // with the version of the rules; empty: the scorer failed
	Verdict  Verdict           `json:"verdict"`
	Score    float32           `json:"score"` // 0 to 1
	Reasons  []string          `json:"reasons,omitempty"`
	Evidence []ScoringEvidence `json:"evidence,omitempty"` // at most 16, the strongest first
	Scanned  int               `json:"scanned"`            // texts that were looked at
	Skipped  []ScoringSkip     `json:"skipped,omitempty"`  // at most 32
	Micros   int64             `json:"micros"`             // how long it took
}

// ScoringEvidence is a place in a message that speaks for a verdict.
type ScoringEvidence struct {
	View    string   `json:"view"`           // "text", "hidden", "subject": as server/injection names them
	Part    string   `json:"part,omitempty"` // IMAP section number; empty: the top header
	Start   int      `json:"start"`          // in the text of the part, decoded to UTF-8
	End     int      `json:"end"`
	Chain   []string `json:"chain,omitempty"` // how the text was decoded beyond what MIME says
	Score   float32  `json:"score"`           // of this place alone
	Reasons []string `json:"reasons,omitempty"`
	Rule    string   `json:"rule,omitempty"` // the rule of form that it broke; empty: the model
	SHA256  [32]byte `json:"sha256"`         // of the text of the place
}

// ScoringSkip is a part of a message that was not looked at, or not in whole.
type ScoringSkip struct {
	Part string `json:"part,omitempty"`
	Why  string `json:"why"`
}

// Fields are the clear facts of a scoring for an event.
func (s *Scoring) Fields() audit.Fields {
	f := audit.Fields{audit.Word(audit.KeyVerdict, s.Verdict.String())}
	if s.Model == "" {
		return f
	}
	f = append(f, audit.Int(audit.KeyScore, int(s.Score*1000+0.5)), audit.Word(audit.KeyModel, s.Model))
	for _, r := range s.Reasons {
		f = append(f, audit.Word(audit.KeyReason, r))
	}
	return f
}

// AlertUnscored says, in the transaction that stores a message in an inbox, that the
// scorer failed on it: somebody should look, for that is a mistake of ours, which
// somebody may have found on purpose. A nil scoring is that of nobody.
func (tx *Tx) AlertUnscored(s *Scoring, org, inbox uuid.UUID) error {
	if s == nil || s.Verdict != Unscored {
		return nil
	}
	return tx.RaiseAlert(Alert{Head: Head{Org: org}, Kind: AlertScorerFailed, Inbox: inbox,
		Detail: "A message could not be judged: it is marked, and taints whoever reads it. The log of the server says where the scorer failed."})
}

// append appends the stored form. What is beyond the bounds is left out.
func (s *Scoring) append(b []byte) ([]byte, error) {
	kept := *s
	kept.Evidence = s.Evidence[:min(len(s.Evidence), maxEvidence)]
	kept.Skipped = s.Skipped[:min(len(s.Skipped), maxSkips)]
	plain, err := json.Marshal(&kept)
	if err != nil { // a score that is no number
		return nil, fmt.Errorf("storage: scoring: %w", err)
	}
	b = binary.AppendUvarint(b, uint64(len(plain)))
	return append(b, plain...), nil
}

// scored makes a scoring the newest of a content, and its verdict the content's.
func (c *sealedContent) scored(s *Scoring) (err error) {
	runs := splitRuns(c.runs)
	if len(runs) >= maxRuns {
		runs = slices.Delete(runs, 1, len(runs)-maxRuns+2)
	}
	b := slices.Concat(runs...)
	if c.runs, err = s.append(b); err != nil {
		return err
	}
	c.scorings++
	c.Verdict, c.Score, c.Model = s.Verdict, s.Score, s.Model
	return nil
}

// judged makes a scoring, if there is one, the first of a content that is new.
func (c *sealedContent) judged(s *Scoring, now time.Time) error {
	c.runs = nil
	if s == nil {
		return nil
	}
	first := *s
	first.At = now
	return c.scored(&first)
}

// splitRuns cuts stored scorings apart; each keeps its length in front.
func splitRuns(b []byte) (runs [][]byte) {
	for len(b) > 0 {
		n, head := binary.Uvarint(b)
		if head <= 0 || n > uint64(len(b)-head) {
			return runs // never: decode has looked
		}
		runs = append(runs, b[:head+int(n)])
		b = b[head+int(n):]
	}
	return runs
}

// Scorings are the judgements of the message, the newest first; none of a message
// that came before there was a scorer.
func (m *Message) Scorings() ([]Scoring, error) {
	runs := splitRuns(m.Content.runs)
	all := make([]Scoring, len(runs))
	for i, run := range runs {
		_, head := binary.Uvarint(run)
		s := &all[len(runs)-1-i]
		if err := json.Unmarshal(run[head:], s); err != nil {
			return nil, fmt.Errorf("%w: scoring of message %d in mailbox %s: %v", ErrCorrupt, m.UID, m.Mailbox, err)
		}
		s.Message = m.ID
	}
	return all, nil
}

// Scorings finds the judgements of a message of an organization by its id, the newest
// first. A message that went to several inboxes, or was copied, was judged once; where
// it was judged again in one place, that place counts. ErrNotFound when the
// organization has no such message (any more).
func (s *Store) Scorings(ctx context.Context, org, message uuid.UUID) (newest []Scoring, err error) {
	at, err := s.Whereabouts(ctx, org, message)
	if err != nil {
		return nil, err
	}
	err = ErrNotFound
	for _, w := range at {
		all, scanErr := s.scoringsAt(ctx, org, w, message)
		if errors.Is(scanErr, ErrNotFound) {
			continue // gone meanwhile
		}
		if scanErr != nil {
			return nil, scanErr
		}
		err = nil
		if len(newest) == 0 || len(all) > 0 && all[0].At.After(newest[0].At) {
			newest = all
		}
	}
	return newest, err
}

// Whereabout is where a copy of a message is.
type Whereabout struct {
	Inbox, Mailbox uuid.UUID
	UID            uint32
}

// maxWhereabouts bounds the copies of one message that are looked for.
const maxWhereabouts = 256

// Whereabouts finds the copies of a message of an organization by its id, in the
// order in which their mailboxes came to be.
func (s *Store) Whereabouts(ctx context.Context, org, message uuid.UUID) (all []Whereabout, err error) {
	err = s.read(ctx, func(r *reads) error {
		all = nil
		rows, err := r.rows(`SELECT b.inbox, b.id, m.place FROM message m JOIN mailbox b ON b.no = m.box
			WHERE m.id = $1 AND b.org = $2 ORDER BY m.place LIMIT $3`, message[:], org[:], maxWhereabouts)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var w Whereabout
			var at int64
			if err := rows.Scan(&w.Inbox, &w.Mailbox, &at); err != nil {
				return classify(err)
			}
			w.UID = uint32(at)
			all = append(all, w)
		}
		return classify(rows.Err())
	})
	return all, err
}

// scoringsAt reads one copy; ErrNotFound when it is another message's, whatever the
// column says by which it was found.
func (s *Store) scoringsAt(ctx context.Context, org uuid.UUID, w Whereabout, message uuid.UUID) (all []Scoring, err error) {
	in, err := s.OpenInbox(ctx, org, w.Inbox)
	if err != nil {
		return nil, err
	}
	err = ErrNotFound
	scanErr := in.Scan(ctx, w.Mailbox, []UIDRange{{First: w.UID, Last: w.UID}}, true, func(m *Message) error {
		if m.ID == message {
			all, err = m.Scorings()
		}
		return nil
	})
	if scanErr != nil {
		err = scanErr
	}
	return all, err
}

// Rescoring is a judgement of a message that is in a mailbox.
type Rescoring struct {
	Scoring
	// Mark says that clients see it as suspected; policy decides that.
	Mark bool
	// Senders as in Deposit, of a message that did not taint before.
	Senders []string
}

// Rescore adds a judgement to a message: from now on that is its verdict, and its
// keywords follow. Bytes, header fields and UID stay as they are (invariant 13). The
// event says from what to what, and in which version the content was written.
// ErrNotFound when the message is not there any more.
//
// A message that a person vouched for, after it had been judged, stays without taint
// and mark.
func (tx *Tx) Rescore(e *audit.Event, in *Inbox, mailbox uuid.UUID, uid uint32, r Rescoring) error {
	box, err := in.box(tx, mailbox)
	if err != nil {
		return err
	}
	if err := tx.concerns(e, in, mailbox); err != nil {
		return err
	}
	rows, err := tx.marked(box, audit.UIDsOf(uid), 0)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return ErrNotFound
	}
	c, err := tx.contentOf(in, box, mailbox, uid)
	if err != nil {
		return err
	}
	if c.id != r.Message || rows[0].flags&ServerFlags != c.server {
		return fmt.Errorf("%w: message %d of mailbox %s", ErrCorrupt, uid, mailbox)
	}
	trusted := c.scorings > 0 && c.Verdict.Taints() && c.server&Tainting == 0
	was := c.Verdict
	r.At = tx.now
	if err := c.scored(&r.Scoring); err != nil {
		return err
	}
	flags := rows[0].flags &^ (Tainting | InjectionSuspected)
	if r.Verdict.Taints() && !trusted {
		flags |= Tainting
		if len(c.Senders) == 0 {
			c.Senders = in.sendersOf(r.Senders)
		}
	}
	if r.Mark && !trusted {
		flags |= InjectionSuspected
	}
	c.server = flags & ServerFlags
	e.Object = c.id
	e.Fields = append(e.Fields, audit.Int(audit.KeyUID, uid), audit.Word(audit.KeyWas, was.String()),
		audit.Word(audit.KeyKind, string(r.Cause)))
	e.Fields = append(e.Fields, r.Fields()...)
	return tx.rewrite(e, in, mailbox, rows[0], flags, &c, box)
}

// rewrite writes the content of a message anew, and its flags when they changed.
func (tx *Tx) rewrite(e *audit.Event, in *Inbox, mailbox uuid.UUID, row messageRow, flags Flags, c *sealedContent, box int64) error {
	sealed := in.sealContent(c.append(nil), mailbox, row.uid)
	tx.wrote(e, audit.ContentTable, contentID(mailbox, row.uid), c.scorings, sealed)
	at := place(box, row.uid)
	if err := tx.exec("UPDATE content SET sealed = $1 WHERE place = $2", sealed, at); err != nil || flags == row.flags {
		return err
	}
	counted, err := tx.count(in, mailbox, 0, tally{})
	if err != nil {
		return err
	}
	e.Fields = append(e.Fields, audit.Int(audit.KeyModSeq, counted.modseq))
	tx.changed(in, mailbox)
	return tx.exec("UPDATE message SET flags = $1, modseq = $2 WHERE place = $3", int64(flags), int64(counted.modseq), at)
}
