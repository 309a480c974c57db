package injection

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// Bounds of reading style sheets. What goes over them is not applied, and the page
// says that it was cut.
const (
	maxRules     = 4000    // rules of all sheets of a page
	maxDecls     = 64      // declarations of a rule or of an attribute that can hide text
	maxCompounds = 6       // of one selector
	maxSheet     = 1 << 20 // bytes of all sheets
)

// property is one that can take a text out of sight.
type property uint8

const (
	propNone property = iota
	propDisplay
	propVisibility
	propContentVisibility
	propOpacity
	propFilter
	propFontSize
	propFont
	propColor
	propFillColor
	propBackground
	propBackgroundColor
	propBackgroundImage
	propHeight
	propWidth
	propMaxHeight
	propMaxWidth
	propOverflow
	propPosition
	propOffset // left, top, right, bottom
	propShift  // text-indent, margins
	propClip
	propTransform
	propZIndex
)

var properties = map[string]property{"display": propDisplay, "visibility": propVisibility, "content-visibility": propContentVisibility,
	"opacity": propOpacity, "filter": propFilter, "font-size": propFontSize, "font": propFont, "color": propColor, "-webkit-text-fill-color": propFillColor,
	"background": propBackground, "background-color": propBackgroundColor, "background-image": propBackgroundImage, "height": propHeight,
	"width": propWidth, "max-height": propMaxHeight, "max-width": propMaxWidth, "overflow": propOverflow, "overflow-x": propOverflow,
	"overflow-y": propOverflow, "position": propPosition, "left": propOffset, "top": propOffset, "right": propOffset, "bottom": propOffset,
	"text-indent": propShift, "margin-left": propShift, "margin-top": propShift, "margin-right": propShift, "margin": propShift, "clip": propClip, "clip-path": propClip,
	"transform": propTransform, "z-index": propZIndex}

// declaration is one that can hide or show text.
type declaration struct {
	property  property
	important bool
	value     string // lower case
}

// declarations reads a style attribute or the body of a rule.
func declarations(text string) []declaration {
	var list []declaration
	text = plainCSS(text)
	for text != "" && len(list) < maxDecls {
		var d string
		d, text = cutDeclaration(text)
		key, value, ok := strings.Cut(d, ":")
		p := properties[strings.TrimSpace(key)]
		if !ok || p == propNone {
			continue
		}
		value, important := strings.CutSuffix(strings.TrimSpace(value), "important")
		if important {
			value = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "!"))
		}
		list = append(list, declaration{p, important, value})
	}
	return list
}

// cutDeclaration cuts at the first semicolon outside of parentheses and quotes.
func cutDeclaration(text string) (first, rest string) {
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth = max(depth-1, 0)
		case c == ';' && depth == 0:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// plainCSS takes out comments, undoes escapes such as \64 and lowers case: three
// ways to write a property so that a search does not find it (CSS Syntax, sections
// 3.3 and 4.3.7).
func plainCSS(text string) string {
	if strings.Contains(text, "/*") {
		var b strings.Builder
		for {
			before, after, ok := strings.Cut(text, "/*")
			b.WriteString(before)
			if !ok {
				break
			}
			_, text, _ = strings.Cut(after, "*/")
		}
		text = b.String()
	}
	if strings.Contains(text, "\\") {
		text = unescapeCSS(text)
	}
	return strings.ToLower(text)
}

func unescapeCSS(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		n := 0
		for n < 6 && i+1+n < len(text) && isHexDigit(text[i+1+n]) {
			n++
		}
		if n == 0 {
			continue
		}
		v, _ := strconv.ParseUint(text[i+1:i+1+n], 16, 32)
		b.WriteRune(rune(v))
		i += n
		if i+1 < len(text) && text[i+1] == ' ' {
			i++
		}
	}
	return b.String()
}

// compound is the part of a selector that one element must match.
type compound struct {
	tag, id string
	classes []string
	beside  bool // it stands beside the next one, not above it
}

// rule is a selector with what it declares.
type rule struct {
	last  compound
	above []compound // nearest first
	decls []declaration
}

