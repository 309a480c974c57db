package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/seal"
)

// Bounds of what is counted for reports to others.
const (
	maxFeedback     = 2000 // of one organization and day
	maxFeedbackRows = 1000 // of one Feedback
	feedbackHash    = 16   // bytes of the keyed hashes that are kept
)

// Feedback is what a domain elsewhere asked to be told about one day: how mail in
// its name fared here, or how mail to it went there. It is operational: each
// message that it counts has an event of its own.
type Feedback struct {
	Org    uuid.UUID  `json:"-"`
	Kind   ReportKind `json:"kind"`
	Domain string     `json:"domain"` // the other one, in A-labels
	Day    time.Time  `json:"day"`    // midnight UTC
	// Policy is what the domain published, in the form of server/report. A day with
	// two policies has two Feedbacks.
	Policy json.RawMessage `json:"policy"`

	hash []byte
	More int64 `json:"-"` // what was counted beyond the rows
}

// Key tells one Feedback from the others.
func (f *Feedback) Key() string { return string(f.Org[:]) + string(f.hash) }

// FeedbackRow is one row of the report, and how often it was seen.
type FeedbackRow struct {
	Row   json.RawMessage // in the form of server/report
	Count int64
}

func feedbackIdentity(org uuid.UUID, hash []byte) seal.Identity {
	return seal.Identity{Org: org, Table: "feedback", ID: hash}
}

func feedbackRowIdentity(org uuid.UUID, hash, row []byte) seal.Identity {
	return seal.Identity{Org: org, Table: "feedback_row", ID: append(append([]byte(nil), hash...), row...)}
}

// CountFeedback counts n of a row for the report about a day. What finds no room
// is counted without saying what it was; domains beyond the bound of a day get no
// report at all.
func (u *Upkeep) CountFeedback(f Feedback, row json.RawMessage, n int64) error {
	key, err := u.tx.store().orgKey(context.Background(), f.Org)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return err
	}
	f.hash = key.Hash("feedback", plain)[:feedbackHash]
	hash := key.Hash("feedback row", f.hash, row)[:feedbackHash]
	known, err := u.tx.execN("UPDATE feedback_row SET count = count + $1 WHERE org = $2 AND feedback = $3 AND hash = $4", n, f.Org[:], f.hash, hash)
	if err != nil || known > 0 {
		return err
	}
	if room, err := u.feedbackRoom(&f, plain, key, n); err != nil || !room {
		return err
	}
	return u.tx.exec("INSERT INTO feedback_row (org, feedback, hash, count, sealed) VALUES ($1, $2, $3, $4, $5)",
		f.Org[:], f.hash, hash, n, key.Seal(row, feedbackRowIdentity(f.Org, f.hash, hash)))
}

// feedbackRoom makes room for one more row, if there is any.
func (u *Upkeep) feedbackRoom(f *Feedback, plain []byte, key seal.Key, n int64) (bool, error) {
	var rows int
	err := found(u.tx.row("SELECT rows FROM feedback WHERE org = $1 AND hash = $2", f.Org[:], f.hash).Scan(&rows))
	switch {
	case errors.Is(err, ErrNotFound):
		return u.addFeedback(f, plain, key)
	case err != nil:
		return false, err
	case rows >= maxFeedbackRows:
		return false, u.tx.exec("UPDATE feedback SET more = more + $1 WHERE org = $2 AND hash = $3", n, f.Org[:], f.hash)
	}
	return true, u.tx.exec("UPDATE feedback SET rows = rows + 1 WHERE org = $1 AND hash = $2", f.Org[:], f.hash)
}

func (u *Upkeep) addFeedback(f *Feedback, plain []byte, key seal.Key) (bool, error) {
	var all int
	if err := u.tx.row("SELECT COUNT(*) FROM feedback WHERE day = $1 AND org = $2", micros(f.Day), f.Org[:]).Scan(&all); err != nil {
		return false, classify(err)
	}
	if all >= maxFeedback {
		return false, nil
	}
	return true, u.tx.exec("INSERT INTO feedback (org, hash, day, rows, more, sealed) VALUES ($1, $2, $3, 1, 0, $4)",
		f.Org[:], f.hash, micros(f.Day), key.Seal(plain, feedbackIdentity(f.Org, f.hash)))
}

// DropFeedback forgets what was counted: it was reported, or nobody wants it.
func (u *Upkeep) DropFeedback(f *Feedback) error {
	if err := u.tx.exec("DELETE FROM feedback_row WHERE org = $1 AND feedback = $2", f.Org[:], f.hash); err != nil {
		return err
	}
	return u.tx.exec("DELETE FROM feedback WHERE org = $1 AND hash = $2", f.Org[:], f.hash)
}

// FeedbackUntil lists what is to be reported about days before a time, of all
// organizations, the oldest day first.
func (s *Store) FeedbackUntil(ctx context.Context, before time.Time, limit int) (all []Feedback, err error) {
	var sealed [][]byte
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT org, hash, more, sealed FROM feedback WHERE day < $1 ORDER BY day, org, hash LIMIT $2", micros(before), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var f Feedback
			var b []byte
			if err := rows.Scan(&f.Org, &f.hash, &f.More, &b); err != nil {
				return classify(err)
			}
			all, sealed = append(all, f), append(sealed, b)
		}
		return classify(rows.Err())
	})
	for i := range all {
		f := &all[i]
		if err := s.openFeedback(ctx, f.Org, sealed[i], feedbackIdentity(f.Org, f.hash), f); err != nil {
			return nil, err
		}
	}
	return all, err
}

// FeedbackRows lists the rows of a report.
func (s *Store) FeedbackRows(ctx context.Context, f *Feedback) (all []FeedbackRow, err error) {
	var sealed, hashes [][]byte
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT hash, count, sealed FROM feedback_row WHERE org = $1 AND feedback = $2 ORDER BY hash", f.Org[:], f.hash)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var row FeedbackRow
			var hash, b []byte
			if err := rows.Scan(&hash, &row.Count, &b); err != nil {
				return classify(err)
			}
			all, hashes, sealed = append(all, row), append(hashes, hash), append(sealed, b)
		}
		return classify(rows.Err())
	})
	for i := range all {
		if err := s.openFeedback(ctx, f.Org, sealed[i], feedbackRowIdentity(f.Org, f.hash, hashes[i]), &all[i].Row); err != nil {
			return nil, err
		}
	}
	return all, err
}

func (s *Store) openFeedback(ctx context.Context, org uuid.UUID, sealed []byte, id seal.Identity, into any) error {
	key, err := s.orgKey(ctx, org)
	if err != nil {
		return err
	}
	plain, err := key.Open(sealed, id)
	if err == nil {
		err = json.Unmarshal(plain, into)
	}
	if err != nil {
		return fmt.Errorf("%w: what is to be reported: %v", ErrCorrupt, err)
	}
	return nil
}
