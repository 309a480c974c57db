package injection

import (
	"bytes"
	"encoding/ascii85"
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

// Bounds of decoding. What one text decodes to is hardly longer than itself.
const (
	minRun     = 16  // characters of an encoded run that says anything
	maxFound   = 512 // runs of one text; those beside one another are one
	minEscapes = 3   // escapes in a run: fewer occur in addresses and in programs
	minCodes   = 10  // numbers in a row that are characters
	minTokens  = 3   // words that are each encoded
	minMorse   = 12  // letters in Morse code
)

// decoder looks for encoded runs in a text.
type decoder struct {
	text []byte
	all  []found
	more bool // there were more runs than are kept

	scratch []byte
	digit   []byte   // room for those of a run
	tried   [256]int // by the character that escapes begin with: up to where they were looked at
}

// decodings finds encoded runs in a text. Each byte is looked at a bounded number of
// times.
func decodings(text []byte) (all []found, more bool) {
	d := decoder{text: text}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case kinds[c] == kindDigit:
			i = max(d.digits(i), i+1)
		case kinds[c] == kindEscape && d.escape(i) > 0:
			i = max(d.escaped(i), i+1)
		case c == '.' || c == '-':
			i = max(d.morse(i), i+1)
		default:
			i++
		}
	}
	d.blocks()
	return d.all, d.more
}

// What a character may be the beginning of.
const (
	kindDigit  = 1 + iota // of an encoding in letters and digits
	kindEscape            // of an escape
)

var kinds = func() (t [256]uint8) {
	for c := range t {
		if isBase64(byte(c)) && c != '-' {
			t[c] = kindDigit
		}
	}
	for _, c := range []byte("%\\&=") {
		t[c] = kindEscape
	}
	return t
}()

// What a character may be a digit of, and what it is in a text.
const (
	digitBase64 = 1 << iota // in either alphabet (RFC 4648, sections 4 and 5)
	digitHex
	digitBase32
	letterASCII
	legibleASCII
)

var uses = func() (t [256]uint8) {
	for c := range t {
		b := byte(c)
		letter, number := isLetter(b), '0' <= b && b <= '9'
		for _, of := range []struct {
			property uint8
			is       bool
		}{
			{digitBase64, letter || number || b == '+' || b == '/' || b == '-' || b == '_'},
			{digitHex, number || 'a' <= b|0x20 && b|0x20 <= 'f'},
			{digitBase32, 'A' <= b && b <= 'Z' || '2' <= b && b <= '7'},
			{letterASCII, letter},
			{legibleASCII, ' ' <= b && b < 0x7f || b == '\n' || b == '\r' || b == '\t'},
		} {
			if of.is {
				t[c] |= of.property
			}
		}
	}
	return t
}()

