package main

import (
	"math"

	"postern/server/injection"
)

// quantise makes the model that ships: whole numbers, each number of a kind in units
// of a share of the greatest one.
func (m *weights) quantise(version string) *injection.Model {
	return &injection.Model{Version: version, Words: m.words.quantise(), Frame: m.frame.quantise(), Bias: fixed(float64(m.bias)), WordBias: fixed(float64(m.wordBias)),
		Length: fixed(m.length), Suspicious: m.suspicious, Quarantine: m.quarantine}
}

func (p *part) quantise() (q injection.Part) {
	q.Unit = fixed(scaleOf(p.w))
	row := scaleOf(p.rows)
	q.Weights, q.Rows = small(p.w, float64(q.Unit)/injection.One), small(p.rows, row)
	q.Half = int32(math.Round(1 / row))
	for k := range units {
		q.From[k], q.Out[k] = int32(math.Round(float64(p.from[k])/row)), fixed(float64(p.out[k]))
	}
	return q
}

// fixed counts a logit as the model does.
func fixed(logit float64) int32 { return int32(math.Round(logit * injection.One)) }

// scaleOf is the unit in which numbers fit eight bits.
func scaleOf(list []float32) float64 {
	top := 0.0
	for _, w := range list {
		top = max(top, math.Abs(float64(w)))
	}
	return max(top/math.MaxInt8, 1e-9)
}

func small(list []float32, unit float64) []int8 {
	out := make([]int8, len(list))
	for i, w := range list {
		out[i] = int8(min(max(math.Round(float64(w)/unit), -math.MaxInt8), math.MaxInt8))
	}
	return out
}
