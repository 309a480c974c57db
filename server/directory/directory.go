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
}

// Directory answers who is who. It is safe for concurrent use.
type Directory struct {
	store    *storage.Store
	now      func() time.Time
	log      *slog.Logger
	throttle *throttle
	registry *registry
	pending  *pending

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
	return &Directory{
		store: store, now: o.Now, log: o.Log,
		throttle: newThrottle(), registry: newRegistry(), pending: newPending(),
	}
}

// Intervals of Run. Refusals must stand in the log within 10 s (AU-13), and a
// session must not outlive its credential by more than 1 s (invariant 8).
const (
	flushInterval  = 5 * time.Second
	expireInterval = 500 * time.Millisecond
)

// Run writes what waits and ends the sessions of credentials that expire, until
// the context is done; then it writes what is left.
func (d *Directory) Run(ctx context.Context) {
	flush, expire := time.NewTicker(flushInterval), time.NewTicker(expireInterval)
	defer flush.Stop()
	defer expire.Stop()
	for {
		select {
		case <-ctx.Done():
			d.flush(context.WithoutCancel(ctx))
			return
		case <-expire.C:
			d.Expire()
			continue
		case <-flush.C:
		case <-d.pending.wake:
		}
		d.flush(ctx)
	}
}

// Expire ends the live sessions whose credential has reached its end, and says
// how many.
func (d *Directory) Expire() int { return d.registry.expire(d.now()) }

func (d *Directory) flush(ctx context.Context) {
	if err := d.Flush(ctx); err != nil {
		d.log.Error("what waits for the audit log could not be written; it is kept", "error", err)
	}
}
