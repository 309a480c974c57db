package injection

import (
	"bytes"
	"encoding/base64"
	"html"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// A found is a run of a text that says something else when it is decoded.
type found struct {
	start, end int
	step       Step
	text       []byte
}

// Bounds of decoding. A run that says anything is longer than minRun; what one text
// decodes to never exceeds its own length, and maxFound runs are looked at.
const (
	minRun   = 16
	maxFound = 64
)

// decodings finds encoded runs in a text.
func decodings(text []byte) []found {
	var all []found
	for i := 0; i < len(text) && len(all) < maxFound; {
		c := text[i]
		switch {
		case isBase64(c) && (i == 0 || !isBase64(text[i-1])):
			f, next := alphabetRun(text, i)
			if f.text != nil {
				all = append(all, f)
			}
			i = next
		case c == '%' || c == '\\' || c == '&':
			f, next := escapedRun(text, i)
			if f.text != nil {
				all = append(all, f)
			}
			i = next
		default:
			i++
		}
	}
	return all
}

func isBase64(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_'
}

// alphabetRun decodes a run of letters and digits as hexadecimal, binary or
// base64. Runs of groups, such as "48 65 6c" or lines of base64, count as one.
func alphabetRun(text []byte, i int) (f found, next int) {
	next = i
	for next < len(text) && isBase64(text[next]) {
		next++
	}
	if groups, end := digitGroups(text, i, 2, isHexDigit); end-i >= 2*minRun {
		if out := printable(hexBytes(groups, 16, 2)); out != nil {
			return found{i, end, stepHex, out}, end
		}
	}
	if groups, end := digitGroups(text, i, 8, isBinaryDigit); end-i >= 4*minRun {
		if out := printable(hexBytes(groups, 2, 8)); out != nil {
			return found{i, end, stepBinary, out}, end
		}
	}
	lines, end := base64Lines(text, i, next)
	if len(lines) < minRun {
		return found{}, next
	}
	if out := printable(unbase64(lines)); out != nil {
		return found{i, end, stepBase64, out}, end
	}
	return found{}, next
}

func isHexDigit(c byte) bool    { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
func isBinaryDigit(c byte) bool { return c == '0' || c == '1' }

// digitGroups collects groups of n digits with at most two separators between.
func digitGroups(text []byte, i, n int, is func(byte) bool) (digits []byte, end int) {
	end = i
	for {
		j := end
		for gap := 0; j < len(text) && gap < 4 && (text[j] == ' ' || text[j] == ',' || text[j] == ':' || text[j] == '\n' || text[j] == '\r' ||
			text[j] == '0' && j+1 < len(text) && text[j+1] == 'x' || text[j] == 'x' && j > 0 && text[j-1] == '0'); gap++ {
			j++
		}
		if j+n > len(text) {
			return digits, end
		}
		for _, c := range text[j : j+n] {
			if !is(c) {
				return digits, end
			}
		}
		digits = append(digits, text[j:j+n]...)
		end = j + n
	}
}

func hexBytes(digits []byte, base, n int) []byte {
	out := make([]byte, 0, len(digits)/n)
	for ; len(digits) >= n; digits = digits[n:] {
		v, err := strconv.ParseUint(string(digits[:n]), base, 8)
		if err != nil {
			return nil
		}
		out = append(out, byte(v))
	}
	return out
}

// base64Lines joins lines of equal length, as encoders fold them.
func base64Lines(text []byte, i, end int) ([]byte, int) {
	lines := append([]byte(nil), text[i:end]...)
	width := end - i
	for width >= 40 {
		j := end
		for j < len(text) && (text[j] == '\r' || text[j] == '\n') {
			j++
		}
		k := j
		for k < len(text) && isBase64(text[k]) {
			k++
		}
		if j == end || k == j || k-j > width {
			break
		}
		lines, end = append(lines, text[j:k]...), k
		if k-j < width {
			break
		}
	}
	for end < len(text) && text[end] == '=' {
		end++
	}
	return lines, end
}

// unbase64 decodes both alphabets, without padding, and gives what it has at a
// mistake.
func unbase64(s []byte) []byte {
	s = bytes.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		}
		return r
	}, s)
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(s)))
	n, _ := base64.RawStdEncoding.Decode(out, s)
	return out[:n]
}

// printable returns a decoded text if it reads like one, nil otherwise: in UTF-8,
// or in UTF-16, as some encoders take text, and hardly any control characters.
func printable(b []byte) []byte {
	if len(b) < minRun/2 {
		return nil
	}
	if zero := bytes.Count(b, []byte{0}); zero*5 > len(b)*2 && zero*5 < len(b)*3 {
		b = bytes.ReplaceAll(b, []byte{0}, nil)
	}
	good, all := 0, 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		i += n
		all++
		if r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsSpace(r) || r < utf8.RuneSelf && unicode.IsPrint(r)) {
			good++
		}
	}
	if good*20 < all*19 {
		return nil
	}
	return b
}

// minEscapes is how many escapes beside one another are a run: fewer occur in
// addresses and in programs.
const minEscapes = 4

// escapedRun decodes a run with percent signs, backslashes or entities: the escapes
// and what stands between them without a space.
func escapedRun(text []byte, i int) (f found, next int) {
	end, escapes := i, 0
	for end < len(text) && text[end] > ' ' && text[end] < utf8.RuneSelf {
		if text[end] == text[i] {
			escapes++
		}
		end++
	}
	if escapes < minEscapes {
		return found{}, i + 1
	}
	run := text[i:end]
	var out []byte
	var step Step
	switch text[i] {
	case '%':
		out, step = unpercent(run), stepPercent
	case '\\':
		out, step = unescape(run), stepEscape
	case '&':
		out, step = []byte(html.UnescapeString(string(run))), stepEntity
	}
	if bytes.Equal(out, run) || printable(out) == nil {
		return found{}, end
	}
	return found{i, end, step, printable(out)}, end
}

func unpercent(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHexDigit(s[i+1]) && isHexDigit(s[i+2]) {
			v, _ := strconv.ParseUint(string(s[i+1:i+3]), 16, 8)
			out = append(out, byte(v))
			i += 2
		} else if s[i] == '+' {
			out = append(out, ' ')
		} else {
			out = append(out, s[i])
		}
	}
	return out
}

// unescape decodes \xHH, \uHHHH and octal escapes.
func unescape(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		n, base := 0, 16
		switch {
		case s[i] != '\\' || i+1 == len(s):
		case s[i+1] == 'x':
			n = 2
		case s[i+1] == 'u':
			n = 4
		case '0' <= s[i+1] && s[i+1] <= '7':
			n, base = 3, 8
		}
		from := i + 2
		if base == 8 {
			from = i + 1
		}
		if n == 0 || from+n > len(s) {
			out = append(out, s[i])
			continue
		}
		v, err := strconv.ParseUint(string(s[from:from+n]), base, 16)
		if err != nil {
			out = append(out, s[i])
			continue
		}
		out = utf8.AppendRune(out, rune(v))
		i = from + n - 1
	}
	return out
}

// rot13 turns letters by thirteen.
func rot13(text []byte) []byte {
	out := make([]byte, len(text))
	for i, c := range text {
		switch {
		case 'a' <= c && c <= 'z':
			c = 'a' + (c-'a'+13)%26
		case 'A' <= c && c <= 'Z':
			c = 'A' + (c-'A'+13)%26
		}
		out[i] = c
	}
	return out
}

// reversed writes a text from its end.
func reversed(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := len(text); i > 0; {
		_, n := utf8.DecodeLastRune(text[:i])
		out = append(out, text[i-n:i]...)
		i -= n
	}
	return out
}
