package storage

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
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

	resolvesAlerts(t, ts, org.ID)
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

// resolvesAlerts holds that an alert about the installation stands until it is over, also when a person has seen it.
func resolvesAlerts(t *testing.T, ts *testStore, org uuid.UUID) {
	t.Helper()
	standing := func(want int) []Alert {
		t.Helper()
		all, err := ts.StandingAlerts(t.Context(), org, AlertDiskLow)
		if err != nil || len(all) != want {
			t.Fatalf("%d alerts stand, want %d: %v", len(all), want, err)
		}
		return all
	}
	a := Alert{Head: Head{Org: org}, Kind: AlertDiskLow, Detail: "The disk is nearly full."}
	if err := ts.RaiseAlert(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	before, err := ts.OpenAlerts(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	seen := standing(1)
	ts.write(t, audit.AlertAcknowledge, func(tx *Tx, e *audit.Event) error { return tx.AcknowledgeAlert(e, &seen[0], "ann", "we know") })
	if n, err := ts.OpenAlerts(t.Context(), org); err != nil || n != before-1 {
		t.Errorf("%d are open of %d, %v", n, before, err)
	}
	over := standing(1)
	stale := over[0]
	ts.write(t, audit.AlertResolve, func(tx *Tx, e *audit.Event) error { return tx.ResolveAlert(e, &over[0]) })
	standing(0)
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.ResolveAlert(tx.Record(audit.Event{Verb: audit.AlertResolve}), &stale)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("an alert that is over already: %v", err)
	}
	got, err := ts.Alert(t.Context(), org, over[0].ID)
	if err != nil || got.State != AlertResolved || got.Resolved.IsZero() || got.By != "ann" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestHealthIsSealed holds that how checks stood is kept, and that the file says nothing of their names.
func TestHealthIsSealed(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	if h, err := ts.Health(t.Context(), org.ID); err != nil || len(h.Checks) != 0 {
		t.Fatalf("%+v, %v", h, err)
	}
	h := Health{Checks: map[string][]HealthState{"dns\nsecretname.test": {{State: "ok", At: ts.clock.now().UTC().Truncate(time.Second)}}}}
	for range 2 {
		if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.PutHealth(org.ID, &h) }); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ts.Health(t.Context(), org.ID)
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("%+v, %v", got, err)
	}
	var sealed []byte
	if err := ts.readers.db.QueryRow("SELECT sealed FROM health").Scan(&sealed); err != nil || bytes.Contains(sealed, []byte("secretname")) {
		t.Errorf("%q, %v", sealed, err)
	}
}

// TestObserver holds that what a commit made durable is told, that what was undone is not, and that a question of
// whether the store can be written leaves no trace.
func TestObserver(t *testing.T) {
	ts := newTestStore(t)
	var told []audit.Verb
	commits := 0
	ts.cfg.Observer = Observer{Event: func(e *audit.Event) { told = append(told, e.Verb) }, Commit: func(n int, _ time.Duration) { commits += n }}
	ts.Store.cfg.Observer = ts.cfg.Observer // nothing is under way
	ts.write(t, audit.AgentResume, func(*Tx, *audit.Event) error { return nil })
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.AgentSuspend})
		return ErrNotFound
	})
	if !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	was, err := ts.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.Writable(t.Context()); err != nil {
		t.Error(err)
	}
	if is, err := ts.LogState(t.Context()); err != nil || is != was {
		t.Errorf("a question became part of the log: %+v, %v", is, err)
	}
	if err := ts.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if is, err := ts.LogState(t.Context()); err != nil || is.Unsigned != 0 || is.Signed.IsZero() || !is.Witnessed || was.Unsigned == 0 {
		t.Errorf("%+v, %v", is, err)
	}
	if z, err := ts.Sizes(); err != nil || z.Database == 0 || z.Keys == 0 {
		t.Errorf("%+v, %v", z, err)
	}
	ts.Close() // the writer has ended: what it told may be read
	if !slices.Equal(told, []audit.Verb{audit.AgentResume}) || commits < 2 {
		t.Errorf("told %v in %d", told, commits)
	}
	if err := ts.Writable(t.Context()); err == nil {
		t.Error("a closed store can be written")
	}
}
