package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
)

// slowPoll is the net below the hints: a lane looks for work at least this often.
const slowPoll = time.Minute

// lane is the rows of one transport and the workers that try them.
type lane struct {
	q         *Queue
	local     bool
	transport Transport
	shares    shares
	kicked    chan struct{}

	mu   sync.Mutex
	free int // workers
	busy load
	work sync.WaitGroup

	// Of the goroutine that chooses:
	cursor  uuid.UUID // the inbox that had the last turn in a backlog
	backlog bool      // more is due than one look shows
}

func newLane(q *Queue, local bool, t Transport) *lane {
	s := shares{workers: q.o.Workers, places: q.o.Places}
	if local {
		// They all wait for the one disk, which is faster for fewer, and destinations are not told apart.
		s = shares{workers: max(1, q.o.Workers/4)}
	}
	return &lane{q: q, local: local, transport: t, shares: s, kicked: make(chan struct{}, 1), free: q.o.Workers, busy: newLoad()}
}

func (l *lane) wake() {
	select {
	case l.kicked <- struct{}{}:
	default:
	}
}

// run gives work to workers until ctx is done; attempts is the context of the
// attempts, which lasts longer.
func (l *lane) run(ctx, attempts context.Context) {
	defer l.work.Wait()
	for ctx.Err() == nil {
		n, err := l.begin(ctx, attempts)
		if err != nil && ctx.Err() == nil {
			l.q.o.Log.Error("the queue could not be read or leased; it is tried again", "error", err)
		}
		if n > 0 && err == nil {
			continue // there may be more
		}
		l.wait(ctx)
	}
}

// wait returns when there may be something to do.
func (l *lane) wait(ctx context.Context) {
	sleep := slowPoll
	if at, ok, err := l.q.store.NextOutgoing(ctx, l.local); err == nil && ok {
		sleep = min(max(at.Sub(l.q.o.Now()), minSleep), slowPoll)
	}
	t := time.NewTimer(sleep)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-l.kicked:
	case <-t.C:
	}
}

// minSleep keeps a lane whose workers are all busy from asking again and again
// about rows that are due; a worker that becomes free wakes it.
const minSleep = time.Second

// batch is rows of one group that are leased for an attempt.
type batch struct {
	org, inbox  uuid.UUID
	destination string
	ids         []uuid.UUID
}

// begin takes what is due, as much as there are workers for, and starts them.
// It returns how many attempts it began.
func (l *lane) begin(ctx, attempts context.Context) (int, error) {
	groups, err := l.choose(ctx)
	if err != nil || len(groups) == 0 {
		return 0, err
	}
	batches, err := l.lease(ctx, groups)
	if err != nil {
		return 0, err
	}
	for _, b := range batches {
		l.mu.Lock()
		l.free--
		l.busy.add(b.inbox, b.destination, 1)
		l.mu.Unlock()
		l.work.Go(func() {
			defer l.done(b)
			l.try(attempts, b)
		})
	}
	return len(batches), nil
}

func (l *lane) done(b batch) {
	l.mu.Lock()
	l.free++
	l.busy.add(b.inbox, b.destination, -1)
	l.mu.Unlock()
	l.wake()
}

// lease takes the rows that go together with each of the chosen ones, all in
// one commit.
func (l *lane) lease(ctx context.Context, groups []storage.DueOutgoing) (taken []batch, err error) {
	now := l.q.o.Now()
	wanted := make([]batch, 0, len(groups))
	for _, g := range groups {
		together, err := l.q.store.DueOutgoingWith(ctx, g, now, maxBatch)
		if err != nil {
			return nil, err
		}
		b := batch{org: g.Org, inbox: g.Inbox, destination: g.Destination}
		for i := range together {
			b.ids = append(b.ids, together[i].ID)
		}
		wanted = append(wanted, b)
	}
	err = l.q.store.Upkeep(ctx, func(u *storage.Upkeep) error {
		taken = taken[:0]
		until := u.Now().Add(l.q.o.Lease)
		for _, b := range wanted {
			ids, err := u.LeaseOutgoing(l.q.owner, until, b.ids)
			if err != nil {
				return err
			}
			if len(ids) > 0 {
				taken = append(taken, batch{b.org, b.inbox, b.destination, ids})
			}
		}
		return nil
	})
	return taken, err
}

// maxBatch is how many recipients share a transaction (RFC 5321, section
// 4.5.3.1.8: every server takes 100).
const maxBatch = 100

// try makes one attempt for leased rows and records what came of it.
func (l *lane) try(ctx context.Context, b batch) {
	items := make([]Item, 0, len(b.ids))
	for i, id := range b.ids {
		o, err := l.q.store.Outgoing(ctx, b.org, id)
		switch {
		case err == nil:
			items = append(items, Item{Outgoing: o})
		case errors.Is(err, storage.ErrCorrupt):
			// It stays leased, is asked for again when the lease ends, and does not
			// stop its neighbours.
			l.q.o.Log.Error("a row of the queue cannot be opened", "outgoing", id, "error", err)
		default:
			l.q.o.Log.Error("the queue cannot be read", "error", err)
			l.q.giveBack(ctx, notTried, b.ids[i:])
			return
		}
	}
	switch {
	case len(items) == 0:
	case l.q.o.Frozen(ctx, &items[0].Outgoing): // one message, so one sender for all
		l.q.giveBack(ctx, whileFrozen, b.ids)
	default:
		l.q.settle(ctx, items, l.attempt(ctx, items))
	}
}

// attempt opens the body and asks the transport.
func (l *lane) attempt(ctx context.Context, items []Item) []Result {
	body, err := l.q.store.OpenOutgoing(ctx, &items[0].Outgoing)
	if err != nil {
		l.q.o.Log.Error("the body of a queued message cannot be read", "message", items[0].Message, "error", err)
		return all(len(items), unreadable(err))
	}
	defer body.Close()
	for i := range items {
		it := &items[i]
		it.Body = body
		var from, to error
		it.Sender, from = message.ParsePath(it.From, true)
		it.Recipient, to = message.ParsePath(it.To, true)
		if from != nil || to != nil {
			return all(len(items), Result{Outcome: Permanent, Rule: "bad-address", Enhanced: "5.1.3"})
		}
	}
	results := l.transport.Attempt(ctx, items)
	if len(results) != len(items) {
		l.q.o.Log.Error("a transport returned another number of results", "items", len(items), "results", len(results))
		return all(len(items), Result{Rule: "no-result"})
	}
	return results
}

func all(n int, r Result) []Result {
	results := make([]Result, n)
	for i := range results {
		results[i] = r
	}
	return results
}
