package storage

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// capture stages a message of a test inbox and captures it for recipients, all in one write.
func (ts *testStore) capture(t testing.TB, in InboxRecord, text string, to ...string) []Captured {
	t.Helper()
	g := ts.stage(t, []byte(text))
	defer g.Discard()
	sum := g.SHA256()
	var rows []Captured
	message := newID()
	ts.write(t, audit.MessageCaptured, func(tx *Tx, e *audit.Event) error {
		rows = nil
		body, err := tx.AddBody(g)
		if err != nil {
			return err
		}
		for _, r := range to {
			c := Captured{Head: Head{Org: in.Org}, Inbox: in.ID, Message: message, From: in.Address, To: r, SHA256: sum[:]}
			if err := tx.Capture(e, &c, body); err != nil {
				return err
			}
			rows = append(rows, c)
		}
		return nil
	})
	return rows
}

// TestAC14_CapturedIsKeptApart holds that what was captured can be read by who may, stands nowhere in the queue, shares
// one body, and agrees with the log.
func TestAC14_CapturedIsKeptApart(t *testing.T) {
	ts := newTestStore(t)
	org, _, in := ts.addOrg(t, "example.com", "trial")
	const text = "Subject: trial\r\n\r\nTo nobody.\r\n"
	rows := ts.capture(t, in, text, "ann@far.example", "bob@far.example")
	all, err := ts.Captures(t.Context(), org.ID, uuid.Nil, 10)
	if err != nil || len(all) != 2 || all[1].To != "bob@far.example" || all[0].Size != int64(len(text)) {
		t.Fatalf("%+v, %v", all, err)
	}
	c, err := ts.Captured(t.Context(), org.ID, rows[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ts.OpenCaptured(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size())); err != nil || string(got) != text {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ts.Captured(t.Context(), newID(), rows[0].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("AC-19: of another organization: %v", err)
	}
	if n := count(t, ts, "SELECT COUNT(*) FROM outgoing"); n != 0 {
		t.Errorf("%d rows of the queue", n)
	}
	if n := count(t, ts, "SELECT COUNT(*) FROM body"); n != 1 {
		t.Errorf("%d bodies, want one that both share", n)
	}
	ts.restart(t)
}

// TestAC14_CapturedIsSwept holds that what is old goes, with its body and an event for each inbox, and what is young stays.
func TestAC14_CapturedIsSwept(t *testing.T) {
	ts := newTestStore(t)
	_, _, in := ts.addOrg(t, "example.com", "trial")
	_, _, other := ts.addOrg(t, "example.net", "trial")
	ts.capture(t, in, "Subject: one\r\n\r\n1\r\n", "ann@far.example", "bob@far.example")
	ts.capture(t, other, "Subject: two\r\n\r\n2\r\n", "ann@far.example")
	ts.clock.advance(CaptureAge)
	young := ts.capture(t, in, "Subject: three\r\n\r\n3\r\n", "ann@far.example")
	n, err := ts.SweepCaptured(t.Context(), ts.clock.now().Add(-CaptureAge+time.Minute))
	if err != nil || n != 3 {
		t.Fatalf("%d swept, %v", n, err)
	}
	if n := count(t, ts, "SELECT COUNT(*) FROM captured"); n != 1 {
		t.Errorf("%d left", n)
	}
	if n := count(t, ts, "SELECT COUNT(*) FROM body"); n != 1 {
		t.Errorf("%d bodies left", n)
	}
	if _, err := ts.OpenCaptured(t.Context(), &young[0]); err != nil {
		t.Errorf("the young one: %v", err)
	}
	swept, err := ts.Events(t.Context(), EventQuery{Verbs: []audit.Verb{audit.CaptureSwept}})
	if err != nil || len(swept) != 2 || swept[0].Inbox == swept[1].Inbox {
		t.Errorf("events %+v, %v", swept, err)
	}
	ts.restart(t)
}
