package storage

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// TestPI3_Allowances: an exception is found by its inbox alone, is bounded in number,
// ends in time, and goes once.
func TestPI3_Allowances(t *testing.T) {
	ts, in, _ := newMailStore(t)
	other, _, _ := ts.addOrg(t, "beta.test", "desk")
	add := func(n int) (a Allowance, err error) {
		a = Allowance{Head: Head{Org: in.Org()}, Inbox: in.ID(), Sender: fmt.Sprintf("s%d.test", n), Reason: "partner", By: "ada"}
		err = ts.Write(t.Context(), System, func(tx *Tx) error { return tx.CreateAllowance(tx.Record(audit.Event{Verb: audit.AllowAdd}), &a) })
		return a, err
	}
	first, err := add(0)
	for n := 1; n < MaxAllowances && err == nil; n++ {
		_, err = add(n)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := add(MaxAllowances); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if all, err := ts.AllowancesOf(t.Context(), in.Org(), in.ID()); err != nil || len(all) != MaxAllowances || all[0].Sender != "s0.test" {
		t.Errorf("%d, %v", len(all), err)
	}
	if all, err := ts.AllowancesOf(t.Context(), other.ID, in.ID()); err != nil || len(all) > 0 { // AC-19
		t.Errorf("%v, %v", all, err)
	}
	for _, want := range []error{nil, ErrConflict} {
		err := ts.Write(t.Context(), System, func(tx *Tx) error {
			gone := first
			return tx.RemoveAllowance(tx.Record(audit.Event{Verb: audit.AllowRemove}), &gone)
		})
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	now := time.Now()
	if a := (Allowance{Expires: now}); !a.Ended(now) || a.Ended(now.Add(-1)) || (&Allowance{}).Ended(now) {
		t.Error("an exception ends at its end, and one without an end never")
	}
	ts.tamper(t, "UPDATE allowance SET inbox = x'00112233445566778899aabbccddeeff'")
	if _, err := ts.AllowancesOf(t.Context(), in.Org(), uuid.MustParse("00112233-4455-6677-8899-aabbccddeeff")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("moved to another inbox: %v", err)
	}
}

// TestPI9_Marks: there is one mark of a message; who says the same changes nothing,
// who says otherwise replaces it.
func TestPI9_Marks(t *testing.T) {
	ts, in, _ := newMailStore(t)
	m := Mark{Head: Head{Org: in.Org()}, Inbox: in.ID(), Message: NewID(), SHA256: [32]byte{1}, Verdict: Quarantine, Score: 0.97, Model: "m1", By: "ada"}
	for _, c := range []struct {
		label   MarkLabel
		changed bool
		version uint64
	}{{MarkHarmless, true, 1}, {MarkHarmless, false, 1}, {MarkInjection, true, 2}} {
		var changed bool
		made := m
		made.Label = c.label
		ts.write(t, audit.MessageMarked, func(tx *Tx, e *audit.Event) (err error) {
			again := made
			changed, err = tx.PutMark(e, &again)
			return err
		})
		got, err := ts.MarkOf(t.Context(), in.Org(), m.Message)
		if err != nil || changed != c.changed || got.Label != c.label || got.Version != c.version || got.Score != m.Score || got.SHA256 != m.SHA256 {
			t.Errorf("%s: changed %v, %+v, %v", c.label, changed, got, err)
		}
	}
	if all, err := ts.Marks(t.Context(), in.Org(), uuid.Nil, 10); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	ts.verified(t)
}