// sheet is all style sheets of a page: rules under the id, class or tag that their
// last compound asks for.
type sheet struct {
	rules map[string][]*rule
	count int
	size  int
	cut   bool
}

// read reads a style sheet.
func (s *sheet) read(text []byte) {
	if s.size += len(text); s.size > maxSheet {
		s.cut = true
		return
	}
	if s.rules == nil {
		s.rules = map[string][]*rule{}
	}
	css := plainCSS(string(text))
	s.block(commentMarks.Replace(css), 0)
}

// commentMarks takes the marks of comments in HTML away, which may stand around a
// sheet (CSS Syntax, section 4.3.1, CDO and CDC).
var commentMarks = strings.NewReplacer("<!--", " ", "-->", " ")

// block reads the rules of a sheet or of an at-rule.
func (s *sheet) block(css string, depth int) {
	for css != "" && !s.cut {
		open := strings.IndexByte(css, '{')
		if open < 0 {
			return
		}
		head := strings.TrimSpace(css[:open])
		if i := strings.LastIndexByte(head, ';'); i >= 0 { // @import and the like
			head = strings.TrimSpace(head[i+1:])
		}
		if strings.HasPrefix(head, "@") {
			inner, rest := cutBlock(css[open+1:])
			if depth < 4 && atRuleApplies(head) {
				s.block(inner, depth+1)
			}
			css = rest
			continue
		}
		body, rest, _ := strings.Cut(css[open+1:], "}")
		if decls := declarations(body); len(decls) > 0 {
			s.add(head, decls)
		}
		css = rest
	}
}

// cutBlock takes what stands up to the brace that closes an open one.
func cutBlock(css string) (inner, rest string) {
	depth := 1
	for i := 0; i < len(css); i++ {
		switch css[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return css[:i], css[i+1:]
			}
		}
	}
	return css, ""
}

// viewport is the width, in pixels, for which media queries are answered: that of a
// mail program on a desk.
const viewport = 900

// atRuleApplies reports whether rules in an at-rule count on a usual screen.
func atRuleApplies(head string) bool {
	name, query, _ := strings.Cut(head, " ")
	if i := strings.IndexByte(name, '('); i >= 0 {
		name, query = name[:i], head[i:]
	}
	switch name {
	case "@media":
		return mediaApplies(query)
	case "@supports", "@layer", "@container", "@scope":
		return !strings.Contains(query, "not")
	}
	return false
}

// mediaApplies answers a media query as far as it is about kind and width of the
// screen. Any other condition is taken as not given.
func mediaApplies(query string) bool {
	for q := range strings.SplitSeq(query, ",") {
		if mediaTermApplies(q) {
			return true
		}
	}
	return false
}

func mediaTermApplies(q string) bool {
	for _, other := range []string{"print", "speech", "tty", "prefers", "pixel-ratio", "resolution", "orientation", "not ", "hover", "pointer", "yahoo", "monochrome", "-moz-"} {
		if strings.Contains(q, other) {
			return false
		}
	}
	for rest := q; ; {
		i := strings.Index(rest, "width")
		if i < 0 {
			return true
		}
		before := rest[max(0, i-11):i]
		rest = rest[i+len("width"):]
		n, ok := pixels(strings.TrimLeft(rest, " :"), 16)
		switch {
		case !ok:
			return false
		case strings.Contains(before, "max-") && n < viewport:
			return false
		case strings.Contains(before, "min-") && n > viewport:
			return false
		}
	}
}

// add files a rule under each of its selectors.
func (s *sheet) add(selectors string, decls []declaration) {
	for sel := range strings.SplitSeq(selectors, ",") {
		if s.count++; s.count > maxRules {
			s.cut = true
			return
		}
		r, ok := readSelector(sel)
		if !ok {
			continue
		}
		r.decls = decls
		key := r.last.key()
		s.rules[key] = append(s.rules[key], r)
	}
}

func (c *compound) key() string {
	switch {
	case c.id != "":
		return "#" + c.id
	case len(c.classes) > 0:
		return "." + c.classes[0]
	case c.tag != "":
		return c.tag
	}
	return "*"
}

