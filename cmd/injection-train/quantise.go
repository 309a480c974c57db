package main

import (
	"math"

	"postern/server/injection"
)

// quantise makes the model that ships: whole numbers, and thresholds at the scores
// that one in a hundred and one in a thousand harmless messages reached.
func (m *weights) quantise(f *figures, o options) *injection.Model {
	top := 0.0
	for _, w := range m.w {
		top = max(top, math.Abs(w))
	}
	out := &injection.Model{Version: "1", Scale: top / math.MaxInt8, Bias: m.bias, Length: o.Length,
		Suspicious: f.at(.01), Quarantine: f.at(.001), Weights: make([]int8, injection.Buckets)}
	for i, w := range m.w {
		out.Weights[i] = int8(math.Round(w / out.Scale))
	}
	return out
}
