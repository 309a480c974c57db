package storage

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// enqueue stages a message and queues it for recipients, all in one write.
func (ts *testStore) enqueue(t testing.TB, in InboxRecord, text string, to ...string) []Outgoing {
	t.Helper()
	g := ts.Stage()
	defer g.Discard()
	io.WriteString(g, text)
	if err := g.Finish(); err != nil {
		t.Fatal(err)
	}
	sum := g.SHA256()
	var rows []Outgoing
	message := newID()
	ts.write(t, audit.MessageSubmitted, func(tx *Tx, e *audit.Event) error {
		rows = nil
		body, err := tx.AddBody(g)
		if err != nil {
			return err
		}
		for _, r := range to {
			o := Outgoing{Head: Head{Org: in.Org}, Inbox: in.ID, Agent: ts.agent, Message: message, State: OutgoingQueued, From: in.Address, To: r,
				SHA256: sum[:], Expires: tx.Now().Add(time.Hour), Local: strings.HasSuffix(r, "@example.com")}
			_, domain, _ := strings.Cut(r, "@")
			if err := tx.CreateOutgoing(e, &o, body, domain); err != nil {
				return err
			}
			rows = append(rows, o)
		}
		return nil
	})
	return rows
}

func (ts *testStore) lease(t testing.TB, owner uuid.UUID, ids ...uuid.UUID) (taken []DueOutgoing) {
	t.Helper()
	var rows []DueOutgoing
	for _, id := range ids {
		rows = append(rows, DueOutgoing{ID: id})
	}
	err := ts.Upkeep(t.Context(), func(u *Upkeep) (err error) {
		taken, err = u.LeaseOutgoing(owner, u.Now().Add(time.Hour), rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func (ts *testStore) dueNow(t testing.TB, local bool) []DueOutgoing {
	t.Helper()
	due, _, err := ts.DueOutgoing(t.Context(), local, ts.clock.now(), 100)
	if err != nil {
		t.Fatal(err)
	}
	return due
}

func count(t testing.TB, ts *testStore, query string) (n int) {
	t.Helper()
	if err := ts.read(t.Context(), func(r *reads) error { return r.row(query).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOutgoingLife follows a message for two recipients from the queue to its end:
// the body lives until the last recipient is settled.
func TestOutgoingLife(t *testing.T) {
	ts := newTestStore(t)
	_, _, in := ts.addOrg(t, "example.com", "a")
	rows := ts.enqueue(t, in, "Subject: x\r\n\r\nhello\r\n", "b@remote.test", "c@remote.test")
	ctx := t.Context()

	got, err := ts.Outgoing(ctx, in.Org, rows[0].ID)
	if err != nil || got.To != "b@remote.test" || got.From != in.Address || got.Attempts != 0 || got.Version != 1 {
		t.Fatalf("row: %+v, %v", got, err)
	}
	body, err := ts.OpenOutgoing(ctx, &got)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	body.Close()
	if err != nil || string(text) != "Subject: x\r\n\r\nhello\r\n" {
		t.Fatalf("body %q, %v", text, err)
	}
	due := ts.dueNow(t, false)
	if len(due) != 2 || len(ts.dueNow(t, true)) != 0 {
		t.Fatalf("%d due in the remote lane, want 2", len(due))
	}
	if together, err := ts.DueOutgoingWith(ctx, due[0], ts.clock.now(), 100); err != nil || len(together) != 2 {
		t.Errorf("%d recipients share a transaction, want 2: %v", len(together), err)
	}
	for i, o := range rows {
		ts.write(t, audit.QueueDelivered, func(tx *Tx, e *audit.Event) error { return tx.SettleOutgoing(e, &o) })
		if n := count(t, ts, "SELECT COUNT(*) FROM body"); n != 1-i {
			t.Errorf("%d bodies after %d recipients were settled", n, i+1)
		}
	}
	if _, err := ts.Outgoing(ctx, in.Org, rows[0].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a settled row: %v", err)
	}
	// A result is recorded once: the second record finds no row.
	err = ts.Write(ctx, System, func(tx *Tx) error {
		return tx.SettleOutgoing(tx.Record(audit.Event{Verb: audit.QueueDelivered}), &rows[0])
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("settled twice: %v", err)
	}
}

func TestLeases(t *testing.T) {
	ts := newTestStore(t)
	_, _, in := ts.addOrg(t, "example.com", "a")
	o := ts.enqueue(t, in, "x", "b@remote.test")[0]
	me, dead := newID(), newID()
	if n := len(ts.lease(t, dead, o.ID)); n != 1 {
		t.Fatalf("%d rows leased", n)
	}
	if n := len(ts.lease(t, me, o.ID)); n != 0 || len(ts.dueNow(t, false)) != 0 {
		t.Error("a leased row was leased again")
	}
	// While an attempt is under way an operator changes nothing.
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		held := o
		held.State = OutgoingHeld
		return tx.UpdateOutgoing(tx.Record(audit.Event{Verb: audit.QueueHold}), &held)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("hold during an attempt: %v", err)
	}
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.QueueBounce})
		return tx.OutgoingIdle(&o)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("bounce during an attempt: %v", err)
	}
	var n int64
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) (err error) { n, err = u.TakeOverOutgoing(me); return err }); err != nil || n != 1 {
		t.Fatalf("%d leases of a dead process taken over: %v", n, err)
	}
	if n := len(ts.lease(t, me, o.ID)); n != 1 {
		t.Error("a row that was taken over is not due at once")
	}
	got, err := ts.Outgoing(t.Context(), in.Org, o.ID)
	if err != nil || got.Attempts != 2 {
		t.Errorf("%d attempts begun, want 2: %v", got.Attempts, err)
	}
	// Given back: not an attempt, and due when said.
	later := ts.clock.now().Add(time.Minute)
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.ReturnOutgoing(me, later, []DueOutgoing{{ID: o.ID}}) }); err != nil {
		t.Fatal(err)
	}
	got, err = ts.Outgoing(t.Context(), in.Org, o.ID)
	if err != nil || got.Attempts != 1 || !got.Due.Equal(later.Truncate(time.Microsecond)) {
		t.Errorf("given back: %d attempts, due %v: %v", got.Attempts, got.Due, err)
	}
	if at, ok, err := ts.NextOutgoing(t.Context(), false); err != nil || !ok || !at.Equal(got.Due) {
		t.Errorf("next due %v, %v, %v", at, ok, err)
	}
}

