package rendition

import (
	"slices"
	"strconv"
	"strings"
)

// A look is what declarations say of an element's visibility. Properties that nothing
// inside can undo are one flag; the four that an element inside may set anew are kept apart.
type look struct {
	hides bool // display, opacity, clip, off-screen, no size: whatever is inside is hidden too
	ink   setting[colour]
	paper setting[colour]
	size  setting[length] // of the font
	ghost setting[bool]   // visibility: hidden
	flat  setting[bool]   // lines without height
}

// A setting is a value that was set, and how strongly.
type setting[T any] struct {
	value     T
	set       bool
	important bool
}

func (s *setting[T]) put(v T, important bool) {
	if important || !s.important {
		*s = setting[T]{v, true, important}
	}
}

// over puts what s says in the place of what is below, which is weaker unless it is important and s is not.
func (s setting[T]) over(below setting[T]) setting[T] {
	if s.set && (s.important || !below.important) {
		return s
	}
	return below
}

// over is the cascade of two looks of one element (CSS Cascade 4, section 6).
func (l look) over(below look) look {
	return look{
		hides: l.hides || below.hides, // whoever says so: to hide too much is the safe mistake
		ink:   l.ink.over(below.ink), paper: l.paper.over(below.paper), size: l.size.over(below.size),
		ghost: l.ghost.over(below.ghost), flat: l.flat.over(below.flat),
	}
}

func (l *look) says() bool {
	return l.hides || l.ink.set || l.paper.set || l.size.set || l.ghost.set || l.flat.set
}

// A length is a size of CSS in pixels, or in parts of the font's size outside.
type length struct {
	n        float64
	relative bool
}

// minRoom is the height or width, in pixels, below which what is cut off there shows nothing.
const minRoom = 6

// maxDeclarations is how many declarations of one block are read. What has more is not read
// further, and hides: nobody writes that many.
const maxDeclarations = 200

// parseLook reads declarations, in lower case and without comments and escapes.
func parseLook(block string) (l look) {
	clipped, none := false, false // overflow is cut off; there is no room
	for i, rest := 0, block; rest != ""; i++ {
		if i == maxDeclarations {
			l.hides = true
			return l
		}
		var d string
		d, rest = cutOutside(rest, ';')
		key, value, ok := strings.Cut(d, ":")
		if !ok {
			continue
		}
		value, important := cutImportant(value)
		switch key = strings.TrimSpace(key); key {
		case "overflow", "overflow-x", "overflow-y":
			clipped = clipped || value != "visible"
		case "width", "height", "max-width", "max-height", "inline-size", "block-size", "max-inline-size", "max-block-size":
			n, ok := parseLength(value)
			none = none || ok && n.pixels(16) < minRoom || !ok && strings.Contains(value, "(") && !strings.HasSuffix(key, "width")
			l.hides = l.hides || ok && n.n == 0 && strings.HasPrefix(key, "max-")
		default:
			l.declare(key, value, important)
		}
	}
	l.hides = l.hides || clipped && none
	return l
}

func cutImportant(value string) (string, bool) {
	value = strings.TrimSpace(value)
	if i := strings.LastIndexByte(value, '!'); i >= 0 && strings.TrimSpace(value[i+1:]) == "important" {
		return strings.TrimSpace(value[:i]), true
	}
	return value, false
}

// declare reads one declaration.
func (l *look) declare(key, value string, important bool) {
	switch key {
	case "color":
		switch c, ok := parseColour(value); {
		case ok:
			l.ink.put(c, important)
		case value == "initial":
			l.ink.put(black, important)
		case value == "inherit", value == "unset", value == "currentcolor":
			l.ink.put(inherited, important)
		case strings.Contains(value, "("):
			l.ink.put(unread, important)
		}
	case "background", "background-color", "background-image":
		if c, ok := firstColour(value); ok && (c != transparent || key != "background-image") {
			l.paper.put(c, important)
		}
	case "font-size":
		if n, ok := parseLength(firstArgument(value)); ok || strings.Contains(value, "(") {
			l.size.put(n, important) // what is computed otherwise is none
		}
	case "font":
		l.font(value, important)
	case "line-height":
		if n, ok := parseLength(value); ok {
			l.flat.put(n.pixels(16) < 2 && (n.relative || n.n == 0 || value != trimNumber(value)) || n.n < 0.1, important)
		}
	case "visibility":
		l.ghost.put(value != "visible", important)
	default:
		l.hides = l.hides || hides(key, value)
	}
}

// firstArgument is the least of what clamp computes; of other values, all.
func firstArgument(value string) string {
	if args, ok := strings.CutPrefix(value, "clamp("); ok {
		value, _, _ = strings.Cut(args, ",")
	}
	return value
}

// trimNumber is a value without a unit.
func trimNumber(value string) string {
	return value[:strings.LastIndexAny(value, "0123456789.")+1]
}

// font reads the shorthand: the first number is the size, and one behind a slash the height of
// lines (CSS Fonts 4, section 3).
func (l *look) font(value string, important bool) {
	for word := range strings.FieldsSeq(value) {
		size, lines, _ := strings.Cut(word, "/")
		n, ok := parseLength(size)
		if !ok || size == "normal" || size == trimNumber(size) && n.n >= 100 {
			continue // a style, or a weight
		}
		l.size.put(n, important)
		if h, ok := parseLength(lines); ok {
			l.flat.put(h.n < 0.1, important)
		}
		return
	}
}

