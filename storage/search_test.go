package storage

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// writtenLog is a store with a log of events that differ in all that a search asks for.
type writtenLog struct {
	*testStore
	org     Organization
	other   Organization
	inboxes []uuid.UUID
	agents  []uuid.UUID
	random  *rand.Rand
}

func newWrittenLog(t testing.TB, inboxes int) *writtenLog {
	t.Helper()
	l := &writtenLog{testStore: newTestStoreIn(t, filepath.Join(t.TempDir(), "data")), random: rand.New(rand.NewPCG(1, 2))}
	org, dom, first := l.addOrg(t, "alpha.test", "first")
	l.org, l.inboxes = org, []uuid.UUID{first.ID}
	l.other, _, _ = l.addOrg(t, "beta.test", "first")
	for n := 1; n < inboxes; n++ {
		id, err := l.NewInboxKey(t.Context(), org.ID)
		if err != nil {
			t.Fatal(err)
		}
		in := InboxRecord{Head: Head{ID: id, Org: org.ID}, Domain: dom.ID, Address: fmt.Sprintf("in%d@alpha.test", n), Env: Live}
		l.write(t, audit.InboxCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateInbox(e, &in) })
		l.inboxes = append(l.inboxes, id)
	}
	for n := range 20 {
		l.agents = append(l.agents, numbered('a', n))
	}
	return l
}

// numbered are ids that are the same in each run.
func numbered(kind byte, n int) uuid.UUID {
	return uuid.UUID{0x01, 0x98, kind, byte(n >> 16), byte(n >> 8), byte(n), 0x70, 15: 1}
}

// pick is one of several; the first ones oftener.
func pick[T any](r *rand.Rand, all ...T) T { return all[min(r.IntN(len(all)), r.IntN(len(all)))] }

