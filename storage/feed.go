package storage

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// feed tells sessions that a mailbox has changed. What it sends is a hint and
// nothing more: a session that has one waiting needs no second, and asks the
// database what it was. So the writer never waits, whatever sessions do.
type feed struct {
	mu       sync.Mutex
	watchers map[topic][]*Watch
}

// A Watch is told of changes.
type Watch struct {
	hint  chan struct{}
	count atomic.Uint64
	stop  func()

	wake   atomic.Pointer[func()]
	waking atomic.Bool // a goroutine that calls it has not begun yet
}

// Hint receives after commits that changed what is watched. It is a hint without
// content, coalesced: ask what it was. It is not closed.
func (w *Watch) Hint() <-chan struct{} { return w.hint }

// Count is how many changes there were, each of which is counted before its hint. Who
// has taken the hint, and knows as many changes as there were, has missed none.
func (w *Watch) Count() uint64 { return w.count.Load() }

// OnHint has fn called too, in a goroutine of its own, so that nobody need wait for the
// hint in one. Calls are coalesced as hints are, and one may begin while the one before
// still runs. Nil: no call begins any more but one that is about to.
func (w *Watch) OnHint(fn func()) {
	if fn == nil {
		w.wake.Store(nil)
		return
	}
	w.wake.Store(&fn)
}

// tell gives a hint, and never waits.
func (w *Watch) tell() {
	w.count.Add(1)
	select {
	case w.hint <- struct{}{}:
	default: // it has a hint already
	}
	if fn := w.wake.Load(); fn != nil && w.waking.CompareAndSwap(false, true) {
		go func() {
			w.waking.Store(false)
			(*fn)()
		}()
	}
}

// Stop ends the hints.
func (w *Watch) Stop() { w.stop() }

// topic is what is watched: one mailbox, or with the zero mailbox the inbox; the zero
// topic is the log.
type topic struct{ inbox, mailbox uuid.UUID }

func newFeed() *feed { return &feed{watchers: map[topic][]*Watch{}} }

func (f *feed) watch(t topic) *Watch {
	w := &Watch{hint: make(chan struct{}, 1)}
	w.stop = sync.OnceFunc(func() { f.unwatch(t, w) })
	f.mu.Lock()
	f.watchers[t] = append(f.watchers[t], w)
	f.mu.Unlock()
	return w
}

func (f *feed) unwatch(t topic, w *Watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rest := slices.DeleteFunc(f.watchers[t], func(other *Watch) bool { return other == w })
	if len(rest) == 0 {
		delete(f.watchers, t)
		return
	}
	f.watchers[t] = rest
}

func (f *feed) notify(inbox, mailbox uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range [2]topic{{inbox, mailbox}, {inbox: inbox}} {
		for _, w := range f.watchers[t] {
			w.tell()
		}
	}
}

// Watch tells of commits that changed the mailbox, and never blocks the writer: ask
// Changes what it was. A mailbox of another inbox never gives a hint. Call Stop when
// done.
func (in *Inbox) Watch(mailbox uuid.UUID) *Watch {
	return in.store.feed.watch(topic{in.record.ID, mailbox})
}

// WatchAll is Watch for all mailboxes of the inbox and for their creation,
// renaming and deletion.
func (in *Inbox) WatchAll() *Watch {
	return in.store.feed.watch(topic{inbox: in.record.ID})
}

// WatchLog tells of commits that added to the log, as Watch does for a mailbox.
func (s *Store) WatchLog() *Watch { return s.feed.watch(topic{}) }

// changed sends a hint when the transaction is committed.
func (tx *Tx) changed(in *Inbox, mailbox uuid.UUID) {
	f, inbox := tx.store().feed, in.record.ID
	tx.afterCommit(func() { f.notify(inbox, mailbox) })
}