// hides reports whether a declaration takes an element and all in it out of sight.
func hides(key, value string) bool {
	switch key {
	case "display":
		return value == "none"
	case "mso-hide":
		return value == "all"
	case "content-visibility":
		return value == "hidden"
	case "opacity":
		n, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
		if strings.HasSuffix(value, "%") {
			n /= 100
		}
		return err != nil && strings.Contains(value, "(") || err == nil && n < minAlpha
	case "text-indent", "left", "right", "top", "bottom", "inset", "margin", "margin-left", "margin-right", "margin-top", "margin-bottom",
		"padding", "padding-left", "padding-top", "translate", "letter-spacing", "word-spacing":
		return far(key, value)
	case "clip", "clip-path", "-webkit-clip-path":
		return value != "auto" && value != "none"
	case "transform", "-webkit-transform", "-ms-transform", "rotate", "scale", "zoom":
		return moves(value)
	case "filter", "-webkit-filter", "mask", "mask-image", "-webkit-mask", "-webkit-mask-image":
		return value != "none" && !strings.HasPrefix(value, "progid:")
	case "z-index":
		return strings.HasPrefix(value, "-")
	case "-webkit-text-security", "text-security":
		return value != "none"
	case "-webkit-text-fill-color": // inherited beside the colour, and stronger
		return value != "currentcolor" && value != "inherit" && value != "initial" && value != "unset"
	case "mix-blend-mode":
		return value != "normal"
	}
	return false
}

// Distances at which something is off the screen. In front of it is sooner there than behind:
// messages scroll down, and are wider than a window at times.
const (
	farAhead  = 1500
	farBehind = -100
)

// far reports whether a distance takes an element off the screen.
func far(key, value string) bool {
	for word := range strings.FieldsSeq(value) {
		n, ok := parseLength(word)
		if !ok {
			if strings.Contains(word, "(") {
				return true // computed by what is not known here
			}
			continue
		}
		if key == "letter-spacing" || key == "word-spacing" {
			return n.pixels(16) <= -4
		}
		if strings.HasSuffix(word, "%") || strings.HasSuffix(word, "vw") || strings.HasSuffix(word, "vh") {
			if n.n <= -0.5 || n.n >= 1.5 || key == "text-indent" && n.n >= 0.9 {
				return true
			}
			continue
		}
		if px := n.pixels(16); px <= farBehind || px >= farAhead {
			return true
		}
	}
	return false
}

// moves reports whether a transformation may take an element out of sight. Small shifts, which
// centre things, do not, nor do turns by which text stays legible.
func moves(value string) bool {
	for value != "" {
		name, rest, ok := strings.Cut(value, "(")
		if !ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return err == nil && n < 0.3
		}
		args, rest, _ := strings.Cut(rest, ")")
		value = strings.TrimSpace(rest)
		first, err := strconv.ParseFloat(strings.TrimSpace(strings.Split(args, ",")[0]), 64)
		switch strings.TrimSpace(name) {
		case "translate", "translatex", "translatey", "translatez", "translate3d":
			if slices.ContainsFunc(strings.Split(args, ","), func(a string) bool { return far("left", a) && !strings.Contains(a, "-50%") }) {
				return true
			}
		case "rotate", "rotatez":
		case "scale", "scalex", "scaley":
			if err != nil || first < 0.3 {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// parseLength reads a length or a number of CSS.
func parseLength(s string) (length, bool) {
	s = strings.TrimSpace(s)
	switch s {
	case "xx-small", "x-small", "small", "medium", "large", "x-large", "xx-large", "xxx-large", "normal":
		return length{16, false}, true
	case "smaller", "larger":
		return length{1, true}, true
	}
	number := trimNumber(s)
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return length{}, false
	}
	switch s[len(number):] {
	case "px", "":
		return length{n, false}, true
	case "pt":
		return length{n * 4 / 3, false}, true
	case "em", "ex", "ch", "lh":
		return length{n, true}, true
	case "%", "vw", "vh", "vmin", "vmax":
		return length{n / 100, true}, true
	case "rem", "pc", "ic":
		return length{n * 16, false}, true
	case "in":
		return length{n * 96, false}, true
	case "cm":
		return length{n * 38, false}, true
	case "mm":
		return length{n * 3.8, false}, true
	}
	return length{}, false
}

// pixels is the length where the font outside has that size.
func (l length) pixels(font float64) float64 {
	if l.relative {
		return l.n * font
	}
	return l.n
}

// firstColour finds the colour in a background: on its own, or the first of a gradient.
func firstColour(value string) (colour, bool) {
	for value != "" {
		var word string
		word, value = cutOutside(strings.TrimSpace(value), ' ')
		word = strings.TrimSuffix(word, ",")
		if c, ok := parseColour(word); ok {
			return c, true
		}
		if name, args, ok := strings.Cut(word, "("); ok && strings.HasSuffix(name, "gradient") {
			for args = strings.TrimSuffix(args, ")"); args != ""; {
				var arg string
				arg, args = cutOutside(args, ',')
				if c, ok := firstColour(arg); ok {
					return c, true
				}
			}
		}
	}
	return 0, false
}

// cutOutside cuts at the first separator that is in no string and no parentheses.
func cutOutside(s string, sep byte) (before, after string) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == sep && depth <= 0:
			return s[:i], s[i+1:]
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		case c == '"' || c == '\'':
			i += quotedLen(s[i:]) - 1
		}
	}
	return s, ""
}

// quotedLen is the length of a string of CSS with its quotes. One that does not end is over at
// the end of its line (CSS Syntax 3, section 4.3.5).
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		case '\n':
			return i
		}
	}
	return len(s)
}
