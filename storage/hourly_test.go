package storage

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// record writes one event.
func (ts *testStore) record(t testing.TB, e audit.Event) {
	t.Helper()
	err := ts.Write(context.Background(), System, func(tx *Tx) error {
		tx.Record(e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// counted reads on in the log to its end.
func (ts *testStore) counted(t testing.TB) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = ts.CountHours(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// hours are all counts of an agent, summed over the hours.
func (ts *testStore) hours(t testing.TB, org, agent uuid.UUID) map[Counted]int64 {
	t.Helper()
	all, err := ts.Hours(t.Context(), org, agent, 0, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[Counted]int64{}
	for _, c := range all {
		if sums[c.What] += c.N; sums[c.What] == 0 {
			delete(sums, c.What)
		}
	}
	return sums
}

// post is a place where mail arrives, as events say it.
type post struct {
	ts                       *testStore
	org, inbox, mailbox, box uuid.UUID
	uid                      uint32
}

func newPost(ts *testStore, org uuid.UUID) *post {
	return &post{ts: ts, org: org, inbox: newID(), mailbox: newID(), box: newID()}
}

func (p *post) arrive(t testing.TB, sender, verdict string, kept bool) (id uuid.UUID, uid uint32) {
	p.uid++
	e := audit.Event{Verb: audit.MessageReceived, Org: p.org, Inbox: p.inbox, Mailbox: p.mailbox, Object: newID(), Fields: audit.Fields{
		audit.Word(audit.KeyVerdict, verdict), audit.Word(audit.KeySender, sender), audit.Int(audit.KeyUID, p.uid)}}
	if kept {
		e.Mailbox = p.box
		e.Writes = []audit.Write{{Table: "quarantine", ID: []byte{1}, Version: 1}}
	}
	p.ts.record(t, e)
	return e.Object, p.uid
}

func (p *post) read(t testing.TB, agent uuid.UUID, first, last uint32) {
	set := audit.UIDs{{First: first, Last: last}}
	p.ts.record(t, audit.Event{Verb: audit.MessageRead, Org: p.org, Agent: agent, Inbox: p.inbox, Mailbox: p.mailbox,
		Fields: audit.Fields{audit.Set(audit.KeyUIDs, set), audit.Int(audit.KeyCount, set.Count())}})
}

func (p *post) submit(t testing.TB, agent, answers uuid.UUID, held bool) uuid.UUID {
	e := audit.Event{Verb: audit.MessageSubmitted, Org: p.org, Agent: agent, Inbox: p.inbox, Object: newID(),
		Fields: audit.Fields{audit.Int(audit.KeyRecipients, 2), audit.Int(audit.KeyFirstTime, 1)}}
	if answers != uuid.Nil {
		e.Fields = append(e.Fields, audit.ID(audit.KeyAnswers, answers))
	}
	if held {
		e.Outcome = audit.Held
	}
	p.ts.record(t, e)
	return e.Object
}

func (p *post) plain(t testing.TB, verb audit.Verb, agent, object uuid.UUID, fields ...audit.Field) {
	p.ts.record(t, audit.Event{Verb: verb, Org: p.org, Agent: agent, Inbox: p.inbox, Object: object, Fields: fields})
}

// TestHoursCountWhatHappened: each kind of event counts for its organization and its
// agent, and messages are followed from who sent them to what came of them.
func TestHoursCountWhatHappened(t *testing.T) {
	ts := newTestStore(t)
	p := newPost(ts, newID())
	other := newPost(ts, newID())
	scout, triage := newID(), newID()

	first, _ := p.arrive(t, "known", "clean", false)
	held, _ := p.arrive(t, "first", "suspicious", false)
	_, kept := p.arrive(t, "fails", "quarantine", true)
	p.arrive(t, "unproven", "partial", false)
	other.arrive(t, "own", "clean", false)
	p.read(t, scout, 1, 2)
	p.read(t, triage, 1, 4) // the second to see two of them, the first to see one
	p.submit(t, scout, first, false)
	waiting := p.submit(t, scout, held, true)
	p.ts.clock.advance(90 * time.Minute)
	p.plain(t, audit.ApprovalRelease, scout, waiting, audit.Int(audit.KeyRecipients, 2), audit.Time(audit.KeySince, ts.clock.now().Add(-90*time.Minute)))
	p.ts.record(t, audit.Event{Verb: audit.QuarantineRelease, Org: p.org, Inbox: p.inbox, Mailbox: p.box, Fields: audit.Fields{
		audit.Set(audit.KeyUIDs, audit.UIDsOf(kept)), audit.ID(audit.KeyToMailbox, p.mailbox), audit.Set(audit.KeyToUIDs, audit.UIDsOf(9))}})
	p.read(t, triage, 9, 9)
	p.plain(t, audit.MessageRefused, scout, uuid.Nil)
	p.plain(t, audit.AgentTainted, scout, uuid.Nil)
	p.plain(t, audit.QueueDelivered, scout, newID(), audit.Int(audit.KeyAttempts, 1))
	p.plain(t, audit.QueueAttempt, scout, newID(), audit.Int(audit.KeyAttempts, 1))
	p.plain(t, audit.QueueAttempt, scout, newID(), audit.Int(audit.KeyAttempts, 2))
	p.plain(t, audit.QueueFailed, scout, newID(), audit.Int(audit.KeyAttempts, 3))
	if n, err := ts.Uncounted(t.Context(), other.org); n != 1 || err != nil { // AC-19: nobody is told of what others did
		t.Errorf("another organization has %d events that are not counted, %v", n, err)
	}
	ts.counted(t)

	way := func(s Sender, j Judged, o Outcome) Counted { return Journey{s, j, o}.counted() }
	want := map[Counted]int64{
		CountReceived: 4, CountKept: 1, CountShown: 7, CountSent: 2, CountHeld: 1, CountDecided: 1, CountWaited: 90, CountFirstTime: 2,
		CountRefused: 1, CountTainted: 1, CountEnqueued: 4, CountLeft: 1, CountPutOff: 1, CountLeftLate: 1, CountGivenUp: 1,
		way(SenderKnown, JudgedClean, OutcomeAnswered): 1, way(SenderFirst, JudgedSuspicious, OutcomeAnswered): 1,
		way(SenderFails, JudgedKept, OutcomeDelivered): 1, way(SenderUnproven, JudgedNot, OutcomeDelivered): 1,
	}
	for c, n := range want { // some agent was shown each
		if _, seen, ok := c.Journey(); ok && !seen {
			want[c-firstJourney+firstSeen] = n
		}
	}
	same(t, "the organization", ts.hours(t, p.org, uuid.Nil), want)
	same(t, "the second reader", ts.hours(t, p.org, triage), map[Counted]int64{CountReceived: 2, CountShown: 5,
		way(SenderUnproven, JudgedNot, OutcomeDelivered): 1, way(SenderFails, JudgedKept, OutcomeDelivered): 1})
	same(t, "another organization", ts.hours(t, other.org, uuid.Nil), map[Counted]int64{CountReceived: 1, way(SenderOwn, JudgedClean, OutcomeDelivered): 1})
	if n, err := ts.Uncounted(t.Context(), uuid.Nil); n != 0 || err != nil {
		t.Errorf("%d events are not counted, %v", n, err)
	}
	from := HourOf(ts.clock.now()) - 24
	if agents, err := ts.Busiest(t.Context(), p.org, from, from+26, CountSent, 3); err != nil || !slices.Equal(agents, []uuid.UUID{scout}) {
		t.Errorf("the busiest are %v, %v", agents, err)
	}
}

func same(t *testing.T, of string, got, want map[Counted]int64) {
	t.Helper()
	for _, c := range slices.Sorted(keysOf(got, want)) {
		if got[c] != want[c] {
			t.Errorf("%s: %d counts %d, want %d", of, c, got[c], want[c])
		}
	}
}

func keysOf(maps ...map[Counted]int64) func(func(Counted) bool) {
	return func(yield func(Counted) bool) {
		seen := map[Counted]bool{}
		for _, m := range maps {
			for c := range m {
				if !seen[c] && !yield(c) {
					return
				}
				seen[c] = true
			}
		}
	}
}

// TestHoursCountEachEventOnce: however the counting is interrupted, and the store with
// it, the counts are those of one reading from the beginning.
func TestHoursCountEachEventOnce(t *testing.T) {
	ts := newTestStore(t)
	rng := rand.New(rand.NewPCG(1, 2))
	p := newPost(ts, newID())
	agents := []uuid.UUID{newID(), newID(), newID()}
	var messages, waiting []uuid.UUID
	for range 60 {
		for range rng.IntN(12) {
			agent := agents[rng.IntN(len(agents))]
			switch rng.IntN(5) {
			case 0, 1:
				id, _ := p.arrive(t, senderNames[rng.IntN(len(senderNames))], verdictNames[rng.IntN(len(verdictNames))], rng.IntN(4) == 0)
				messages = append(messages, id)
			case 2:
				p.read(t, agent, 1+rng.Uint32N(p.uid+1), p.uid+2)
			case 3:
				answers := uuid.Nil
				if len(messages) > 0 {
					answers = messages[rng.IntN(len(messages))]
				}
				if held := rng.IntN(3) == 0; held {
					waiting = append(waiting, p.submit(t, agent, answers, true))
				} else {
					p.submit(t, agent, answers, false)
				}
			case 4:
				if len(waiting) > 0 {
					p.plain(t, audit.ApprovalRelease, agent, waiting[rng.IntN(len(waiting))])
				}
			}
			ts.clock.advance(time.Duration(rng.IntN(20)) * time.Minute)
		}
		switch rng.IntN(4) {
		case 0:
			ts.Abandon() // what was not committed is gone
			ts.open(t)
		case 1, 2:
			over, cancel := context.WithCancel(t.Context())
			if rng.IntN(2) == 0 {
				cancel()
			}
			ts.CountHours(over)
			cancel()
		}
	}
	ts.counted(t)
	got := ts.dump(t)
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.MoveCursor(hourlyCursor, 0) }); err != nil {
		t.Fatal(err)
	}
	ts.counted(t)
	if want := ts.dump(t); got != want {
		t.Errorf("counted in pieces:\n%s\nat once:\n%s", got, want)
	}
}

// TestHoursAreCountedAnewWhereTheyWereLost: the counts are no evidence, and come back.
func TestHoursAreCountedAnewWhereTheyWereLost(t *testing.T) {
	ts := newTestStore(t)
	p := newPost(ts, newID())
	p.arrive(t, "known", "clean", false)
	ts.counted(t)
	want := ts.dump(t)
	err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.tx.exec("DELETE FROM hourly") })
	if err != nil {
		t.Fatal(err)
	}
	ts.Close()
	ts.open(t)
	ts.counted(t)
	if got := ts.dump(t); got != want {
		t.Errorf("after the loss:\n%s\nbefore:\n%s", got, want)
	}
}

// dump writes all rows of what is counted.
func (ts *testStore) dump(t testing.TB) (text string) {
	t.Helper()
	type line struct {
		agent string
		hour  int64
		what  Counted
		n     int64
	}
	var all []line
	err := ts.look(t.Context(), func(r *reads) error {
		rows, err := r.rows("SELECT agent, hour, what, n FROM hourly WHERE n <> 0")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l line
			var agent uuid.UUID
			if err := rows.Scan(&agent, &l.hour, &l.what, &l.n); err != nil {
				return err
			}
			l.agent = agent.String()
			all = append(all, l)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.agent, b.agent), cmp.Compare(a.hour, b.hour), cmp.Compare(a.what, b.what))
	})
	for _, l := range all {
		text += fmt.Sprintln(l)
	}
	return text
}

func BenchmarkCountHours(b *testing.B) {
	ts := newTestStore(b)
	p := newPost(ts, newID())
	agent := newID()
	const step = 512
	for b.Loop() {
		b.StopTimer()
		err := ts.Write(b.Context(), System, func(tx *Tx) error {
			for range step {
				p.uid++
				tx.Record(audit.Event{Verb: audit.MessageReceived, Org: p.org, Inbox: p.inbox, Mailbox: p.mailbox, Object: newID(), Agent: agent,
					Fields: audit.Fields{audit.Word(audit.KeyVerdict, "clean"), audit.Int(audit.KeyUID, p.uid)}})
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		ts.counted(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*step), "ns/event")
}
