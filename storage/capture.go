package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// CaptureAge is how long what test credentials sent is kept: a run of tests is
// looked at within days.
const CaptureAge = 30 * 24 * time.Hour

// Captured is one recipient of a message that a test credential sent to somebody
// who is no test inbox. It lies in a table of its own, which nothing that sends
// reads. // AC-14
type Captured struct {
	Head
	Inbox      uuid.UUID `json:"inbox"`   // that sent it
	Message    uuid.UUID `json:"message"` // the submission: one id for all its recipients
	Agent      uuid.UUID `json:"agent"`
	Credential uuid.UUID `json:"credential"`
	From       string    `json:"from"` // envelope sender
	To         string    `json:"to"`   // envelope recipient
	MessageID  string    `json:"message_id"`
	Size       int64     `json:"size"`
	SHA256     []byte    `json:"sha256"` // of the stored bytes
	Created    time.Time `json:"created"`

	BodyNo  int64     `json:"body_no"`
	BodyID  uuid.UUID `json:"body_id"`
	BodyKey []byte    `json:"body_key"` // wrapped by the inbox's key: erasing the inbox erases it
}

// capturedWrap binds the body's key to this table, so that it cannot be moved
// into the queue.
func capturedWrap(org, body uuid.UUID) seal.Identity {
	return seal.Identity{Org: org, Table: "captured", ID: body[:], Purpose: "wrap"}
}

// Capture stores one recipient of a test credential's message and holds the body
// for it. Created and what concerns the body are filled in.
func (tx *Tx) Capture(e *audit.Event, c *Captured, body BodyRef) error {
	key, err := tx.store().inboxKey(context.Background(), c.Org, c.Inbox)
	if err != nil {
		return err
	}
	c.Created = tx.now
	c.BodyNo, c.BodyID, c.Size = body.No, body.ID, body.Size
	c.BodyKey = key.Wrap(body.Key, capturedWrap(c.Org, body.ID))
	sealed, err := tx.sealRecord(e, "captured", c)
	if err != nil {
		return err
	}
	if err := tx.HoldBody(body.No); err != nil {
		return err
	}
	return tx.exec("INSERT INTO captured (id, org, inbox, version, event, body, created, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		c.ID[:], c.Org[:], c.Inbox[:], c.Version, c.Event[:], c.BodyNo, micros(c.Created), sealed)
}

// Captured finds what was captured in an organization.
func (s *Store) Captured(ctx context.Context, org, id uuid.UUID) (Captured, error) {
	return find[Captured](ctx, s, "captured", "org = $1 AND id = $2", org[:], id[:])
}

// Captures lists what was captured in an organization after an id, at most limit.
func (s *Store) Captures(ctx context.Context, org, after uuid.UUID, limit int) ([]Captured, error) {
	return list[Captured](ctx, s, "captured", "org = $1"+page, org[:], after[:], limit)
}

// OpenCaptured opens the body of what was captured. ErrNotFound when it was swept,
// or the inbox's key was destroyed.
func (s *Store) OpenCaptured(ctx context.Context, c *Captured) (*Body, error) {
	key, err := s.inboxKey(ctx, c.Org, c.Inbox)
	if err != nil {
		return nil, err
	}
	ref := BodyRef{No: c.BodyNo, ID: c.BodyID, Size: c.Size}
	if ref.Key, err = key.Unwrap(c.BodyKey, capturedWrap(c.Org, c.BodyID)); err != nil {
		return nil, fmt.Errorf("%w: key of the body of captured %s", ErrCorrupt, c.ID)
	}
	return s.openBody(ctx, ref)
}

// SweepCaptured removes what was captured before a time, step by step, and says
// how many rows that were.
func (s *Store) SweepCaptured(ctx context.Context, before time.Time) (n int, err error) {
	for {
		step := 0
		err := s.Write(ctx, System, func(tx *Tx) (err error) {
			step, err = tx.sweepCaptured("expired", "created < $1", micros(before))
			return err
		})
		n += step
		switch {
		case errors.Is(err, ErrNoEvent):
			return n, nil // nothing was left
		case err != nil:
			return n, err
		}
	}
}

// eraseCaptured removes what an inbox that is being erased sent into the void.
func (tx *Tx) eraseCaptured(_, inbox uuid.UUID) (int, error) {
	return tx.sweepCaptured(removedRule, "inbox = $1", inbox[:])
}

// sweepCaptured removes some of the rows that a condition selects: those of one
// inbox, with one event that names the rule.
func (tx *Tx) sweepCaptured(rule, where string, arg any) (n int, err error) {
	type sweep struct {
		id, org, inbox uuid.UUID
		version, body  int64
	}
	var all []sweep
	rows, err := tx.rows("SELECT id, org, inbox, version, body FROM captured WHERE "+where+" ORDER BY inbox, id LIMIT $2", arg, eraseRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var c sweep
		if err := rows.Scan(&c.id, &c.org, &c.inbox, &c.version, &c.body); err != nil {
			return 0, classify(err)
		}
		if len(all) == 0 || all[0].inbox == c.inbox {
			all = append(all, c)
		}
	}
	if err := rows.Err(); err != nil || len(all) == 0 {
		return 0, classify(err)
	}
	e := tx.Record(audit.Event{Verb: audit.CaptureSwept, Outcome: audit.OK, Org: all[0].org, Inbox: all[0].inbox,
		Fields: audit.Fields{audit.Int(audit.KeyCount, len(all)), audit.Word(audit.KeyRule, rule)}})
	for _, c := range all {
		tx.wrote(e, "captured", c.id[:], uint64(c.version)+1, nil)
		if err := tx.exec("DELETE FROM captured WHERE id = $1", c.id[:]); err != nil {
			return 0, err
		}
		if err := tx.DropBody(c.body); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// capturedHint holds the column by which an erasure finds a row.
func capturedHint(s *Store, row sealedRow, column []byte) (bool, error) {
	var c Captured
	err := s.openRecord(context.Background(), "captured", row, &c)
	return bytes.Equal(column, c.Inbox[:]), err
}