// combinators sets those of a selector apart: a child is a descendant, and every
// sibling is one beside.
var combinators = strings.NewReplacer(">", " ", "+", " + ", "~", " + ")

// readSelector reads a selector (Selectors, level 4, as far as mail has them). One
// that is about a state, such as :hover, or about what is not an element is none.
func readSelector(sel string) (*rule, bool) {
	for _, state := range []string{":hover", ":focus", ":active", ":visited", ":checked", ":target", "before", "after", "::", ":first-l"} {
		if strings.Contains(sel, state) {
			return nil, false
		}
	}
	sel = combinators.Replace(sel)
	var list []compound
	for _, f := range strings.Fields(sel) {
		if f == "+" {
			if len(list) > 0 {
				list[len(list)-1].beside = true
			}
			continue
		}
		if len(list) == maxCompounds {
			return nil, false
		}
		list = append(list, readCompound(f))
	}
	if len(list) == 0 {
		return nil, false
	}
	r := &rule{last: list[len(list)-1]}
	for i := len(list) - 2; i >= 0; i-- {
		r.above = append(r.above, list[i])
	}
	return r, true
}

// readCompound reads "td.a.b#c". Conditions on attributes and on the place among
// siblings count as met: they are a way to say any element.
func readCompound(s string) (c compound) {
	for s != "" {
		kind := s[0]
		name := s
		if kind == '.' || kind == '#' || kind == '[' || kind == ':' {
			name = s[1:]
		}
		end := strings.IndexAny(name, ".#[:")
		if kind == '[' {
			if end = strings.IndexByte(name, ']') + 1; end == 0 {
				end = -1
			}
		}
		if end < 0 {
			end = len(name)
		}
		s = name[end:]
		switch name = name[:end]; kind {
		case '.':
			c.classes = append(c.classes, name)
		case '#':
			c.id = name
		case '[', ':':
		default:
			if name != "*" {
				c.tag = name
			}
			if end == 0 { // nothing that we know: give up
				return c
			}
		}
	}
	return c
}

