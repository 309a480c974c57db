package rendition

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Bounds of one HTML text. A page beyond them shows what came before.
const (
	maxOpen    = 150       // elements inside one another
	maxTags    = 50_000    // tags
	maxClasses = 30        // classes of an element that are looked at
	maxMatches = 2_000_000 // comparisons of a selector's step with an element
)

// minFont is the size of a font, in pixels, below which text is not seen.
const minFont = 4

// An element is an open element.
type element struct {
	atom    atom.Atom
	name    string // lower case
	id      string
	classes []string
	attrs   map[string]bool
	href    string // of a link

	hidden bool            // itself, and all in it
	links  setting[colour] // of links in it
	own    look            // what is set for it
	maybe  []*look         // what may be set for it
	state  state           // of text in it
	from   int             // where its text begins, of a link
}

// A state is what text looks like where it stands.
type state struct {
	hidden, ghost, flat bool
	ink, paper, link    colour
	font                float64
}

func (s *state) shows() bool {
	return !s.hidden && !s.ghost && !s.flat && s.font >= minFont && s.ink.seenOn(s.paper)
}

// inside is the state in an element that stands where s holds.
func (s state) inside(e *element) state {
	s.hidden = s.hidden || e.hidden || e.own.hides
	if e.links.set {
		s.link = e.links.value
	}
	around := s.ink
	if e.href != "" && (!e.own.ink.set || e.own.ink.value != inherited) {
		s.ink = s.link // unless somebody says otherwise, whatever stands around
	}
	s.apply(&e.own)
	for _, l := range e.maybe {
		t := s
		t.apply(l)
		if l.ink.set && l.ink.value == inherited {
			t.ink = around
		}
		if l.hides || s.shows() && !t.shows() {
			s.hidden = true
		}
	}
	return s
}

func (s *state) apply(l *look) {
	if l.ink.set && l.ink.value != inherited {
		s.ink = l.ink.value
	}
	if l.paper.set && l.paper.value != transparent {
		s.paper = l.paper.value
	}
	if l.size.set {
		s.font = l.size.value.pixels(s.font)
	}
	if l.ghost.set {
		s.ghost = l.ghost.value
	}
	if l.flat.set {
		s.flat = l.flat.value
	}
}

// A page is an HTML text on its way to text.
type page struct {
	tokens *html.Tokenizer
	sheet  sheet
	open   []*element
	tags   int
	lost   bool // what follows cannot be told apart: nothing of it is shown
	raw    atom.Atom
	tables int
	pre    int

	out   []byte
	space bool // white space waits for the next word
	lines int  // line ends at the end of out
}

// unshownRest stands where a page is not shown to its end.
const unshownRest = "[The rest is left out: what a person sees of it cannot be told.]"

// htmlText is what a person sees of an HTML text.
func htmlText(text []byte) []byte {
	p := &page{lines: 2}
	p.readSheets(text)
	if p.sheet.full {
		return []byte(unshownRest)
	}
	p.tokens = html.NewTokenizer(bytes.NewReader(text))
	for !p.lost && p.step() {
	}
	for len(p.open) > 0 {
		p.pop(len(p.open) - 1)
	}
	if p.lost {
		p.breakLine(2)
		p.out = append(p.out, unshownRest...)
	}
	return p.out
}

// readSheets reads all style sheets first: one at the end holds for what stands before it.
func (p *page) readSheets(text []byte) {
	z := html.NewTokenizer(bytes.NewReader(text))
	style, size := false, 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken:
			name, more := z.TagName()
			style = atom.Lookup(name) == atom.Style
			for style && more {
				var k, v []byte
				k, v, more = z.TagAttr()
				style = string(k) != "media" || onScreen(strings.ToLower(string(v)))
			}
		case html.TextToken:
			if !style {
				continue
			}
			css := z.Text()
			if size += len(css); size > maxSheet {
				p.sheet.full = true
				return
			}
			p.sheet.read(string(css))
		case html.EndTagToken:
			style = false
		}
	}
}

