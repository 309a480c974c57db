package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// Expiry is how long a recipient is tried before it is given up. RFC 5321,
// section 4.5.4.1: at least 4 to 5 days.
const Expiry = 5 * 24 * time.Hour

// Schedule is the time between attempts; the last is repeated until the row
// expires. RFC 5321, section 4.5.4.1, asks for at least 30 minutes in general
// and allows two tries in the first hour; the first retries are sooner because
// greylisting is.
var Schedule = []time.Duration{
	5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
}

// Options are what a queue needs. Remote, Local, Report and Hostname are required.
type Options struct {
	Hostname string // ours, in reports
	Remote   Transport
	Local    Transport
	// Report prepares a notice for an inbox; its Store runs in the transaction
	// that makes the notice necessary.
	Report func(context.Context, Notice) (Report, error)
	// Forget drops what keeps a transport from trying a host, as that it was away
	// a moment ago: an admin who says "try now" means it. Nil: there is nothing.
	Forget func()

	// Frozen says that a row must wait because what sent it is frozen, asked before
	// each attempt. Nil: nothing ever is. // EV-4
	Frozen func(context.Context, *storage.Outgoing) bool

	// Sessions prepares to count what came of TLS in an attempt; what it returns runs
	// in the transaction that records the attempt, perhaps more than once. Nil: nobody
	// counts.
	Sessions func(ctx context.Context, org uuid.UUID, sessions []TLSSession) (func(*storage.Upkeep) error, error)

	Workers  int             // attempts at a time in each lane; zero: 32
	Places   int             // of them, how many a remote destination takes at a time; zero: 10
	Schedule []time.Duration // nil: Schedule
	Lease    time.Duration   // longer than any attempt; zero: one hour
	Grace    time.Duration   // how long attempts may go on after Run is told to stop; zero: 20 s
	Now      func() time.Time
	Log      *slog.Logger
}

// Queue tries what is due. It is safe for concurrent use.
type Queue struct {
	store *storage.Store
	o     Options
	owner uuid.UUID // of leases: this process
	lanes [2]*lane
	holds chan struct{} // kicks the look-out for holds that end
}

// New makes a queue over a store. Run does the work.
func New(store *storage.Store, o Options) *Queue {
	if o.Workers == 0 {
		o.Workers = 32
	}
	if o.Places == 0 {
		o.Places = 10
	}
	if o.Schedule == nil {
		o.Schedule = Schedule
	}
	if o.Lease == 0 {
		o.Lease = time.Hour
	}
	if o.Grace == 0 {
		o.Grace = 20 * time.Second
	}
	if o.Forget == nil {
		o.Forget = func() {}
	}
	if o.Frozen == nil {
		o.Frozen = func(context.Context, *storage.Outgoing) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{store: store, o: o, owner: storage.NewID(), holds: make(chan struct{}, 1)}
	q.lanes = [2]*lane{newLane(q, false, o.Remote), newLane(q, true, o.Local)}
	return q
}

// Run tries what is due until the context is done. Then nothing new is begun,
// attempts under way have Options.Grace to end, and Run returns when all
// results are recorded. The store must stay open until then.
func (q *Queue) Run(ctx context.Context) error {
	if err := q.takeOver(ctx); err != nil {
		return err
	}
	attempts, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	context.AfterFunc(ctx, func() { time.AfterFunc(q.o.Grace, cut) })
	var lanes sync.WaitGroup
	for _, l := range q.lanes {
		lanes.Go(func() { l.run(ctx, attempts) })
	}
	lanes.Go(func() { q.watchHolds(ctx) })
	lanes.Wait()
	return nil
}

// takeOver ends the leases of a process that died.
func (q *Queue) takeOver(ctx context.Context) error {
	var n int64
	err := q.store.Upkeep(ctx, func(u *storage.Upkeep) (err error) {
		n, err = u.TakeOverOutgoing(q.owner)
		return err
	})
	if n > 0 {
		q.o.Log.Info("attempts that were interrupted will be made again", "recipients", n)
	}
	return err
}

// Take has the queue begin with rows that were committed a moment ago, all of one
// message. The table says what is to be done, and would be looked at anyway in the end;
// but mail to our own inboxes is mostly begun at once. It never waits for an attempt.
func (q *Queue) Take(rows []storage.Outgoing) {
	inside := map[group]*batch{}
	for i := range rows {
		o := &rows[i]
		switch {
		case o.State == storage.OutgoingHeld:
			q.kickHolds()
		case !o.Local:
			q.lanes[0].wake()
		default:
			d := o.JustDue()
			b := inside[groupOf(d)]
			if b == nil {
				b = &batch{first: choice{DueOutgoing: d}}
				inside[groupOf(d)] = b
			}
			b.rows, b.known = append(b.rows, d), append(b.known, *o)
		}
	}
	for _, b := range inside {
		if local := q.lanes[1]; len(b.rows) > maxBatch || !local.hand(*b) {
			local.wake()
		}
	}
}

// Kick has the queue look for what is due: when somebody changed that, or a test
// has moved the clock. It never blocks.
func (q *Queue) Kick() {
	for _, l := range q.lanes {
		l.wake()
	}
	q.kickHolds()
}

// kickHolds has the queue look when the next hold ends.
func (q *Queue) kickHolds() {
	select {
	case q.holds <- struct{}{}:
	default:
	}
}
