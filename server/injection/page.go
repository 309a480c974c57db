package injection

import (
	"bytes"
	"iter"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Bounds of reading HTML.
const (
	maxOpen  = 1024    // elements open at a time; what is deeper counts as not shown
	maxAttrs = 256     // attributes of an element that are looked at
	maxAttr  = 1 << 20 // bytes of one attribute that are looked at
)

// PieceKind is what a Piece of an HTML text is.
type PieceKind uint8

// The kinds.
const (
	PieceText    PieceKind = iota // text between tags
	PieceStart                    // a start tag
	PieceEnd                      // an end tag
	PieceComment                  // a comment, or a declaration
	PieceRaw                      // the inside of a script or a style sheet
	PieceRest                     // what is left of a tag or comment that does not end
)

// A Piece is one token of an HTML text, and whether a person sees it. The pieces of
// a text cover it, without gap or overlap. A Piece is valid until the next one.
type Piece struct {
	Kind       PieceKind
	Start, End int    // its bytes in the text
	Name       string // of tags: in lower case
	Empty      bool   // a start tag of an element that cannot have content
	Attrs      []Attr // of start tags
	Text       []byte // of texts, comments and raw text: with entities resolved where they count
	Shown      bool   // a person sees it; for a tag: sees what is inside of the element

	tag tag
}

// An Attr is an attribute of a start tag, with entities resolved.
type Attr struct {
	Key   string // lower case
	Value []byte
}

// Pieces reads an HTML text. What is shown is decided by what is written in the page
// alone, style sheets included, as a mail program without network does, without
// laying it out: display, visibility, sizes, colours, clipping and places off the
// page. Elements are opened and closed as browsers do it (HTML, section 13.2.6), as
// far as it matters for that.
func Pieces(text []byte) iter.Seq[*Piece] {
	return func(yield func(*Piece) bool) {
		p := newPage(text)
		for p.next() {
			if !yield(&p.piece) {
				return
			}
		}
	}
}

// page is the state of reading an HTML text.
type page struct {
	text  []byte
	z     *html.Tokenizer
	piece Piece
	open  []element
	count map[tag]int // open elements by tag
	seen  map[string]bool
	sheet sheet
	work  int  // declarations and ancestors that may still be looked at
	lost  bool // elements were nested deeper than we follow, inside of a hidden one
	cut   bool // something was not applied
	raw   bool // the next text is the inside of a script or style sheet
}

// tag names an element: an atom, or the hash of an unknown name.
type tag uint32

type element struct {
	tag     tag
	name    string
	id      string
	classes []string
	look    look
}

func newPage(text []byte) *page {
	p := &page{text: text, z: html.NewTokenizer(bytes.NewReader(text)), count: map[tag]int{}, work: 4*len(text) + 1<<16}
	p.sheet.sheets(text)
	if len(p.sheet.rules) > 0 {
		p.seen = map[string]bool{}
	}
	p.cut = p.sheet.cut
	return p
}

// look is how text is shown at this place.
func (p *page) look() look {
	if len(p.open) == 0 {
		return plainLook
	}
	return p.open[len(p.open)-1].look
}

// next moves to the next piece.
func (p *page) next() bool {
	pc := &p.piece
	*pc = Piece{Start: pc.End, Attrs: pc.Attrs[:0]}
	kind := p.z.Next()
	if kind == html.ErrorToken {
		pc.End, pc.Kind = len(p.text), PieceRest
		pc.Text = p.text[pc.Start:]
		return pc.Start < pc.End
	}
	pc.End = pc.Start + len(p.z.Raw())
	switch kind {
	case html.TextToken:
		p.textPiece()
	case html.StartTagToken, html.SelfClosingTagToken:
		p.start(kind == html.SelfClosingTagToken)
	case html.EndTagToken:
		name, _ := p.z.TagName()
		pc.Kind = PieceEnd
		pc.tag, pc.Name = tagOf(name)
		p.end(pc.tag)
		p.raw = false
		pc.Shown = p.shown()
	default:
		pc.Kind, pc.Text = PieceComment, p.z.Text()
	}
	return true
}

func (p *page) shown() bool {
	l := p.look()
	return !p.lost && l.shown()
}

func (p *page) textPiece() {
	p.piece.Text = p.z.Text()
	if p.raw {
		p.piece.Kind, p.raw = PieceRaw, false
		return
	}
	if n := len(p.open); n > 0 && p.open[n-1].tag == tag(atom.Head) && len(bytes.TrimSpace(p.piece.Text)) > 0 {
		p.pop(n - 1) // text ends the head
	}
	p.piece.Shown = p.shown()
}

func tagOf(name []byte) (tag, string) {
	if a := atom.Lookup(name); a != 0 {
		return tag(a), a.String()
	}
	return tag(hashBytes(name) | 1<<31), string(name)
}

// Elements by what they do.
var (
	empty = tags(atom.Br, atom.Img, atom.Hr, atom.Meta, atom.Link, atom.Input, atom.Area, atom.Base, atom.Col, atom.Embed, atom.Source, atom.Track, atom.Wbr)
	// unshown are elements whose content no mail program shows.
	unshown = tags(atom.Head, atom.Title, atom.Template, atom.Noframes, atom.Object, atom.Datalist, atom.Iframe, atom.Audio, atom.Video, atom.Canvas,
		atom.Style, atom.Script, atom.Desc, atom.Applet, atom.Noembed, atom.Frameset, atom.Progress, atom.Meter)
	// formatting elements are closed without what was opened inside of them.
	formatting = tags(atom.A, atom.B, atom.Big, atom.Code, atom.Em, atom.Font, atom.I, atom.Nobr, atom.S, atom.Small, atom.Strike, atom.Strong, atom.Tt, atom.U)
	// special elements are not closed by the end of one around them that is none.
	special = tags(atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Button, atom.Caption, atom.Center, atom.Col, atom.Colgroup,
		atom.Dd, atom.Details, atom.Dialog, atom.Dir, atom.Div, atom.Dl, atom.Dt, atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Form,
		atom.Frameset, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Head, atom.Header, atom.Hgroup, atom.Html, atom.Iframe, atom.Li,
		atom.Main, atom.Marquee, atom.Menu, atom.Nav, atom.Noembed, atom.Noframes, atom.Noscript, atom.Object, atom.Ol, atom.P, atom.Pre, atom.Script,
		atom.Section, atom.Select, atom.Style, atom.Summary, atom.Table, atom.Tbody, atom.Td, atom.Template, atom.Textarea, atom.Tfoot, atom.Th, atom.Thead,
		atom.Title, atom.Tr, atom.Ul, atom.Xmp)
	// walls are elements that an end tag does not reach through.
	walls = tags(atom.Applet, atom.Caption, atom.Html, atom.Table, atom.Td, atom.Th, atom.Marquee, atom.Object, atom.Template)
	// closesP are elements that end an open paragraph.
	closesP = tags(atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Center, atom.Details, atom.Dialog, atom.Dir, atom.Div, atom.Dl, atom.Fieldset,
		atom.Figcaption, atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Header, atom.Hgroup, atom.Hr, atom.Main,
		atom.Menu, atom.Nav, atom.Ol, atom.P, atom.Pre, atom.Section, atom.Summary, atom.Table, atom.Ul, atom.Xmp, atom.Li, atom.Dd, atom.Dt)
	// breaks are elements that end a word.
	breaks = join(closesP, tags(atom.Br, atom.Td, atom.Th, atom.Tr, atom.Caption, atom.Img, atom.Option, atom.Title, atom.Body, atom.Textarea, atom.Button, atom.Select))
)

func tags(list ...atom.Atom) map[tag]bool {
	m := make(map[tag]bool, len(list))
	for _, a := range list {
		m[tag(a)] = true
	}
	return m
}

func join(a, b map[tag]bool) map[tag]bool {
	for t := range a {
		b[t] = true
	}
	return b
}

// start opens an element.
func (p *page) start(closed bool) {
	pc := &p.piece
	pc.Kind = PieceStart
	name, more := p.z.TagName()
	t, s := tagOf(name)
	pc.tag, pc.Name = t, s
	for more {
		var key, value []byte
		key, value, more = p.z.TagAttr()
		if len(pc.Attrs) == maxAttrs {
			p.cut = true
			break
		}
		pc.Attrs = append(pc.Attrs, Attr{attrName(key), value[:min(len(value), maxAttr)]})
	}
	pc.Empty = empty[t]
	p.implied(t)
	if p.seen != nil {
		p.seen[s] = true
	}
	e := element{tag: t, name: s, look: p.look()}
	p.style(&e)
	pc.Shown = !p.lost && e.look.shown()
	p.follow(t, s, &e, closed)
}

// follow tells the tokenizer what is inside of the element, and puts it on the stack.
func (p *page) follow(t tag, name string, e *element, closed bool) {
	switch atom.Atom(t) {
	case atom.Noscript, atom.Noframes, atom.Noembed, atom.Iframe:
		p.z.NextIsNotRawText() // programs that run no scripts read what is inside
	case atom.Style, atom.Script:
		p.raw = true
	case atom.Html, atom.Body:
		if p.count[t] > 0 { // a second one adds attributes to the first
			return
		}
	}
	if p.piece.Empty || closed && (p.count[tag(atom.Svg)] > 0 || p.count[tag(atom.Math)] > 0 || t == tag(atom.Svg)) {
		return // a slash closes an element in XML alone
	}
	if len(p.open) == maxOpen {
		p.cut = true
		p.lost = p.lost || !e.look.shown()
		return
	}
	p.open = append(p.open, *e)
	p.count[t]++
}

// attrName is the name of an attribute without an allocation for usual ones.
func attrName(key []byte) string {
	if a := atom.Lookup(key); a != 0 {
		return a.String()
	}
	return string(key)
}

// implied closes what the start of an element ends.
func (p *page) implied(t tag) {
	if closesP[t] {
		p.closeTo(tag(atom.P), walls, tag(atom.Button))
	}
	switch atom.Atom(t) {
	case atom.Li:
		p.closeTo(t, walls, tag(atom.Ul), tag(atom.Ol), tag(atom.Menu))
	case atom.Dd, atom.Dt:
		p.closeTo(tag(atom.Dd), walls, tag(atom.Dl))
		p.closeTo(tag(atom.Dt), walls, tag(atom.Dl))
	case atom.Option, atom.Button, atom.A, atom.Nobr:
		p.closeTo(t, walls)
	case atom.Td, atom.Th:
		p.closeTo(tag(atom.Td), nil, tag(atom.Table), tag(atom.Template))
		p.closeTo(tag(atom.Th), nil, tag(atom.Table), tag(atom.Template))
	case atom.Tr:
		p.closeTo(t, nil, tag(atom.Table), tag(atom.Template))
	case atom.Tbody, atom.Thead, atom.Tfoot:
		for _, x := range []atom.Atom{atom.Tbody, atom.Thead, atom.Tfoot} {
			p.closeTo(tag(x), nil, tag(atom.Table), tag(atom.Template))
		}
	case atom.Body:
		p.closeTo(tag(atom.Head), nil)
	default:
		// Anything but these ends the head.
		if p.count[tag(atom.Head)] > 0 && !headed[t] {
			p.closeTo(tag(atom.Head), nil)
		}
	}
}

// headed are the elements that a head may have.
var headed = tags(atom.Title, atom.Style, atom.Script, atom.Meta, atom.Link, atom.Base, atom.Noscript, atom.Template, atom.Head, atom.Html)

// closeTo closes the nearest open element of a tag and what is in it, unless a wall
// stands between.
func (p *page) closeTo(t tag, walls map[tag]bool, more ...tag) {
	if p.count[t] == 0 {
		return
	}
	for i := len(p.open) - 1; i >= 0; i-- {
		e := p.open[i].tag
		if e == t {
			p.pop(i)
			return
		}
		if walls[e] {
			return
		}
		for _, w := range more {
			if e == w {
				return
			}
		}
	}
}

func (p *page) pop(to int) {
	for _, e := range p.open[to:] {
		p.count[e.tag]--
	}
	clear(p.open[to:])
	p.open = p.open[:to]
}

// end closes an element.
func (p *page) end(t tag) {
	if p.count[t] == 0 {
		return
	}
	crossed := false // a special element is open inside
	for i := len(p.open) - 1; i >= 0; i-- {
		e := p.open[i].tag
		switch {
		case e == t && crossed && formatting[t]:
			// The adoption agency (HTML, section 13.2.6.4.7): the block stays open.
			p.open[i].tag = 0
			p.count[t]--
			p.count[0]++
			return
		case e == t:
			p.pop(i)
			return
		case walls[e] && !walls[t] && t != tag(atom.Tr) && t != tag(atom.Tbody) && t != tag(atom.Thead) && t != tag(atom.Tfoot):
			return
		case special[e] && !special[t] && !formatting[t]:
			return
		}
		crossed = crossed || special[e]
	}
}

// style finds how an element is shown.
func (p *page) style(e *element) {
	e.look.gone = e.look.gone || unshown[e.tag]
	parent := e.look.size
	var b box
	var inline []declaration
	opened, hidden := false, false
	for i := range p.piece.Attrs {
		a := &p.piece.Attrs[i]
		switch a.Key {
		case "style":
			inline = declarations(string(a.Value))
		case "hidden":
			hidden = true
		case "open":
			opened = true
		case "id":
			e.id = strings.ToLower(string(a.Value[:min(len(a.Value), 256)]))
		case "class":
			e.classes = classes(a.Value)
		default:
			e.legacy(a.Key, a.Value)
			if d := presentation[a.Key]; d != propNone && p.count[tag(atom.Svg)] > 0 && len(a.Value) < 256 {
				inline = append(inline, declaration{property: d, value: strings.ToLower(string(a.Value))})
			}
		}
	}
	if e.tag == tag(atom.A) && e.look.ink >= 0 {
		e.look.ink = 0x0000ee // links have a colour of their own
	}
	b.none = hidden || e.name == "defs" || e.name == "metadata" || e.name == "symbol" || e.tag == tag(atom.Dialog) && !opened || e.tag == tag(atom.Details) && !opened
	if atom.Atom(e.tag) == atom.Summary {
		e.look.gone = e.look.gone && !p.directlyClosed()
	}
	p.cascade(e, &b, inline, parent)
	e.look.gone = e.look.gone || b.hidden()
}

// presentation are attributes of SVG that are declarations of style (SVG 2, section 6.6).
var presentation = map[string]property{"display": propDisplay, "visibility": propVisibility, "opacity": propOpacity, "fill-opacity": propOpacity,
	"fill": propColor, "font-size": propFontSize, "transform": propTransform, "x": propOffset, "y": propOffset}

// directlyClosed reports whether the parent is a details element whose summary alone
// is shown.
func (p *page) directlyClosed() bool {
	n := len(p.open)
	return n > 0 && p.open[n-1].tag == tag(atom.Details) && (n == 1 || !p.open[n-2].look.gone)
}

// cascade applies rules and attributes: first the usual declarations, those of rules
// before that of the element, then the important ones (CSS Cascading, section 6).
func (p *page) cascade(e *element, b *box, inline []declaration, parent float32) {
	rules := p.rules(e)
	for _, important := range []bool{false, true} {
		for _, r := range rules {
			for i := range r.decls {
				if r.decls[i].important == important {
					e.look.apply(b, &r.decls[i], parent)
				}
			}
		}
		for i := range inline {
			if inline[i].important == important {
				e.look.apply(b, &inline[i], parent)
			}
		}
	}
}

// rules finds the rules that match an element, the weakest first.
func (p *page) rules(e *element) []*rule {
	if len(p.sheet.rules) == 0 {
		return nil
	}
	var found []*rule
	look := func(key string) {
		for _, r := range p.sheet.rules[key] {
			if p.work -= 1 + len(r.decls); p.work < 0 {
				p.cut = true
				return
			}
			if r.last.matches(e.name, e.id, e.classes) && p.under(r) {
				found = append(found, r)
			}
		}
	}
	look("*")
	look(e.name)
	for _, c := range e.classes {
		look("." + c)
	}
	if e.id != "" {
		look("#" + e.id)
	}
	return found
}

// under reports whether the elements that are open are those that a rule wants
// around the one that it is about.
func (p *page) under(r *rule) bool {
	i := len(p.open) - 1
	for k := range r.above {
		want := &r.above[k]
		if want.beside {
			// What stands beside is gone from the stack: it must have been there.
			if want.tag != "" && !p.seen[want.tag] {
				return false
			}
			continue
		}
		for i >= 0 && !want.matches(p.open[i].name, p.open[i].id, p.open[i].classes) {
			i--
			if p.work--; p.work < 0 {
				p.cut = true
				return false
			}
		}
		if i < 0 {
			return false
		}
		i--
	}
	return true
}

// classes are the names in a class attribute, as the style sheets have them: in
// lower case, which mail programs without a doctype take for equal.
func classes(value []byte) []string {
	const most = 32
	var list []string
	for f := range strings.FieldsSeq(strings.ToLower(string(value[:min(len(value), 4096)]))) {
		if list = append(list, f); len(list) == most {
			break
		}
	}
	return list
}

// legacy reads attributes from before there were style sheets.
func (e *element) legacy(key string, value []byte) {
	if key == "background" && len(value) > 0 {
		e.look.paper = unknown
	}
	if len(value) > 64 {
		return
	}
	switch key {
	case "color", "text":
		if c, ok := readPaint(legacyPaint(value)); ok && (key == "color" && e.tag == tag(atom.Font) || e.tag == tag(atom.Body)) {
			e.look.ink = c
		}
	case "bgcolor":
		if c, ok := readPaint(legacyPaint(value)); ok {
			e.look.paper = c
		}
	case "size":
		if e.tag == tag(atom.Font) {
			e.look.size = 13 // the smallest, 1, is 10 pixels
			if string(value) == "0" {
				e.look.size = 0 // 1 to browsers; nobody writes it for another end than to hide
			}
		}
	}
}

// legacyPaint: these colours may lack the hash sign.
func legacyPaint(value []byte) string {
	v := strings.ToLower(strings.TrimSpace(string(value)))
	if _, named := paints[v]; !named && len(v) == 6 && !strings.HasPrefix(v, "#") {
		return "#" + v
	}
	return v
}
