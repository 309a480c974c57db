package chart

import (
	"context"
	"io"
)

// Band is an amount over time in up to three parts that stand on each other, each
// named where it ends with what it is now: how much waits in a queue.
type Band struct {
	Words
	Axis   string // heading of the steps in the table: "Hour"
	Steps  []Step
	Series []Series
	Last   string // what stands at the right end of the axis: "Now"
	Wide   int    // units; zero: 560
}

// Heights of a band.
const (
	bandTop, bandBase = 24, 120
	bandBottom        = 144
)

// Render draws the chart, for wide screens and for phones, and its table.
func (b Band) Render(_ context.Context, w io.Writer) error {
	bounded(b.Series)
	return render(w, b.Words, b.Wide, b.draw, tabled(b.Words, b.Axis, b.Steps, b.Series))
}

func (b Band) draw(p *pen, s *sheet) {
	if len(b.Steps) == 0 {
		void(p, s)
		return
	}
	s.height = bandBottom
	now := func(one Series) int64 { return one.at(len(b.Steps) - 1) }
	width := legend(p, s, b.Series, now, bandTop, bandBase)
	below := make([]int64, len(b.Steps))
	most := b.most()
	for _, one := range b.Series {
		b.part(p, one, below, most, width)
		for i := range below {
			below[i] += one.at(i)
		}
	}
	b.columns(p, below, width)
	p.line("l-edge", 0, bandBase+.5, width, bandBase+.5)
	axis(p, b.Steps, 0, width, bandBase+19, b.Last)
}

// part is the area of one series, on what lies below it.
func (b Band) part(p *pen, s Series, below []int64, most int64, width float64) {
	p.put(`<path class="f-`, s.Colour, `" d="M`)
	y := func(n int64) float64 { return bandBase - (bandBase-bandTop)*float64(n)/float64(most) }
	last := len(below) - 1
	if last == 0 { // one moment: as if it had always been so
		p.put(0, `,`, y(below[0]+s.at(0)), `H`, width, `V`, y(below[0]), `H0z"/>`)
		return
	}
	x := func(i int) float64 { return width * float64(i) / float64(last) }
	for i := range below {
		p.put(x(i), `,`, y(below[i]+s.at(i)), ` `)
	}
	p.put(`L`)
	for i := last; i >= 0; i-- {
		p.put(x(i), `,`, y(below[i]))
		if i > 0 {
			p.put(` `)
		}
	}
	p.put(`z"/>`)
}

// columns lay a title over each step, which says its parts.
func (b Band) columns(p *pen, sums []int64, width float64) {
	slot := width / float64(len(sums))
	for i, step := range b.Steps {
		said := step.Name
		for _, one := range b.Series {
			said += ", " + one.count(one.at(i))
		}
		p.block("see", float64(i)*slot, bandTop, slot, bandBase-bandTop, said)
	}
}

func (b Band) most() int64 {
	most := int64(1)
	for i := range b.Steps {
		n := int64(0)
		for _, s := range b.Series {
			n += s.at(i)
		}
		most = max(most, n)
	}
	return most
}
