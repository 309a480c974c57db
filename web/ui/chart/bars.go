package chart

import (
	"context"
	"io"
	"math"

	"postern/web/ui"
)

// Bars is a number per step, in up to three parts that stand on each other, under a
// limit if there is one.
type Bars struct {
	Words
	Axis   string // heading of the steps in the table: "Hour"
	Steps  []Step
	Series []Series
	Limit  int64  // zero: none
	Said   string // of the limit: "Limit 60 an hour"
	Marks  []Mark
	Last   string // what stands at the right end of the axis: "Now"
	Log    bool   // heights grow with the logarithm, where few are as telling as many
	Wide   int    // units; zero: 560
}

// Mark is an upright line at the beginning of a step.
type Mark struct {
	Step  int
	Label string
}

// Heights of a bar chart.
const (
	barsTop, barsBase = 24, 136
	barsBottom        = 160
	widestBar         = 48
	markLine          = 16
)

// Render draws the chart, for wide screens and for phones, and its table.
func (b Bars) Render(_ context.Context, w io.Writer) error {
	bounded(b.Series)
	return render(w, b.Words, b.Wide, b.draw, tabled(b.Words, b.Axis, b.Steps, b.Series))
}

func (b Bars) draw(p *pen, s *sheet) {
	if len(b.Steps) == 0 {
		void(p, s)
		return
	}
	s.height = barsBottom
	width := float64(s.width)
	if len(b.Series) > 1 {
		width = legend(p, s, b.Series, Series.sum, barsTop, barsBase)
	}
	p.line("l-line", 0, barsBase+.5, width, barsBase+.5)
	slot := width / float64(len(b.Steps))
	gap := max(min(4, slot/6), slot-widestBar)
	for i := range b.Steps {
		b.bar(p, i, float64(i)*slot+gap/2, slot-gap)
	}
	b.limit(p, width)
	marks(p, b.Marks, 0, slot, width, barsBase)
	if !s.phone || len(b.Series) == 1 { // the legend stands there on a phone
		b.peak(p, slot, width)
	}
	axis(p, b.Steps, 0, width, barsBase+19, b.Last)
}

// bar draws one step's bar, its parts from the ground up.
func (b Bars) bar(p *pen, i int, x, w float64) {
	var below int64
	for _, s := range b.Series {
		n := s.at(i)
		if n == 0 {
			continue
		}
		from, to := b.height(below), b.height(below+n)
		p.block("f-"+string(s.Colour), x, barsBase-to, w, max(1, to-from), b.Steps[i].Name+", "+s.count(n))
		below += n
	}
}

// height is how far above the ground a number stands.
func (b Bars) height(n int64) float64 {
	most, room := max(b.most(), b.Limit, 1), float64(barsBase-barsTop)
	if len(b.Marks) > 1 { // their words stand in two lines
		room -= markLine
	}
	if b.Log {
		return room * math.Log1p(float64(n)) / math.Log1p(float64(most))
	}
	return room * float64(n) / float64(most)
}

func (b Bars) total(i int) (n int64) {
	for _, s := range b.Series {
		n += s.at(i)
	}
	return n
}

func (b Bars) most() (n int64) {
	for i := range b.Steps {
		n = max(n, b.total(i))
	}
	return n
}

func (b Bars) limit(p *pen, width float64) {
	if b.Limit == 0 {
		return
	}
	y := barsBase - b.height(b.Limit)
	p.line("l-bad", 0, y+.5, width, y+.5)
	p.text("tx", width, y-8, end, b.Said)
}

// peak writes the highest number over its bar.
func (b Bars) peak(p *pen, slot, width float64) {
	most := b.most()
	if most == 0 || len(b.Marks) > 0 || b.Limit > 0 && b.height(most) > b.height(b.Limit)-24 {
		return
	}
	for i := range b.Steps {
		if b.total(i) == most {
			text := ui.Number(most)
			x := min(max((float64(i)+.5)*slot, wide(text)/2), width-wide(text)/2)
			p.text("tx halo", x, barsBase-b.height(most)-6, middle, text)
			return
		}
	}
}

// marks draws upright lines, each with its word on the side that has more room. A
// line over which the word of another reaches begins below that word.
func marks(p *pen, all []Mark, left, slot, width, base float64) {
	for i, m := range all {
		x, side, row := left+float64(m.Step)*slot, 6.0, i
		anchor := start
		if x-left > width/2 {
			side, row, anchor = -6, len(all)-1-i, end
		}
		y := 14 + markLine*float64(row%2)
		p.line("l-edge", x, y-10, x, base)
		p.text("halo", x+side, y, anchor, m.Label)
	}
}

// legend names the series where they end, in the order in which they stand: right of
// the chart, or over it on a phone. It returns how wide the chart is beside it.
func legend(p *pen, s *sheet, series []Series, value func(Series) int64, top, base float64) float64 {
	width := float64(s.width)
	if s.phone {
		x := 0.0
		for _, one := range series {
			number := ui.Number(value(one))
			p.block("f-"+string(one.Colour), x, 2, 10, 10, "")
			p.counted(x+15, 11, start, number, one.Name)
			x += 27 + wide(number+" "+one.Name)
		}
		return width
	}
	room := 0.0
	for _, one := range series {
		room = max(room, 30+wide(ui.Number(value(one))+" "+one.Name))
	}
	for i, one := range series {
		y := base - 6 - 22*float64(i)
		p.block("f-"+string(one.Colour), width-room+12, y-9, 10, 10, "")
		p.counted(width-room+28, y, start, ui.Number(value(one)), one.Name)
	}
	return width - room
}