// TestDelayed: rows that nobody leased wait when asked to, unless they changed.
func TestDelayed(t *testing.T) {
	ts := newTestStore(t)
	_, _, in := ts.addOrg(t, "example.com", "a")
	rows := ts.enqueue(t, in, "x", "b@example.com", "c@example.com", "d@example.com")
	due := ts.dueNow(t, true)
	ts.lease(t, newID(), rows[0].ID)
	ts.write(t, audit.QueueRetry, func(tx *Tx, e *audit.Event) error { o := rows[1]; return tx.UpdateOutgoing(e, &o) })
	later := ts.clock.now().Add(time.Minute).Truncate(time.Microsecond)
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.DelayOutgoing(later, due) }); err != nil {
		t.Fatal(err)
	}
	for i, o := range rows {
		got, err := ts.Outgoing(t.Context(), in.Org, o.ID)
		if err != nil || got.Due.Equal(later) != (i == 2) || got.Attempts > 1 {
			t.Errorf("recipient %d is due %v, %v", i, got.Due, err)
		}
	}
}

// TestErasureBeatsSettlement: mail of an inbox that is being erased is given up, and
// not delivered in the last moment.
func TestErasureBeatsSettlement(t *testing.T) {
	ts := newTestStore(t)
	_, _, in := ts.addOrg(t, "example.com", "a")
	o := ts.enqueue(t, in, "x", "b@example.com")[0]
	ts.write(t, audit.InboxRemove, func(tx *Tx, e *audit.Event) error { return tx.RemoveInbox(e, &in, true) })
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.SettleOutgoing(tx.Record(audit.Event{Verb: audit.QueueDelivered}), &o)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("settled: %v", err)
	}
}

// TestInvariant9_OutgoingHints edits clear columns of a held row, as one who wants
// it to leave would.
func TestInvariant9_OutgoingHints(t *testing.T) {
	for _, edit := range []string{"state = 1", "local = 1", "inbox = randomblob(16)", "turn = randomblob(16)", "message = randomblob(16)", "body = 7",
		"created = 1", "org = randomblob(16)", "version = 9", "sealed = randomblob(300)"} {
		ts := newTestStore(t)
		_, _, in := ts.addOrg(t, "example.com", "a")
		o := ts.enqueue(t, in, "x", "b@remote.test")[0]
		ts.write(t, audit.QueueHold, func(tx *Tx, e *audit.Event) error {
			held := o
			held.State = OutgoingHeld
			return tx.UpdateOutgoing(e, &held)
		})
		ts.write(t, audit.ClockStep, func(tx *Tx, e *audit.Event) error { return tx.exec("UPDATE outgoing SET " + edit) })
		_, err := ts.outgoings(t.Context(), "id = $1", o.ID[:])
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", edit, err)
		}
	}
}

