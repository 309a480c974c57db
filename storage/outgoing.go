package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// OutgoingState is where a recipient of a submitted message stands. There is no
// state for what is over: a recipient that was delivered, failed or was given up
// has an event and no row.
type OutgoingState int

const (
	OutgoingQueued OutgoingState = 1 // waits for an attempt, or has one now
	OutgoingHeld   OutgoingState = 2 // waits for a person
)

// String is the state as events and listings name it.
func (s OutgoingState) String() string {
	switch s {
	case OutgoingQueued:
		return "queued"
	case OutgoingHeld:
		return "held"
	}
	return fmt.Sprintf("state-%d", int(s))
}

// Outgoing is one recipient of a submitted message on its way. Everything that
// decides where it goes is sealed; when it goes is operational.
type Outgoing struct {
	Head
	Inbox      uuid.UUID     `json:"inbox"`      // that sent it, and gets the report
	Message    uuid.UUID     `json:"message"`    // the submission: one id for all its recipients
	Agent      uuid.UUID     `json:"agent"`      // that sent it
	Credential uuid.UUID     `json:"credential"` // that it sent it with
	State      OutgoingState `json:"state"`
	Approval   bool          `json:"approval,omitempty"` // held by a rule: the Approval of its Message decides, and nobody else
	Local      bool          `json:"local"`              // the recipient's domain was ours when it was submitted
	From       string        `json:"from"`               // envelope sender
	To         string        `json:"to"`                 // envelope recipient
	MessageID  string        `json:"message_id"`
	EightBit   bool          `json:"eight_bit,omitempty"` // the body has octets over 127
	UTF8       bool          `json:"utf8,omitempty"`      // the header has

	RequireTLS  bool `json:"require_tls,omitempty"`  // only over authenticated TLS, at every hop (RFC 8689, section 2)
	TLSOptional bool `json:"tls_optional,omitempty"` // what the destination demands of TLS is set aside (RFC 8689, section 3)

	Size    int64     `json:"size"`
	SHA256  []byte    `json:"sha256"` // of the stored bytes
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"` // when it is given up

	BodyNo  int64     `json:"body_no"`
	BodyID  uuid.UUID `json:"body_id"`
	BodyKey []byte    `json:"body_key"` // wrapped by the inbox's key: erasing the inbox erases it

	Due      time.Time `json:"-"` // of the next attempt, or the end of the lease
	Attempts int       `json:"-"` // begun so far
	Code     int       `json:"-"` // last reply code, 0 when there was none

	destination string // keyed hash of the recipient's domain, of a row that was just created
}

// turn is whose row it is when senders take turns: an agent has one turn, however
// many inboxes it sends from. // AV-2
func (o *Outgoing) turn() uuid.UUID {
	if o.Agent == uuid.Nil {
		return o.Inbox
	}
	return o.Agent
}

// outgoingWrap binds the body's key to the queue, so that it cannot be moved
// into a message row.
func outgoingWrap(org, body uuid.UUID) seal.Identity {
	return seal.Identity{Org: org, Table: "outgoing", ID: body[:], Purpose: "wrap"}
}

// CreateOutgoing puts one recipient into the queue and holds the body for it. The
// destination is the recipient's domain in A-labels, lower case. Created, Due
// (now, or the end of one that is held) and what concerns the body are filled in.
func (tx *Tx) CreateOutgoing(e *audit.Event, o *Outgoing, body BodyRef, destination string) error {
	s := tx.store()
	key, err := s.inboxKey(context.Background(), o.Org, o.Inbox)
	if err != nil {
		return err
	}
	orgKey, err := s.orgKey(context.Background(), o.Org)
	if err != nil {
		return err
	}
	o.Created, o.Due = tx.now, tx.now
	if o.State == OutgoingHeld {
		o.Due = o.Expires
	}
	o.BodyNo, o.BodyID, o.Size = body.No, body.ID, body.Size
	o.BodyKey = key.Wrap(body.Key, outgoingWrap(o.Org, body.ID))
	sealed, err := tx.sealRecord(e, "outgoing", o)
	if err != nil {
		return err
	}
	if err := tx.HoldBody(body.No); err != nil {
		return err
	}
	turn := o.turn()
	o.destination = string(orgKey.Hash("destination", []byte(destination))[:16])
	return tx.exec(`INSERT INTO outgoing (id, org, inbox, turn, message, version, event, state, local, body, dest_hash, created, due, attempts, code, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, $14)`,
		o.ID[:], o.Org[:], o.Inbox[:], turn[:], o.Message[:], o.Version, o.Event[:], int64(o.State), laneOf(o.Local), o.BodyNo,
		[]byte(o.destination), micros(o.Created), micros(o.Due), sealed)
}