// matches reports whether an element is what the compound asks for.
func (c *compound) matches(tag string, id string, classes []string) bool {
	if c.tag != "" && c.tag != tag || c.id != "" && c.id != id {
		return false
	}
	for _, want := range c.classes {
		if !contains(classes, want) {
			return false
		}
	}
	return true
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// look is how text in an element is shown.
type look struct {
	gone   bool    // nothing inside can be seen
	veiled bool    // visibility: hidden, which an element inside can undo
	size   float32 // of the font, in pixels
	ink    paint
	paper  paint
}

// paint is a colour as 0xRRGGBB.
type paint int32

const (
	transparent paint = -1
	unknown     paint = -2 // a picture, a gradient, or a colour that we cannot read
)

var plainLook = look{size: 16, ink: 0, paper: 0xffffff}

// Text smaller than legible, in pixels, cannot be read; mail has footnotes of 6.
const legible = 3

// shown reports whether text that looks so can be seen.
func (l *look) shown() bool {
	return !l.gone && !l.veiled && l.size >= legible && l.ink != transparent && !near(l.ink, l.paper)
}

// near reports whether two colours can hardly be told apart.
func near(a, b paint) bool {
	const close = 20 // of 255, in each channel
	if a < 0 || b < 0 {
		return false
	}
	for shift := 0; shift <= 16; shift += 8 {
		d := int32(a)>>shift&0xff - int32(b)>>shift&0xff
		if d > close || d < -close {
			return false
		}
	}
	return true
}

// box is what an element's declarations say that has an effect only together.
type box struct {
	flat, thin, hides bool // no height, no width, overflow is cut off
	away, off         bool // positioned, and moved off the page
	clipped, behind   bool
	none, faded       bool
}

// apply applies one declaration of an element to its look.
func (l *look) apply(b *box, d *declaration, parent float32) {
	v := d.value
	switch d.property {
	case propDisplay:
		b.none = v == "none"
	case propVisibility:
		l.veiled = v == "hidden" || v == "collapse" || l.veiled && v != "visible"
	case propContentVisibility:
		b.none = b.none || v == "hidden"
	case propOpacity:
		n, ok := number(v)
		b.faded = ok && n < 0.1
	case propFilter:
		if _, arg, ok := strings.Cut(v, "opacity("); ok {
			n, ok := number(arg)
			b.faded = ok && n < 0.1
		}
	case propFontSize, propFont:
		if size, ok := fontSize(v, parent, d.property == propFont); ok {
			l.size = size
		}
	case propColor, propFillColor:
		if c, ok := readPaint(v); ok {
			l.ink = c
		}
	case propBackground, propBackgroundColor, propBackgroundImage:
		l.background(v, d.property)
	default:
		b.apply(d.property, v)
	}
}

// background finds what is behind a text.
func (l *look) background(v string, p property) {
	if strings.Contains(v, "url(") || strings.Contains(v, "gradient") {
		l.paper = unknown
		return
	}
	if p == propBackgroundImage {
		return
	}
	if c, ok := readPaint(v); ok && c != transparent {
		l.paper = c
	}
}

// far is how many pixels off the page nobody scrolls to.
const far = 500

// apply applies a declaration about the box of an element.
func (b *box) apply(p property, v string) {
	switch p {
	case propHeight, propMaxHeight:
		n, ok := pixels(v, 16)
		b.flat = ok && n <= 1
	case propWidth, propMaxWidth:
		n, ok := pixels(v, 16)
		b.thin = ok && n <= 1
	case propOverflow:
		b.hides = b.hides || v == "hidden" || v == "clip" || v == "scroll" || v == "auto" || strings.HasPrefix(v, "hidden ")
	case propPosition:
		b.away = v == "absolute" || v == "fixed" || v == "relative"
	case propOffset, propShift:
		b.off = b.off || isFar(v, p == propOffset)
	case propClip:
		b.clipped = isClipped(v)
	case propTransform:
		b.clipped = b.clipped || strings.Contains(v, "scale(0") && !strings.Contains(v, "scale(0.") || strings.Contains(v, "scale3d(0") || strings.Contains(v, "rotatex(90") ||
			strings.Contains(v, "rotatey(90") || isTranslatedFar(v)
	case propZIndex:
		b.behind = strings.HasPrefix(v, "-")
	}
}

// hidden reports whether the box takes away what is in it.
func (b *box) hidden() bool {
	return b.none || b.faded || b.clipped || b.off || (b.flat || b.thin) && b.hides || b.behind && b.away
}

// isFar reports whether lengths move a box out of sight.
func isFar(v string, offset bool) bool {
	for f := range strings.FieldsSeq(v) {
		if n, ok := pixels(f, 16); ok && (n <= -far || offset && n >= 10*far) {
			return true
		}
	}
	return false
}

func isTranslatedFar(v string) bool {
	_, args, ok := strings.Cut(v, "translate")
	if !ok {
		return false
	}
	_, args, _ = strings.Cut(args, "(")
	return isFar(strings.NewReplacer(",", " ", ")", " ").Replace(args), true)
}

func isClipped(v string) bool {
	v = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(v, "px", ""), ",", " "), "  ", " ")
	for _, empty := range []string{"rect(0 0 0 0", "rect(1 1 1 1", "rect(0)", "inset(50%", "inset(100%", "inset(99", "circle(0", "ellipse(0", "polygon(0 0 0 0", "polygon(0 0)"} {
		if strings.Contains(v, empty) {
			return true
		}
	}
	return false
}

// number reads the number that a value starts with; a percentage is a fraction.
func number(v string) (float32, bool) {
	end := 0
	for end < len(v) && end < 16 && (v[end] >= '0' && v[end] <= '9' || v[end] == '.' || end == 0 && (v[end] == '-' || v[end] == '+') ||
		v[end] == 'e' && end+1 < len(v) && (v[end+1] == '-' || v[end+1] >= '0' && v[end+1] <= '9') || v[end] == '-' && v[end-1] == 'e') {
		end++
	}
	if end == 0 {
		return 0, false
	}
	n, err := strconv.ParseFloat(v[:end], 32)
	if err != nil || math.IsInf(n, 0) {
		return 0, false
	}
	if end < len(v) && v[end] == '%' {
		n /= 100
	}
	return float32(n), true
}

