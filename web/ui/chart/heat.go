package chart

import (
	"context"
	"io"
	"strings"
)

// Heat is a strip of cells whose shade says how much happened in each. A notch at the
// top of a cell says that something went wrong there, a dot that something was new.
// It has no text and stretches; the page puts strips under one axis and their numbers
// into one table.
type Heat struct {
	Words
	Steps  []Step
	Cells  []Cell // one for each step; missing ones are empty
	Noun   string // what is counted, as said after the number: "sent"
	Shades Shades // zero: up to 2, 6, 12, more
}

// Cell is one step of a strip.
type Cell struct {
	Value  int64
	Colour Colour // in place of a shade, where the cell is a state
	Notch  string // what went wrong, in words; empty: nothing
	Dot    string // what was new, in words; empty: nothing
}

// Shades are the largest numbers of the first three shades.
type Shades [3]int64

var usualShades = Shades{2, 6, 12}

// ShadesUpTo are shades for strips whose largest number is most: the usual ones where
// they serve, else an eighth, a quarter and a half of it.
func ShadesUpTo(most int64) Shades {
	if most <= 2*usualShades[2] {
		return usualShades
	}
	return Shades{most / 8, most / 4, most / 2}
}

// Size of a cell.
const (
	cellWidth, cellHeight = 20, 20
	emptyCells            = 3 // a strip of fewer is not blown up beyond that
)

// Render draws the strip.
func (h Heat) Render(_ context.Context, w io.Writer) error {
	if h.Shades == (Shades{}) {
		h.Shades = usualShades
	}
	var p pen
	p.put(`<svg viewBox="0 0 `, max(emptyCells, len(h.Steps))*cellWidth, ` `, cellHeight, `"`)
	named(&p, h.ID, h.Words)
	for i, step := range h.Steps {
		c := Cell{}
		if i < len(h.Cells) {
			c = h.Cells[i]
		}
		h.cell(&p, float64(i*cellWidth)+.8, step, c)
	}
	p.put(`</svg>`)
	_, err := p.WriteTo(w)
	return err
}

func (h Heat) cell(p *pen, x float64, step Step, c Cell) {
	const width = cellWidth - 1.5
	said := []string{step.Name, Series{Name: h.Noun}.count(c.Value)}
	for _, more := range []string{c.Notch, c.Dot} {
		if more != "" {
			said = append(said, more)
		}
	}
	p.block(h.class(c), x, 0, width, cellHeight, strings.Join(said, ", "))
	if c.Notch != "" {
		p.block("f-bad", x, 0, width, 5, "")
	}
	if c.Dot != "" {
		dot := Ink
		if c.Value > h.Shades[1] {
			dot = "surf"
		}
		p.put(`<circle class="f-`, dot, `" cx="`, x+width/2, `" cy="13" r="2.6"/>`)
	}
}

func (h Heat) class(c Cell) string {
	switch {
	case c.Colour != "":
		return "f-" + string(c.Colour)
	case c.Value <= 0:
		return "h0"
	case c.Value <= h.Shades[0]:
		return "h1"
	case c.Value <= h.Shades[1]:
		return "h2"
	case c.Value <= h.Shades[2]:
		return "h3"
	}
	return "h4"
}