// grow adds events.
func (l *writtenLog) grow(t testing.TB, n int) {
	t.Helper()
	for n > 0 {
		batch := min(n, 500)
		n -= batch
		l.clock.advance(time.Duration(1+l.random.IntN(20)) * time.Second)
		events := make([]audit.Event, batch)
		actors := make([]audit.Actor, batch)
		for i := range events {
			events[i], actors[i] = l.event()
		}
		err := l.Write(t.Context(), System, func(tx *Tx) error {
			for i := range events {
				tx.RecordAs(actors[i], events[i])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// event makes one that is like those of a working day.
func (l *writtenLog) event() (audit.Event, audit.Actor) {
	r := l.random
	agent := r.IntN(min(1+r.IntN(20), 20))
	e := audit.Event{Org: l.org.ID, Agent: l.agents[agent], Credential: numbered('c', agent*3+r.IntN(3)), Inbox: l.inboxes[r.IntN(len(l.inboxes))],
		Verb:    pick(r, audit.MessageRead, audit.MessageReceived, audit.MessageFlagged, audit.SessionLogin, audit.QueueDelivered, audit.MessageSubmitted),
		Outcome: pick(r, audit.OK, audit.OK, audit.OK, audit.Refused, audit.Held)}
	who := audit.Actor{Kind: audit.Agent, ID: e.Agent, Credential: e.Credential, Network: netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(agent), byte(r.IntN(5))})}
	switch e.Verb {
	case audit.MessageReceived:
		who = audit.Actor{Kind: audit.Stranger, Network: netip.AddrFrom4([4]byte{203, 0, byte(r.IntN(200)), byte(r.IntN(250))})}
		if r.IntN(4) == 0 {
			who.Network = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(r.IntN(4)), 0, byte(r.IntN(4)), 15: byte(r.IntN(9))})
		}
		e.Agent, e.Credential = uuid.Nil, uuid.Nil
		e.Personal = append(e.Personal, audit.Text(audit.KeyMessageID, fmt.Sprintf("<%d@x.test>", r.IntN(2000))))
	case audit.MessageSubmitted:
		e.Object = numbered('m', r.IntN(2000))
		e.Fields = append(e.Fields, audit.Word(audit.KeyTrigger, pick(r, "message", "schedule", "user")))
		e.Personal = append(e.Personal, audit.Text(audit.KeyTriggerRef, pick(r, "nightly", "<7@x.test>", "ada@example.com")))
	case audit.QueueDelivered:
		e.Object, who = numbered('m', r.IntN(2000)), System
	}
	switch r.IntN(50) {
	case 0:
		return audit.Event{Verb: audit.ServerHeartbeat, Outcome: audit.OK}, System
	case 1:
		return audit.Event{Verb: audit.AgentSuspend, Org: l.org.ID, Agent: e.Agent, Outcome: audit.OK}, audit.Actor{Kind: audit.Unix, Name: pick(r, "root", "ada")}
	case 2:
		return audit.Event{Verb: audit.AgentSuspend, Org: l.other.ID, Outcome: audit.OK}, audit.Actor{Kind: audit.Unix, Name: "root"}
	}
	return e, who
}

// conditions are those of each field, with values that are frequent, rare, and not there.
func (l *writtenLog) conditions() map[string]Condition {
	prefix := func(text string) Value { return Value{Network: netip.MustParsePrefix(text)} }
	text := func(s string) Value { return Value{Text: s} }
	number := func(n int) Value { return Value{Number: uint64(n)} }
	id := func(id uuid.UUID) Value { return Value{ID: id} }
	all := map[string]Condition{}
	for _, x := range []struct {
		name  string
		field Field
		value Value
	}{
		{"verb frequent", FieldVerb, number(int(audit.MessageRead))}, {"verb rare", FieldVerb, number(int(audit.AgentSuspend))}, {"verb absent", FieldVerb, number(int(audit.AlertRaise))},
		{"result frequent", FieldResult, number(int(audit.OK))}, {"result rare", FieldResult, number(int(audit.Held))}, {"result absent", FieldResult, number(int(audit.Failed))},
		{"agent frequent", FieldAgent, id(l.agents[0])}, {"agent rare", FieldAgent, id(l.agents[19])}, {"agent absent", FieldAgent, id(numbered('z', 1))},
		{"credential frequent", FieldCredential, id(numbered('c', 0))}, {"credential absent", FieldCredential, id(numbered('z', 1))},
		{"inbox", FieldInbox, id(l.inboxes[0])}, {"inbox absent", FieldInbox, id(numbered('z', 1))},
		{"actor frequent", FieldActor, number(int(audit.Agent))}, {"actor rare", FieldActor, number(int(audit.Unix))}, {"actor absent", FieldActor, number(int(audit.Person))},
		{"actor id", FieldActor, id(l.agents[1])}, {"actor name", FieldActor, text("ada")}, {"actor name absent", FieldActor, text("eve")},
		{"network address", FieldNetwork, prefix("10.0.0.1/32")}, {"network frequent", FieldNetwork, prefix("10.0.0.0/8")}, {"network near", FieldNetwork, prefix("10.1.2.0/24")},
		{"network wide", FieldNetwork, prefix("203.0.0.0/16")}, {"network odd", FieldNetwork, prefix("10.0.0.0/23")}, {"network very wide", FieldNetwork, prefix("0.0.0.0/0")},
		{"network six", FieldNetwork, prefix("2001:db8::/32")}, {"network six near", FieldNetwork, prefix("2001:db8:1::/48")}, {"network absent", FieldNetwork, prefix("192.0.2.1/32")},
		{"object", FieldObject, id(numbered('m', 1))}, {"object absent", FieldObject, id(numbered('z', 1))},
		{"message", FieldMessage, text("<1@x.test>")}, {"message id", FieldMessage, id(numbered('m', 3))}, {"message absent", FieldMessage, text("<none@x.test>")},
		{"trigger frequent", FieldTrigger, text("message")}, {"trigger cause", FieldTrigger, text("<7@x.test>")}, {"trigger absent", FieldTrigger, text("agent")},
	} {
		all[x.name] = Condition{Field: x.field, Values: []Value{x.value}}
		all["not "+x.name] = Condition{Field: x.field, Not: true, Values: []Value{x.value}}
	}
	every := Condition{Field: FieldVerb}
	for _, v := range audit.Verbs() {
		every.Values = append(every.Values, number(int(v)))
	}
	all["verb any"] = every
	every.Not = true
	all["not verb any"] = every
	return all
}

// everything reads the log without columns.
func (l *writtenLog) everything(t testing.TB) []audit.Event {
	t.Helper()
	var all []audit.Event
	for {
		events, err := l.Events(t.Context(), EventQuery{From: uint64(len(all)), Limit: 5000})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return all
		}
		all = append(all, events...)
	}
}

// search reads the first pages of a search, which are enough to tell.
func (l *writtenLog) search(t testing.TB, q Search) (seqs []uint64, more bool) {
	t.Helper()
	for range 3 {
		f, err := l.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Events {
			seqs = append(seqs, f.Events[i].Seq)
		}
		if !f.More {
			return seqs, false
		}
		if q.Newest {
			q.To = f.Next
		} else {
			q.From = f.Next
		}
	}
	return seqs, true
}