// step reads one token; it reports false at the end.
func (p *page) step() bool {
	switch p.tokens.Next() {
	case html.ErrorToken:
		return false
	case html.TextToken:
		p.text(p.tokens.Text())
	case html.StartTagToken:
		p.start(false)
	case html.SelfClosingTagToken:
		p.start(true)
	case html.EndTagToken:
		name, _ := p.tokens.TagName()
		p.end(atom.Lookup(name), string(name))
	}
	return true
}

// state is that of text here.
func (p *page) state() state {
	if n := len(p.open); n > 0 {
		return p.open[n-1].state
	}
	return state{ink: black, paper: white, link: link, font: 16}
}

// text takes a text as far as it is seen.
func (p *page) text(text []byte) {
	if p.raw != 0 && p.foreign() && bytes.IndexByte(text, '<') >= 0 {
		p.lost = true // where this ends is another place for who reads it as SVG does
	}
	s := p.state()
	if p.lost || !s.shows() {
		return
	}
	for _, r := range string(text) {
		switch {
		case p.pre > 0 && lineBreak(r):
			p.out, p.space = append(p.out, '\n'), false
			p.lines++
		case r != 0xa0 && (r != ' ' || p.pre == 0) && blank(r) || lineBreak(r) || r == '\r':
			p.space = true
		case r == 0xa0 || r == ' ' && p.pre > 0:
			p.space = false
			p.rune(' ')
		case shown(r):
			p.rune(r)
		}
	}
}

func (p *page) rune(r rune) {
	if p.space && p.lines == 0 {
		p.out = append(p.out, ' ')
	}
	p.space, p.lines = false, 0
	p.out = append(p.out, string(r)...)
}

// breakLine ends the line, and leaves n-1 empty ones.
func (p *page) breakLine(n int) {
	p.space = false
	for p.lines < n {
		p.out = append(p.out, '\n')
		p.lines++
	}
}

// word adds a text of ours.
func (p *page) word(text string) {
	for _, r := range text {
		if r == ' ' {
			p.space = true
			continue
		}
		p.rune(r)
	}
}

// foreign reports whether an element is open in which other rules hold than those of HTML.
func (p *page) foreign() bool {
	for _, e := range p.open {
		if e.atom == atom.Svg || e.atom == atom.Math {
			return true
		}
	}
	return false
}

// start opens an element. Whether its tag closes itself counts for SVG and MathML alone.
func (p *page) start(closed bool) {
	if p.tags++; p.tags > maxTags {
		p.lost = true
		return
	}
	name, more := p.tokens.TagName()
	e := &element{atom: atom.Lookup(name), name: string(name)}
	p.attributes(e, more)
	if e.atom == atom.Noscript {
		p.tokens.NextIsNotRawText() // without scripts, as mail programs are, it is none
	}
	if void[e.atom] {
		p.void(e.atom)
		return
	}
	p.implied(e.atom)
	if inTable[e.atom] && p.tables == 0 {
		return // nothing, outside of a table
	}
	if len(p.open) == maxOpen {
		p.lost = true
		return
	}
	if rawText[e.atom] {
		p.raw = e.atom
	}
	if closed && (e.atom == atom.Svg || e.atom == atom.Math || p.foreign()) {
		return
	}
	p.push(e)
	if e.state.shows() {
		p.lead(e.atom)
	}
	e.from = len(p.out)
}

// push puts an element inside of those that are open.
func (p *page) push(e *element) {
	var sure look
	sure, e.maybe = p.sheet.look(p.open, e)
	p.lost = p.lost || p.sheet.matches > maxMatches
	e.own = e.own.over(sure)
	e.state = p.state().inside(e)
	p.open = append(p.open, e)
	switch e.atom {
	case atom.Table:
		p.tables++
	case atom.Pre:
		p.pre++
	}
}

