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

	mu    sync.Mutex
	free  int // workers
	busy  load
	under map[group]bool     // under way
	rows  map[uuid.UUID]bool // of those
	left  bool               // something that is due may wait for a worker
	work  sync.WaitGroup

	// looking is held by who chooses: between what was read of the table and what is
	// begun by it, nobody else begins anything.
	looking  sync.Mutex
	attempts context.Context // of attempts; nil while the lane does not run

	// Of the goroutine that looks at the table:
	cursor  uuid.UUID // the sender that had the last turn in a backlog
	backlog bool      // more is due than one look shows
	more    bool      // the last look did not see all that is due
	next    time.Time // otherwise: when the first is due of what was not; zero: none
}

func newLane(q *Queue, local bool, t Transport) *lane {
	s := shares{workers: q.o.Workers, places: q.o.Places}
	if local {
		// They all wait for the one disk, and make ready on the processors on which
		// others' mail is made ready too; destinations are not told apart.
		s = shares{workers: max(1, q.o.Workers/8)}
	}
	return &lane{q: q, local: local, transport: t, shares: s, kicked: make(chan struct{}, 1), free: q.o.Workers, busy: newLoad(), under: map[group]bool{}, rows: map[uuid.UUID]bool{}}
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
	l.opens(attempts)
	defer l.shut()
	for ctx.Err() == nil {
		n, err := l.begin(ctx)
		if err != nil && ctx.Err() == nil {
			l.q.o.Log.Error("the queue could not be read or leased; it is tried again", "error", err)
		}
		if n > 0 && err == nil && l.more {
			continue
		}
		l.wait(ctx, l.pause(ctx, err))
	}
}

// opens lets attempts begin.
func (l *lane) opens(attempts context.Context) {
	l.looking.Lock()
	defer l.looking.Unlock()
	l.attempts = attempts
}

// shut lets no more of them begin.
func (l *lane) shut() {
	l.looking.Lock()
	defer l.looking.Unlock()
	l.attempts = nil
}

// pause is after which time there may be something to do, if nobody says so before.
// What is due and was not begun is no reason to look again soon: it waits for a worker
// that becomes free, and wakes the lane.
func (l *lane) pause(ctx context.Context, failed error) time.Duration {
	at, ok := l.next, !l.next.IsZero()
	if l.more || failed != nil {
		var err error
		if at, ok, err = l.q.store.NextOutgoing(ctx, l.local); err != nil {
			return minSleep
		}
	}
	if !ok {
		return slowPoll
	}
	return min(max(at.Sub(l.q.o.Now()), minSleep), slowPoll)
}

// wait returns when there may be something to do, or after sleep.
func (l *lane) wait(ctx context.Context, sleep time.Duration) {
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
// It returns how many attempts it began.
func (l *lane) begin(ctx context.Context) (int, error) {
	l.looking.Lock()
	defer l.looking.Unlock()
	chosen, err := l.choose(ctx)
	if err != nil || len(chosen) == 0 {
		return 0, err
	}
	batches := make([]batch, 0, len(chosen))
	for _, d := range chosen {
		together, err := l.q.store.DueOutgoingWith(ctx, d.DueOutgoing, l.q.o.Now(), maxBatch)
		if err != nil {
			return 0, err
		}
		if len(together) > 0 { // else settled since, or the clock was set back
			batches = append(batches, batch{first: d, rows: together})
		}
	}
	if !l.local {
		if batches, err = l.lease(ctx, batches); err != nil {
			return 0, err
		}
	}
	for _, b := range batches {
		l.start(b)
	}
	return len(batches), nil
}

// start gives a batch to a worker. When that is done, the lane looks again if
// something waits for a worker, or some of the batch for its next time, or the batch
// was full.
func (l *lane) start(b batch) {
	attempts := l.attempts
	l.count(b, 1)
	l.work.Go(func() {
		over := l.try(attempts, b)
		if left := l.count(b, -1); left || !over || len(b.rows) == maxBatch {
			l.wake()
		}
	})
}

// hand begins a batch that was committed a moment ago, without a look at the table.
// It does not where somebody looks at that moment, no worker is free, or something
// else waits for one: then the batch takes its turn with the others.
func (l *lane) hand(b batch) bool {
	if !l.looking.TryLock() {
		return false
	}
	defer l.looking.Unlock()
	d := b.first.DueOutgoing
	l.mu.Lock()
	room := l.attempts != nil && !l.left && l.free > 0 && !l.under[groupOf(d)] && l.busy.room(d.Turn, d.Destination, l.shares)
	l.mu.Unlock()
	if room {
		l.start(b)
	}
	return room
}

// count notes that a batch is under way, with 1, or is not any more, with -1. It
// returns whether something that is due may wait for a worker.
func (l *lane) count(b batch, n int) (left bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free -= n
	l.busy.add(b.first.Turn, b.first.Destination, n)
	if g := groupOf(b.first.DueOutgoing); n > 0 {
		l.under[g] = true
	} else {
		delete(l.under, g)
	}
	for _, d := range b.rows {
		if n > 0 {
			l.rows[d.ID] = true
		} else {
			delete(l.rows, d.ID)
		}
	}
	return l.left
}

// try makes one attempt for a batch and records what came of it. It reports whether
// the batch is over: nothing of it waits for another.
func (l *lane) try(ctx context.Context, b batch) (over bool) {
	items := make([]Item, 0, len(b.rows))
	for i, d := range b.rows {
		o, err := l.row(ctx, b, i)
		switch {
		case err == nil:
			if l.local {
				o.Attempts++ // as the lease does for others
			}
			items = append(items, Item{Outgoing: o})
		case errors.Is(err, storage.ErrNotFound): // settled since it was chosen
		case errors.Is(err, storage.ErrCorrupt):
			// It is asked for again when a lease would end, and does not stop its
			// neighbours.
			l.q.o.Log.Error("a row of the queue cannot be opened", "outgoing", d.ID, "error", err)
			l.keep(ctx, d)
		default:
			l.q.o.Log.Error("the queue cannot be read", "error", err)
			l.giveBack(ctx, notTried, b.rows[i:])
			return false
		}
	}
	switch {
	case len(items) == 0:
	case l.q.o.Frozen(ctx, &items[0].Outgoing): // one message, so one sender for all
		l.giveBack(ctx, whileFrozen, b.rows)
	default:
		return l.settle(ctx, b, items, l.attempt(ctx, items)) && len(items) == len(b.rows)
	}
	return false
}

// row is a row of a batch. One that is known is not read again: whoever has changed it
// since finds that the attempt is recorded for another version, which is a conflict.
func (l *lane) row(ctx context.Context, b batch, i int) (storage.Outgoing, error) {
	if b.known != nil {
		return b.known[i], nil
	}
	return l.q.store.Outgoing(ctx, b.rows[i].Org, b.rows[i].ID)
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
