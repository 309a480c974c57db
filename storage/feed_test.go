package storage

import (
	"testing"

	"postern/storage/audit"
)

// TestFeed: hints come after commits, coalesced, to those who watch the mailbox
// or the inbox; a rolled back change gives none.
func TestFeed(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	sent := ts.role(t, in, RoleSent).ID
	one := in.Watch(inbox)
	two := in.Watch(inbox)
	other := in.Watch(sent)
	all := in.WatchAll()
	expect := func(what string, nOne, nTwo, nOther, nAll int) {
		t.Helper()
		for i, c := range []struct {
			w    *Watch
			want int
		}{{one, nOne}, {two, nTwo}, {other, nOther}, {all, nAll}} {
			if len(c.w.Hint()) != c.want {
				t.Errorf("%s: watcher %d has %d hints", what, i, len(c.w.Hint()))
			}
			for len(c.w.Hint()) > 0 {
				<-c.w.Hint()
			}
		}
	}
	for i := range 3 {
		ts.deposit(t, in, inbox, []byte("x"), letter(i))
	}
	expect("three deposits", 1, 1, 0, 1)
	if one.Count() != 3 || other.Count() != 0 {
		t.Errorf("three deposits were counted as %d, and %d elsewhere", one.Count(), other.Count())
	}
	_ = ts.Write(t.Context(), System, func(tx *Tx) error {
		_, err := tx.SetFlags(tx.Record(audit.Event{Verb: audit.MessageFlagged}), in, inbox, allUIDs, AddFlags, Seen, nil)
		if err != nil {
			return err
		}
		return errUndo
	})
	expect("a change that was undone", 0, 0, 0, 0)
	ts.write(t, audit.MessageMoved, func(tx *Tx, e *audit.Event) error {
		_, _, err := tx.MoveMessages(e, in, inbox, []UIDRange{{First: 1, Last: 1}}, sent)
		return err
	})
	expect("a move", 1, 1, 1, 1)
	ts.write(t, audit.MailboxCreate, func(tx *Tx, e *audit.Event) error {
		_, err := tx.CreateMailbox(e, in, "New", RoleNone)
		return err
	})
	expect("a new mailbox", 0, 0, 0, 1)
	one.Stop()
	one.Stop()
	ts.deposit(t, in, inbox, []byte("x"), letter(9))
	expect("after one has stopped", 0, 1, 0, 1)
	two.Stop()
	other.Stop()
	all.Stop()
	if n := len(ts.feed.watchers); n != 0 {
		t.Errorf("%d topics are left", n)
	}
}

// TestFeedWakes: who wants no goroutine that waits is called in one, once for changes that come together, and not any
// more when it is over.
func TestFeedWakes(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	w := in.Watch(inbox)
	defer w.Stop()
	called := make(chan uint64, 100)
	w.OnHint(func() { called <- w.Count() })
	for i := range 10 {
		ts.deposit(t, in, inbox, []byte("x"), letter(i))
	}
	for <-called < 10 { // the last call comes after the last change
	}
	w.OnHint(nil)
	ts.deposit(t, in, inbox, []byte("x"), letter(11))
	if n := len(called); n > 1 || len(w.Hint()) != 1 { // one may have been about to begin
		t.Errorf("%d calls after the end, %d hints", n, len(w.Hint()))
	}
}
