package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/delivery"
	"postern/storage"
	"postern/storage/audit"
)

// hostile judges every message as one to put away, by its score or by a rule of form.
func hostile(rule string) delivery.Judge {
	return func(context.Context, delivery.Judged) (delivery.Judgement, error) {
		return delivery.Judging(&storage.Scoring{Verdict: storage.Quarantine, Score: 0.99, Model: "m1",
			Evidence: []storage.ScoringEvidence{{View: "hidden", Part: "1", Rule: rule}}}), nil
	}
}

// judging is a world in which a judge judges.
func judging(t testing.TB, j delivery.Judge) *world {
	w := newWorld(t)
	w.in = delivery.NewInbound(w.store, w.dir, delivery.Options{Hostname: hostname, Now: w.clock, Judge: j})
	return w
}

func (w *world) quarantine() []storage.Quarantined {
	w.t.Helper()
	all, err := w.store.Quarantine(context.Background(), w.a.Org, uuid.Nil, 100, false)
	w.must(err)
	return all
}

func person(name string) audit.Actor {
	return audit.Actor{Kind: audit.Person, ID: uuid.New(), Name: name}
}

// TestPI3_OneDecision: when several people decide at once, one decides. Who wanted the
// same hears that it was so already, and whoever wanted the other, by whom it was
// decided. One event tells of it, and one copy is where it belongs.
func TestPI3_OneDecision(t *testing.T) {
	w := judging(t, hostile(""))
	k := delivery.NewQuarantine(w.store)
	for round := range 5 {
		_, err := w.deliver(fmt.Sprintf("From: eve@evil.test\r\nSubject: %d\r\n\r\nx\r\n", round), w.a)
		w.must(err)
		q := w.quarantine()[0]
		var wg sync.WaitGroup
		var mu sync.Mutex
		changes, refused := 0, 0
		for i := range 8 {
			wg.Go(func() {
				got, changed, err := k.Decide(t.Context(), person(fmt.Sprint("p", i)), w.a.Org, q.ID, delivery.Ruling{Release: i%2 == 0, Reason: "x"})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, delivery.ErrDecided):
					refused++
				case err != nil:
					t.Error(err)
				case changed:
					changes++
				case got.State == storage.QuarantineWaiting:
					t.Errorf("nothing was decided: %+v", got)
				}
			})
		}
		wg.Wait()
		if changes != 1 || refused != 4 || len(w.quarantine()) != 0 || len(w.mailbox(w.a, storage.RoleQuarantine)) != 0 {
			t.Errorf("%d changes, %d refused", changes, refused)
		}
	}
	events, err := w.store.Events(t.Context(), storage.EventQuery{Verbs: []audit.Verb{audit.QuarantineRelease, audit.QuarantineReject}})
	w.must(err)
	if len(events) != 5 {
		t.Errorf("%d events of 5 decisions", len(events))
	}
}

// TestPI3_OnlyPeopleDecide: neither an agent nor the Unix user alone, nor somebody of
// another organization.
func TestPI3_OnlyPeopleDecide(t *testing.T) {
	w := judging(t, hostile(""))
	k := delivery.NewQuarantine(w.store)
	_, err := w.deliver("From: eve@evil.test\r\n\r\nx\r\n", w.a)
	w.must(err)
	q := w.quarantine()[0]
	for _, actor := range []audit.Actor{{Kind: audit.Agent, ID: uuid.New()}, {Kind: audit.Unix, Name: "root"}, storage.System} {
		if _, _, err := k.Decide(t.Context(), actor, w.a.Org, q.ID, delivery.Ruling{Release: true, Reason: "x"}); !errors.Is(err, delivery.ErrReserved) {
			t.Errorf("%v: %v", actor.Kind, err)
		}
	}
	if _, _, err := k.Decide(t.Context(), person("eve"), w.c.Org, q.ID, delivery.Ruling{Release: true, Reason: "x"}); !errors.Is(err, storage.ErrNotFound) { // AC-19
		t.Error(err)
	}
	if len(w.quarantine()) != 1 {
		t.Error("it is not there any more")
	}
}

// TestPI3_HardRulesAreNotExcepted: a verified sender that a person allowed gets past a
// score, and not past a rule of form.
func TestPI3_HardRulesAreNotExcepted(t *testing.T) {
	for rule, away := range map[string]int{"": 0, "invisible_text": 1, "unseen_request": 1} {
		w := judging(t, hostile(rule))
		w.must(w.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
			return tx.CreateAllowance(tx.Record(audit.Event{Verb: audit.AllowAdd}),
				&storage.Allowance{Head: storage.Head{Org: w.a.Org}, Inbox: w.a.ID, Sender: "b@example.com", Reason: "own-system"})
		}))
		w.attempt(w.outgoing(w.b, "From: b@example.com\r\nSubject: x\r\n\r\nx\r\n", w.a.Address))
		if got := w.mailbox(w.a, storage.RoleQuarantine); len(got) != away || len(w.mailbox(w.a, storage.RoleInbox)) != 1-away {
			t.Errorf("rule %q: %d put away, want %d", rule, len(got), away)
		}
	}
}

// TestPI3_QuarantineExpires: what nobody decided about for as long as policy says is
// rejected, by policy and with its event; what has not waited for so long, and what is
// in an inbox without such a policy, stays. // Invariant 12
func TestPI3_QuarantineExpires(t *testing.T) {
	w := judging(t, hostile(""))
	k := delivery.NewQuarantine(w.store)
	deliver := func(subject string, in storage.InboxRecord) {
		_, err := w.deliver("From: eve@evil.test\r\nSubject: "+subject+"\r\n\r\nx\r\n", in)
		w.must(err)
	}
	expire := func(want int) {
		t.Helper()
		n, err := k.Expire(t.Context(), w.clock())
		w.must(err)
		if n != want {
			t.Errorf("%d are rejected, want %d", n, want)
		}
	}
	deliver("1", w.a)
	deliver("2", w.b)
	w.advance(3650 * 24 * time.Hour)
	expire(0)
	w.must(w.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		p := storage.Policy{Head: storage.Head{Org: w.a.Org}, Level: storage.LevelInbox, Target: w.a.ID, Values: map[string]string{"quarantine-expiry": "30d"}}
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.PolicySet}), &p)
	}))
	deliver("3", w.a)
	expire(1)
	w.advance(30*24*time.Hour - time.Minute)
	expire(0)
	w.advance(time.Minute)
	expire(1)
	left := w.quarantine()
	if len(left) != 1 || left[0].Inbox != w.b.ID {
		t.Errorf("left: %+v", left)
	}
	all, err := w.store.Quarantine(t.Context(), w.a.Org, uuid.Nil, 100, true)
	w.must(err)
	for _, q := range all {
		if q.Inbox == w.a.ID && (q.State != storage.QuarantineRejected || q.By != "quarantine-expiry") {
			t.Errorf("%+v", q)
		}
	}
	events, err := w.store.Events(t.Context(), storage.EventQuery{Org: w.a.Org, Verbs: []audit.Verb{audit.QuarantineReject}})
	w.must(err)
	if len(events) != 2 || events[0].Actor.Kind != storage.System.Kind {
		t.Errorf("events: %+v", events)
	}
}