func isBase64(c byte) bool      { return uses[c]&digitBase64 != 0 }
func isHexDigit(c byte) bool    { return uses[c]&digitHex != 0 }
func isBinaryDigit(c byte) bool { return c == '0' || c == '1' }
func isBase32(c byte) bool      { return uses[c]&digitBase32 != 0 }
func isSpace(c byte) bool       { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// add keeps a run. One that continues the run before it, as when each word is encoded
// by itself, is joined with it.
func (d *decoder) add(start, end int, s Step, text []byte) {
	if text == nil {
		return
	}
	if n := len(d.all) - 1; n >= 0 && d.all[n].step == s && start-d.all[n].end <= 2 && len(bytes.TrimSpace(d.text[d.all[n].end:start])) == 0 {
		d.all[n].end = end
		d.all[n].text = append(append(d.all[n].text, ' '), text...)
		return
	}
	if len(d.all) == maxFound {
		d.more = true
		return
	}
	d.all = append(d.all, found{start, end, s, text})
}

// digits decodes a run of letters and digits as hexadecimal, binary, numbers of
// characters, base64 or base32, and returns where it ends.
func (d *decoder) digits(i int) int {
	t := d.text
	next := i
	for next < len(t) && isBase64(t[next]) {
		next++
	}
	if end := d.grouped(i, next); end > 0 {
		return end
	}
	if next-i < minRun {
		if end := d.tokens(i, next); end > 0 {
			return end
		}
		return next
	}
	if end := d.base32(i, next); end > 0 {
		return end
	}
	lines, end := base64Lines(t, i, next)
	if len(lines) >= minRun {
		if text := saying(lines); text != nil {
			d.add(i, end, stepBase64, text)
			return end
		}
	}
	if end := d.tokens(i, next); end > 0 {
		return end
	}
	return max(end, next)
}

// saying decodes base64 to what can be read of it. It may begin in the middle of a
// group of four, behind characters that belong to an address.
func saying(digits []byte) []byte {
	for shift := range min(4, len(digits)) {
		probe := digits[shift:min(len(digits), shift+96)]
		if shift > 0 && legibleParts(unbase64(nil, probe)) == nil {
			continue
		}
		if out := legibleParts(unbase64(nil, digits[shift:])); out != nil {
			return out
		}
	}
	return nil
}

// grouped decodes "48 65 6c", "0x48, 0x65", bits and numbers of characters.
func (d *decoder) grouped(i, next int) int {
	t := d.text
	if i+1 >= len(t) || !isHexDigit(t[i]) && t[i] != 'U' {
		return 0
	}
	if isBinaryDigit(t[i]) && isBinaryDigit(t[i+1]) {
		if digits, end := d.digitGroups(i, 8, 4*minRun, isBinaryDigit); digits != nil {
			if out := legibleParts(fromDigits(digits, 2, 8)); out != nil || end >= next {
				d.add(i, end, stepBinary, out)
				return end
			}
		}
	}
	if isHexDigit(t[i+1]) || t[i+1]|0x20 == 'x' {
		if digits, end := d.digitGroups(i, 2, 2*minRun, isHexDigit); digits != nil {
			if out := legibleParts(fromDigits(digits, 16, 2)); out != nil || end >= next {
				d.add(i, end, stepHex, out)
				return end
			}
		}
	}
	var bases []int
	switch c := t[i]; {
	case next-i <= 3 && '0' <= c && c <= '9':
		bases = decimalOrOctal
	case c == 'U':
		bases = hexadecimal
	}
	for _, base := range bases {
		if out, end := codes(t, i, base); len(out) > 0 {
			if out := printable(out, minCodes); out != nil {
				d.add(i, end, stepCodes, out)
				return end
			}
		}
	}
	return 0
}

var decimalOrOctal, hexadecimal = []int{10, 8}, []int{16}

// digitGroups collects groups of n digits with separators between, when they take
// least bytes of the text. They are valid until it is called again.
func (d *decoder) digitGroups(i, n, least int, is func(byte) bool) (digits []byte, end int) {
	text := d.text
	if i+3 <= len(text) && n < 8 && text[i] == '0' && text[i+1]|0x20 == 'x' {
		i += 2
	}
	digits = d.digit[:0]
	for end = i; ; {
		at := nextGroup(text, end, n, is)
		if at < 0 {
			break
		}
		end = at + n
		digits = append(digits, text[at:end]...)
	}
	d.digit = digits
	if end-i < least {
		return nil, end
	}
	return digits, end
}

// nextGroup is where the next group of n digits is behind at most a few separators;
// below 0 for nowhere.
func nextGroup(text []byte, j, n int, is func(byte) bool) int {
	if j < len(text) && (text[j] == '0' || !is(text[j])) {
		for gap := 0; j < len(text) && gap < 5 && isSeparator(text, j); gap++ {
			j++
		}
	}
	if j+n > len(text) {
		return -1
	}
	for _, c := range text[j : j+n] {
		if !is(c) {
			return -1
		}
	}
	return j
}

// isSeparator reports whether the character at j stands between groups of digits.
func isSeparator(text []byte, j int) bool {
	switch text[j] {
	case ' ', ',', ':', ';', '-', '|', '\n', '\r', '\t', '[', ']', '"', '\'':
		return true
	case '0':
		return j+1 < len(text) && text[j+1]|0x20 == 'x'
	case 'x', 'X':
		return j > 0 && text[j-1] == '0'
	}
	return false
}

func fromDigits(digits []byte, base, n int) []byte {
	out := make([]byte, 0, len(digits)/n)
	for ; len(digits) >= n; digits = digits[n:] {
		v := 0
		for _, c := range digits[:n] {
			v = v*base + digitValue(c)
		}
		out = append(out, byte(v))
	}
	return out
}

func digitValue(c byte) int {
	if c <= '9' {
		return int(c - '0')
	}
	return int(c|0x20-'a') + 10
}

// codes reads numbers of characters: "73 103 110", in octal "111 147", or "U+0049".
func codes(t []byte, i, base int) (out []byte, end int) {
	count := 0
	for j := i; j < len(t); {
		if base == 16 {
			if j+2 >= len(t) || t[j] != 'U' || t[j+1] != '+' {
				break
			}
			j += 2
		}
		k, v := j, 0
		for k < len(t) && k < j+6 && isHexDigit(t[k]) && digitValue(t[k]) < base {
			v = v*base + digitValue(t[k])
			k++
		}
		if k == j || base < 16 && (v < ' ' && v != '\n' || v > 0x7e) || v > utf8.MaxRune {
			break
		}
		out = utf8.AppendRune(out, rune(v))
		count++
		end, j = k, k
		for gap := 0; j < len(t) && gap < 3 && (isSpace(t[j]) || t[j] == ',' || t[j] == ';'); gap++ {
			j++
		}
		if j == k {
			break
		}
	}
	if count < minCodes {
		return nil, i
	}
	return out, end
}

// base32 decodes a run of capital letters and digits (RFC 4648, section 6).
func (d *decoder) base32(i, next int) int {
	run := d.text[i:next]
	if len(run) < 3*minRun/2 {
		return 0
	}
	for _, c := range run {
		if !isBase32(c) {
			return 0
		}
	}
	out := make([]byte, 0, len(run)*5/8)
	bits, n := uint32(0), 0
	for _, c := range run {
		if bits, n = bits<<5|uint32(base32Value(c)), n+5; n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
		}
	}
	text := printable(out, minRun/2)
	if text == nil {
		return 0
	}
	for next < len(d.text) && d.text[next] == '=' {
		next++
	}
	d.add(i, next, stepBase32, text)
	return next
}

