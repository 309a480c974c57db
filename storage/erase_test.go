package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"postern/storage/audit"
)

// doomed is a store with two inboxes that share a body, one of which is to go:
// it has some hundred messages, one of them in a file, mail in the queue, and a
// history of reads and removals.
func doomed(t *testing.T) (ts *testStore, gone, stays InboxRecord) {
	t.Helper()
	ts = newTestStore(t)
	org, dom, gone := ts.addOrg(t, "example.com", "gone")
	id, err := ts.NewInboxKey(t.Context(), org.ID)
	if err != nil {
		t.Fatal(err)
	}
	stays = InboxRecord{Head: Head{ID: id, Org: org.ID}, Domain: dom.ID, Address: "stays@example.com", Env: Live}
	ts.write(t, audit.InboxCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateInbox(e, &stays) })

	in, other := ts.openInbox(t, gone), ts.openInbox(t, stays)
	box, kept := ts.role(t, in, RoleInbox).ID, ts.role(t, other, RoleInbox).ID
	for n := range eraseRows + 20 {
		ts.deposit(t, in, box, []byte("Subject: hello\r\n\r\nHello.\r\n"), letter(n))
	}
	large := make([]byte, 2*inlineLimit)
	rand.Read(large)
	ts.deposit(t, in, ts.role(t, in, RoleArchive).ID, large, letter(1))
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, box, []UIDRange{{First: 3, Last: 3}}, false)
		return err
	})
	ts.write(t, audit.MessageRead, func(tx *Tx, e *audit.Event) error {
		return tx.RecordRead(e, in, newID(), box, []UIDRange{{First: 1, Last: 2}})
	})
	g := ts.stage(t, []byte("Subject: shared\r\n\r\nTo both.\r\n"))
	defer g.Discard()
	ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) error {
		body, err := tx.AddBody(g)
		if err != nil {
			return err
		}
		d := letter(2)
		d.Body, d.SHA256 = body, g.SHA256()
		if _, err := tx.Deposit(e, in, box, d); err != nil {
			return err
		}
		_, err = tx.Deposit(tx.Record(audit.Event{Verb: audit.MessageReceived}), other, kept, d)
		return err
	})
	ts.enqueue(t, gone, "Subject: out\r\n\r\nOn its way.\r\n", "ann@far.example", "bob@far.example")
	ts.capture(t, gone, "Subject: trial\r\n\r\nTo nobody.\r\n", "ann@far.example")
	return ts, gone, stays
}

func (ts *testStore) remove(t testing.TB, in InboxRecord, force bool) error {
	t.Helper()
	return ts.Write(context.Background(), audit.Actor{Kind: audit.Unix, Name: "root"}, func(tx *Tx) error {
		in := in
		return tx.RemoveInbox(tx.Record(audit.Event{Verb: audit.InboxRemove, Personal: audit.Fields{audit.Text(audit.KeyNote, "asked to")}}), &in, force)
	})
}

// restart is a kill, the verifier's look at what is there, and a start.
func (ts *testStore) restart(t testing.TB) {
	t.Helper()
	ts.Abandon()
	r, err := VerifyData(t.Context(), ts.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Fatalf("after a kill: %v", r.Problems)
	}
	ts.open(t)
}

