package control

import (
	"slices"
	"testing"
	"time"

	"postern/storage"
	"postern/storage/audit"
)

// TestQueueDay holds what is said of the queue hour by hour: what came and left in each, and how much waited at its end,
// reckoned back from what waits now.
func TestQueueDay(t *testing.T) {
	w := newWorld(t)
	c, ctx := w.staff(), t.Context()
	org, err := w.dir.Organization(ctx)
	w.must(err)
	left := func(verb audit.Verb, attempts ...int) {
		w.must(w.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
			for _, n := range attempts {
				tx.Record(audit.Event{Verb: verb, Outcome: audit.OK, Org: org.ID, Agent: c.AgentID, Object: storage.NewID(), Fields: audit.Fields{audit.Int(audit.KeyAttempts, n)}})
			}
			return nil
		}))
	}
	day := func() QueueDay {
		for more := true; more; {
			var err error
			more, err = w.store.CountHours(ctx)
			w.must(err)
		}
		d, err := w.QueueDay(ctx)
		w.must(err)
		if len(d.Hours) != 24 || !d.Since.Equal(w.clock().Truncate(time.Hour).Add(-23*time.Hour)) {
			t.Fatalf("%d hours from %s", len(d.Hours), d.Since)
		}
		return d
	}
	if d := day(); d.Waiting != 0 || d.Held != 0 || !d.Oldest.IsZero() || slices.ContainsFunc(d.Hours, func(h QueueHour) bool { return h != QueueHour{} }) {
		t.Errorf("nothing was sent: %+v", d)
	}

	first := w.clock()
	w.submit(c, letter, "a@example.net", "b@example.net", "c@example.net")
	left(audit.QueueAttempt, 1, 2) // the second attempt puts nobody off for the first time
	w.advance(2 * time.Hour)
	w.submit(c, letter, "d@example.net", "e@example.net")
	left(audit.QueueDelivered, 1, 1)
	left(audit.QueueDelivered, 2)
	left(audit.QueueFailed, 3)
	queued, err := collect(w.Queue(ctx, Page{}))
	w.must(err)
	w.must(w.HoldOutgoing(ctx, OutgoingRef{ID: queued[4].ID.String(), Reason: "odd"}))

	d := day()
	if d.Waiting != 4 || d.Held != 1 || d.Oldest.Before(first.Add(-time.Second)) || d.Oldest.After(w.clock().Add(-time.Hour)) {
		t.Errorf("%d wait, %d are held, the oldest since %s", d.Waiting, d.Held, d.Oldest)
	}
	// 4 wait now, 2 came and 4 left in this hour: 6 waited at the end of the one before.
	want := []QueueHour{{Waiting: 6, Came: 3, PutOff: 1}, {Waiting: 6}, {Waiting: 4, Came: 2, First: 2, Later: 2, GivenUp: 1}}
	if got := d.Hours[21:]; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := d.Hours[20]; got != (QueueHour{Waiting: 3}) {
		t.Errorf("an hour before all: %+v", got)
	}
	w.advance(23 * time.Hour)
	if d = day(); d.Hours[0] != (QueueHour{Waiting: 4, Came: 2, First: 2, Later: 2, GivenUp: 1}) || d.Hours[23] != (QueueHour{Waiting: 4}) {
		t.Errorf("a day later: %+v, %+v", d.Hours[0], d.Hours[23])
	}
}