// UpdateOutgoing writes the state of a row that was read before. One that is
// queued again is due now; one that is held, at its end. ErrConflict when it was
// written or settled in between, or an attempt is under way.
func (tx *Tx) UpdateOutgoing(e *audit.Event, o *Outgoing) error {
	was := o.Version
	sealed, err := tx.sealRecord(e, "outgoing", o)
	if err != nil {
		return err
	}
	o.Due = tx.now
	if o.State == OutgoingHeld {
		o.Due = o.Expires
	}
	n, err := tx.execN("UPDATE outgoing SET version = $1, event = $2, state = $3, due = $4, sealed = $5 WHERE id = $6 AND version = $7 AND lease_owner IS NULL",
		o.Version, o.Event[:], int64(o.State), micros(o.Due), sealed, o.ID[:], was)
	return changed(n, err)
}

// OutgoingIdle fails with ErrConflict when an attempt is under way for a row, or
// it is not the one that was read.
func (tx *Tx) OutgoingIdle(o *Outgoing) error {
	var one int
	err := found(tx.row("SELECT 1 FROM outgoing WHERE id = $1 AND version = $2 AND lease_owner IS NULL", o.ID[:], o.Version).Scan(&one))
	if errors.Is(err, ErrNotFound) {
		return ErrConflict
	}
	return err
}

// SettleOutgoing removes a row whose recipient was delivered, failed or given
// up, and lets go of the body. ErrConflict when it was written or settled in
// between: so a result is recorded once. ErrConflict too when its inbox is being
// erased, whose queue is given up as a whole.
func (tx *Tx) SettleOutgoing(e *audit.Event, o *Outgoing) error {
	n, err := tx.execN("DELETE FROM outgoing WHERE id = $1 AND version = $2 AND inbox NOT IN (SELECT inbox FROM erasure)", o.ID[:], o.Version)
	if err := changed(n, err); err != nil {
		return err
	}
	tx.forget(e, "outgoing", o)
	return tx.DropBody(o.BodyNo)
}

// PostponeOutgoing gives a row its next time after an attempt, which o.Attempts
// counts, and ends the lease if there was one. These columns are operational; the
// event of the attempt is the caller's. ErrConflict when the row was written or
// settled in between.
func (tx *Tx) PostponeOutgoing(o *Outgoing, due time.Time, code int) error {
	n, err := tx.execN("UPDATE outgoing SET due = $1, code = $2, attempts = $3, lease_owner = NULL WHERE id = $4 AND version = $5 AND state = $6",
		micros(due), code, o.Attempts, o.ID[:], o.Version, int64(OutgoingQueued))
	return changed(n, err)
}

// outgoingHints are the clear columns beside the record.
type outgoingHints struct {
	inbox, turn    uuid.UUID
	message        uuid.UUID
	state, body    int64
	local          bool
	created, due   int64
	attempts, code int
}

const outgoingColumns = headColumns + ", inbox, turn, message, state, local, body, created, due, attempts, code"

func scanOutgoing(row rowScanner) (sealedRow, outgoingHints, error) {
	var h outgoingHints
	r, err := scanHead(row, &h.inbox, &h.turn, &h.message, &h.state, &h.local, &h.body, &h.created, &h.due, &h.attempts, &h.code)
	return r, h, err
}

