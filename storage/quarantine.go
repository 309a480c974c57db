package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// QuarantineState is where a message that was put away stands.
type QuarantineState string

// The states. There is no way back: a message that was let go and comes again is
// another one.
const (
	QuarantineWaiting  QuarantineState = "waiting"
	QuarantineReleased QuarantineState = "released" // it is in INBOX, as new mail
	QuarantineRejected QuarantineState = "rejected" // it is deleted
)

// Quarantined is one inbox's copy of a message that was put away, and what people
// decided about it. It has nothing of the message: that lies in the mailbox of
// RoleQuarantine until the decision, under the inbox's key. // PI-3
type Quarantined struct {
	Head
	Inbox   uuid.UUID       `json:"inbox"`
	Message uuid.UUID       `json:"message"` // one id for all copies
	Mailbox uuid.UUID       `json:"mailbox"` // where the copy was put
	UID     uint32          `json:"uid"`     // in it
	Rule    string          `json:"rule"`    // that put it away, in the words of the log
	Created time.Time       `json:"created"`
	State   QuarantineState `json:"state"`

	Decided time.Time `json:"decided,omitzero"`
	By      string    `json:"by,omitempty"` // who decided
}

// Quarantine is Deposit for a message that is put away by a rule: into the mailbox
// of RoleQuarantine, which mailbox must be, with the record by which people find it
// and the alert that says so. No other mailbox of the inbox changes: neither its
// counters nor its modseq tell that something came. // PI-3
func (tx *Tx) Quarantine(e *audit.Event, in *Inbox, mailbox uuid.UUID, d Deposit, rule string) (uid uint32, err error) {
	if uid, err = tx.Deposit(e, in, mailbox, d); err != nil {
		return 0, err
	}
	q := Quarantined{Head: Head{Org: in.record.Org}, Inbox: in.record.ID, Message: d.ID, Mailbox: mailbox, UID: uid, Rule: rule,
		Created: tx.now, State: QuarantineWaiting}
	sealed, err := tx.sealRecord(e, "quarantine", &q)
	if err != nil {
		return 0, err
	}
	err = tx.exec("INSERT INTO quarantine (id, org, inbox, state, version, event, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		q.ID[:], q.Org[:], q.Inbox[:], string(q.State), q.Version, q.Event[:], sealed)
	if err != nil {
		return 0, err
	}
	return uid, tx.alertQuarantined(in, &q)
}

// quarantineBurst is how many messages in a row are one alert.
const quarantineBurst = 64

// alertQuarantined says that somebody should look. What follows within an hour
// another one that still waits is said already, but for each 64th: an alert for each
// would take time, by which a sender could tell that his message was put away.
func (tx *Tx) alertQuarantined(in *Inbox, q *Quarantined) error {
	box, err := in.box(tx, q.Mailbox)
	if err != nil {
		return err
	}
	var last int64
	err = found(tx.row("SELECT received FROM message WHERE place = $1", place(box, q.UID-1)).Scan(&last))
	switch {
	case err == nil && tx.now.Sub(fromMicros(last)).Abs() < alertWindow && q.UID%quarantineBurst != 0:
		return nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	return tx.RaiseAlert(Alert{Head: Head{Org: q.Org}, Kind: AlertQuarantined, Inbox: q.Inbox, Object: q.Inbox,
		Detail: "Mail to an inbox was put into quarantine, where its agents do not see it: postern quarantine list shows it."})
}

// Quarantined finds what was put away in an organization.
func (s *Store) Quarantined(ctx context.Context, org, id uuid.UUID) (Quarantined, error) {
	return find[Quarantined](ctx, s, "quarantine", "org = $1 AND id = $2", org[:], id[:])
}

// Quarantine lists what lies in quarantine in an organization after an id, the
// oldest first, at most limit; with all, also what people have decided about.
func (s *Store) Quarantine(ctx context.Context, org, after uuid.UUID, limit int, all bool) ([]Quarantined, error) {
	if all {
		return list[Quarantined](ctx, s, "quarantine", "org = $1"+page, org[:], after[:], limit)
	}
	waiting, err := list[Quarantined](ctx, s, "quarantine", "org = $1 AND id > $2 AND state = $3 ORDER BY id LIMIT $4",
		org[:], after[:], string(QuarantineWaiting), limit)
	for i := range waiting {
		if waiting[i].State != QuarantineWaiting {
			return nil, fmt.Errorf("%w: quarantine %s: a clear column contradicts the record", ErrCorrupt, waiting[i].ID)
		}
	}
	return waiting, err
}

// ReleaseQuarantined moves what was read before to another mailbox of the inbox,
// where it is as new as any message: with a UID of its own, which only grows, and
// the view that was fixed when it came. Trusted, it loses the keyword that its
// verdict gave it, and whoever reads it is not tainted. ErrConflict when somebody
// else has decided in between.
func (tx *Tx) ReleaseQuarantined(e *audit.Event, in *Inbox, q *Quarantined, to uuid.UUID, trusted bool, by string) error {
	if err := tx.decideQuarantined(e, q, QuarantineReleased, by); err != nil {
		return err
	}
	var lift Flags
	if trusted {
		lift = InjectionSuspected | Tainting
	}
	src, _, err := tx.move(e, in, q.Mailbox, []UIDRange{{First: q.UID, Last: q.UID}}, to, lift)
	return q.there(err, len(src))
}

// RejectQuarantined deletes what was read before for good. ErrConflict when somebody
// else has decided in between.
func (tx *Tx) RejectQuarantined(e *audit.Event, in *Inbox, q *Quarantined, by string) error {
	if err := tx.decideQuarantined(e, q, QuarantineRejected, by); err != nil {
		return err
	}
	gone, err := tx.Expunge(e, in, q.Mailbox, []UIDRange{{First: q.UID, Last: q.UID}}, false)
	return q.there(err, len(gone))
}

// there says that the message was where the record says.
func (q *Quarantined) there(err error, found int) error {
	if err == nil && found == 0 {
		return fmt.Errorf("%w: the copy of quarantined message %s is gone", ErrCorrupt, q.ID)
	}
	return err
}

// decideQuarantined writes a decision, of which there is one.
func (tx *Tx) decideQuarantined(e *audit.Event, q *Quarantined, state QuarantineState, by string) error {
	if q.State != QuarantineWaiting {
		return ErrConflict
	}
	was := q.Version
	q.State, q.Decided, q.By = state, tx.now, by
	sealed, err := tx.sealRecord(e, "quarantine", q)
	if err != nil {
		return err
	}
	e.Object = q.Message
	e.Fields = append(e.Fields, audit.Word(audit.KeyRule, q.Rule), audit.Time(audit.KeySince, q.Created))
	n, err := tx.execN("UPDATE quarantine SET state = $1, version = $2, event = $3, sealed = $4 WHERE id = $5 AND version = $6",
		string(q.State), q.Version, q.Event[:], sealed, q.ID[:], was)
	return changed(n, err)
}

// eraseQuarantine deletes what is noted of the quarantine of an inbox that is being
// erased, decided or not; the messages go with their mailbox.
func (tx *Tx) eraseQuarantine(org, inbox uuid.UUID) (n int, err error) {
	return tx.eraseRecords(audit.Event{Verb: audit.QuarantineSwept, Org: org, Inbox: inbox}, "quarantine")
}

// eraseRecords deletes some of an inbox's records of a table that goes with it, and
// says so in an event.
func (tx *Tx) eraseRecords(e audit.Event, table string) (n int, err error) {
	rows, err := tx.rows("SELECT id, version FROM "+table+" WHERE inbox = $1 LIMIT $2", e.Inbox[:], eraseRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var gone []Head
	for rows.Next() {
		var h Head
		if err := rows.Scan(&h.ID, &h.Version); err != nil {
			return 0, classify(err)
		}
		gone = append(gone, h)
	}
	if err := rows.Err(); err != nil || len(gone) == 0 {
		return 0, classify(err)
	}
	e.Outcome = audit.OK
	e.Fields = audit.Fields{audit.Int(audit.KeyCount, len(gone)), audit.Word(audit.KeyRule, removedRule)}
	written := tx.Record(e)
	for _, h := range gone {
		tx.wrote(written, table, h.ID[:], h.Version+1, nil)
		if err := tx.exec("DELETE FROM "+table+" WHERE id = $1", h.ID[:]); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}

// quarantineHint holds the column by which a message that waits is found.
func quarantineHint(s *Store, row sealedRow, column []byte) (bool, error) {
	var q Quarantined
	err := s.openRecord(context.Background(), "quarantine", row, &q)
	return bytes.Equal(column, []byte(q.State)), err
}
