package queue

import (
	"context"
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
	kicked    chan struct{}

	mu     sync.Mutex
	free   int               // workers
	busy   map[uuid.UUID]int // workers by inbox
	cursor uuid.UUID         // the inbox that had the last turn in a backlog
	work   sync.WaitGroup
}

func newLane(q *Queue, local bool, t Transport) *lane {
	return &lane{q: q, local: local, transport: t, kicked: make(chan struct{}, 1), free: q.o.Workers, busy: map[uuid.UUID]int{}}
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

// begin takes what is due, as much as there are workers for, and starts them.
// It returns how many batches it began.
func (l *lane) begin(ctx, attempts context.Context) (int, error) {
	groups, err := l.choose(ctx)
	if err != nil || len(groups) == 0 {
		return 0, err
	}
	begun := 0
	for _, g := range groups {
		ids, err := l.lease(ctx, g)
		if err != nil {
			return begun, err
		}
		if len(ids) == 0 {
			continue
		}
		l.mu.Lock()
		l.free--
		l.busy[g.Inbox]++
		l.mu.Unlock()
		begun++
		l.work.Go(func() {
			defer l.done(g.Inbox)
			l.try(attempts, g.Org, ids)
		})
	}
	return begun, nil
}

func (l *lane) done(inbox uuid.UUID) {
	l.mu.Lock()
	l.free++
	if l.busy[inbox]--; l.busy[inbox] == 0 {
		delete(l.busy, inbox)
	}
	l.mu.Unlock()
	l.wake()
}

// lease takes the rows that go together with d.
func (l *lane) lease(ctx context.Context, d storage.DueOutgoing) (taken []uuid.UUID, err error) {
	now := l.q.o.Now()
	together, err := l.q.store.DueOutgoingWith(ctx, d, now, maxBatch)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(together))
	for i := range together {
		ids[i] = together[i].ID
	}
	err = l.q.store.Upkeep(ctx, func(u *storage.Upkeep) (err error) {
		taken, err = u.LeaseOutgoing(l.q.owner, u.Now().Add(l.q.o.Lease), ids)
		return err
	})
	return taken, err
}

// maxBatch is how many recipients share a transaction (RFC 5321, section
// 4.5.3.1.8: every server takes 100).
const maxBatch = 100

// try makes one attempt for leased rows and records what came of it.
func (l *lane) try(ctx context.Context, org uuid.UUID, ids []uuid.UUID) {
	batch := make([]Item, 0, len(ids))
	for _, id := range ids {
		o, err := l.q.store.Outgoing(ctx, org, id)
		if err != nil {
			// A row that does not open stays leased: it is asked for again when the
			// lease ends, and does not stop its neighbours.
			l.q.o.Log.Error("a row of the queue cannot be read", "outgoing", id, "error", err)
			continue
		}
		batch = append(batch, Item{Outgoing: o})
	}
	if len(batch) == 0 {
		return
	}
	results := l.attempt(ctx, batch)
	l.q.settle(context.WithoutCancel(ctx), batch, results)
}

// attempt opens the body and asks the transport.
func (l *lane) attempt(ctx context.Context, batch []Item) []Result {
	body, err := l.q.store.OpenOutgoing(ctx, &batch[0].Outgoing)
	if err != nil {
		l.q.o.Log.Error("the body of a queued message cannot be read", "message", batch[0].Message, "error", err)
		return all(len(batch), unreadable(err))
	}
	defer body.Close()
	for i := range batch {
		it := &batch[i]
		it.Body = body
		var from, to error
		it.Sender, from = message.ParsePath(it.From, true)
		it.Recipient, to = message.ParsePath(it.To, true)
		if from != nil || to != nil {
			return all(len(batch), Result{Outcome: Permanent, Rule: "bad-address", Enhanced: "5.1.3"})
		}
	}
	results := l.transport.Attempt(ctx, batch)
	if len(results) != len(batch) {
		l.q.o.Log.Error("a transport returned another number of results", "items", len(batch), "results", len(results))
		return all(len(batch), Result{Rule: "no-result"})
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
