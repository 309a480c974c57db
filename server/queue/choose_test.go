package queue

import (
	"testing"

	"github.com/google/uuid"

	"postern/storage"
)

func TestTurn(t *testing.T) {
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	row := func(sender uuid.UUID) storage.DueOutgoing {
		return storage.DueOutgoing{ID: uuid.New(), Turn: sender, Message: uuid.New(), Destination: "d"}
	}
	due := []storage.DueOutgoing{row(a), row(a), row(a), row(a), row(a), row(b), row(b), row(c)}
	busy := newLoad()
	busy.add(b, "d", 2)
	turn := newTurn(6, shares{workers: 8}, busy, map[group]bool{groupOf(due[4]): true})
	turn.take(due, false)
	got := map[uuid.UUID]int{}
	for _, d := range turn.chosen {
		got[d.Turn]++
	}
	// Each first gets one, b beside the two that it has. Then a may have half of the four that the others leave.
	if got[a] != 2 || got[b] != 1 || got[c] != 1 || turn.free != 2 {
		t.Errorf("chosen %v, %d free", got, turn.free)
	}
	// Recipients that share a transaction are chosen once.
	same := due[0]
	same.ID = uuid.New()
	turn = newTurn(5, shares{workers: 10}, newLoad(), map[group]bool{})
	turn.take([]storage.DueOutgoing{due[0], same}, false)
	if len(turn.chosen) != 1 || turn.chosen[0].patient {
		t.Errorf("%d chosen of one transaction", len(turn.chosen))
	}
	// Who has a backlog is patient, be it of few messages for many.
	turn = newTurn(5, shares{workers: 10}, newLoad(), map[group]bool{})
	turn.take([]storage.DueOutgoing{due[0], same}, true)
	var many []storage.DueOutgoing
	for range lookAhead + 1 {
		many = append(many, row(b))
	}
	turn.take(append(many, row(c)), false)
	for _, d := range turn.chosen {
		if d.patient != (d.Turn != c) {
			t.Errorf("patient: %v, of %v", d.patient, d.Turn)
		}
	}
}

// TestAV2_Shares: one that is alone has half of the workers and half of the places at a
// destination; when others come it has half of what they leave, and never nothing.
func TestAV2_Shares(t *testing.T) {
	flood, other := uuid.New(), uuid.New()
	s := shares{workers: 32, places: 10}
	for _, c := range []struct{ others, elsewhere, want int }{{0, 0, 5}, {2, 0, 4}, {6, 0, 2}, {10, 0, 1}, {30, 0, 1}, {0, 14, 2}, {0, 18, 1}} {
		l := newLoad()
		l.add(other, "d", c.others)
		l.add(flood, "e", c.elsewhere)
		got := 0
		for l.room(flood, "d", s) {
			l.add(flood, "d", 1)
			got++
		}
		if c.elsewhere >= 16 {
			c.want = 0 // it has its half already
		}
		if got != c.want {
			t.Errorf("beside %d of others, with %d elsewhere, it gets %d places, want %d", c.others, c.elsewhere, got, c.want)
		}
	}
}

func TestWord(t *testing.T) {
	for in, want := range map[string]string{"TLS 1.3": "TLS1.3", "no_such@x": "no_such-x", "é\r\n": "---"} {
		if got := word(in); got != want {
			t.Errorf("word(%q) = %q, want %q", in, got, want)
		}
	}
}
