package chart

import (
	"context"
	"io"

	"postern/web/ui"
)

// Flow shows how amounts pass through columns from left to right, as bands whose width
// is the amount (M. H. Sankey's diagrams of heat, 1898).
type Flow struct {
	Words
	Columns []Column
	Ways    []Way
	Noun    string   // what passes: "message"
	Head    []string // headings of the table; one for each column, and the last for the amount
	Wide    int      // units; zero: 760
}

// Column is one stage that everything passes.
type Column struct {
	Name  string
	Nodes []Node // from the top; those without amount are left out
}

// Node is a place in a column.
type Node struct {
	Name   string
	Short  string // on a phone; empty: Name
	Colour Colour // of its bar; empty: Ink
	Passed bool   // the column says nothing of these: they pass it without a bar
}

// Way is an amount that goes through one node of each column.
type Way struct {
	Nodes  []int // by column
	Count  int64
	Colour Colour // of its band; empty: Usual
}

// Sizes of a flow.
const (
	flowTop    = 26
	flowHeight = 342 // of the columns
	flowPhone  = 434
	flowGap    = 16 // between the nodes of a column
	flowBar    = 8
	flowWide   = 760
	flowLeast  = 1.5 // what is drawn of the smallest band
	flowRoom   = 62  // for the names of the last column on a phone, which stand right of it
)

// Render draws the chart, for wide screens and for phones, and its table.
func (f Flow) Render(_ context.Context, w io.Writer) error {
	if f.Wide == 0 {
		f.Wide = flowWide
	}
	rows := Table{Label: f.Title, Head: f.Head}
	for _, way := range f.Ways {
		var row []string
		for c, n := range way.Nodes {
			row = append(row, f.Columns[c].Nodes[n].Name)
		}
		rows.Rows = append(rows.Rows, append(row, ui.Number(way.Count)))
	}
	return render(w, f.Words, f.Wide, f.draw, rows)
}

func (f Flow) draw(p *pen, s *sheet) {
	l := f.lay(s)
	if l == nil {
		void(p, s)
		return
	}
	s.height = int(flowTop + l.height + 4)
	for c := range len(f.Columns) - 1 {
		f.bands(p, l, c)
	}
	for c, column := range f.Columns {
		anchor := start
		x := l.x[c]
		if c == len(f.Columns)-1 && !s.phone {
			anchor, x = end, x+flowBar
		}
		p.text("", x, 11, anchor, column.Name)
		for n := range column.Nodes {
			f.node(p, s, l, c, n)
		}
	}
}

// layout is where everything of a flow stands.
type layout struct {
	x      []float64
	top    [][]float64 // of each node
	amount [][]int64
	scale  float64 // units for each one
	height float64
}

func (l *layout) size(n int64) float64 { return float64(n) * l.scale }

// lay finds places: one scale for all columns, such that the fullest one just fits.
func (f Flow) lay(s *sheet) *layout {
	l, width := &layout{height: flowHeight}, float64(s.width-flowBar)
	if s.phone {
		l.height = flowPhone
		width -= flowRoom
	}
	var total int64
	for _, way := range f.Ways {
		total += way.Count
	}
	if total == 0 || len(f.Columns) < 2 {
		return nil
	}
	most := 1
	for c, column := range f.Columns {
		l.amount = append(l.amount, make([]int64, len(column.Nodes)))
		for _, way := range f.Ways {
			l.amount[c][way.Nodes[c]] += way.Count
		}
		most = max(most, taken(l.amount[c]))
		l.x = append(l.x, float64(c)*width/float64(len(f.Columns)-1))
	}
	l.scale = (l.height - float64(most-1)*flowGap) / float64(total)
	for c := range f.Columns {
		l.column(c, total)
	}
	return l
}

func taken(amounts []int64) (n int) {
	for _, a := range amounts {
		if a > 0 {
			n++
		}
	}
	return n
}

// column stacks the nodes of a column over its whole height.
func (l *layout) column(c int, total int64) {
	gap := 0.0
	if n := taken(l.amount[c]); n > 1 {
		gap = (l.height - l.size(total)) / float64(n-1)
	}
	y := float64(flowTop)
	tops := make([]float64, len(l.amount[c]))
	for n, amount := range l.amount[c] {
		tops[n] = y
		if amount > 0 {
			y += l.size(amount) + gap
		}
	}
	l.top = append(l.top, tops)
}

// bands are those between a column and the next: of each pair of nodes and colour one.
func (f Flow) bands(p *pen, l *layout, c int) {
	type pair struct {
		from, to int
		colour   Colour
	}
	sums := map[pair]int64{}
	for _, way := range f.Ways {
		sums[pair{way.Nodes[c], way.Nodes[c+1], way.colour()}] += way.Count
	}
	left, right := append([]float64{}, l.top[c]...), append([]float64{}, l.top[c+1]...)
	for from, a := range f.Columns[c].Nodes {
		for to, b := range f.Columns[c+1].Nodes {
			for _, colour := range []Colour{Usual, Warn, Bad} {
				n := sums[pair{from, to, colour}]
				if n == 0 {
					continue
				}
				x := l.x[c] + flowBar
				if a.Passed {
					x = l.x[c]
				}
				band(p, colour, point{x, left[from]}, point{l.x[c+1], right[to]}, max(flowLeast, l.size(n)), ui.Count(n, f.Noun)+", "+a.Name+" to "+b.Name)
				left[from] += l.size(n)
				right[to] += l.size(n)
			}
		}
	}
}

func (w Way) colour() Colour {
	if w.Colour == "" {
		return Usual
	}
	return w.Colour
}

type point struct{ x, y float64 }

// band is a ribbon of one height between two bars.
func band(p *pen, colour Colour, a, b point, h float64, title string) {
	mid := (a.x + b.x) / 2
	p.put(`<path class="rib f-`, colour, `" d="M`, a.x, ` `, a.y, `C`, mid, ` `, a.y, ` `, mid, ` `, b.y, ` `, b.x, ` `, b.y,
		`v`, h, `C`, mid, ` `, b.y+h, ` `, mid, ` `, a.y+h, ` `, a.x, ` `, a.y+h, `z"><title>`).say(title).put(`</title></path>`)
}

// node draws a bar, and what it is.
func (f Flow) node(p *pen, s *sheet, l *layout, c, n int) {
	node, amount := f.Columns[c].Nodes[n], l.amount[c][n]
	if amount == 0 || node.Passed {
		return
	}
	colour, h := node.Colour, max(flowLeast, l.size(amount))
	if colour == "" {
		colour = Ink
	}
	p.block("f-"+string(colour), l.x[c], l.top[c][n], flowBar, h, "")
	x, anchor, y := l.x[c]+flowBar+6, start, l.top[c][n]+h/2+4
	if c == len(f.Columns)-1 && !s.phone {
		x, anchor = l.x[c]-6, end
	}
	name := node.Name
	if s.phone && node.Short != "" {
		name = node.Short
	}
	if !s.phone {
		p.counted(x, y, anchor, ui.Number(amount), name)
		return
	}
	p.text("tx halo", x, y-7, anchor, ui.Number(amount)) // two lines, for want of width
	p.text("halo", x, y+7, anchor, name)
}
