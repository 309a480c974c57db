package control

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Rotating is a credential and its successor while both work, with the uses of each by
// the hour: from here one sees when the old one can go.
type Rotating struct {
	Old  Use       `json:"old"`
	New  Use       `json:"new"`
	At   time.Time `json:"rotated_at"`
	From time.Time `json:"from"` // when the first hour begins
	// Uses are logins, reads and messages sent, one number for an hour.
	OldUses []int64 `json:"old_uses"`
	NewUses []int64 `json:"new_uses"`
}

// Unused is how long nobody used the old one before it is safe to end.
const Unused = time.Hour

// Safe reports whether the old one has not been used for long enough.
func (r *Rotating) Safe(now time.Time) bool {
	last := r.Old.LastUsed
	if last.IsZero() {
		last = r.At
	}
	return r.Old.Open == 0 && now.Sub(last) >= Unused
}

// Bounds of the hours that are shown: enough to see the time before.
const (
	fewestHours = 24
	mostHours   = 72
)

// rotating is the pair that a credential is of: itself, the one that it replaces, the
// one that replaces it. Nil when there is none, or one of them has ended.
func (s *Server) rotating(ctx context.Context, views [3]Credential) (*Rotating, error) {
	older, newer := &views[1], &views[0]
	if views[2].ID != uuid.Nil {
		older, newer = &views[0], &views[2]
	}
	if older.ID == uuid.Nil || older.State != "active" || newer.State != "active" {
		return nil, nil
	}
	now := s.Now()
	hours := min(max(int(now.Sub(newer.Created)/time.Hour)*4/3, fewestHours), mostHours)
	r := &Rotating{Old: *older.use(), New: *newer.use(), At: newer.Created, From: now.Truncate(time.Hour).Add(-time.Duration(hours-1) * time.Hour)}
	var err error
	if r.OldUses, err = s.Store.Uses(ctx, older.ID, r.From, time.Hour, hours); err != nil {
		return nil, err
	}
	r.NewUses, err = s.Store.Uses(ctx, newer.ID, r.From, time.Hour, hours)
	return r, err
}
