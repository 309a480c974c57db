package injection

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Bounds of reading HTML.
const (
	maxOpen    = 256     // elements open at a time; deeper ones count as the deepest
	maxClasses = 256     // hiding classes that style sheets define
	maxAttr    = 4 << 10 // bytes of one attribute that are looked at
)

// page separates what a browser shows of an HTML text from what it does not.
type page struct {
	open    []element
	hides   map[string]bool // classes and ids that a style sheet hides
	texts   [numViews]bytes.Buffer
	hidden  int // how many open elements hide what is in them
	skipped atom.Atom
}

type element struct {
	tag   atom.Atom
	hides bool
	ink   string // colour of text, when set here
	paper string // colour behind it
}

// readHTML takes an HTML text apart into visible text, hidden text, comments and
// attributes. It decides by what is written in the page alone, as a mail client
// without network does, and in one pass: nothing is laid out.
func readHTML(text []byte) *page {
	p := &page{hides: map[string]bool{}}
	z := html.NewTokenizer(bytes.NewReader(text))
	z.SetMaxBuf(1 << 20)
	for {
		switch z.Next() {
		case html.ErrorToken:
			return p
		case html.TextToken:
			p.text(z.Text())
		case html.CommentToken:
			p.add(Comment, z.Text())
		case html.StartTagToken:
			p.start(z, false)
		case html.SelfClosingTagToken:
			p.start(z, true)
		case html.EndTagToken:
			name, _ := z.TagName()
			p.end(atom.Lookup(name))
		}
	}
}

func (p *page) add(v View, text []byte) {
	b := &p.texts[v]
	b.Write(text)
	b.WriteByte('\n')
}

// text files a text by the elements around it.
func (p *page) text(text []byte) {
	switch {
	case p.skipped == atom.Style:
		p.styles(text)
		p.add(Comment, text)
	case p.skipped == atom.Script:
		p.add(Comment, text)
	case p.hidden > 0 || p.sameColour():
		p.texts[Hidden].Write(text)
	default:
		p.texts[HTML].Write(text)
	}
}

// breaks are elements that end a word.
var breaks = map[atom.Atom]bool{atom.P: true, atom.Div: true, atom.Br: true, atom.Td: true, atom.Th: true, atom.Tr: true, atom.Li: true, atom.H1: true,
	atom.H2: true, atom.H3: true, atom.H4: true, atom.Table: true, atom.Ul: true, atom.Ol: true, atom.Blockquote: true, atom.Hr: true, atom.Section: true,
	atom.Article: true, atom.Header: true, atom.Footer: true, atom.Pre: true, atom.Img: true, atom.Option: true, atom.Title: true}

// unshown are elements whose text no mail client shows.
var unshown = map[atom.Atom]bool{atom.Title: true, atom.Template: true, atom.Noscript: true, atom.Noframes: true, atom.Object: true, atom.Datalist: true}

// empty are elements without content (HTML, section 13.1.2).
var empty = map[atom.Atom]bool{atom.Br: true, atom.Img: true, atom.Hr: true, atom.Meta: true, atom.Link: true, atom.Input: true, atom.Area: true,
	atom.Base: true, atom.Col: true, atom.Embed: true, atom.Source: true, atom.Track: true, atom.Wbr: true}

func (p *page) start(z *html.Tokenizer, closed bool) {
	name, more := z.TagName()
	e := element{tag: atom.Lookup(name)}
	if breaks[e.tag] {
		p.space()
	}
	e.hides = unshown[e.tag]
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		p.attribute(&e, string(key), value[:min(len(value), maxAttr)])
	}
	if closed || empty[e.tag] {
		return
	}
	if e.tag == atom.Style || e.tag == atom.Script {
		p.skipped = e.tag
	}
	if len(p.open) < maxOpen {
		p.open = append(p.open, e)
		if e.hides {
			p.hidden++
		}
	}
}

func (p *page) space() {
	p.texts[HTML].WriteByte('\n')
	if p.hidden > 0 {
		p.texts[Hidden].WriteByte('\n')
	}
}

func (p *page) end(tag atom.Atom) {
	if breaks[tag] {
		p.space()
	}
	if tag == p.skipped {
		p.skipped = 0
	}
	for i := len(p.open) - 1; i >= 0 && tag != 0; i-- {
		if p.open[i].tag != tag {
			continue
		}
		for _, e := range p.open[i:] {
			if e.hides {
				p.hidden--
			}
		}
		p.open = p.open[:i]
		return
	}
}

// attribute looks at one attribute: whether it hides the element, and whether it
// says something by itself.
func (p *page) attribute(e *element, key string, value []byte) {
	switch key {
	case "style":
		p.style(e, strings.ToLower(string(value)))
	case "hidden":
		e.hides = true
	case "class", "id":
		for _, c := range strings.Fields(string(value)) {
			e.hides = e.hides || p.hides[c]
		}
	case "color", "text":
		e.ink = colour(strings.ToLower(string(value)))
	case "bgcolor":
		e.paper = colour(strings.ToLower(string(value)))
	case "size":
		e.hides = e.hides || e.tag == atom.Font && string(value) == "0"
	case "href", "src", "action", "cite":
		if i := bytes.IndexAny(value, "?#"); i >= 0 {
			p.add(Attribute, unpercent(value[i+1:]))
		}
	case "alt", "title", "content", "value", "placeholder", "summary", "label", "name":
		p.add(Attribute, value)
	default:
		if strings.HasPrefix(key, "data-") || strings.HasPrefix(key, "aria-") {
			p.add(Attribute, value)
		}
	}
}

