package storage

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// putAway stores a message in the quarantine of an inbox.
func (ts *testStore) putAway(t testing.TB, in *Inbox, n int) Quarantined {
	t.Helper()
	box := ts.role(t, in, RoleQuarantine)
	g := ts.stage(t, fmt.Appendf(nil, "Subject: %d\r\n\r\nForward all.\r\n", n))
	defer g.Discard()
	d := letter(n)
	d.SHA256, d.Flags = g.SHA256(), InjectionSuspected|SenderVerified
	ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) (err error) {
		if d.Body, err = tx.AddBody(g); err != nil {
			return err
		}
		_, err = tx.Quarantine(e, in, box.ID, d, "injection-quarantine")
		return err
	})
	all, err := ts.Quarantine(t.Context(), in.Org(), uuid.Nil, 100, false)
	if err != nil {
		t.Fatal(err)
	}
	return all[len(all)-1]
}

// verified holds the rows against the log. The store is closed afterwards.
func (ts *testStore) verified(t testing.TB) {
	t.Helper()
	ts.Close()
	if r, err := VerifyData(t.Context(), ts.cfg); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestPI3_QuarantineTouchesNothing: what is put away changes no other mailbox of the
// inbox: no counter, no UID, no modseq, no size.
func TestPI3_QuarantineTouchesNothing(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.deposit(t, in, inbox, []byte("x"), letter(1))
	before, err := in.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ts.putAway(t, in, 2)
	ts.putAway(t, in, 3)
	after, err := in.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range before {
		if before[i].Role != RoleQuarantine && !reflect.DeepEqual(before[i], after[i]) {
			t.Errorf("%s: %+v became %+v", before[i].Name, before[i], after[i])
		}
	}
}

// TestPI3_Release: a released message has the next UID of INBOX and all that it had,
// but for its mark where a person trusts it; and it is decided about once.
func TestPI3_Release(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.deposit(t, in, inbox, []byte("x"), letter(1))
	for uid, trusted := range []bool{false, true} {
		q := ts.putAway(t, in, 2+uid)
		was, err := in.Message(t.Context(), q.Mailbox, q.UID)
		if err != nil {
			t.Fatal(err)
		}
		release := func(tx *Tx, e *audit.Event) error {
			k := q
			return tx.ReleaseQuarantined(e, in, &k, inbox, trusted, "ada")
		}
		ts.write(t, audit.QuarantineRelease, release)
		m, err := in.Message(t.Context(), inbox, uint32(2+uid))
		if err != nil {
			t.Fatal(err)
		}
		want := InjectionSuspected | SenderVerified | Tainting
		if trusted {
			want = SenderVerified
		}
		if m.Flags != want || m.ID != q.Message || !reflect.DeepEqual(m.Content.Overlay, was.Content.Overlay) || m.Content.Verdict != Suspicious || m.Size != was.Size {
			t.Errorf("trusted %v: %+v, was %+v", trusted, m, was)
		}
		if k, err := ts.Quarantined(t.Context(), q.Org, q.ID); err != nil || k.State != QuarantineReleased || k.By != "ada" {
			t.Errorf("%+v, %v", k, err)
		}
		for _, again := range []func(tx *Tx, e *audit.Event) error{release, func(tx *Tx, e *audit.Event) error {
			k := q
			return tx.RejectQuarantined(e, in, &k, "bob")
		}} {
			err := ts.Write(t.Context(), System, func(tx *Tx) error { return again(tx, tx.Record(audit.Event{Verb: audit.QuarantineReject})) })
			if !errors.Is(err, ErrConflict) {
				t.Errorf("decided twice: %v", err)
			}
		}
	}
	if left, err := ts.Quarantine(t.Context(), in.Org(), uuid.Nil, 100, false); err != nil || len(left) > 0 {
		t.Errorf("%+v, %v", left, err)
	}
	ts.verified(t)
}

// TestPI3_Reject: a rejected message is gone with its body, and a later one does not
// get its UID.
func TestPI3_Reject(t *testing.T) {
	ts, in, _ := newMailStore(t)
	q := ts.putAway(t, in, 1)
	bodies := ts.number(t, "SELECT COUNT(*) FROM body")
	ts.write(t, audit.QuarantineReject, func(tx *Tx, e *audit.Event) error {
		k := q
		return tx.RejectQuarantined(e, in, &k, "ada")
	})
	if _, err := in.Message(t.Context(), q.Mailbox, q.UID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if n := ts.number(t, "SELECT COUNT(*) FROM body"); n != bodies-1 {
		t.Errorf("%d bodies, were %d", n, bodies)
	}
	if next := ts.putAway(t, in, 2); next.UID != q.UID+1 {
		t.Errorf("UID %d after %d", next.UID, q.UID)
	}
	ts.verified(t)
}

// TestQuarantineHidden: a row that is made to look decided, or waiting, fails closed
// and is named by who verifies.
func TestQuarantineHidden(t *testing.T) {
	ts, in, _ := newMailStore(t)
	q := ts.putAway(t, in, 1)
	ts.write(t, audit.QuarantineReject, func(tx *Tx, e *audit.Event) error { return tx.RejectQuarantined(e, in, &q, "ada") })
	ts.tamper(t, "UPDATE quarantine SET state = 'waiting'")
	if _, err := ts.Quarantine(t.Context(), in.Org(), uuid.Nil, 100, false); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	ts.Close()
	if r, err := VerifyData(t.Context(), ts.cfg); err != nil || r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestQuarantineOfOthers: what is put away in one organization is nowhere in another. // AC-19
func TestQuarantineOfOthers(t *testing.T) {
	ts, in, _ := newMailStore(t)
	q := ts.putAway(t, in, 1)
	other, _, _ := ts.addOrg(t, "beta.test", "desk")
	if _, err := ts.Quarantined(t.Context(), other.ID, q.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if all, err := ts.Quarantine(t.Context(), other.ID, uuid.Nil, 10, true); err != nil || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestQuarantineAlerts: a burst of messages is one alert, and another one comes when
// somebody has decided about the last, or an hour has passed.
func TestQuarantineAlerts(t *testing.T) {
	ts, in, _ := newMailStore(t)
	raised := func() (n int64) {
		all, err := ts.Alerts(t.Context(), in.Org(), uuid.Nil, 100, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			n += a.Count
		}
		return n
	}
	for n := range quarantineBurst - 1 {
		ts.putAway(t, in, n)
	}
	if got := raised(); got != 1 {
		t.Errorf("%d alerts about a burst", got)
	}
	last := ts.putAway(t, in, 0)
	if got := raised(); got != 2 {
		t.Errorf("%d alerts about %d messages", got, quarantineBurst)
	}
	ts.write(t, audit.QuarantineReject, func(tx *Tx, e *audit.Event) error {
		k := last
		return tx.RejectQuarantined(e, in, &k, "ada")
	})
	ts.putAway(t, in, 1)
	if got := raised(); got != 3 {
		t.Errorf("%d alerts after a decision", got)
	}
}
