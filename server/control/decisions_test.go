package control

import (
	"testing"
	"time"
)

// TestSpanOf: a span has its beginning and not its end, and the last one has none.
func TestSpanOf(t *testing.T) {
	for waited, want := range map[time.Duration]int{-time.Second: 0, 0: 0, time.Minute - 1: 0, time.Minute: 1, time.Hour: 4, 24*time.Hour - 1: 5, 24 * time.Hour: 6, 1000 * time.Hour: 6} {
		if got := spanOf(waited); got != want {
			t.Errorf("%v: %d, want %d", waited, got, want)
		}
	}
}