func base32Value(c byte) byte {
	if c >= 'A' {
		return c - 'A'
	}
	return c - '2' + 26
}

// tokens decodes words that are each encoded in base64.
func (d *decoder) tokens(i, next int) int {
	t := d.text
	if next-i < 4 || (next-i)%4 != 0 && (next == len(t) || t[next] != '=') {
		return 0 // no word of a whole number of groups, as most are not
	}
	if d.scratch = unbase64(d.scratch[:0], t[i:i+4]); !plainWord(d.scratch) {
		return 0
	}
	var out []byte
	count, end := 0, 0
	for j := i; j < len(t); {
		k := j
		for k < len(t) && isBase64(t[k]) {
			k++
		}
		n := k - j
		for k < len(t) && k-j-n < 2 && t[k] == '=' {
			k++
		}
		if n < 2 || (k-j)%4 != 0 {
			break
		}
		d.scratch = unbase64(d.scratch[:0], t[j:j+n])
		if !plainWord(d.scratch) {
			break
		}
		out = append(append(out, d.scratch...), ' ')
		count++
		end, j = k, k
		for gap := 0; j < len(t) && gap < 3 && (isSpace(t[j]) || t[j] == ',' || t[j] == '.'); gap++ {
			j++
		}
		if j == k {
			break
		}
	}
	if count < minTokens || len(out) < minRun/2 {
		return 0
	}
	d.add(i, end, stepBase64, out)
	return end
}

// plainWord reports whether bytes are letters of ASCII with marks around.
func plainWord(b []byte) bool {
	for _, c := range b {
		if !isLetter(c) && c != ' ' && c != '.' && c != ',' && c != '\'' && c != '-' && c != ':' && c != '\n' && c != '@' {
			return false
		}
	}
	return len(b) > 0
}

// base64Lines joins lines of equal length, as encoders fold them.
func base64Lines(text []byte, i, end int) (run []byte, _ int) {
	run = text[i:end]
	width := end - i
	joined := false
	for width >= 40 {
		j := end
		for j < len(text) && (isSpace(text[j]) || text[j] == '>') && j-end < 6 { // quoted, or indented
			j++
		}
		k := j
		for k < len(text) && isBase64(text[k]) {
			k++
		}
		if j == end || k == j || k-j > width {
			break
		}
		if !joined {
			joined = true
			run = append(make([]byte, 0, 4*width), run...)
		}
		run, end = append(run, text[j:k]...), k
		if k-j < width {
			break
		}
	}
	for end < len(text) && text[end] == '=' {
		end++
	}
	return run, end
}

// unbase64 appends what both alphabets decode to, without padding, and as much as
// there is before a mistake.
func unbase64(dst, s []byte) []byte {
	var group uint32
	n := 0
	for _, c := range s {
		v := base64Value[c]
		if v == 0xff {
			if c == '=' || isSpace(c) {
				continue
			}
			break
		}
		group = group<<6 | uint32(v)
		if n++; n == 4 {
			dst = append(dst, byte(group>>16), byte(group>>8), byte(group))
			n = 0
		}
	}
	switch n {
	case 2:
		dst = append(dst, byte(group>>4))
	case 3:
		dst = append(dst, byte(group>>10), byte(group>>2))
	}
	return dst
}

