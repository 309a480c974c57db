package rendition

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of style sheets. What goes beyond is not read, and nothing of the page is shown: a rule
// that hides may stand there.
const (
	maxSheet = 256 << 10 // bytes of all sheets of a page
	maxRules = 1000      // selectors with a look
	maxNest  = 8         // blocks inside one another
)

// A sheet is what the style sheets of a page say of visibility.
type sheet struct {
	rules []rule
	by    map[string][]int // rules by the tag, .class or #id that an element must have; "" for any
	full  bool             // a bound was met

	matches int // comparisons made
}

// A rule is one selector with its look.
type rule struct {
	path   []compound // outermost first; the last is the element itself
	loose  bool       // it says more than is read here, and may match less: then it can hide, and not show
	weight int        // specificity (Selectors 4, section 17)
	look   look
}

// A compound is one step of a selector.
type compound struct {
	tag     string // "" for any
	id      string
	classes []string
	attrs   []string // that it must have
	href    bool     // :link
}

// read adds a style sheet.
func (s *sheet) read(text string) {
	s.block(stripComments(text), nil, 0)
}

// block reads the rules of a sheet, or of a block inside; outer are the selectors that stand
// around it.
func (s *sheet) block(text string, outer []rule, depth int) {
	if depth > maxNest {
		s.full = true
		return
	}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		open := indexOutside(text, "{;")
		if open < 0 {
			return
		}
		prelude := strings.TrimSpace(text[:open])
		if text[open] == ';' { // @import and the like, or a declaration of the block around
			text = text[open+1:]
			continue
		}
		var body string
		body, text = cutBlock(text[open+1:])
		s.rule(prelude, body, outer, depth)
	}
}

func (s *sheet) rule(prelude, body string, outer []rule, depth int) {
	if at, ok := strings.CutPrefix(prelude, "@"); ok {
		name, condition, _ := strings.Cut(at, " ")
		switch strings.ToLower(name) {
		case "font-face", "page", "keyframes", "-webkit-keyframes", "-moz-keyframes", "counter-style", "property", "font-feature-values":
			return
		case "media":
			if !onScreen(strings.ToLower(condition)) {
				return
			}
		}
		s.block(body, outer, depth+1)
		return
	}
	said := strings.ToLower(unescape(body))
	look := parseLook(ownDeclarations(said))
	selectors := parseSelectors(prelude, outer)
	for _, r := range selectors {
		if len(s.rules) == maxRules {
			s.full = true
			return
		}
		if r.look = look; look.says() {
			s.add(r)
		}
	}
	if strings.Contains(body, "{") {
		s.block(body, selectors, depth+1)
	}
}

// ownDeclarations are those of a block that stand in no block inside. A selector in front of one
// is taken for a declaration that means nothing.
func ownDeclarations(body string) string {
	if !strings.Contains(body, "{") {
		return body
	}
	var own strings.Builder
	for body != "" {
		open := indexOutside(body, "{")
		if open < 0 {
			own.WriteString(body)
			break
		}
		own.WriteString(body[:open])
		own.WriteByte(';')
		_, body = cutBlock(body[open+1:])
	}
	return own.String()
}

func (s *sheet) add(r rule) {
	if s.by == nil {
		s.by = map[string][]int{}
	}
	last := r.path[len(r.path)-1]
	key := ""
	switch {
	case last.id != "":
		key = "#" + strings.ToLower(last.id)
	case len(last.classes) > 0:
		key = "." + strings.ToLower(last.classes[0])
	case last.tag != "":
		key = last.tag
	}
	s.by[key] = append(s.by[key], len(s.rules))
	s.rules = append(s.rules, r)
}

// desktop is the width of the window that decides what is shown, in pixels: what a person sees at
// a desk is in sight.
const desktop = 1000

// onScreen reports whether a condition of @media may hold at a desk, in daylight. What is not
// understood may.
func onScreen(condition string) bool {
	for query := range strings.SplitSeq(condition, ",") {
		if mayHold(query) {
			return true
		}
	}
	return false
}

