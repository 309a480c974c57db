package storage

import (
	"context"
	"errors"

	"postern/storage/audit"
)

// FollowStep is how many numbers of the log one call of Follow goes over.
const FollowStep = 1024

// Follow reads on in the log: the events of these verbs from a number on, over a
// bounded stretch, and the number to go on from. There is more to read where it went
// over FollowStep numbers; behind a shorter stretch the log ended a moment ago, and who
// follows a busy one does better to let some of it come. // AU-12
func (s *Store) Follow(ctx context.Context, from uint64, verbs ...audit.Verb) (events []audit.Event, next uint64, err error) {
	err = s.look(ctx, func(r *reads) error {
		return classify(r.row("SELECT COALESCE(MAX(seq) + 1, 0) FROM event").Scan(&next))
	})
	next = min(next, from+FollowStep)
	if err != nil || next <= from {
		return nil, from, err
	}
	events, err = s.Events(ctx, EventQuery{From: from, To: next, Verbs: verbs, Limit: FollowStep})
	return events, next, err
}

// Cursor is how far one who follows the log has come: the number to go on from,
// zero at first.
func (s *Store) Cursor(ctx context.Context, name string) (seq uint64, err error) {
	err = s.look(ctx, func(r *reads) error {
		return found(r.row("SELECT seq FROM cursor WHERE name = $1", name).Scan(&seq))
	})
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return seq, err
}

// MoveCursor notes how far one who follows the log has come, in the transaction
// of what followed from it.
func (u *Upkeep) MoveCursor(name string, seq uint64) error {
	return u.tx.exec("INSERT INTO cursor (name, seq) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq", name, seq)
}
