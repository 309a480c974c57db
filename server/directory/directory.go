package directory

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// Options are what a directory needs beside the store.
type Options struct {
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged

	// Sessions is how many one credential may have at a time, and SessionLength
	// how long one may last; zero: DefaultSessions, DefaultSessionLength. // AC-11
	Sessions      int
	SessionLength time.Duration
}

// Directory answers who is who. It is safe for concurrent use.
type Directory struct {
	store    *storage.Store
	now      func() time.Time
	log      *slog.Logger
	throttle *throttle
	registry *registry
	pending  *pending
	freezes  freezes

	defaultMu sync.Mutex
	defaultID uuid.UUID
}

// New makes a directory over a store. Call Run, or Flush now and then.
func New(store *storage.Store, o Options) *Directory {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Sessions == 0 {
		o.Sessions = DefaultSessions
	}
	if o.SessionLength == 0 {
		o.SessionLength = DefaultSessionLength
	}
	return &Directory{
		store: store, now: o.Now, log: o.Log,
		throttle: newThrottle(), registry: newRegistry(o.Sessions, o.SessionLength), pending: newPending(),
	}
}

// interval of Run: a session must not outlive its credential by more than a
// second (invariant 8), and refusals must not wait longer than they have to.
const interval = 500 * time.Millisecond

// Run ends erasures that a crash cut short, writes what waits, and ends the
// sessions of credentials that expire, until the context is done; then it writes
// what is left.
func (d *Directory) Run(ctx context.Context) {
	var erasing sync.WaitGroup
	erasing.Go(func() { d.finishErasures(ctx) })
	defer erasing.Wait()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.tryFlush(context.WithoutCancel(ctx), time.Time{})
			return
		case <-tick.C:
			d.Expire()
		case <-d.pending.wake:
		}
		d.tryFlush(ctx, d.now())
	}
}

// Expire ends the live sessions whose time is over, that of their credential or
// their own, and says how many.
func (d *Directory) Expire() int { return d.registry.expire(d.now()) }

// Check says whether a session may still act: an *AuthError of class
// ErrCredentials or ErrExpired when its credential, its agent or its own time
// ended, or it is frozen. A verb that takes long asks again before it commits. // AC-9
func (d *Directory) Check(p *Principal) error {
	if no := d.registry.check(p, d.now()); no != nil {
		no.Trace = newTrace()
		return no
	}
	return nil
}

func (d *Directory) tryFlush(ctx context.Context, now time.Time) {
	if err := d.flush(ctx, now); err != nil {
		d.log.Error("what waits for the audit log could not be written; it is kept", "error", err)
	}
}
