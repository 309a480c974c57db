package storage

import (
	"errors"
	"testing"
	"time"

	"postern/storage/audit"
)

// TestAC17_GlassEndsByItself: a grant is asked for, opened and ended once each, is over
// when its time is, and the rows are those that the log says.
func TestAC17_GlassEndsByItself(t *testing.T) {
	ts, in, _ := newMailStore(t)
	ctx := t.Context()
	g := Glass{Head: Head{Org: in.Org()}, Inbox: in.ID(), Message: newID(), Person: newID(), By: "ada@example.com", Why: "fault", Reason: "it is lost", Persons: 2}
	now := time.Now()
	ts.write(t, audit.GlassOpen, func(tx *Tx, e *audit.Event) error { return tx.AskGlass(e, &g, now.Add(time.Hour)) })
	if got := g.State(now); got != GlassAsked {
		t.Errorf("asked for, it is %s", got)
	}
	asked := g
	ts.write(t, audit.GlassOpen, func(tx *Tx, e *audit.Event) error { return tx.OpenGlass(e, &g, now.Add(15*time.Minute)) })
	for at, want := range map[time.Duration]GlassState{0: GlassOpen, 15*time.Minute - 1: GlassOpen, 15 * time.Minute: GlassEnded} {
		if got := g.State(now.Add(at)); got != want {
			t.Errorf("after %s it is %s, want %s", at, got, want)
		}
	}
	err := ts.Write(ctx, System, func(tx *Tx) error {
		return tx.EndGlass(tx.Record(audit.Event{Verb: audit.GlassEnd, Outcome: audit.OK}), &asked, "bob@example.com")
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("who read it before it was opened ends it: %v", err)
	}
	ts.write(t, audit.GlassEnd, func(tx *Tx, e *audit.Event) error { return tx.EndGlass(e, &g, "bob@example.com") })
	found, err := ts.Glass(ctx, in.Org(), g.ID)
	if err != nil || found.State(now) != GlassEnded || found.EndedBy != "bob@example.com" || found.Reason != "it is lost" {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := ts.Glass(ctx, newID(), g.ID); !errors.Is(err, ErrNotFound) { // AC-19
		t.Errorf("of another organization: %v", err)
	}
	if all, err := ts.GlassesOf(ctx, in.Org(), g.Message); err != nil || len(all) != 1 {
		t.Errorf("%d of the message, %v", len(all), err)
	}
	ts.verified(t)
}

// TestTally: what lies in an inbox is counted by where it is and whether reading it
// taints; what was written here did not come in.
func TestTally(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	clean, sent := letter(1), letter(2)
	clean.Verdict = Clean
	ts.deposit(t, in, inbox, []byte("x"), clean)
	ts.deposit(t, in, inbox, []byte("y"), letter(3))
	ts.deposit(t, in, ts.role(t, in, RoleSent).ID, []byte("z"), sent)
	ts.putAway(t, in, 4)
	got, err := ts.Tally(t.Context(), in.Org(), in.ID())
	want := InboxTally{Messages: 4, Bytes: 4010, Arrived: 3, Suspected: 1, Quarantined: 1}
	if err != nil || got != want {
		t.Errorf("%+v, want %+v, %v", got, want, err)
	}
	if other, err := ts.Tally(t.Context(), newID(), in.ID()); err != nil || other != (InboxTally{}) { // AC-19
		t.Errorf("of another organization: %+v, %v", other, err)
	}
	uids, err := in.NewestUIDs(t.Context(), inbox, 0, 1)
	if err != nil || len(uids) != 1 || uids[0] != 2 {
		t.Errorf("the newest is %v, %v", uids, err)
	}
	if uids, err = in.NewestUIDs(t.Context(), inbox, 2, 10); err != nil || len(uids) != 1 || uids[0] != 1 {
		t.Errorf("below it %v, %v", uids, err)
	}
	if uids, err = in.NewestUIDs(t.Context(), inbox, 1, 10); err != nil || len(uids) != 0 {
		t.Errorf("below all %v, %v", uids, err)
	}
}
