package chart

import (
	"context"
	"io"
	"slices"
)

// Spark is a line the size of a word: how a figure went over some days. It has no
// text and stretches; its table stands with that of its neighbours, where the page
// puts it.
type Spark struct {
	Words
	Values []int64 // of at least zero, the oldest first; the last one is now
	Dot    Colour  // of the last; empty: Subject
}

// Size of a spark line.
const (
	sparkWidth, sparkHeight = 160, 32
	sparkTop, sparkBase     = 5, 28
)

// Render draws the line.
func (s Spark) Render(_ context.Context, w io.Writer) error {
	var p pen
	p.put(`<svg viewBox="0 0 `, sparkWidth, ` `, sparkHeight, `" preserveAspectRatio="xMinYMid meet"`)
	named(&p, s.ID, s.Words)
	p.line("l-line", 0, sparkHeight-.5, sparkWidth, sparkHeight-.5)
	s.draw(&p)
	p.put(`</svg>`)
	_, err := p.WriteTo(w)
	return err
}

func (s Spark) draw(p *pen) {
	if len(s.Values) == 0 {
		return
	}
	if s.Dot == "" {
		s.Dot = Subject
	}
	high := float64(max(1, slices.Max(s.Values)))
	x, y := float64(sparkWidth-4), 0.0
	step := float64(sparkWidth-8) / float64(max(1, len(s.Values)-1))
	if len(s.Values) > 1 {
		p.put(`<path class="l-2" d="M`)
	}
	for i, v := range s.Values {
		y = sparkBase - (sparkBase-sparkTop)*float64(max(0, v))/high
		if len(s.Values) > 1 {
			x = 4 + float64(i)*step
			if i > 0 {
				p.put(` `)
			}
			p.put(x, `,`, y)
		}
	}
	if len(s.Values) > 1 {
		p.put(`"/>`)
	}
	p.put(`<circle class="f-`, s.Dot, `" cx="`, x, `" cy="`, y, `" r="3.5"/>`)
}
