package chart

import (
	"context"
	"fmt"
	"io"

	"github.com/a-h/templ"

	"postern/web/ui"
)

// Words are what a chart says of itself.
type Words struct {
	ID    string // unique on its page
	Title string // what it shows: "Sends by the hour"
	Desc  string // what an eye would read off it, in one sentence
}

// Widths of a drawing, in units of its own.
const (
	usualWidth = 560
	phoneWidth = 326
	enlarge    = 1.15 // a unit is at most so many pixels
)

// maxSeries is how many series can be told apart.
const maxSeries = 3

// Series is a row of numbers, one for each step, with the name that stands where it ends.
type Series struct {
	Name   string // "sent", "refused"; or the plural of Noun
	Noun   string // what is counted, where Name does not say it: "message"
	Colour Colour
	Values []int64 // of at least zero; missing ones are zero
}

func (s Series) at(i int) int64 {
	if i < len(s.Values) {
		return max(0, s.Values[i])
	}
	return 0
}

func (s Series) sum() (n int64) {
	for i := range s.Values {
		n += s.at(i)
	}
	return n
}

// count says a number of the series in words: "7 sent", "1 message".
func (s Series) count(n int64) string {
	if s.Noun != "" {
		return ui.Count(n, s.Noun)
	}
	return ui.Number(n) + " " + s.Name
}

// bounded refuses more series than a person can tell apart.
func bounded(series []Series) {
	if len(series) > maxSeries {
		panic(fmt.Sprintf("chart: %d series, at most %d can be told apart", len(series), maxSeries))
	}
}

// sheet is one drawing of a chart.
type sheet struct {
	Words
	width  int
	height int
	phone  bool
}

// render draws a chart for wide screens and for phones, and its numbers as a table.
func render(w io.Writer, words Words, width int, draw func(*pen, *sheet), rows Table) error {
	if width == 0 {
		width = usualWidth
	}
	var p pen
	for _, s := range []*sheet{{Words: words, width: width}, {Words: words, width: phoneWidth, phone: true}} {
		var body pen
		draw(&body, s)
		s.open(&p)
		p.Write(body.Bytes())
		p.put(`</svg>`)
	}
	rows.write(&p)
	_, err := p.WriteTo(w)
	return err
}

// open begins a drawing, once its height is known.
func (s *sheet) open(p *pen) {
	id, class := s.ID, "only-l"
	if s.phone {
		id, class = s.ID+"-s", "only-s"
	}
	p.put(`<svg class="`, class, `" width="`, int(enlarge*float64(s.width)), `" viewBox="0 0 `, s.width, ` `, s.height, `"`)
	named(p, id, s.Words)
}

// named ends the first tag of a drawing with what it is called.
func named(p *pen, id string, words Words) {
	p.put(` role="img" aria-labelledby="`).say(id).put(`-t `).say(id).put(`-d"><title id="`).say(id).put(`-t">`).say(words.Title)
	p.put(`</title><desc id="`).say(id).put(`-d">`).say(words.Desc).put(`</desc>`)
}

// Table is the twin of a picture: the same numbers behind "Show as table".
type Table struct {
	Label string // what the numbers are; read aloud only
	Show  string // what opens it; empty: "Show as table"
	Head  []string
	Rows  [][]string // the first cell names its row, the others are numbers
}

var _ templ.Component = Table{}

// Render writes the table, or nothing where it has no row.
func (t Table) Render(_ context.Context, w io.Writer) error {
	var p pen
	t.write(&p)
	_, err := p.WriteTo(w)
	return err
}

func (t Table) write(p *pen) {
	if len(t.Rows) == 0 {
		return
	}
	if t.Show == "" {
		t.Show = "Show as table"
	}
	p.put(`<details class="noprint"><summary>`).say(t.Show).put(`</summary><div class="scroll" tabindex="0" role="region" aria-label="`)
	p.say(t.Label).put(`"><table class="tbl"><thead><tr>`)
	for i, cell := range t.Head {
		p.put(`<th scope="col"`, number(i), `>`).say(cell).put(`</th>`)
	}
	p.put(`</tr></thead><tbody>`)
	for _, row := range t.Rows {
		p.put(`<tr>`)
		for i, cell := range row {
			p.put(`<td`, number(i), `>`).say(cell).put(`</td>`)
		}
		p.put(`</tr>`)
	}
	p.put(`</tbody></table></div></details>`)
}

func number(column int) string {
	if column == 0 {
		return ""
	}
	return ` class="num"`
}

// tabled are the numbers of some series, a row for each step.
func tabled(words Words, first string, steps []Step, series []Series) Table {
	t := Table{Label: words.Title, Head: []string{first}}
	for _, s := range series {
		t.Head = append(t.Head, ui.Capital(s.Name))
	}
	for i, step := range steps {
		row := []string{step.Name}
		for _, s := range series {
			row = append(row, ui.Number(s.at(i)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// void says that there is nothing to draw.
func void(p *pen, s *sheet) {
	s.height = 40
	p.line("l-line", 0, 31.5, float64(s.width), 31.5)
	p.text("", 0, 20, start, "Nothing yet")
}