// TestAU10_SearchFindsWhatHolds holds searches against a reading of the whole log: of
// blocks that have columns, of such that have none yet, and of the last, which is not full.
func TestAU10_SearchFindsWhatHolds(t *testing.T) {
	l := newWrittenLog(t, 5)
	l.grow(t, blockEvents+100)
	if made, err := l.Columns(t.Context(), 0); err != nil || made != 1 {
		t.Fatalf("made the columns of %d blocks, %v", made, err)
	}
	l.grow(t, blockEvents+500)
	erased, err := l.InboxRecord(t.Context(), l.org.ID, l.inboxes[4])
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, audit.InboxRemove, func(tx *Tx, e *audit.Event) error { return tx.RemoveInbox(e, &erased, true) })
	if err := l.EraseInbox(t.Context(), erased.ID); err != nil {
		t.Fatal(err)
	}
	all := l.everything(t)
	check := func(name string, q Search) {
		t.Helper()
		var want []uint64
		for i := range all {
			if q.Holds(&all[i]) {
				want = append(want, all[i].Seq)
			}
		}
		if q.Newest {
			slices.Reverse(want)
		}
		got, more := l.search(t, q)
		if more {
			want = want[:min(len(got), len(want))]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %d events, and %d hold", name, len(got), len(want))
		}
	}
	middle := all[len(all)/2].Time
	for name, c := range l.conditions() {
		check(name, Search{Org: l.org.ID, Conditions: []Condition{c}, Limit: 40})
		check(name+" newest", Search{Org: l.org.ID, Conditions: []Condition{c}, Newest: true, Limit: 30})
		check(name+" in between", Search{Org: l.org.ID, Conditions: []Condition{c}, From: 100, To: blockEvents + 50, Since: all[50].Time, Until: middle, Limit: 30})
	}
	either := Condition{Field: FieldVerb, Values: []Value{{Number: uint64(audit.SessionLogin)}, {Number: uint64(audit.AgentSuspend)}}}
	check("alternatives", Search{Org: l.org.ID, Conditions: []Condition{either, l.conditions()["not result frequent"]}})
	check("no condition", Search{Org: l.org.ID, Since: middle})
	check("of the other organization", Search{Org: l.other.ID})
	check("nothing", Search{Org: l.org.ID, From: 10, To: 10})
}

// TestAU10_CountsAreThoseOfTheLog holds counts against a reading of the whole log.
func TestAU10_CountsAreThoseOfTheLog(t *testing.T) {
	l := newWrittenLog(t, 3)
	l.grow(t, 2*blockEvents+70)
	if _, err := l.Columns(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	all := l.everything(t)
	for name, c := range l.conditions() {
		q := Search{Org: l.org.ID, Conditions: []Condition{c}, From: 17}
		counts, err := l.Count(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		matching, refused, reads := 0, 0, 0
		for i := range all {
			if q.Holds(&all[i]) {
				matching++
				refused += map[audit.Outcome]int{audit.Refused: 1}[all[i].Outcome]
				reads += map[audit.Verb]int{audit.MessageRead: 1}[all[i].Verb]
			}
		}
		if counts.AtMost {
			if counts.Matching < matching {
				t.Errorf("%s: at most %d, and %d hold", name, counts.Matching, matching)
			}
			continue
		}
		sum := Interval{}
		for _, n := range counts.Times {
			sum.Count, sum.Refused = sum.Count+n.Count, sum.Refused+n.Refused
		}
		read := 0
		for _, f := range counts.Facets {
			if f.Field == FieldVerb && f.Value.Number == uint64(audit.MessageRead) {
				read = f.Count
			}
		}
		if counts.Matching != matching || sum != (Interval{matching, refused}) || read != reads {
			t.Errorf("%s: counted %d, over time %+v, %d reads; %d hold, %d of them refused, %d reads", name, counts.Matching, sum, read, matching, refused, reads)
		}
		if len(counts.Times) > maxIntervals {
			t.Errorf("%s: %d intervals", name, len(counts.Times))
		}
	}
}

// FuzzColumn reads damaged columns: an error, or a column that can be looked through.
func FuzzColumn(f *testing.F) {
	b := &columnBuilder{width: 2}
	for i := range 600 {
		b.put(i, []byte{byte(i), byte(i >> 7)})
	}
	f.Add(b.column().append(nil))
	f.Add((&columnBuilder{width: 16}).column().append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseColumn(data)
		if err != nil {
			return
		}
		found := c.matching(func(v []byte) bool { return len(v) > 0 && v[0] == 1 })
		c.counts(&found)
	})
}
