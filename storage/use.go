package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// usingVerbs are what a credential does when it is used.
var usingVerbs = []audit.Verb{audit.SessionLogin, audit.MessageRead, audit.MessageSubmitted, audit.MessageAppended}

// maxUses is how many of a credential's newest events are looked at for a picture.
const maxUses = 20_000

// Uses counts how often a credential was used in each of some steps of time, the first
// of which begins at from: it logged in, read or sent. It is for a picture, counted by
// the clear columns of the newest events, and no evidence.
func (s *Store) Uses(ctx context.Context, credential uuid.UUID, from time.Time, step time.Duration, steps int) ([]int64, error) {
	uses := make([]int64, steps)
	in := ""
	args := []any{credential[:], maxUses, micros(from), step.Microseconds(), micros(from.Add(step * time.Duration(steps)))}
	for i, v := range usingVerbs {
		if i > 0 {
			in += ", "
		}
		args = append(args, int64(v))
		in += fmt.Sprintf("$%d", len(args))
	}
	err := s.read(ctx, func(r *reads) error {
		rows, err := r.rows(`SELECT (at - $3) / $4, COUNT(*) FROM (SELECT at, verb FROM event WHERE credential = $1 ORDER BY seq DESC LIMIT $2) AS newest
			WHERE at >= $3 AND at < $5 AND verb IN (`+in+`) GROUP BY (at - $3) / $4`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at, n int64
			if err := rows.Scan(&at, &n); err != nil {
				return classify(err)
			}
			if at >= 0 && at < int64(steps) {
				uses[at] = n
			}
		}
		return classify(rows.Err())
	})
	return uses, err
}
