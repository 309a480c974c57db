package storage

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// TestEV4_FreezesAreRecords holds that a target has one freeze, that it lasts over a restart, and that the verifier
// names one that was taken out of the database or pointed elsewhere.
func TestEV4_FreezesAreRecords(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	target := newID()
	f := Freeze{Head: Head{Org: org.ID}, Kind: FreezeAgent, Target: target, Reason: "odd"}
	ts.write(t, audit.FreezeSet, func(tx *Tx, e *audit.Event) error { return tx.CreateFreeze(e, &f) })
	all := Freeze{Head: Head{Org: org.ID}, Kind: FreezeAll, Reason: "fire"}
	ts.write(t, audit.FreezeSet, func(tx *Tx, e *audit.Event) error { return tx.CreateFreeze(e, &all) })
	again := Freeze{Head: Head{Org: org.ID}, Kind: FreezeAgent, Target: target}
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.CreateFreeze(tx.Record(audit.Event{Verb: audit.FreezeSet}), &again)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a second freeze: %v", err)
	}
	ts.Close()
	ts.open(t)
	got, err := ts.Freezes(t.Context())
	if err != nil || len(got) != 2 || got[0].Target != target || got[0].Reason != "odd" || got[1].Kind != FreezeAll || got[1].Target != uuid.Nil {
		t.Fatalf("%+v, %v", got, err)
	}
	ts.write(t, audit.FreezeLift, func(tx *Tx, e *audit.Event) error { return tx.DeleteFreeze(e, &got[1]) })
	if _, err := ts.FreezeOf(t.Context(), uuid.Nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a lifted freeze: %v", err)
	}
	ts.Close()
	r, err := VerifyData(t.Context(), ts.cfg)
	if err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, edit := range []string{"UPDATE freeze SET target = randomblob(16)", "DELETE FROM freeze"} {
		tamper(t, ts.cfg.Dir, edit)
		if r, err := VerifyData(t.Context(), ts.cfg); err != nil || r.OK() {
			t.Errorf("%s: %+v, %v", edit, r, err)
		}
	}
}
