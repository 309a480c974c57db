package storage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// EventCount is how many events of one verb a query selects, and when the first
// and the last of them were.
type EventCount struct {
	Verb        audit.Verb
	Count       int64
	First, Last time.Time
}

// CountEvents counts what a query selects, by verb. It opens none of the events.
// Newest, Limit and MessageID do not count.
func (s *Store) CountEvents(ctx context.Context, q EventQuery) (counts []EventCount, err error) {
	where, args := eventConditions(q, nil)
	err = s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT verb, COUNT(*), MIN(at), MAX(at) FROM event WHERE "+where+" GROUP BY verb ORDER BY verb", args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c EventCount
			var first, last int64
			if err := rows.Scan(&c.Verb, &c.Count, &first, &last); err != nil {
				return classify(err)
			}
			c.First, c.Last = fromMicros(first), fromMicros(last)
			counts = append(counts, c)
		}
		return classify(rows.Err())
	})
	return counts, err
}

// Waiting is how much waits for people in an organization.
type Waiting struct {
	Quarantine int64 // messages in quarantine
	Approvals  int64 // submitted messages that a rule made wait
}

// Waiting counts what waits for people. It goes by clear columns: a hint for those who
// then look.
func (s *Store) Waiting(ctx context.Context, org uuid.UUID) (w Waiting, err error) {
	err = s.look(ctx, func(r *reads) error {
		err := classify(r.row("SELECT COUNT(*) FROM quarantine WHERE org = $1 AND state = $2", org[:], string(QuarantineWaiting)).Scan(&w.Quarantine))
		if err != nil {
			return err
		}
		return classify(r.row("SELECT COUNT(*) FROM approval WHERE org = $1", org[:]).Scan(&w.Approvals))
	})
	return w, err
}

// LogVersion is a number that grows with each commit that added to the log, in this
// process: what was computed at one need not be computed anew while it stays.
func (s *Store) LogVersion() uint64 { return s.version.Load() }
