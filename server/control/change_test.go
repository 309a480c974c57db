package control

import (
	"testing"
	"time"

	"postern/server/setup"
	"postern/storage"
)

// AV-5: what stands otherwise than a day ago is told, in the right direction, and what only went to and fro is not.
func TestAV5_ChangesOfADay(t *testing.T) {
	var h storage.Health
	now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	disk, queue, step := Fact{Section: "storage", Name: "Space", State: setup.Good, Text: "There is room."}, Fact{Section: "queue", Name: "Outgoing mail", State: setup.Good},
		Fact{Section: "set-up", Name: "agent", State: setup.Warn}
	look := func(facts ...Fact) []Change { noted(&h, facts, now); return changes(&h, facts, now) }
	if got := look(disk, queue, step); len(got) != 0 {
		t.Errorf("the first look finds changes: %+v", got)
	}
	if noted(&h, []Fact{disk, queue, step}, now.Add(time.Hour)) {
		t.Error("a look at what did not change is written down")
	}
	now = now.Add(3 * time.Hour)
	disk.State, disk.Text = setup.Warn, "The disk is nearly full."
	got := look(disk, queue) // and the step was done
	if len(got) != 2 || got[0].Name != "Space" || got[0].Better || got[0].Was != setup.Good || got[0].Is != setup.Warn || got[0].Text != disk.Text ||
		got[1].Name != "agent" || !got[1].Better || got[1].Is != "" {
		t.Errorf("%+v", got)
	}
	now = now.Add(time.Hour)
	disk.State = setup.Good
	if got := look(disk, queue); len(got) != 1 || got[0].Name != "agent" {
		t.Errorf("to and fro: %+v", got)
	}
	now = now.Add(25 * time.Hour)
	queue.State = setup.Unknown // is no state
	if got := look(disk, queue); len(got) != 0 {
		t.Errorf("a day later: %+v", got)
	}
	door := Fact{Section: "network", Name: "Door smtp", State: setup.Bad}
	if got := look(disk, queue, door); len(got) != 1 || got[0].Better || got[0].Was != "" {
		t.Errorf("a door that is shut: %+v", got)
	}
	for range 100 {
		now = now.Add(time.Minute)
		disk.State = map[setup.FindingState]setup.FindingState{setup.Good: setup.Bad, setup.Bad: setup.Good}[disk.State]
		look(disk, queue)
	}
	now = now.Add(72 * time.Hour)
	look(disk)
	if n := len(h.Checks["storage\nSpace"]); n > maxStates {
		t.Errorf("%d states are kept", n)
	}
	now = now.Add(72 * time.Hour)
	look(disk)
	if len(h.Checks) != 1 {
		t.Errorf("what is gone is kept: %v", h.Checks)
	}
}

// AV-5: an alert about the disk begins before mail is refused, and ends only when there is clearly more room.
func TestAV5_Room(t *testing.T) {
	const gb = 1 << 30
	for _, c := range []struct {
		name        string
		free, all   int64
		full        bool
		state       setup.FindingState
		rings, over bool
	}{
		{"plenty", 50 * gb, 100 * gb, false, setup.Good, false, true},
		{"low", 4 * gb, 100 * gb, false, setup.Warn, true, false},
		{"just enough", 5*gb + 1, 100 * gb, false, setup.Good, false, false},
		{"again enough", 7 * gb, 100 * gb, false, setup.Good, false, true},
		{"small disk", 200 << 20, 1 * gb, false, setup.Warn, true, false},
		{"full", 50 << 20, 100 * gb, true, setup.Bad, true, false},
	} {
		f := roomFact(c.free, c.all, c.full)
		if f.State != c.state || f.rings != c.rings || f.over != c.over || f.State != setup.Good && f.Fix == "" {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}