func mayHold(query string) bool {
	query = strings.TrimSpace(query)
	if strings.Contains(query, "not ") || strings.Contains(query, " or ") {
		return true
	}
	switch first, _, _ := strings.Cut(strings.TrimPrefix(query, "only "), " "); first {
	case "print", "speech", "handheld", "tv", "projection", "braille":
		return false
	}
	for rest := query; ; {
		_, after, ok := strings.Cut(rest, "(")
		if !ok {
			return true
		}
		var feature string
		feature, rest, _ = strings.Cut(after, ")")
		name, value, _ := strings.Cut(feature, ":")
		n, isLength := parseLength(value)
		switch strings.TrimSpace(name) {
		case "max-width", "max-device-width":
			if isLength && n.pixels(16) < desktop {
				return false
			}
		case "min-width", "min-device-width":
			if isLength && n.pixels(16) > 4*desktop {
				return false
			}
		case "prefers-color-scheme":
			if strings.TrimSpace(value) == "dark" {
				return false
			}
		}
	}
}

// parseSelectors reads a list of selectors. Inside a rule, those outside are the path to them.
func parseSelectors(list string, outer []rule) (all []rule) {
	for list != "" && len(all) < maxRules {
		var one string
		one, list = cutOutside(list, ',')
		r, ok := parseSelector(strings.TrimSpace(one))
		if !ok {
			continue
		}
		if outer != nil {
			r.loose = true
			if len(r.path) == 0 { // & alone
				for _, o := range outer {
					all = append(all, rule{path: o.path, loose: true})
				}
				continue
			}
		}
		if len(r.path) == 0 {
			r.path, r.loose = []compound{{}}, true
		}
		all = append(all, r)
	}
	return all
}

// parseSelector reads one selector; false for one that matches nothing which is shown, or that
// speaks of what is not the element's text.
func parseSelector(s string) (r rule, ok bool) {
	var c compound
	open := false // c has something in it
	end := func() {
		if open {
			r.path = append(r.path, c)
		}
		c, open = compound{}, false
	}
	for s != "" {
		switch s[0] {
		case ' ', '\t', '\n', '\r', '\f':
			s = strings.TrimLeft(s, " \t\n\r\f")
			end()
		case '>', '|':
			s, r.loose = s[1:], true
			end()
		case '+', '~': // the element before is not looked for
			s, r.loose = s[1:], true
			c, open = compound{}, false
			r.path = nil
		case '*', '&':
			s, open, r.loose = s[1:], open || s[0] == '*', r.loose || s[0] == '&'
		case '.', '#':
			name, rest := identifier(s[1:])
			if name == "" {
				return r, false
			}
			if s[0] == '#' {
				c.id, r.weight = name, r.weight+1_000_000
			} else {
				c.classes, r.weight = append(c.classes, name), r.weight+1000
			}
			s, open = rest, true
		case '[':
			inside, rest := cutOutside(s[1:], ']')
			c.attribute(inside)
			s, open, r.loose, r.weight = rest, true, true, r.weight+1000
		case ':':
			var name string
			if name, s = pseudo(s); name == "" {
				return r, false
			}
			c.href = c.href || name == "link"
			r.loose, open, r.weight = r.loose || name != "link", true, r.weight+1000
		default:
			name, rest := identifier(s)
			if name == "" {
				return r, false
			}
			c.tag, s, open, r.weight = strings.ToLower(name), rest, true, r.weight+1
		}
	}
	end()
	return r, true
}

// attribute reads a condition on an attribute, as far as it is one on class or id.
func (c *compound) attribute(condition string) {
	name, value, ok := strings.Cut(condition, "=")
	if n, _ := identifier(strings.TrimSpace(name)); n != "" {
		c.attrs = append(c.attrs, strings.ToLower(n))
	}
	value = strings.Trim(strings.TrimSpace(value), `"'`)
	if !ok || value == "" || strings.ContainsAny(value, " \t") {
		return
	}
	switch strings.TrimSpace(name) {
	case "class", "class~":
		c.classes = append(c.classes, value)
	case "id":
		c.id = value
	}
}

// pseudo reads a pseudo-class; its name is empty for those that hold only while somebody points
// at the element, and for pseudo-elements, which are not the element's text.
func pseudo(s string) (name, rest string) {
	if strings.HasPrefix(s, "::") {
		return "", ""
	}
	name, rest = identifier(s[1:])
	if strings.HasPrefix(rest, "(") {
		_, rest = cutOutside(rest[1:], ')')
	}
	switch name = strings.ToLower(name); name {
	case "hover", "active", "focus", "visited", "focus-within", "focus-visible", "checked", "target", "before", "after", "first-line", "first-letter", "":
		return "", ""
	case "any-link":
		name = "link"
	}
	return name, rest
}