func TestHeldRowsWait(t *testing.T) {
	ts := newTestStore(t)
	_, _, in := ts.addOrg(t, "example.com", "a")
	o := ts.enqueue(t, in, "x", "b@remote.test")[0]
	ts.write(t, audit.QueueHold, func(tx *Tx, e *audit.Event) error {
		held := o
		held.State = OutgoingHeld
		return tx.UpdateOutgoing(e, &held)
	})
	if n := len(ts.dueNow(t, false)); n != 0 {
		t.Errorf("%d held rows are due", n)
	}
	counts, err := ts.OutgoingCounts(t.Context(), in.Org)
	if err != nil || len(counts) != 1 || counts[0].State != OutgoingHeld || counts[0].Count != 1 {
		t.Errorf("counts %+v, %v", counts, err)
	}
	ended, err := ts.EndedHolds(t.Context(), ts.clock.now(), 10)
	if err != nil || len(ended) != 0 {
		t.Errorf("%d holds ended before their time: %v", len(ended), err)
	}
	ts.clock.advance(2 * time.Hour)
	if ended, err = ts.EndedHolds(t.Context(), ts.clock.now(), 10); err != nil || len(ended) != 1 {
		t.Errorf("invariant 12: %d holds ended: %v", len(ended), err)
	}
}

func TestAC19_OutgoingOfAnotherOrganization(t *testing.T) {
	ts := newTestStore(t)
	_, _, in := ts.addOrg(t, "example.com", "a")
	other, _, _ := ts.addOrg(t, "other.test", "a")
	o := ts.enqueue(t, in, "x", "b@remote.test")[0]
	if _, err := ts.Outgoing(t.Context(), other.ID, o.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("row of another organization: %v", err)
	}
	if all, err := ts.Outgoings(t.Context(), other.ID, uuid.Nil, 10); err != nil || len(all) != 0 {
		t.Errorf("%d rows of another organization: %v", len(all), err)
	}
}

func TestSendersInTurn(t *testing.T) {
	ts := newTestStore(t)
	_, dom, a := ts.addOrg(t, "example.com", "a")
	id, err := ts.NewInboxKey(t.Context(), a.Org)
	if err != nil {
		t.Fatal(err)
	}
	b := InboxRecord{Head: Head{ID: id, Org: a.Org}, Domain: dom.ID, Address: "b@example.com", Env: Live}
	ts.write(t, audit.InboxCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateInbox(e, &b) })
	for range 5 {
		ts.enqueue(t, a, "x", "r@remote.test")
	}
	ts.enqueue(t, b, "x", "r@remote.test")
	first, ok, err := ts.NextSender(t.Context(), false, uuid.Nil)
	if err != nil || !ok || first != a.ID {
		t.Fatalf("first sender %v, %v, %v", first, ok, err)
	}
	second, ok, err := ts.NextSender(t.Context(), false, first)
	if err != nil || !ok || second != b.ID {
		t.Fatalf("second sender %v, %v, %v", second, ok, err)
	}
	if _, ok, err := ts.NextSender(t.Context(), false, second); ok || err != nil {
		t.Errorf("a third sender: %v, %v", ok, err)
	}
	if due, err := ts.DueOutgoingOf(t.Context(), false, a.ID, ts.clock.now(), 3); err != nil || len(due) != 3 {
		t.Errorf("%d rows of the first sender: %v", len(due), err)
	}
	// An agent is one sender, from whichever inbox.
	agent := newID()
	ts.agent = agent
	ts.enqueue(t, a, "x", "r@remote.test")
	ts.enqueue(t, b, "x", "r@remote.test")
	if third, ok, err := ts.NextSender(t.Context(), false, second); err != nil || !ok || third != agent {
		t.Errorf("third sender %v, %v, %v", third, ok, err)
	}
	if due, err := ts.DueOutgoingOf(t.Context(), false, agent, ts.clock.now(), 3); err != nil || len(due) != 2 {
		t.Errorf("%d rows of the agent: %v", len(due), err)
	}
}

func TestIdempotent(t *testing.T) {
	ts := newTestStore(t)
	_, _, rec := ts.addOrg(t, "example.com", "a")
	in, err := ts.OpenInbox(t.Context(), rec.Org, rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	use := func(agent uuid.UUID, key string, message uuid.UUID) (first uuid.UUID, seen bool) {
		ts.write(t, audit.MessageSubmitted, func(tx *Tx, _ *audit.Event) (err error) {
			first, seen, err = tx.Idempotent(in, agent, key, message)
			return err
		})
		return first, seen
	}
	agent, m1, m2, m3 := newID(), newID(), newID(), newID()
	if first, seen := use(agent, "k", m1); seen || first != m1 {
		t.Error("a new key was seen before")
	}
	if first, seen := use(agent, "k", m2); !seen || first != m1 {
		t.Error("a key used twice does not give the first message")
	}
	if _, seen := use(newID(), "k", m2); seen {
		t.Error("keys of two agents are one")
	}
	if _, seen := use(agent, "l", m2); seen {
		t.Error("two keys are one")
	}
	ts.clock.advance(25 * time.Hour)
	if first, seen := use(agent, "k", m3); seen || first != m3 {
		t.Error("a key is kept for more than a day")
	}
	if n := count(t, ts, "SELECT COUNT(*) FROM idempotency"); n != 1 {
		t.Errorf("%d keys are kept after their day, want the new one", n)
	}
}
