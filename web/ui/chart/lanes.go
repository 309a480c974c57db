package chart

import (
	"context"
	"io"
	"slices"
)

// Lanes are rows of bars over one axis, to be held against each other: the uses of an
// old credential over those of its successor.
type Lanes struct {
	Words
	Axis  string // heading of the steps in the table: "Six hours from"
	Steps []Step
	Rows  []Lane // at most three
	Marks []Mark
	Last  string // what stands at the right end of the axis: "Now"
	Wide  int    // units; zero: 560
}

// Lane is one row.
type Lane struct {
	Series
	Note string // under its name: "old", "successor"
}

// Sizes of a lane.
const (
	laneTop    = 20
	laneHeight = 60
	laneNames  = 96 // room for names at the left; on a phone they stand over the lane
)

// Render draws the chart, for wide screens and for phones, and its table.
func (l Lanes) Render(_ context.Context, w io.Writer) error {
	series := make([]Series, 0, len(l.Rows))
	for _, r := range l.Rows {
		series = append(series, r.Series)
	}
	bounded(series)
	return render(w, l.Words, l.Wide, l.draw, tabled(l.Words, l.Axis, l.Steps, series))
}

func (l Lanes) draw(p *pen, s *sheet) {
	if len(l.Steps) == 0 || len(l.Rows) == 0 {
		void(p, s)
		return
	}
	left, extra := float64(laneNames), 0.0
	for _, r := range l.Rows {
		left = max(left, wide(r.Name)+12)
	}
	if s.phone {
		left, extra = 0, 20
	}
	width := float64(s.width) - left
	slot := width / float64(len(l.Steps))
	base := float64(laneTop)
	for range l.Rows {
		base += laneHeight + extra
	}
	marks(p, l.Marks, left, slot, width, base)
	for i, r := range l.Rows {
		ground := laneTop + float64(i+1)*(laneHeight+extra)
		p.line("l-line", left, ground+.5, left+width, ground+.5)
		l.named(p, r, ground, s.phone)
		l.lane(p, r, left, slot, ground)
	}
	axis(p, l.Steps, left, width, base+19, l.Last)
	s.height = int(base) + 24
}

func (l Lanes) named(p *pen, r Lane, ground float64, phone bool) {
	if phone {
		p.counted(0, ground-laneHeight, start, r.Name, r.Note)
		return
	}
	p.text("tx", 0, ground-20, start, r.Name)
	p.text("", 0, ground-4, start, r.Note)
}

func (l Lanes) lane(p *pen, r Lane, left, slot, ground float64) {
	most := int64(1)
	for _, other := range l.Rows {
		if len(other.Values) > 0 {
			most = max(most, slices.Max(other.Values))
		}
	}
	gap := min(4, slot/6)
	for i := range l.Steps {
		n := r.at(i)
		if n == 0 {
			continue
		}
		h := max(1, (laneHeight-16)*float64(n)/float64(most))
		p.block("f-"+string(r.Colour), left+float64(i)*slot+gap/2, ground-h, slot-gap, h, l.Steps[i].Name+", "+r.count(n))
	}
}
