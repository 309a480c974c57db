package queue

import (
	"context"
	"time"

	"postern/storage"
)

// batch is rows of one group that are tried together.
type batch struct {
	first choice
	rows  []storage.DueOutgoing
	known []storage.Outgoing // the same as they were committed a moment ago; nil: they are to be read
}

// maxBatch is how many recipients share a transaction (RFC 5321, section
// 4.5.3.1.8: every server takes 100).
const maxBatch = 100

// lease takes the rows of batches, all in one commit, and returns what it got.
func (l *lane) lease(ctx context.Context, wanted []batch) (taken []batch, err error) {
	err = l.q.store.Upkeep(ctx, func(u *storage.Upkeep) error {
		taken = taken[:0]
		until := u.Now().Add(l.q.o.Lease)
		for _, b := range wanted {
			got, err := u.LeaseOutgoing(l.q.owner, until, b.rows)
			if err != nil {
				return err
			}
			if len(got) > 0 {
				taken = append(taken, batch{first: b.first, rows: got})
			}
		}
		return nil
	})
	return taken, err
}

// giveBack has rows wait for which nothing was tried, and which nothing else has
// changed meanwhile.
func (l *lane) giveBack(ctx context.Context, pause time.Duration, rows []storage.DueOutgoing) {
	l.q.persist(ctx, func(ctx context.Context) error {
		return l.q.store.Upkeep(ctx, func(u *storage.Upkeep) error {
			due := u.Now().Add(jitter(pause))
			if l.local {
				return u.DelayOutgoing(due, rows)
			}
			return u.ReturnOutgoing(l.q.owner, due, rows)
		})
	})
}

// keep has a row wait that cannot be opened: a lease does that by itself.
func (l *lane) keep(ctx context.Context, d storage.DueOutgoing) {
	if l.local {
		l.giveBack(ctx, l.q.o.Lease, []storage.DueOutgoing{d})
	}
}

// rowOf is what names a row that was opened.
func rowOf(o *storage.Outgoing) storage.DueOutgoing {
	return storage.DueOutgoing{ID: o.ID, Org: o.Org, Message: o.Message, Version: o.Version}
}