// pixels reads a length. A percentage is one of the page's width.
func pixels(v string, em float32) (float32, bool) {
	v = strings.TrimSpace(v)
	if inner, ok := strings.CutPrefix(v, "calc("); ok {
		v = strings.TrimLeft(inner, " (")
	}
	n, ok := number(v)
	if !ok {
		return 0, false
	}
	unit := strings.TrimLeft(v, "+-.0123456789")
	switch {
	case strings.HasPrefix(unit, "em"), strings.HasPrefix(unit, "ex"), strings.HasPrefix(unit, "ch"):
		n *= em
	case strings.HasPrefix(unit, "rem"):
		n *= 16
	case strings.HasPrefix(unit, "%"):
		n *= viewport // number made it a fraction
	case strings.HasPrefix(unit, "v"):
		n *= viewport / 100
	case strings.HasPrefix(unit, "in"):
		n *= 96
	case strings.HasPrefix(unit, "cm"):
		n *= 38
	case strings.HasPrefix(unit, "mm"):
		n *= 3.8
	case strings.HasPrefix(unit, "pt"):
		n *= 1.33
	}
	return n, true
}

// fontSize reads a size of a font, or finds it in the shorthand property.
func fontSize(v string, parent float32, short bool) (float32, bool) {
	for f := range strings.FieldsSeq(v) {
		f, _, _ = strings.Cut(f, "/")
		n, ok := pixels(f, parent)
		if !ok {
			continue
		}
		unit := strings.TrimLeft(f, "+-.0123456789")
		if unit == "%" {
			n = n / viewport * parent
		}
		if short && unit == "" && n != 0 { // a weight
			continue
		}
		return n, true
	}
	if strings.Contains(v, "small") || strings.Contains(v, "large") || v == "medium" || v == "initial" {
		return 13, true
	}
	return 0, false
}

// readPaint reads a colour, or the colour in a background.
func readPaint(v string) (paint, bool) {
	if i := strings.Index(v, "rgb"); i >= 0 {
		return rgb(v[i:])
	}
	if i := strings.Index(v, "hsl"); i >= 0 {
		return hsl(v[i:])
	}
	for f := range strings.FieldsSeq(v) {
		if c, ok := paints[f]; ok {
			return c, true
		}
		if c, ok := hexPaint(f); ok {
			return c, true
		}
	}
	switch v {
	case "", "inherit", "currentcolor", "none", "unset":
		return 0, false
	}
	return unknown, true
}

func hexPaint(f string) (paint, bool) {
	hex, ok := strings.CutPrefix(f, "#")
	if !ok {
		return 0, false
	}
	alpha := ""
	switch len(hex) {
	case 3, 4:
		hex, alpha = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]}), strings.Repeat(hex[3:], 2)
	case 8:
		hex, alpha = hex[:6], hex[6:]
	}
	n, err := strconv.ParseUint(hex, 16, 24)
	if err != nil || len(hex) != 6 {
		return 0, false
	}
	if alpha != "" {
		if a, err := strconv.ParseUint(alpha, 16, 8); err == nil && a < 26 {
			return transparent, true
		}
	}
	return paint(n), true
}

// rgb reads rgb(…) and rgba(…), with commas or without.
func rgb(v string) (paint, bool) {
	args, ok := arguments(v)
	if !ok || len(args) < 3 {
		return unknown, true
	}
	if len(args) > 3 && args[3] < 0.1 {
		return transparent, true
	}
	c := paint(0)
	for _, a := range args[:3] {
		c = c<<8 | paint(min(max(a, 0), 255))
	}
	return c, true
}