// openOutgoing opens a row; clear columns that contradict it are corruption, or
// somebody who wants a held message to go.
func (s *Store) openOutgoing(ctx context.Context, r sealedRow, h outgoingHints) (Outgoing, error) {
	var o Outgoing
	if err := s.openRecord(ctx, "outgoing", r, &o); err != nil {
		return Outgoing{}, err
	}
	if o.Inbox != h.inbox || o.turn() != h.turn && o.Inbox != h.turn || o.Message != h.message || int64(o.State) != h.state || o.Local != h.local ||
		o.BodyNo != h.body || micros(o.Created) != h.created {
		return Outgoing{}, fmt.Errorf("%w: outgoing %s: clear columns contradict the record", ErrCorrupt, o.ID)
	}
	o.Due, o.Attempts, o.Code = fromMicros(h.due), h.attempts, h.code
	return o, nil
}

// Outgoing finds a row of the queue of an organization.
func (s *Store) Outgoing(ctx context.Context, org, id uuid.UUID) (Outgoing, error) {
	rows, err := s.outgoings(ctx, "org = $1 AND id = $2", org[:], id[:])
	if err == nil && len(rows) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Outgoing{}, err
	}
	return rows[0], nil
}

// Outgoings lists an organization's queue after an id, at most limit rows.
func (s *Store) Outgoings(ctx context.Context, org, after uuid.UUID, limit int) ([]Outgoing, error) {
	return s.outgoings(ctx, "org = $1"+page, org[:], after[:], limit)
}

// OutgoingsOf lists what is still queued of one submission.
func (s *Store) OutgoingsOf(ctx context.Context, org, message uuid.UUID) ([]Outgoing, error) {
	return s.outgoings(ctx, "org = $1 AND message = $2 ORDER BY id", org[:], message[:])
}

func (s *Store) outgoings(ctx context.Context, where string, args ...any) ([]Outgoing, error) {
	var sealed []sealedRow
	var hints []outgoingHints
	err := s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT "+outgoingColumns+" FROM outgoing WHERE "+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			row, h, err := scanOutgoing(rows)
			if err != nil {
				return err
			}
			sealed, hints = append(sealed, row), append(hints, h)
		}
		return classify(rows.Err())
	})
	if err != nil {
		return nil, err
	}
	all := make([]Outgoing, len(sealed))
	for i := range sealed {
		if all[i], err = s.openOutgoing(ctx, sealed[i], hints[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// OutgoingCount is how many rows an organization has in a state, and when the
// oldest of them was made.
type OutgoingCount struct {
	State  OutgoingState
	Count  int64
	Oldest time.Time
}

// OutgoingCounts counts an organization's queue by state.
func (s *Store) OutgoingCounts(ctx context.Context, org uuid.UUID) (counts []OutgoingCount, err error) {
	err = s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT state, COUNT(*), MIN(created) FROM outgoing WHERE org = $1 GROUP BY state ORDER BY state", org[:])
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c OutgoingCount
			var oldest int64
			if err := rows.Scan(&c.State, &c.Count, &oldest); err != nil {
				return classify(err)
			}
			c.Oldest = fromMicros(oldest)
			counts = append(counts, c)
		}
		return classify(rows.Err())
	})
	return counts, err
}

// OutgoingBody is the reference to the body of a row, with its key: for opening
// it, and for storing a local copy that shares it. ErrNotFound when the
// inbox's key was destroyed.
func (s *Store) OutgoingBody(ctx context.Context, o *Outgoing) (BodyRef, error) {
	key, err := s.inboxKey(ctx, o.Org, o.Inbox)
	if err != nil {
		return BodyRef{}, err
	}
	ref := BodyRef{No: o.BodyNo, ID: o.BodyID, Size: o.Size}
	if ref.Key, err = key.Unwrap(o.BodyKey, outgoingWrap(o.Org, o.BodyID)); err != nil {
		return BodyRef{}, fmt.Errorf("%w: key of the body of outgoing %s", ErrCorrupt, o.ID)
	}
	return ref, nil
}

// OpenOutgoing opens the body of a row.
func (s *Store) OpenOutgoing(ctx context.Context, o *Outgoing) (*Body, error) {
	ref, err := s.OutgoingBody(ctx, o)
	if err != nil {
		return nil, err
	}
	return s.openBody(ctx, ref)
}