var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for _, alphabet := range []string{base64Standard, base64Standard[:62] + "-_"} {
		for i := range len(alphabet) {
			t[alphabet[i]] = byte(i)
		}
	}
	return t
}()

const base64Standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// readable reports whether a character belongs in a text.
func readable(r rune, n int) bool {
	if r < utf8.RuneSelf {
		return ' ' <= r && r < 0x7f || r == '\n' || r == '\r' || r == '\t'
	}
	return (r != utf8.RuneError || n > 1) && (unicode.IsLetter(r) || unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.Is(unicode.M, r) || unicode.Is(unicode.Cf, r))
}

// printable returns a decoded text if it reads like one, nil otherwise: of that
// length, in UTF-8, or in UTF-16, as some encoders take text, with hardly a character
// that no text has, and with letters.
func printable(b []byte, least int) []byte {
	b = narrow(b)
	if len(b) < least {
		return nil
	}
	bad, all, letters := 0, 0, 0
	for i := 0; i < len(b); {
		all++
		if c := b[i]; c < utf8.RuneSelf {
			i++
			switch p := uses[c]; {
			case p&letterASCII != 0:
				letters++
				continue
			case p&legibleASCII != 0:
				continue
			}
		} else {
			r, n := utf8.DecodeRune(b[i:])
			i += n
			if n > 1 {
				letters++
			}
			if readable(r, n) {
				continue
			}
		}
		if bad++; bad*20 > len(b) { // there are as many characters as bytes at the most
			return nil
		}
	}
	if bad*20 > all || letters*3 < all {
		return nil
	}
	return b
}

// narrow takes the zeros out of UTF-16.
func narrow(b []byte) []byte {
	if zero := bytes.Count(b, []byte{0}); zero*5 > len(b)*2 && zero*5 < len(b)*3 {
		return bytes.ReplaceAll(b, []byte{0}, nil)
	}
	return b
}

// legibleParts returns the whole of what was decoded when it is printable, else the
// stretches of it that are: something may stand before a text that was encoded.
func legibleParts(b []byte) []byte {
	const shortest = 20
	if out := printable(b, minRun/2); out != nil {
		return out
	}
	var out []byte
	b = narrow(b)
	for i, seen := 0, 0; i < len(b); {
		if b[i]&0xC0 == 0x80 {
			i++ // no character begins so
			continue
		}
		// A stretch that is long enough has none of the bytes that no text has: the
		// last of them in reach is where to go on.
		reach := min(i+shortest, len(b))
		if k := lastIllegible(b[min(max(i, seen), reach):reach]); k >= 0 {
			i = max(i, seen) + k + 1
			continue
		}
		seen = max(seen, reach)
		j := i
		for j < len(b) {
			r, n := utf8.DecodeRune(b[j:])
			if !readable(r, n) {
				break
			}
			j += n
		}
		if j-i >= shortest && printable(b[i:j], shortest) != nil {
			out = append(append(out, b[i:j]...), '\n')
		}
		i = j + 1
	}
	return out
}

// lastIllegible is the place of the last byte that is part of no text in UTF-8, below
// 0 for none: control characters, and what begins no character (RFC 3629, section 3).
func lastIllegible(b []byte) int {
	for k := len(b) - 1; k >= 0; k-- {
		if c := b[k]; c < utf8.RuneSelf && uses[c]&legibleASCII == 0 || c == 0xC0 || c == 0xC1 || c > 0xF4 {
			return k
		}
	}
	return -1
}

// escape is the length of the escape at i, 0 when there is none.
func (d *decoder) escape(i int) int {
	t := d.text[i:]
	if len(t) < 3 {
		return 0
	}
	switch t[0] {
	case '%':
		if isHexDigit(t[1]) && isHexDigit(t[2]) {
			return 3
		}
		if t[1] == 'u' && len(t) >= 6 && isHexDigit(t[2]) && isHexDigit(t[5]) {
			return 6
		}
	case '\\':
		if t[1] == 'x' || t[1] == 'u' || t[1] == 'U' || '0' <= t[1] && t[1] <= '7' {
			return 2
		}
	case '&':
		if t[1] == '#' || isLetter(t[1]) {
			return 2
		}
	case '=':
		if isHexDigit(t[1]) && isHexDigit(t[2]) {
			return 3
		}
		if t[1] == '\n' || t[1] == '\r' {
			return 2
		}
	}
	return 0
}