// identifier takes a name.
func identifier(s string) (name, rest string) {
	var b strings.Builder
	i := 0
	for i < len(s) {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			r, n := escape(s[i:])
			b.WriteRune(r)
			i += n
		case c == '-' || c == '_' || c >= utf8.RuneSelf || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z':
			b.WriteByte(c)
			i++
		default:
			return b.String(), s[i:]
		}
	}
	return b.String(), ""
}

// escape reads an escape of CSS (CSS Syntax 3, section 4.3.7).
func escape(s string) (rune, int) {
	i := 1
	for i < len(s) && i < 7 && strings.IndexByte("0123456789abcdefABCDEF", s[i]) >= 0 {
		i++
	}
	if i == 1 {
		r, n := utf8.DecodeRuneInString(s[1:])
		return r, 1 + n
	}
	n, _ := strconv.ParseUint(s[1:i], 16, 32)
	if i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t') {
		i++
	}
	return rune(n), i
}

// unescape replaces all escapes.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '\\' && i+1 < len(s) {
			r, n := escape(s[i:])
			b.WriteRune(r)
			i += n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// stripComments takes out comments, and the marks of comments of HTML, which mean nothing in a
// style sheet.
func stripComments(s string) string {
	s = strings.NewReplacer("<!--", " ", "-->", " ").Replace(s)
	if !strings.Contains(s, "/*") {
		return s
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "/*")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, s, _ = strings.Cut(rest, "*/")
	}
}

// indexOutside finds the first of some bytes that is in no string.
func indexOutside(s, any string) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"' || c == '\'':
			i += quotedLen(s[i:]) - 1
		case strings.IndexByte(any, c) >= 0:
			return i
		}
	}
	return -1
}

// cutBlock cuts at the brace that closes a block. One that is not closed goes on to the end.
func cutBlock(s string) (inside, rest string) {
	depth := 0
	for i := 0; i < len(s); {
		n := indexOutside(s[i:], "{}")
		if n < 0 {
			break
		}
		if i += n; s[i] == '{' {
			depth++
		} else if depth--; depth < 0 {
			return s[:i], s[i+1:]
		}
		i++
	}
	return s, ""
}

// fit is how well a compound matches an element.
type fit uint8

const (
	no fit = iota
	loosely
	exactly
)

// fits compares with an element. Classes and ids that differ in case alone are the same in pages
// without a doctype, and others than that in pages with one.
func (c *compound) fits(e *element) fit {
	if c.tag != "" && c.tag != e.name || c.href && e.href == "" {
		return no
	}
	f := exactly
	if c.id != "" {
		if !strings.EqualFold(c.id, e.id) {
			return no
		}
		if c.id != e.id {
			f = loosely
		}
	}
	for _, a := range c.attrs {
		if !e.attrs[a] {
			return no
		}
	}
	for _, class := range c.classes {
		if slices.Contains(e.classes, class) {
			continue
		}
		if !slices.ContainsFunc(e.classes, func(have string) bool { return strings.EqualFold(have, class) }) {
			return no
		}
		f = loosely
	}
	return f
}

// matches compares a rule with the last of the open elements.
func (r *rule) matches(open []*element, e *element, compared *int) fit {
	last := len(r.path) - 1
	f := r.path[last].fits(e)
	*compared++
	for i, at := last-1, len(open)-1; i >= 0 && f != no; i-- {
		step := no
		for ; at >= 0 && step == no; at-- {
			step = r.path[i].fits(open[at])
			*compared++
		}
		f = min(f, step)
	}
	if r.loose {
		f = min(f, loosely)
	}
	return f
}

// look is what the sheets say of an element inside of open ones: what surely holds, cascaded, and
// what may hold.
func (s *sheet) look(open []*element, e *element) (sure look, perhaps []*look) {
	type match struct{ weight, order int }
	var all []match
	visit := func(key string) {
		for _, i := range s.by[key] {
			switch r := &s.rules[i]; r.matches(open, e, &s.matches) {
			case exactly:
				all = append(all, match{r.weight, i})
			case loosely:
				perhaps = append(perhaps, &r.look)
			}
		}
	}
	visit("")
	visit(e.name)
	if e.id != "" {
		visit("#" + strings.ToLower(e.id))
	}
	for _, class := range e.classes {
		visit("." + strings.ToLower(class))
	}
	slices.SortFunc(all, func(a, b match) int {
		if a.weight != b.weight {
			return a.weight - b.weight
		}
		return a.order - b.order
	})
	for _, m := range all {
		sure = s.rules[m.order].look.over(sure)
	}
	return sure, perhaps
}
