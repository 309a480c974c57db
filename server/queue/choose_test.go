package queue

import (
	"testing"

	"github.com/google/uuid"

	"postern/storage"
)

func TestTurn(t *testing.T) {
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	row := func(inbox uuid.UUID) storage.DueOutgoing {
		return storage.DueOutgoing{ID: uuid.New(), Inbox: inbox, Message: uuid.New(), Destination: "d"}
	}
	due := []storage.DueOutgoing{row(a), row(a), row(a), row(a), row(a), row(b), row(b), row(c)}
	turn := newTurn(5, 3, map[uuid.UUID]int{b: 2})
	turn.take(due)
	got := map[uuid.UUID]int{}
	for _, d := range turn.chosen {
		got[d.Inbox]++
	}
	// a has its share of three; b has one worker more to get, after its two; c its one.
	if got[a] != 3 || got[b] != 1 || got[c] != 1 || turn.free != 0 {
		t.Errorf("chosen %v, %d free", got, turn.free)
	}
	// Recipients that share a transaction are chosen once.
	same := due[0]
	same.ID = uuid.New()
	turn = newTurn(5, 5, nil)
	turn.take([]storage.DueOutgoing{due[0], same})
	if len(turn.chosen) != 1 {
		t.Errorf("%d chosen of one transaction", len(turn.chosen))
	}
}

func TestWord(t *testing.T) {
	for in, want := range map[string]string{"TLS 1.3": "TLS1.3", "no_such@x": "no_such-x", "é\r\n": "---"} {
		if got := word(in); got != want {
			t.Errorf("word(%q) = %q, want %q", in, got, want)
		}
	}
}
