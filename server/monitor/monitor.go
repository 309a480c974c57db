package monitor

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"postern/storage"
)

// Rules are what policy says about one agent's alerts.
type Rules struct {
	Mail   []string            // addresses that are told
	Freeze []storage.AlertKind // kinds at which the agent is frozen at once
}

// Notice is mail that is ready to be stored. Store runs inside a transaction,
// perhaps more than once; Discard frees what was prepared.
type Notice struct {
	Store   func(tx *storage.Tx) error
	Discard func()
}

// Options are what a monitor needs beside the store. Functions that are nil are
// not called: then nobody is told, or frozen.
type Options struct {
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged

	// Rules loads what policy says about an alert.
	Rules func(ctx context.Context, a *storage.Alert) (Rules, error)
	// Freeze stops the agent of an alert. An agent that is frozen stays so.
	Freeze func(ctx context.Context, a *storage.Alert) error
	// Mail prepares a notice about an alert to one address; frozen says that the
	// agent was stopped because of it. A zero Notice: that one cannot be told.
	Mail func(ctx context.Context, a *storage.Alert, to string, frozen bool) (Notice, error)
	// Kick tells the queue that it has mail.
	Kick func()
	// Announce prepares what webhooks are told about an alert.
	Announce func(ctx context.Context, a *storage.Alert) (func(u *storage.Upkeep) error, error)
}

// Monitor follows the log. Its methods are called by one goroutine at a time.
type Monitor struct {
	store *storage.Store
	o     Options

	watch, react position
	sessions     sessions
	reminded     time.Time // when Remind looked last
	said         string    // the last error, so that a lasting one is logged once
}

// position is how far one of the followers has come.
type position struct {
	name  string
	ready bool
	next  uint64 // to read
	saved uint64 // in the database
}

// New makes a monitor. Call Run, or its steps by themselves.
func New(store *storage.Store, o Options) *Monitor {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Monitor{store: store, o: o, watch: position{name: "monitor"}, react: position{name: "reaction"}, sessions: newSessions()}
}

// interval of Run: an alert comes within two seconds of what it is about, and of
// these the end of a session may take one and a half to be on record.
const interval = 400 * time.Millisecond

// Run watches, reminds and reacts until the context is done.
func (m *Monitor) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		m.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round reads on until there is nothing more to read.
func (m *Monitor) round(ctx context.Context) {
	for _, step := range []func(context.Context) (bool, error){m.Watch, m.Remind, m.React} {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = step(ctx); err != nil {
				m.complain(ctx, err)
				break
			}
		}
	}
}

func (m *Monitor) complain(ctx context.Context, err error) {
	if ctx.Err() != nil || err.Error() == m.said {
		return
	}
	m.said = err.Error()
	m.o.Log.Error("the monitor cannot go on and tries again", "error", err)
}

// locate finds out where a follower is. One that was never here begins at the
// beginning: what the log has is worth learning.
func (m *Monitor) locate(ctx context.Context, p *position) (err error) {
	if p.ready {
		return nil
	}
	if p.next, err = m.store.Cursor(ctx, p.name); err != nil {
		return err
	}
	p.saved, p.ready = p.next, true
	return nil
}

// saveEvery is how many numbers of the log may be read again after a crash, where
// nothing followed from them.
const saveEvery = 4096

// frozenBy reports whether rules freeze at a kind.
func (r Rules) frozenBy(kind storage.AlertKind) bool { return slices.Contains(r.Freeze, kind) }