// hsl tells white, black and grey; other colours differ from what is behind them.
func hsl(v string) (paint, bool) {
	args, ok := arguments(v)
	switch {
	case !ok || len(args) < 3:
		return unknown, true
	case len(args) > 3 && args[3] < 0.1:
		return transparent, true
	case args[2] <= 1: // a percentage, as a fraction
		args[2] *= 100
	}
	if l := args[2]; l > 92 || l < 8 || args[1] < 0.08 {
		grey := paint(l * 2.55)
		return grey<<16 | grey<<8 | grey, true
	}
	return unknown, true
}

// arguments are the numbers between parentheses.
func arguments(v string) (args []float32, ok bool) {
	_, v, _ = strings.Cut(v, "(")
	v, _, ok = strings.Cut(v, ")")
	for _, f := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '/' }) {
		n, isNumber := number(f)
		if !isNumber || len(args) == 4 {
			return nil, false
		}
		args = append(args, n)
	}
	return args, ok
}

// paints are the names of colours on which text is hidden, and those of usual inks.
var paints = map[string]paint{"white": 0xffffff, "snow": 0xfffafa, "ivory": 0xfffff0, "ghostwhite": 0xf8f8ff, "whitesmoke": 0xf5f5f5,
	"floralwhite": 0xfffaf0, "mintcream": 0xf5fffa, "azure": 0xf0ffff, "aliceblue": 0xf0f8ff, "seashell": 0xfff5ee, "honeydew": 0xf0fff0,
	"lavenderblush": 0xfff0f5, "linen": 0xfaf0e6, "oldlace": 0xfdf5e6, "gainsboro": 0xdcdcdc, "lightgray": 0xd3d3d3, "lightgrey": 0xd3d3d3,
	"silver": 0xc0c0c0, "darkgray": 0xa9a9a9, "darkgrey": 0xa9a9a9, "gray": 0x808080, "grey": 0x808080, "dimgray": 0x696969, "black": 0,
	"red": 0xff0000, "green": 0x008000, "lime": 0x00ff00, "blue": 0x0000ff, "navy": 0x000080, "yellow": 0xffff00, "maroon": 0x800000,
	"purple": 0x800080, "teal": 0x008080, "olive": 0x808000, "aqua": 0x00ffff, "cyan": 0x00ffff, "fuchsia": 0xff00ff, "magenta": 0xff00ff,
	"orange": 0xffa500, "lightyellow": 0xffffe0, "beige": 0xf5f5dc, "cornsilk": 0xfff8dc, "transparent": transparent, "canvas": 0xffffff, "canvastext": 0}

// sheets finds the style sheets of a page before it is read: one at the end hides
// what stands at the beginning. Those in comments are for other programs.
func (s *sheet) sheets(page []byte) {
	for i := 0; i < len(page); {
		n := bytes.IndexByte(page[i:], '<')
		if n < 0 {
			return
		}
		i += n
		switch rest := page[i:]; {
		case bytes.HasPrefix(rest, []byte("<!--")):
			end := bytes.Index(rest[4:], []byte("-->"))
			if end < 0 {
				return
			}
			i += 4 + end
		case len(rest) > 6 && bytes.EqualFold(rest[:6], []byte("<style")):
			i += s.element(rest)
		default:
			i++
		}
	}
}

// element reads a style element and returns its length.
func (s *sheet) element(text []byte) int {
	open := bytes.IndexByte(text, '>')
	if open < 0 {
		return len(text)
	}
	end := indexFold(text[open:], "</style")
	if end < 0 {
		end = len(text) - open
	}
	if _, media, ok := strings.Cut(strings.ToLower(string(text[:min(open, 512)])), "media="); !ok || mediaApplies(strings.Trim(media, "\"' ")) {
		s.read(text[open+1 : max(open+end, open+1)])
	}
	return open + end
}

// indexFold is the index of a text in any case that starts with '<'.
func indexFold(b []byte, s string) int {
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], s[0])
		if n < 0 || i+n+len(s) > len(b) {
			return -1
		}
		if i += n; bytes.EqualFold(b[i:i+len(s)], []byte(s)) {
			return i
		}
	}
}