// escaped decodes the words around an escape at i, as long as they have escapes of
// that kind, and returns where they end.
func (d *decoder) escaped(i int) int {
	t, c := d.text, d.text[i]
	if i < d.tried[c] {
		return i + 1
	}
	start, from := i, 0
	if n := len(d.all); n > 0 {
		from = d.all[n-1].end
	}
	for start > from && start > i-256 && !isSpace(t[start-1]) {
		start--
	}
	escapes, end := 0, i
	for end < len(t) {
		had := false
		for end < len(t) && (!isSpace(t[end]) || end > 0 && c == '=' && (t[end-1] == '=' || t[end-1] == '\r')) {
			if t[end] == c && d.escape(end) > 0 {
				escapes++
				had = true
			}
			end++
		}
		gap := end
		for gap < len(t) && gap < end+2 && isSpace(t[gap]) {
			gap++
		}
		if !had || gap == end || gap == len(t) || isSpace(t[gap]) {
			break
		}
		if word := t[gap:min(len(t), gap+80)]; bytes.IndexByte(firstWord(word), c) < 0 {
			break
		}
		end = gap
	}
	d.tried[c] = end
	if escapes < minEscapes {
		return i + 1
	}
	run := t[start:end]
	var out []byte
	step := stepPercent
	switch c {
	case '%':
		out = unpercent(run)
	case '\\':
		out, step = unescape(run), stepEscape
	case '&':
		out, step = []byte(html.UnescapeString(string(run))), stepEntity
	case '=':
		out, step = unquote(run), stepQuoted
	}
	text := printable(out, minRun/2)
	if text == nil || bytes.Equal(out, run) {
		return i + 1 // escapes of another kind may be among them
	}
	d.add(start, end, step, text)
	return end
}

func firstWord(b []byte) []byte {
	for i, c := range b {
		if isSpace(c) {
			return b[:i]
		}
	}
	return b
}

func unpercent(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%' && i+2 < len(s) && isHexDigit(s[i+1]) && isHexDigit(s[i+2]):
			out = append(out, byte(digitValue(s[i+1])<<4|digitValue(s[i+2])))
			i += 2
		case s[i] == '%' && i+5 < len(s) && s[i+1] == 'u' && isHexDigit(s[i+2]) && isHexDigit(s[i+3]) && isHexDigit(s[i+4]) && isHexDigit(s[i+5]):
			v, _ := strconv.ParseUint(string(s[i+2:i+6]), 16, 32)
			out = utf8.AppendRune(out, rune(v))
			i += 5
		case s[i] == '+':
			out = append(out, ' ')
		default:
			out = append(out, s[i])
		}
	}
	return out
}

// unquote decodes quoted-printable (RFC 2045, section 6.7).
func unquote(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '=' && i+2 < len(s) && isHexDigit(s[i+1]) && isHexDigit(s[i+2]):
			out = append(out, byte(digitValue(s[i+1])<<4|digitValue(s[i+2])))
			i += 2
		case s[i] == '=' && i+2 < len(s) && s[i+1] == '\r' && s[i+2] == '\n':
			i += 2
		case s[i] == '=' && i+1 < len(s) && s[i+1] == '\n':
			i++
		default:
			out = append(out, s[i])
		}
	}
	return out
}

// unescape decodes \xHH, \uHHHH, \u{H}, \UHHHHHHHH, octal escapes and those of JSON.
func unescape(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		v, n := escapeValue(s[i+1:])
		if n == 0 {
			out = append(out, s[i])
			continue
		}
		if n <= 3 && v >= utf8.RuneSelf { // a byte of UTF-8
			out = append(out, byte(v))
		} else {
			out = utf8.AppendRune(out, v)
		}
		i += n
	}
	return out
}

// escapeValue reads what stands behind a backslash; n is its length, 0 for none.
func escapeValue(s []byte) (v rune, n int) {
	switch s[0] {
	case 'n', 'r', 't':
		return '\n', 1
	case '"', '/', '\\':
		return rune(s[0]), 1
	case 'x':
		return hexValue(s, 1, 2)
	case 'U':
		return hexValue(s, 1, 8)
	case 'u':
		if len(s) > 2 && s[1] == '{' {
			if end := bytes.IndexByte(s[:min(len(s), 10)], '}'); end > 2 {
				v, _ = hexValue(s, 2, end-2)
				return v, end + 1
			}
			return 0, 0
		}
		return hexValue(s, 1, 4)
	}
	for n < 3 && n < len(s) && '0' <= s[n] && s[n] <= '7' {
		v = v<<3 | rune(s[n]-'0')
		n++
	}
	return v, n
}