// TestCO5_ErasureSurvivesAKillAfterEachStep: wherever an erasure is cut, the log
// accounts for what is there, the inbox opens nowhere, and the next process ends
// what was begun.
func TestCO5_ErasureSurvivesAKillAfterEachStep(t *testing.T) {
	ts, gone, stays := doomed(t)
	wrapped, err := ts.keys.wrappedInbox(t.Context(), gone.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.remove(t, gone, true); err != nil {
		t.Fatal(err)
	}
	steps := 0
	for more := true; more; steps++ {
		ts.restart(t)
		assertKeyGone(t, ts, wrapped) // also when no step was made: the start did it
		if _, err := ts.OpenInbox(t.Context(), gone.Org, gone.ID); !errors.Is(err, ErrNotFound) {
			t.Fatalf("open after %d steps: %v", steps, err)
		}
		if left, err := ts.Erasures(t.Context()); err != nil || len(left) != 1 {
			t.Fatalf("%d left after %d steps, %v", len(left), steps, err)
		}
		if more, err = ts.eraseStep(t.Context(), gone.ID); err != nil {
			t.Fatal(err)
		}
	}
	if steps < 10 {
		t.Errorf("%d steps: the queue, two of INBOX, seven mailboxes and the end are more", steps)
	}
	ts.restart(t)
	assertErased(t, ts, gone, stays)
}

// assertKeyGone looks for the wrapped key in all bytes of the key store.
func assertKeyGone(t *testing.T, ts *testStore, wrapped []byte) {
	t.Helper()
	for name, data := range copyFiles(t, ts.cfg.Dir) {
		if bytes.Contains(data, wrapped) {
			t.Fatalf("the destroyed key is still in %s", name)
		}
	}
}

func assertErased(t *testing.T, ts *testStore, gone, stays InboxRecord) {
	t.Helper()
	for _, c := range []struct {
		what, query string
		want        int
	}{
		{"mailboxes", "SELECT COUNT(*) FROM mailbox", len(standardMailboxes)},
		{"messages", "SELECT COUNT(*) FROM message", 1},
		{"contents", "SELECT COUNT(*) FROM content", 1},
		{"bodies", "SELECT COUNT(*) FROM body", 1},
		{"read ranges", "SELECT COUNT(*) FROM read_range", 0},
		{"vanished", "SELECT COUNT(*) FROM vanished", 0},
		{"queue rows", "SELECT COUNT(*) FROM outgoing", 0},
		{"validities", "SELECT COUNT(*) FROM uid_validity", 1},
		{"erasures", "SELECT COUNT(*) FROM erasure", 0},
	} {
		if n := ts.number(t, c.query); n != c.want {
			t.Errorf("%s: %d, want %d", c.what, n, c.want)
		}
	}
	if files, err := os.ReadDir(filepath.Join(ts.cfg.Dir, bodiesDir)); err != nil || len(files) != 0 {
		t.Errorf("files of bodies: %v, %v", files, err)
	}
	in := ts.openInbox(t, stays)
	all := scanAll(t, in, ts.role(t, in, RoleInbox).ID)
	if len(all) != 1 || !bytes.Contains(readBody(t, in, &all[0]), []byte("To both.")) {
		t.Error("the other inbox lost its message")
	}
	assertLogOfErasure(t, ts, gone)
}

// assertLogOfErasure: what the inbox did stays in the log and says nothing
// personal; who removed it, and why, does.
func assertLogOfErasure(t *testing.T, ts *testStore, gone InboxRecord) {
	t.Helper()
	events, err := ts.Events(t.Context(), EventQuery{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	count := map[audit.Verb]int{}
	for _, e := range events {
		if e.Object == gone.ID {
			count[e.Verb]++
		}
		if e.Inbox == gone.ID && len(e.Personal) > 0 {
			t.Errorf("event %d %s can still be read: %v", e.Seq, e.Verb, e.Personal)
		}
		if e.Verb == audit.InboxRemove && (e.Actor.Name != "root" || e.Personal.Text(audit.KeyNote) != "asked to") {
			t.Errorf("who and why: %+v", e)
		}
	}
	if count[audit.InboxCreate] != 1 || count[audit.InboxRemove] != 1 || count[audit.InboxErased] != 1 {
		t.Errorf("events: %v", count)
	}
}

// TestCO5_NothingEntersARemovedInbox: a door that was opened before the removal
// leads nowhere after it, and what a session says of its own end is accepted.
func TestCO5_NothingEntersARemovedInbox(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	rec := in.record
	wrapped, err := ts.keys.wrappedInbox(t.Context(), rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.remove(t, rec, false); err != nil {
		t.Fatal(err)
	}
	g := ts.stage(t, []byte("Subject: late\r\n\r\n"))
	defer g.Discard()
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		body, err := tx.AddBody(g)
		if err != nil {
			return err
		}
		d := letter(1)
		d.Body = body
		_, err = tx.Deposit(tx.Record(audit.Event{Verb: audit.MessageReceived}), in, inbox, d)
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("a late deposit: %v, want ErrNotFound", err)
	}
	ts.write(t, audit.SessionEnd, func(tx *Tx, e *audit.Event) error {
		e.Org, e.Inbox = rec.Org, rec.ID
		e.Personal = audit.Fields{audit.Text(audit.KeyMessageID, "<a@example.com>")}
		return nil
	})
	if err := ts.EraseInbox(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	assertKeyGone(t, ts, wrapped) // from the log too, while the process lives
	if err := ts.EraseInbox(t.Context(), rec.ID); err != nil {
		t.Errorf("a second erasure: %v", err)
	}
	if err := ts.remove(t, rec, false); !errors.Is(err, ErrConflict) {
		t.Errorf("a second removal: %v, want ErrConflict", err)
	}
	ts.restart(t)
	id, err := ts.NewInboxKey(t.Context(), rec.Org)
	if err != nil {
		t.Fatal(err)
	}
	again := InboxRecord{Head: Head{ID: id, Org: rec.Org}, Domain: rec.Domain, Address: rec.Address, Env: Live}
	ts.write(t, audit.InboxCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateInbox(e, &again) })
	ts.restart(t)
}

// TestRemoveInboxAsksForQueuedMail: mail on its way is given up only when that is
// said, and never in the middle of an attempt.
func TestRemoveInboxAsksForQueuedMail(t *testing.T) {
	ts := newTestStore(t)
	_, _, rec := ts.addOrg(t, "example.com", "support")
	rows := ts.enqueue(t, rec, "Subject: out\r\n\r\n", "ann@far.example", "bob@far.example")
	var q *QueuedError
	if err := ts.remove(t, rec, false); !errors.As(err, &q) || q.Rows != 2 || q.UnderWay {
		t.Errorf("with a queue: %v", err)
	}
	owner := newID()
	ts.lease(t, owner, rows[0].ID)
	if err := ts.remove(t, rec, true); !errors.As(err, &q) || !q.UnderWay {
		t.Errorf("with an attempt: %v", err)
	}
	err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.ReturnOutgoing(owner, u.Now(), []DueOutgoing{{ID: rows[0].ID}}) })
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.remove(t, rec, true); err != nil {
		t.Fatal(err)
	}
	if taken := ts.lease(t, owner, rows[0].ID, rows[1].ID); len(taken) != 0 {
		t.Errorf("an attempt began for %v, whose inbox is gone", taken)
	}
	if err := ts.EraseInbox(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	ts.restart(t)
}

// TestVerifyDataMissesAKey: a key that was taken away without a removal is named.
func TestVerifyDataMissesAKey(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.deposit(t, in, inbox, []byte("Subject: one\r\n\r\n"), letter(1))
	if _, err := ts.keys.destroyInbox(t.Context(), in.ID()); err != nil {
		t.Fatal(err)
	}
	ts.Abandon()
	r, err := VerifyData(t.Context(), ts.cfg)
	if err != nil || r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestStartForgetsWhatVanished: no session is older than the process.
func TestStartForgetsWhatVanished(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.deposit(t, in, inbox, []byte("Subject: one\r\n\r\n"), letter(1))
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, inbox, allUIDs, false)
		return err
	})
	if n := ts.number(t, "SELECT COUNT(*) FROM vanished"); n != 1 {
		t.Fatalf("%d rows", n)
	}
	ts.restart(t)
	if n := ts.number(t, "SELECT COUNT(*) FROM vanished"); n != 0 {
		t.Errorf("%d rows after a start", n)
	}
}