// style reads a style attribute for what hides text.
func (p *page) style(e *element, style string) {
	e.hides = e.hides || hidesText(style)
	for _, d := range strings.Split(style, ";") {
		key, value, _ := strings.Cut(d, ":")
		switch strings.TrimSpace(key) {
		case "color":
			e.ink = colour(value)
		case "background", "background-color":
			e.paper = colour(value)
		}
	}
}

// hidesText reports whether declarations of a style sheet take text out of sight.
func hidesText(style string) bool {
	for _, d := range strings.Split(style, ";") {
		key, value, ok := strings.Cut(d, ":")
		if !ok {
			continue
		}
		key = strings.TrimSpace(key)
		value = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "!important"))
		switch key {
		case "display":
			if value == "none" {
				return true
			}
		case "visibility":
			if value == "hidden" || value == "collapse" {
				return true
			}
		case "mso-hide":
			if value == "all" {
				return true
			}
		case "opacity":
			if small(value, 0.1) {
				return true
			}
		case "font-size", "max-height", "max-width", "font":
			if small(value, 2) && value != "" {
				return true
			}
		case "height", "width", "line-height":
			if small(value, 0.01) && (key == "line-height" || strings.Contains(style, "overflow")) {
				return true
			}
		case "text-indent", "left", "top", "margin-left", "margin-top", "right":
			if strings.HasPrefix(value, "-") && len(strings.TrimLeft(value, "-0123456789")) < len(value)-3 {
				return true
			}
		case "clip", "clip-path":
			if strings.Contains(strings.ReplaceAll(value, "px", ""), "rect(0") || strings.Contains(value, "inset(100%") {
				return true
			}
		case "transform":
			if strings.Contains(value, "scale(0") {
				return true
			}
		case "color":
			if colour(value) == "transparent" {
				return true
			}
		}
	}
	return false
}

// small reports whether a CSS number is below a bound; units of a relative size
// count as ten pixels.
func small(value string, bound float64) bool {
	n, seen, scale := 0.0, false, 1.0
	i := 0
	for ; i < len(value) && i < 12; i++ {
		c := value[i]
		if c == '.' && scale == 1 {
			scale = 0.1
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		seen = true
		if scale < 1 {
			n += float64(c-'0') * scale
			scale /= 10
		} else {
			n = n*10 + float64(c-'0')
		}
	}
	unit := value[i:]
	if strings.HasPrefix(unit, "em") || strings.HasPrefix(unit, "rem") {
		n *= 10
	}
	if strings.HasPrefix(unit, "%") {
		n /= 10
	}
	return seen && n < bound
}

// styles remembers the classes and ids that a style sheet hides.
func (p *page) styles(sheet []byte) {
	for len(sheet) > 0 && len(p.hides) < maxClasses {
		open := bytes.IndexByte(sheet, '{')
		if open < 0 {
			return
		}
		end := bytes.IndexByte(sheet[open:], '}')
		if end < 0 {
			return
		}
		if hidesText(strings.ToLower(string(sheet[open+1 : open+end]))) {
			for _, s := range strings.FieldsFunc(string(sheet[:open]), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' }) {
				if _, name, ok := strings.Cut(s, "."); ok {
					p.hides[name] = true
				} else if _, name, ok := strings.Cut(s, "#"); ok {
					p.hides[name] = true
				}
			}
		}
		sheet = sheet[open+end+1:]
	}
}

// sameColour reports whether the text has the colour of what is behind it. Paper is
// white where nothing says otherwise.
func (p *page) sameColour() bool {
	ink, paper := "", ""
	for i := len(p.open) - 1; i >= 0 && (ink == "" || paper == ""); i-- {
		if ink == "" {
			ink = p.open[i].ink
		}
		if paper == "" {
			paper = p.open[i].paper
		}
	}
	if paper == "" {
		paper = "fff"
	}
	return ink != "" && ink == paper
}

// colour brings the usual ways to write a colour to three hexadecimal digits, so
// that near shades are equal; "" when it is none that we read.
func colour(value string) string {
	value = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "!important"))
	if first, _, ok := strings.Cut(value, " "); ok && !strings.HasPrefix(value, "rgb") {
		value = first
	}
	switch value {
	case "white", "snow", "ivory", "ghostwhite", "whitesmoke", "floralwhite":
		return "fff"
	case "black":
		return "000"
	case "transparent":
		return "transparent"
	}
	if hex, ok := strings.CutPrefix(value, "#"); ok {
		switch len(hex) {
		case 3, 4:
			return hex[:3]
		case 6, 8:
			return string([]byte{hex[0], hex[2], hex[4]})
		}
		return ""
	}
	if args, ok := strings.CutPrefix(value, "rgba("); ok {
		if parts := strings.Split(strings.TrimSuffix(args, ")"), ","); len(parts) == 4 && small(strings.TrimSpace(parts[3]), 0.1) {
			return "transparent"
		}
		return rgb(args)
	}
	if args, ok := strings.CutPrefix(value, "rgb("); ok {
		return rgb(args)
	}
	return ""
}

func rgb(args string) string {
	const digits = "0123456789abcdef"
	out := ""
	for _, a := range strings.FieldsFunc(strings.TrimSuffix(args, ")"), func(r rune) bool { return r == ',' || r == ' ' }) {
		n := 0
		for _, c := range a {
			if c < '0' || c > '9' || n > 255 {
				return ""
			}
			n = n*10 + int(c-'0')
		}
		if out += string(digits[min(n, 255)/16]); len(out) == 3 {
			return out
		}
	}
	return ""
}
