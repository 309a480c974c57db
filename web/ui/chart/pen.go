package chart

import (
	"bytes"
	"math"
	"strconv"

	"github.com/a-h/templ"
)

// Colour names a class of the style sheet.
type Colour string

// The colours. Those of a state are for that state alone.
const (
	Usual   Colour = "edge" // what is usual, or was before
	Faint   Colour = "line" // what waits, or counts little
	Subject Colour = "acc"  // what the chart is about
	Ink     Colour = "ink"
	OK      Colour = "ok"
	Warn    Colour = "warn"
	Bad     Colour = "bad"
	Wait    Colour = "wait"
)

// pen writes SVG. What it is given as text is escaped; names of classes are ours.
type pen struct{ bytes.Buffer }

// put writes markup as it is, with numbers between.
func (p *pen) put(parts ...any) *pen {
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			p.WriteString(part)
		case Colour:
			p.WriteString(string(part))
		case int:
			p.WriteString(strconv.Itoa(part))
		case float64:
			p.WriteString(short(part))
		}
	}
	return p
}

// say writes text.
func (p *pen) say(text string) *pen { return p.put(templ.EscapeString(text)) }

// short writes a coordinate, to a tenth of a unit.
func short(f float64) string {
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}

// block is a filled rectangle that says what it stands for.
func (p *pen) block(class string, x, y, w, h float64, title string) {
	p.put(`<path class="`, class, `" d="M`, x, ` `, y, `h`, w, `v`, h, `h`, -w, `z"`)
	if title == "" {
		p.put(`/>`)
		return
	}
	p.put(`><title>`).say(title).put(`</title></path>`)
}

// line is a straight stroke.
func (p *pen) line(class string, x1, y1, x2, y2 float64) {
	p.put(`<path class="`, class, `" d="M`, x1, ` `, y1)
	switch {
	case x1 == x2:
		p.put(`V`, y2)
	case y1 == y2:
		p.put(`H`, x2)
	default:
		p.put(`L`, x2, ` `, y2)
	}
	p.put(`"/>`)
}

// Where a text stands to its point.
const (
	start  = ""
	middle = "middle"
	end    = "end"
)

func (p *pen) text(class string, x, y float64, anchor, text string) {
	p.open(class, x, y, anchor)
	p.say(text).put(`</text>`)
}

// counted is a text that begins with a number in strong letters.
func (p *pen) counted(x, y float64, anchor, number, text string) {
	p.open("halo", x, y, anchor)
	p.put(`<tspan class="tx">`).say(number).put(`</tspan> `).say(text).put(`</text>`)
}

func (p *pen) open(class string, x, y float64, anchor string) {
	p.put(`<text`)
	if class != "" {
		p.put(` class="`, class, `"`)
	}
	p.put(` x="`, x, `" y="`, y, `"`)
	if anchor != start {
		p.put(` text-anchor="`, anchor, `"`)
	}
	p.put(`>`)
}

// wide is how much room a text takes at 12 px, guessed generously: no font is known here.
func wide(text string) float64 { return 7 * float64(len([]rune(text))) }
