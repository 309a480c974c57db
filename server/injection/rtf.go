package injection

import (
	"strconv"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// maxGroups is how deep groups of RTF are followed.
const maxGroups = 256

// rtfSkipped are destinations without words: tables of fonts, pictures and the like.
var rtfSkipped = map[string]bool{"fonttbl": true, "colortbl": true, "stylesheet": true, "pict": true, "objdata": true, "themedata": true,
	"colorschememapping": true, "datastore": true, "latentstyles": true, "listtable": true, "listoverridetable": true, "rsidtbl": true, "xmlnstbl": true,
	"generator": true, "fontemb": true, "blipuid": true}

// rtf is the state of reading RTF (the specification's version 1.9.1).
type rtf struct {
	out   []byte
	skip  []bool // of each open group
	uc    int    // characters that stand in for one of Unicode
	stand int    // of them, still to come
}

// readRTF takes the text out of a document: hidden text, fields and notes as well.
func readRTF(b []byte) []byte {
	r := rtf{skip: []bool{false}, uc: 1}
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '{':
			if len(r.skip) < maxGroups {
				r.skip = append(r.skip, r.skip[len(r.skip)-1])
			}
			i++
		case '}':
			if len(r.skip) > 1 {
				r.skip = r.skip[:len(r.skip)-1]
			}
			i++
		case '\\':
			i += r.control(b[i:])
		case '\r', '\n':
			i++
		default:
			r.char(rune(c))
			i++
		}
	}
	return r.out
}

func (r *rtf) char(c rune) {
	switch {
	case r.stand > 0:
		r.stand--
	case r.skip[len(r.skip)-1]:
	case c < utf8.RuneSelf:
		r.out = append(r.out, byte(c))
	default:
		r.out = utf8.AppendRune(r.out, c)
	}
}

// control reads a control word or symbol and returns its length.
func (r *rtf) control(b []byte) int {
	if len(b) < 2 {
		return 1
	}
	if !isLetter(b[1]) {
		return r.symbol(b)
	}
	end := 1
	for end < len(b) && end < 33 && isLetter(b[end]) {
		end++
	}
	word := string(b[1:end])
	from := end
	for end < len(b) && end < from+12 && (b[end] == '-' && end == from || '0' <= b[end] && b[end] <= '9') {
		end++
	}
	n, err := strconv.Atoi(string(b[from:end]))
	if end < len(b) && b[end] == ' ' {
		end++
	}
	r.word(word, n, err == nil)
	return end
}

// symbol reads a control symbol: an escaped character, or \'hh.
func (r *rtf) symbol(b []byte) int {
	switch c := b[1]; c {
	case '\'':
		if len(b) < 4 || !isHexDigit(b[2]) || !isHexDigit(b[3]) {
			return 2
		}
		v, _ := strconv.ParseUint(string(b[2:4]), 16, 8)
		r.char(charmap.Windows1252.DecodeByte(byte(v)))
		return 4
	case '\\', '{', '}':
		r.char(rune(c))
	case '~':
		r.char(' ')
	case '_':
		r.char('-')
	}
	return 2
}

// word obeys a control word.
func (r *rtf) word(word string, n int, given bool) {
	switch word {
	case "u":
		if given {
			r.stand = 0
			r.char(rune(uint16(n)))
			r.stand = r.uc
		}
	case "uc":
		r.uc = min(max(n, 0), 8)
	case "par", "line", "cell", "row", "sect", "page", "tab":
		r.char('\n')
	case "bin": // raw bytes follow: they are read as text, and are few
	default:
		// An unknown destination is read, also one that a reader may pass over.
		if rtfSkipped[word] {
			r.skip[len(r.skip)-1] = true
		}
	}
}
