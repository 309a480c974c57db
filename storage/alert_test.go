package storage

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// TestPI7_AlertsCountUp holds that what repeats within an hour is one alert, whose repetitions cost a counter and few
// events, that what was acknowledged rings anew, and that one alert does not hide another.
func TestPI7_AlertsCountUp(t *testing.T) {
	ts := newTestStore(t)
	org, _, in := ts.addOrg(t, "example.com", "support")
	a := Alert{Head: Head{Org: org.ID}, Kind: AlertTokenLeaked, Agent: newID(), Credential: newID(), Inbox: in.ID, Detail: "A token."}
	raise := func(a Alert) {
		t.Helper()
		if err := ts.RaiseAlert(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		raise(a)
	}
	ts.clock.advance(time.Hour)
	raise(a)
	other := a
	other.Kind = AlertLimitReached
	raise(other)
	other.Object = newID()
	raise(other)
	all, err := ts.Alerts(t.Context(), org.ID, uuid.Nil, 10, true)
	if err != nil || len(all) != 4 || all[0].Count != 100 || all[1].Count != 1 || all[0].Detail != "A token." || all[0].Inbox != in.ID {
		t.Fatalf("%+v, %v", all, err)
	}
	events, err := ts.Events(t.Context(), EventQuery{Org: org.ID, Object: all[0].ID, Verbs: []audit.Verb{audit.AlertRaise}})
	if err != nil || len(events) != 7 { // at 1, 2, 4, … 64
		t.Fatalf("%d events, %v", len(events), err)
	}
	if n, _ := events[6].Fields.Int(audit.KeyCount); n != 64 || events[0].Personal.Text(audit.KeyText) != "A token." {
		t.Errorf("%+v", events)
	}

	ts.write(t, audit.AlertAcknowledge, func(tx *Tx, e *audit.Event) error {
		return tx.AcknowledgeAlert(e, &all[1], "ann", "it was a test")
	})
	stale := all[1]
	stale.Version = 1
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.AcknowledgeAlert(tx.Record(audit.Event{Verb: audit.AlertAcknowledge}), &stale, "bob", "again")
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("an alert that was acknowledged in between: %v", err)
	}
	raise(a)
	if open, err := ts.Alerts(t.Context(), org.ID, uuid.Nil, 10, true); err != nil || len(open) != 4 {
		t.Errorf("%+v, %v", open, err)
	}
	got, err := ts.Alert(t.Context(), org.ID, all[1].ID)
	if err != nil || got.State != AlertAcknowledged || got.By != "ann" || got.Reason != "it was a test" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ts.Alert(t.Context(), newID(), all[1].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("AC-19: another organization's alert: %v", err)
	}
	if err := ts.RaiseAlert(t.Context(), Alert{Head: Head{Org: org.ID}, Kind: "anything"}); err == nil {
		t.Error("a kind that is not on the list was raised")
	}

	ts.Close()
	if r, err := VerifyData(t.Context(), ts.cfg); err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, edit := range []string{"UPDATE alert SET state = 'acknowledged' WHERE state = 'open'", "DELETE FROM alert WHERE count = 100"} {
		tamper(t, ts.cfg.Dir, edit)
		if r, err := VerifyData(t.Context(), ts.cfg); err != nil || r.OK() {
			t.Errorf("%s: %+v, %v", edit, r, err)
		}
	}
}
