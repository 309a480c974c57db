package panel

import (
	"slices"
	"testing"
	"time"

	"postern/server/control"
)

// TestMoments holds that the history of a message is told in the order of time, and that who reads it again and again
// stands there once.
func TestMoments(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC) }
	read := func(minute int, agent, class string) control.Read {
		return control.Read{Time: at(minute), Agent: agent, Credential: agent + "-key", Class: []string{class}}
	}
	trace := control.Trace{
		Received:   &control.Reception{Time: at(0), Verdict: "clean"},
		Recipients: []control.Recipient{{Address: "a@alpha.test", Outcome: "received", Time: at(0)}},
		Readers:    []control.Read{read(1, "scout", "text"), read(2, "scout", "text"), read(4, "scout", "envelope"), read(5, "clerk", "text"), read(9, "scout", "text")},
		Sequels:    []control.Sequel{{Time: at(3), Agent: "scout", To: []string{"b@beta.test"}}},
	}
	var got []string
	for _, m := range moments(&trace) {
		got = append(got, m.what)
	}
	want := []string{"Connection from an unknown address", "Sender checked", "Verdict: clean", "Received: a@alpha.test", "Read by scout", "Then scout sent to b@beta.test", "Read by scout", "Read by clerk"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	few := readings(trace.Readers)
	if len(few) != 3 || few[0].more != 2 || !few[0].last.Equal(at(9)) || few[1].more != 0 || few[2].Agent != "clerk" {
		t.Errorf("%+v", few)
	}
}