// attributes reads what of an element's attributes is about visibility. The first of a name
// counts (HTML, section 13.2.5.33).
func (p *page) attributes(e *element, more bool) {
	if more {
		e.attrs = map[string]bool{}
	}
	for more {
		var k, v []byte
		k, v, more = p.tokens.TagAttr()
		key := string(k)
		if e.attrs[key] {
			continue
		}
		e.attrs[key] = true
		p.attribute(e, key, string(v))
	}
	e.hidden = e.hidden || unshown[e.atom] || !e.attrs["open"] && (e.atom == atom.Details || e.atom == atom.Dialog)
}

// maxStyle is how many bytes of a style attribute are read; one that is longer hides.
const maxStyle = 8 << 10

func (p *page) attribute(e *element, key, value string) {
	switch key {
	case "hidden", "popover":
		e.hidden = true
	case "id":
		e.id = value
	case "class":
		if e.classes = strings.Fields(value); len(e.classes) > maxClasses {
			e.classes, e.hidden = e.classes[:maxClasses], true
		}
	case "style":
		if len(value) > maxStyle {
			e.hidden = true
			return
		}
		e.own = parseLook(strings.ToLower(unescape(stripComments(value)))).over(e.own)
	case "color", "text":
		if key == "text" && e.atom != atom.Body {
			return
		}
		e.own.ink = e.own.ink.over(setting[colour]{attributeColour(value), true, false})
	case "link":
		e.links.put(attributeColour(value), false)
	case "bgcolor":
		e.own.paper = e.own.paper.over(setting[colour]{attributeColour(value), true, false})
	case "size":
		e.hidden = e.hidden || e.atom == atom.Font && strings.TrimSpace(value) == "0"
	case "href":
		if e.atom == atom.A {
			e.href = value
		}
	}
}

// attributeColour reads a colour of an attribute, where the # may be missing (HTML, section 2.3.6).
func attributeColour(value string) colour {
	value = strings.ToLower(strings.TrimSpace(value))
	if c, ok := named()[value]; ok {
		return c
	}
	return hexColour(strings.TrimPrefix(value, "#"))
}

// void deals with an element that has nothing in it.
func (p *page) void(a atom.Atom) {
	s := p.state()
	if !s.shows() {
		return
	}
	switch a {
	case atom.Br:
		p.space = false
		if p.lines < 2 {
			p.out = append(p.out, '\n')
			p.lines++
		}
	case atom.Hr:
		p.breakLine(2)
	}
}

// lead is what stands in front of an element's text.
func (p *page) lead(a atom.Atom) {
	switch {
	case paragraphs[a]:
		p.breakLine(2)
	case a == atom.Li:
		p.breakLine(1)
		p.word("- ")
	case a == atom.Td, a == atom.Th:
		if p.lines == 0 {
			p.out, p.space = append(p.out, '\t'), false
		}
	case blocks[a]:
		p.breakLine(1)
	}
}

// implied closes what a start tag closes without saying so (HTML, section 13.2.6.4.7), where
// that is simple.
func (p *page) implied(a atom.Atom) {
	switch {
	case a == atom.Li:
		p.closeItem(atom.Li, 0)
	case a == atom.Dd || a == atom.Dt:
		p.closeItem(atom.Dd, atom.Dt)
	case a == atom.Td || a == atom.Th:
		p.closeCell(atom.Td, atom.Th)
	case a == atom.Tr:
		p.closeCell(atom.Tr, 0)
	case a == atom.Tbody || a == atom.Thead || a == atom.Tfoot:
		p.closeCell(atom.Tbody, atom.Thead, atom.Tfoot)
	case a == atom.A:
		if i := p.find(atom.A, "", true); i >= 0 {
			p.remove(i)
		}
	}
	if closesP[a] {
		if i := p.find(atom.P, "", true); i >= 0 {
			p.popTo(i)
		}
	}
}

// closeItem closes an item of a list that is open, unless something else of a page's structure
// is open inside.
func (p *page) closeItem(one, other atom.Atom) {
	for i := len(p.open) - 1; i >= 0; i-- {
		a := p.open[i].atom
		if a == one || other != 0 && a == other {
			p.popTo(i)
			return
		}
		if special[a] && a != atom.Address && a != atom.Div && a != atom.P {
			return
		}
	}
}

