package storage

import (
	"context"
	"time"

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
