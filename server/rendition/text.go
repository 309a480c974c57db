package rendition

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// shown reports whether a character can be seen: it has a shape, and is not one of those
// that only change or join others. Joiners and variation selectors go too, although some
// scripts and emoji look better with them: each carries a bit that nobody sees.
func shown(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return ' ' <= r && r != 0x7f
	case r == utf8.RuneError:
		return true
	case !unicode.IsGraphic(r): // format, control, private, unassigned
		return false
	}
	return !unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// blank reports whether a character takes room and shows nothing.
func blank(r rune) bool {
	if r < utf8.RuneSelf {
		return r == ' ' || r == '\t'
	}
	return unicode.Is(unicode.Zs, r) || r == 0x2800
}

// lineBreak reports whether a character ends a line.
func lineBreak(r rune) bool {
	return r == '\n' || r == '\v' || r == '\f' || r == 0x85 || r == 0x2028 || r == 0x2029
}

// maxBlankLines is how many empty lines are kept of a run: what stands far below is not seen.
const maxBlankLines = 2

// cleanText keeps of a text what is seen: lines end in LF, have no white space at their end,
// and every other space is one of ASCII. Bytes that are not UTF-8 become U+FFFD.
func cleanText(text []byte) []byte {
	out := make([]byte, 0, len(text))
	breaks := maxBlankLines + 1 // the text starts with no empty line
	for len(text) > 0 {
		if c := text[0]; ' ' <= c && c < 0x7f { // most text
			if c != ' ' {
				breaks = 0
			}
			out, text = append(out, c), text[1:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case r == '\r':
			if len(text) > 0 && text[0] == '\n' {
				continue
			}
			r = '\n'
			fallthrough
		case lineBreak(r):
			out = bytes.TrimRight(out, " \t")
			if breaks++; breaks <= maxBlankLines+1 {
				out = append(out, '\n')
			}
		case r == '\t':
			out = append(out, '\t')
		case blank(r):
			out = append(out, ' ')
		case shown(r):
			out = utf8.AppendRune(out, r)
			breaks = 0
		}
	}
	if out = bytes.TrimRight(out, " \t\n"); len(out) > 0 {
		out = append(out, '\n')
	}
	return out
}

// cleanLine keeps of a header value what is seen, on one line and at most n characters long.
func cleanLine(s string, n int) string {
	out := make([]byte, 0, len(s))
	space := true
	for _, r := range s {
		if n == 0 {
			break
		}
		switch {
		case blank(r), lineBreak(r), r == '\r':
			if !space {
				out = append(out, ' ')
				n--
			}
			space = true
		case shown(r):
			out = utf8.AppendRune(out, r)
			space = false
			n--
		}
	}
	return string(bytes.TrimRight(out, " "))
}

// ascii reports whether a text has no other characters.
func ascii[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
