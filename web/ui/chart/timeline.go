package chart

import (
	"context"
	"io"
	"time"
)

// Timeline is what holds from when to when: the lives of keys that follow each other.
type Timeline struct {
	Words
	From, To time.Time
	Zone     *time.Location
	Rows     []Row
	Moments  []Moment
	Wide     int // units; zero: 560
}

// Row is one thing's life.
type Row struct {
	Name  string
	Spans []Span
}

// Span is a part of a life. Parts that lie outside the picture are cut at its edge.
type Span struct {
	From, To time.Time
	Label    string
	Colour   Colour // Subject for what is in force, Faint else
}

// Moment is an upright line through all rows.
type Moment struct {
	At    time.Time
	Label string
	Now   bool // dashed
}

// Heights of a time line.
const (
	lifeTop    = 20
	lifeHeight = 26
	lifeGap    = 22
)

// Render draws the chart, for wide screens and for phones, and its table.
func (t Timeline) Render(_ context.Context, w io.Writer) error {
	rows := Table{Label: t.Title, Head: []string{"Name", "What", "From", "To"}}
	for _, r := range t.Rows {
		for _, s := range r.Spans {
			rows.Rows = append(rows.Rows, []string{r.Name, s.Label, t.day(s.From), t.day(s.To)})
		}
	}
	return render(w, t.Words, t.Wide, t.draw, rows)
}

func (t Timeline) day(at time.Time) string { return at.In(t.Zone).Format("2 Jan 2006 15:04") }

func (t Timeline) draw(p *pen, s *sheet) {
	if len(t.Rows) == 0 || !t.To.After(t.From) {
		void(p, s)
		return
	}
	left, head := 0.0, 18.0 // names stand over the rows on a phone
	if !s.phone {
		left, head = 56, 0
		for _, r := range t.Rows {
			left = max(left, wide(r.Name)+12)
		}
	}
	width := float64(s.width) - left
	bottom := lifeTop + lifeGap + float64(len(t.Rows))*(lifeHeight+lifeGap+head)
	t.days(p, left, width, bottom)
	for i, r := range t.Rows {
		y := lifeTop + lifeGap + head + float64(i)*(lifeHeight+lifeGap+head)
		if s.phone {
			p.text("tx halo", 0, y-8, start, r.Name)
		} else {
			p.text("tx", 0, y+17, start, r.Name)
		}
		t.life(p, r, left, width, y)
	}
	t.moments(p, left, width, bottom)
	s.height = int(bottom) + 24
}

// x is where a moment stands.
func (t Timeline) x(at time.Time, left, width float64) float64 {
	part := float64(at.Sub(t.From)) / float64(t.To.Sub(t.From))
	return left + width*min(1, max(0, part))
}

// days are upright hairlines with a date: the edges and three between.
func (t Timeline) days(p *pen, left, width, bottom float64) {
	const parts = 4
	form := "2 Jan"
	if t.To.Sub(t.From) < parts*24*time.Hour {
		form = "2 Jan 15:04"
	}
	n := parts
	if wide(form)*(parts+1) > width {
		n = 2
	}
	for i := range n + 1 {
		at := t.From.Add(t.To.Sub(t.From) * time.Duration(i) / time.Duration(n))
		x, anchor := t.x(at, left, width), middle
		switch i {
		case 0:
			anchor = start
		case n:
			anchor = end
		}
		p.line("l-line", x, lifeTop, x, bottom)
		p.text("", x, 12, anchor, at.In(t.Zone).Format(form))
	}
}

func (t Timeline) life(p *pen, r Row, left, width, y float64) {
	for _, s := range r.Spans {
		x, stop := t.x(s.From, left, width), t.x(s.To, left, width)
		if stop-x < 2 {
			continue
		}
		p.block("f-"+string(s.Colour), x+1, y, stop-x-2, lifeHeight, s.Label+", "+t.day(s.From)+" to "+t.day(s.To))
		class := "tx"
		if s.Colour != Faint {
			class = "on-a"
		}
		if wide(s.Label)+16 < stop-x {
			p.text(class, x+9, y+17, start, s.Label)
		}
	}
}

func (t Timeline) moments(p *pen, left, width, bottom float64) {
	free := left // no word is written over the one before
	for _, m := range t.Moments {
		if m.At.Before(t.From) || m.At.After(t.To) {
			continue
		}
		x, half := t.x(m.At, left, width), wide(m.Label)/2
		class := "l-edge"
		if m.Now {
			class = "l-bad"
		}
		p.line(class, x, lifeTop, x, bottom)
		at := max(free+half, min(x, left+width-half))
		p.text("tx", at, bottom+16, middle, m.Label)
		free = at + half + 8
	}
}
