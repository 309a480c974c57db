package server

import "testing"

// TestBurst: memory is given back once behind each burst, not within one and not for a little.
func TestBurst(t *testing.T) {
	var b burst
	allocated := uint64(0)
	for i, look := range []struct {
		more uint64
		over bool
	}{
		{100 << 10, false}, // a little
		{0, false},
		{20 << 20, false}, // a burst
		{20 << 20, false},
		{quietBytes, false},
		{quietBytes - 1, true}, // and its end
		{0, false},
		{quietBytes - 1, false}, // what goes on all the time adds up
		{burstBytes, false},
		{0, true},
		{0, false},
	} {
		if allocated += look.more; b.over(allocated) != look.over {
			t.Errorf("look %d: over is %v", i, !look.over)
		}
	}
}