// closeCell closes a part of the innermost table.
func (p *page) closeCell(any ...atom.Atom) {
	for i := len(p.open) - 1; i >= 0 && p.open[i].atom != atom.Table; i-- {
		for _, a := range any {
			if p.open[i].atom == a {
				p.popTo(i)
				return
			}
		}
	}
}

// find looks for an open element from the inside; scoped, no further than to the cell or other
// element that bounds what an end tag reaches.
func (p *page) find(a atom.Atom, name string, scoped bool) int {
	for i := len(p.open) - 1; i >= 0; i-- {
		e := p.open[i]
		if a != 0 && e.atom == a || a == 0 && e.name == name {
			return i
		}
		if scoped && bounds[e.atom] {
			return -1
		}
	}
	return -1
}

// end closes an element.
func (p *page) end(a atom.Atom, name string) {
	if a == p.raw {
		p.raw = 0
	}
	switch {
	case a == atom.Br:
		p.void(a)
		return
	case a == atom.Body || a == atom.Html:
		return // what follows is in the body all the same
	case a == atom.P && p.find(a, name, true) < 0:
		p.breakLine(1)
		return
	}
	i := p.find(a, name, !inTable[a] && a != atom.Table && !bounds[a])
	switch {
	case i < 0:
	case formatting[a]:
		p.remove(i)
	case special[a] || inTable[a]:
		p.popTo(i)
	default:
		for _, e := range p.open[i+1:] {
			if special[e.atom] {
				return // such an end tag means nothing here
			}
		}
		p.popTo(i)
	}
}

// popTo closes an element and all inside. Formatting that was opened inside and not closed goes
// on behind it, as browsers have it.
func (p *page) popTo(i int) {
	var again []*element
	for _, e := range p.open[i+1:] {
		if formatting[e.atom] {
			again = append(again, e)
		}
	}
	for len(p.open) > i {
		p.pop(len(p.open) - 1)
	}
	p.reopen(again)
}

// remove closes an element alone; those inside stay open.
func (p *page) remove(i int) {
	again := append([]*element(nil), p.open[i+1:]...)
	e := p.open[i]
	p.close(e)
	for _, e := range p.open[i:] {
		p.count(e, -1)
	}
	p.open = p.open[:i]
	p.reopen(again)
}

// reopen puts elements back, whose text now looks as it does in what is around.
func (p *page) reopen(again []*element) {
	for _, e := range again {
		e.state = p.state().inside(e)
		e.href, e.from = "", len(p.out)
		p.open = append(p.open, e)
		p.count(e, 1)
	}
}

func (p *page) count(e *element, n int) {
	switch e.atom {
	case atom.Table:
		p.tables += n
	case atom.Pre:
		p.pre += n
	}
}

func (p *page) pop(i int) {
	e := p.open[i]
	p.count(e, -1)
	p.open = p.open[:i]
	p.close(e)
}

// close ends the text of an element.
func (p *page) close(e *element) {
	if !e.state.shows() {
		return
	}
	if e.href != "" {
		p.spell(e)
	}
	switch {
	case paragraphs[e.atom]:
		p.breakLine(2)
	case blocks[e.atom] || e.atom == atom.Li:
		p.breakLine(1)
	}
}

// spell writes behind a link's text where it leads, unless the text says just that.
func (p *page) spell(e *element) {
	text := strings.TrimSpace(string(p.out[min(e.from, len(p.out)):]))
	to := linkTarget(e.href)
	if text == "" || to == "" {
		return
	}
	bare := strings.TrimSuffix(to[strings.Index(to, ":")+1:], "/")
	if strings.TrimSuffix(text, "/") == strings.TrimSuffix(to, "/") || strings.TrimSuffix(text, "/") == strings.TrimPrefix(bare, "//") {
		return
	}
	lines := p.lines
	p.lines = 0
	for len(p.out) > 0 && p.out[len(p.out)-1] == '\n' {
		p.out = p.out[:len(p.out)-1] // a block in a link
	}
	p.out = append(p.out, " ("...)
	p.out = append(append(p.out, to...), ')')
	p.space = p.space || lines > 0
}
