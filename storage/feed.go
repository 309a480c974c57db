package storage

import (
	"slices"
	"sync"

	"github.com/google/uuid"
)

// feed tells sessions that a mailbox has changed. What it sends is a hint and
// nothing more: a session that has one waiting needs no second, and asks the
// database what it was. So the writer never waits, whatever sessions do.
type feed struct {
	mu       sync.Mutex
	watchers map[topic][]chan struct{}
}

// topic is what is watched: one mailbox, or with the zero mailbox the inbox; the zero
// topic is the log.
type topic struct{ inbox, mailbox uuid.UUID }

func newFeed() *feed { return &feed{watchers: map[topic][]chan struct{}{}} }

func (f *feed) watch(t topic) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	f.watchers[t] = append(f.watchers[t], c)
	f.mu.Unlock()
	return c, sync.OnceFunc(func() { f.unwatch(t, c) })
}

func (f *feed) unwatch(t topic, c chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rest := slices.DeleteFunc(f.watchers[t], func(w chan struct{}) bool { return w == c })
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
		for _, c := range f.watchers[t] {
			select {
			case c <- struct{}{}:
			default: // it has a hint already
			}
		}
	}
}

// Watch gives a channel that receives after commits that changed the mailbox.
// It is a hint without content, coalesced, and never blocks the writer: ask
// Changes what it was. A mailbox of another inbox never gives a hint. Call stop
// when done; the channel is not closed.
func (in *Inbox) Watch(mailbox uuid.UUID) (hint <-chan struct{}, stop func()) {
	return in.store.feed.watch(topic{in.record.ID, mailbox})
}

// WatchAll is Watch for all mailboxes of the inbox and for their creation,
// renaming and deletion.
func (in *Inbox) WatchAll() (hint <-chan struct{}, stop func()) {
	return in.store.feed.watch(topic{inbox: in.record.ID})
}

// WatchLog gives a channel that receives after commits that added to the log, as
// Watch does for a mailbox.
func (s *Store) WatchLog() (hint <-chan struct{}, stop func()) { return s.feed.watch(topic{}) }

// changed sends a hint when the transaction is committed.
func (tx *Tx) changed(in *Inbox, mailbox uuid.UUID) {
	f, inbox := tx.store().feed, in.record.ID
	tx.afterCommit(func() { f.notify(inbox, mailbox) })
}
