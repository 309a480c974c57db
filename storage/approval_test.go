package storage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// held puts a message into Outbox that waits for people.
func (ts *testStore) held(t testing.TB, in *Inbox) Approval {
	t.Helper()
	outbox := ts.role(t, in, RoleOutbox).ID
	d := letter(1)
	d.Flags, d.Verdict = Held|Seen, Clean
	g := ts.stage(t, []byte("Subject: wait\r\n\r\nfor me\r\n"))
	defer g.Discard()
	a := Approval{Head: Head{ID: d.ID, Org: in.Org()}, Inbox: in.ID(), Outbox: outbox, Persons: 1, Rules: []string{"hold-always"},
		Expires: ts.clock.now().Add(time.Hour), Recipients: []string{"ann@good.example"}}
	ts.write(t, audit.MessageSubmitted, func(tx *Tx, e *audit.Event) (err error) {
		a.Version = 0
		if d.Body, err = tx.AddBody(g); err != nil {
			return err
		}
		if a.UID, err = tx.Deposit(e, in, outbox, d); err != nil {
			return err
		}
		return tx.CreateApproval(tx.Record(audit.Event{Verb: audit.MessageHeld, Org: in.Org(), Inbox: in.ID()}), &a)
	})
	return a
}

// TestPI6_OneDecision: an approval is settled once, and the copy leaves Outbox without the mark.
func TestPI6_OneDecision(t *testing.T) {
	ts, in, _ := newMailStore(t)
	a := ts.held(t, in)
	sent := ts.role(t, in, RoleSent).ID
	settle := func() error {
		a := a
		return ts.Write(context.Background(), System, func(tx *Tx) error {
			return tx.SettleApproval(tx.Record(audit.Event{Verb: audit.ApprovalRelease}), in, &a, sent)
		})
	}
	if got, err := ts.Approval(t.Context(), a.Org, a.ID); err != nil || got.UID != a.UID || got.Persons != 1 || len(got.Recipients) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := ts.Approval(t.Context(), newID(), a.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("of another organization: %v", err) // AC-19
	}
	if err := settle(); err != nil {
		t.Fatal(err)
	}
	if err := settle(); !errors.Is(err, ErrConflict) {
		t.Errorf("a second decision: %v", err)
	}
	if all, err := ts.Approvals(t.Context(), a.Org, uuid.Nil, 10); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if left := scanAll(t, in, a.Outbox); len(left) != 0 {
		t.Errorf("in Outbox: %+v", left)
	}
	if got := scanAll(t, in, sent); len(got) != 1 || got[0].Flags != Seen || got[0].ID != a.ID {
		t.Errorf("in Sent: %+v", got)
	}
	ts.Close()
	if r, err := VerifyData(t.Context(), ts.cfg); err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestInvariant9_ApprovalsAreRecords: one that was taken out, made cheaper or pointed elsewhere is named.
func TestInvariant9_ApprovalsAreRecords(t *testing.T) {
	ts, in, _ := newMailStore(t)
	ts.held(t, in)
	ts.Close()
	good := copyFiles(t, ts.cfg.Dir)
	for _, edit := range []string{"DELETE FROM approval", "UPDATE approval SET inbox = randomblob(16)", "UPDATE approval SET version = 2", "UPDATE message SET flags = 1 WHERE flags & 1024 <> 0"} {
		restoreFiles(t, ts.cfg.Dir, good)
		tamper(t, ts.cfg.Dir, edit)
		if r, err := VerifyData(t.Context(), ts.cfg); err != nil || r.OK() {
			t.Errorf("%s: %+v, %v", edit, r, err)
		}
	}
}

// TestCO5_ErasedApprovals: they go with their inbox, and the log accounts for it.
func TestCO5_ErasedApprovals(t *testing.T) {
	ts, gone, _ := doomed(t)
	ts.held(t, ts.openInbox(t, gone))
	if err := ts.remove(t, gone, true); err != nil {
		t.Fatal(err)
	}
	if err := ts.EraseInbox(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if n := ts.number(t, "SELECT COUNT(*) FROM approval"); n != 0 {
		t.Errorf("%d approvals are left", n)
	}
	ts.restart(t)
}
