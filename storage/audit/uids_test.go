package audit

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Against a map of single UIDs.
func TestUIDs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		var s UIDs
		model := map[uint32]bool{}
		for range 40 {
			first := 1 + rng.Uint32N(60)
			last := first + rng.Uint32N(8)
			if rng.IntN(2) == 0 {
				s.Add(first, last)
				for u := first; u <= last; u++ {
					model[u] = true
				}
			} else {
				var want uint64
				for u := first; u <= last; u++ {
					if model[u] {
						want++
					}
					delete(model, u)
				}
				if got := s.Remove(first, last); got != want {
					t.Fatalf("removed %d of %d:%d, want %d", got, first, last, want)
				}
			}
			back, err := ParseUIDs(s.String())
			if err != nil || back.String() != s.String() || s.Count() != uint64(len(model)) {
				t.Fatalf("%q has %d, want %d: %v", s, s.Count(), len(model), err)
			}
			for u := uint32(0); u < 70; u++ {
				if s.Contains(u) != model[u] {
					t.Fatalf("%q contains %d: %v", s, u, s.Contains(u))
				}
			}
		}
		var other UIDs
		for range 10 {
			first := 1 + rng.Uint32N(60)
			other.Add(first, first+rng.Uint32N(5))
		}
		want := append(UIDs(nil), s...)
		for _, r := range other {
			want.Remove(r.First, r.Last)
		}
		if got := s.Minus(other); got.String() != want.String() {
			t.Fatalf("%q minus %q is %q, want %q", s, other, got, want)
		}
	}
}

func TestUIDsAtTheEnd(t *testing.T) {
	var s UIDs
	s.Add(math.MaxUint32, math.MaxUint32)
	s.Add(math.MaxUint32-1, math.MaxUint32-1)
	s.Add(0, 5)
	s.Add(9, 8)
	if s.String() != "4294967294:4294967295" || s.Count() != 2 {
		t.Errorf("%s", s)
	}
	if s.Remove(1, math.MaxUint32) != 2 || len(s) != 0 {
		t.Errorf("%s is left", s)
	}
}

func TestParseUIDsTakesTheNormalFormOnly(t *testing.T) {
	for _, text := range []string{"0", "1,", ",", "1:1", "2:1", "1,2", "1:3,4", "3,1", "01", "+1", "1:*", "4294967296", " 1", "1:2:3", "1:3,2:5"} {
		if s, err := ParseUIDs(text); err == nil {
			t.Errorf("%q reads as %s", text, s)
		}
	}
}