func hexValue(s []byte, from, n int) (v rune, _ int) {
	if from+n > len(s) {
		return 0, 0
	}
	for _, c := range s[from : from+n] {
		if !isHexDigit(c) || v > utf8.MaxRune {
			return 0, 0
		}
		v = v<<4 | rune(digitValue(c))
	}
	return v, from + n
}

// morse decodes letters of dots and dashes, words of them parted by slashes or wider
// spaces, and returns where they end.
func (d *decoder) morse(i int) int {
	t := d.text
	if i > 0 && !isSpace(t[i-1]) || i+1 < len(t) && t[i+1] != '.' && t[i+1] != '-' && t[i+1] != ' ' {
		return i + 1
	}
	var out []byte
	letters, j := 0, i
	end := i
	for j < len(t) {
		k, code := j, 1
		for k < len(t) && k-j < 8 && (t[k] == '.' || t[k] == '-') {
			code <<= 1
			if t[k] == '-' {
				code |= 1
			}
			k++
		}
		if k == j || code >= len(morseLetters) || morseLetters[code] == 0 {
			break
		}
		out = append(out, morseLetters[code])
		letters++
		end, j = k, k
		wide := 0
		for j < len(t) && (isSpace(t[j]) || t[j] == '/' || t[j] == '|') && j-k < 5 {
			if wide++; t[j] != ' ' {
				wide++
			}
			j++
		}
		if wide > 1 {
			out = append(out, ' ')
		}
		if j == k {
			break
		}
	}
	if letters >= minMorse {
		d.add(i, end, stepMorse, printable(out, minMorse))
	}
	return max(end, i+1)
}

// morseLetters are letters by their signs: a leading 1, then 1 for each dash.
var morseLetters = func() (t [64]byte) {
	for i, code := range []string{".-", "-...", "-.-.", "-..", ".", "..-.", "--.", "....", "..", ".---", "-.-", ".-..", "--", "-.", "---", ".--.", "--.-",
		".-.", "...", "-", "..-", "...-", ".--", "-..-", "-.--", "--..", "-----", ".----", "..---", "...--", "....-", ".....", "-....", "--...", "---..", "----."} {
		n := 1
		for _, c := range code {
			n <<= 1
			if c == '-' {
				n |= 1
			}
		}
		if t[n] = byte('a' + i); i >= 26 {
			t[n] = byte('0' + i - 26)
		}
	}
	return t
}()

// blocks decodes what has marks around: uuencode and ASCII85.
func (d *decoder) blocks() {
	t := d.text
	if i := bytes.Index(t, []byte("begin ")); i >= 0 && (i == 0 || t[i-1] == '\n') {
		if out := printable(uudecode(t[i:]), minRun/2); out != nil {
			d.add(i, len(t), stepUU, out)
		}
	}
	if i := bytes.Index(t, []byte("<~")); i >= 0 {
		if n := bytes.Index(t[i:], []byte("~>")); n > minRun {
			out := make([]byte, n)
			k, _, _ := ascii85.Decode(out, t[i+2:i+n], true)
			d.add(i, i+n+2, stepASCII85, printable(out[:k], minRun/2))
		}
	}
}

// uudecode decodes the lines behind the first that begins a uuencoded file.
func uudecode(b []byte) []byte {
	i := bytes.Index(b, []byte("begin "))
	if i < 0 {
		return nil
	}
	var out []byte
	for line := range bytes.Lines(b[i:]) {
		line = bytes.TrimRight(line, "\r\n")
		if bytes.HasPrefix(line, []byte("begin ")) {
			continue
		}
		if len(line) == 0 || line[0] < ' ' || line[0] > '`' {
			break
		}
		n := int(line[0]-' ') & 63
		if n == 0 {
			break
		}
		from := len(out)
		for g := line[1:]; len(g) > 1; g = g[min(4, len(g)):] {
			var v [4]byte
			for k := range min(4, len(g)) {
				v[k] = (g[k] - ' ') & 63
			}
			out = append(out, v[0]<<2|v[1]>>4, v[1]<<4|v[2]>>2, v[2]<<6|v[3])
		}
		out = out[:min(len(out), from+n)]
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
