package injection

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// The text of a PDF document (ISO 32000-2), as far as it can be had without
// following the document's own directory, which a hostile one has made wrong: every
// object is found by its words "1 0 obj", in the file and in object streams. Text is
// what operators show, mapped by the ToUnicode tables of fonts, and what strings in
// objects say: titles, notes, fields of forms, scripts. The libraries that read PDF
// follow references without bounds and stop at what is broken; this needs neither.
// Fonts without a table whose codes are no characters, and compressions other than
// Flate, are noted as not looked at.

// Bounds of reading a PDF document.
const (
	maxObjects   = 20_000
	maxStream    = 4 << 20 // bytes of one stream, unpacked
	maxPDFText   = 4 << 20 // bytes of text of one document
	maxCodes16   = 1 << 16 // entries of all tables of one font
	maxSameName  = 4       // fonts of one name that are tried
	maxFontDict  = 4 << 10 // bytes of a font's dictionary that are looked at
	maxOperands  = 64      // strings of one operator
	wideGap      = -180    // thousandths of a font's size: a gap between words
	maxReference = 1 << 24 // number of an object
)

// isPDF reports whether bytes are a PDF document; some bytes may stand in front
// (annex I.3.2).
func isPDF(b []byte) bool { return bytes.Contains(b[:min(len(b), 1024)], []byte("%PDF-")) }

// pdf is the state of reading a document.
type pdf struct {
	w       *walk
	at      string
	objects map[int]object
	order   []int
	fonts   map[string][]*cmap // by the names that resources give
	text    []byte
	missed  bool // something was not looked at
}

// object is the head of an object, and its stream as it is in the file.
type object struct {
	dict   []byte
	stream []byte
}

// pdf reads a PDF document.
func (w *walk) pdf(f *file, at string) {
	if bytes.Contains(f.text, []byte("/Encrypt")) && bytes.Contains(f.text, []byte("/Standard")) {
		w.skip(at, "encrypted") // strings and streams are; it may be a lie
	}
	inner := w.into(stepPDF, at)
	if inner == nil {
		return
	}
	defer w.outOf(inner)
	p := pdf{w: inner, at: at, objects: map[int]object{}, fonts: map[string][]*cmap{}}
	p.find(f.text)
	p.unpackObjects()
	p.findFonts()
	for _, n := range p.order {
		p.object(p.objects[n])
	}
	if p.missed || !f.whole {
		w.skip(at, "type")
	}
	inner.put(segment{view: Attachment, part: at, text: p.text})
}

// find finds the objects of a file.
func (p *pdf) find(b []byte) {
	for i := 0; len(p.order) < maxObjects; {
		k := bytes.Index(b[i:], []byte(" obj"))
		if k < 0 {
			return
		}
		n := objectNumber(b[i : i+k])
		i += k + len(" obj")
		o, length := readObject(b[i:])
		i += length
		p.add(n, o)
	}
	p.missed = true
}

func (p *pdf) add(n int, o object) {
	if _, known := p.objects[n]; known { // a later version: both are read
		n = -len(p.order) - 1
	}
	p.objects[n] = o
	p.order = append(p.order, n)
}

// objectNumber reads the number in front of " obj": "12 0".
func objectNumber(b []byte) int {
	fields := bytes.Fields(b[max(0, len(b)-24):])
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.Atoi(string(fields[len(fields)-2]))
	if err != nil || n < 0 || n > maxReference {
		return 0
	}
	return n
}

// readObject reads an object up to its end, or to its stream's.
func readObject(b []byte) (o object, length int) {
	end := bytes.Index(b, []byte("endobj"))
	if end < 0 {
		end = len(b)
	}
	s := bytes.Index(b[:end], []byte("stream"))
	if s < 0 {
		return object{dict: b[:end]}, end
	}
	o.dict = b[:s]
	from := s + len("stream")
	if from < len(b) && b[from] == '\r' {
		from++
	}
	if from < len(b) && b[from] == '\n' {
		from++
	}
	// The length in the dictionary may be a lie, and data may have the word that ends it.
	if n := intOf(o.dict, "/Length"); n > 0 && from+n <= len(b) && bytes.HasPrefix(bytes.TrimLeft(b[from+n:min(len(b), from+n+16)], "\r\n "), []byte("endstream")) {
		o.stream = b[from : from+n]
		return o, from + n
	}
	n := bytes.Index(b[from:], []byte("endstream"))
	if n < 0 {
		n = len(b) - from
	}
	o.stream = b[from : from+n]
	return o, from + n
}

// valueOf is what stands behind a key of a dictionary.
func valueOf(dict []byte, key string) []byte {
	for rest := dict; ; {
		i := bytes.Index(rest, []byte(key))
		if i < 0 {
			return nil
		}
		rest = rest[i+len(key):]
		if len(rest) == 0 || !isLetter(rest[0]) && (rest[0] < '0' || rest[0] > '9') {
			return bytes.TrimLeft(rest, " \r\n\t")
		}
	}
}

func intOf(dict []byte, key string) int {
	v := valueOf(dict, key)
	end := 0
	for end < len(v) && end < 10 && '0' <= v[end] && v[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(string(v[:end]))
	if isReference(v[end:]) {
		return 0
	}
	return n
}

// isReference reports whether "0 R" follows.
func isReference(b []byte) bool {
	b = bytes.TrimLeft(b[:min(len(b), 16)], " \r\n")
	i := bytes.IndexByte(b, ' ')
	return i > 0 && i+1 < len(b) && b[i+1] == 'R'
}

// unpack decompresses a stream; nil when it is one that we do not read.
func (p *pdf) unpack(o *object) []byte {
	filter := valueOf(o.dict, "/Filter")
	b := o.stream
	for filter = filter[:min(len(filter), 256)]; len(filter) > 0; {
		filter = bytes.TrimLeft(filter, " \r\n[")
		if len(filter) == 0 || filter[0] != '/' {
			break
		}
		end := 1
		for end < len(filter) && (isLetter(filter[end]) || '0' <= filter[end] && filter[end] <= '9') {
			end++
		}
		switch name := string(filter[1:end]); name {
		case "FlateDecode", "Fl":
			b = p.inflate(b)
		case "ASCIIHexDecode", "AHx":
			b = unhexString(b)
		case "ASCII85Decode", "A85":
			out := make([]byte, len(b))
			n, _, _ := ascii85.Decode(out, bytes.TrimSuffix(bytes.TrimSpace(b), []byte("~>")), true)
			b = out[:n]
		case "DCTDecode", "DCT", "JPXDecode", "JBIG2Decode", "CCITTFaxDecode", "CCF":
			return nil // a picture
		default:
			p.missed = true
			return nil
		}
		filter = filter[end:]
	}
	return b
}

func (p *pdf) inflate(b []byte) []byte {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		p.missed = true
		return nil
	}
	limit := min(maxStream, p.w.unpacked)
	out, _ := io.ReadAll(io.LimitReader(z, int64(limit)+1)) // what can be had of a broken one
	if len(out) > limit {
		out, p.missed = out[:limit], true
	}
	p.w.unpacked -= len(out)
	return out
}

// unpackObjects reads the objects in object streams (section 7.5.7).
func (p *pdf) unpackObjects() {
	for _, n := range p.order {
		o := p.objects[n]
		if o.stream == nil || !bytes.Contains(o.dict, []byte("/ObjStm")) {
			continue
		}
		b := p.unpack(&o)
		first, count := intOf(o.dict, "/First"), intOf(o.dict, "/N")
		if first <= 0 || first > len(b) {
			continue
		}
		numbers := bytes.Fields(b[:first])
		for i := 0; i+1 < len(numbers) && i < 2*count && len(p.order) < maxObjects; i += 2 {
			number, err := strconv.Atoi(string(numbers[i]))
			from, err2 := strconv.Atoi(string(numbers[i+1]))
			to := len(b) - first
			if i+3 < len(numbers) {
				to, _ = strconv.Atoi(string(numbers[i+3]))
			}
			if err == nil && err2 == nil && 0 <= from && from <= to && first+to <= len(b) {
				p.add(number, object{dict: b[first+from : first+to]})
			}
		}
	}
}

// findFonts finds which tables the names of fonts in content stand for. Pages may use
// one name for several fonts.
func (p *pdf) findFonts() {
	tables := map[int]*cmap{}
	for _, n := range p.order {
		for rest := p.objects[n].dict; ; {
			i := bytes.Index(rest, []byte(" R"))
			if i < 0 {
				break
			}
			name, number := fontReference(rest[:i])
			rest = rest[i+2:]
			if name == "" || len(p.fonts[name]) == maxSameName {
				continue
			}
			font := p.objects[number].dict
			font = font[:min(len(font), maxFontDict)]
			to := intBefore(valueOf(font, "/ToUnicode"))
			if to == 0 && !bytes.Contains(font, []byte("/Type0")) {
				continue
			}
			if _, read := tables[to]; !read {
				o := p.objects[to]
				tables[to] = readCMap(p.unpack(&o))
			}
			p.fonts[name] = append(p.fonts[name], tables[to])
		}
	}
}

// fontReference reads "/F1 12 0" at the end of a text.
func fontReference(b []byte) (name string, number int) {
	fields := bytes.Fields(b[max(0, len(b)-48):])
	if len(fields) < 3 {
		return "", 0
	}
	key := fields[len(fields)-3]
	if i := bytes.LastIndexByte(key, '/'); i >= 0 {
		name = string(key[i+1:])
	}
	number, _ = strconv.Atoi(string(fields[len(fields)-2]))
	return name, number
}

func intBefore(v []byte) int {
	end := bytes.IndexByte(v[:min(len(v), 10)], ' ')
	if end < 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(v[:end]))
	return n
}

// object reads the text of an object.
func (p *pdf) object(o object) {
	if len(p.text) > maxPDFText {
		p.missed = true
		return
	}
	p.strings(o.dict)
	switch {
	case o.stream == nil, bytes.Contains(o.dict, []byte("/ObjStm")), bytes.Contains(o.dict, []byte("/XRef")), bytes.Contains(o.dict, []byte("/Image")),
		bytes.Contains(o.dict, []byte("/FontFile")), bytes.Contains(o.dict, []byte("/Length1")), bytes.Contains(o.dict, []byte("/CIDFontType0C")), bytes.Contains(o.dict, []byte("/Type1C")):
		return
	}
	b := p.unpack(&o)
	switch {
	case bytes.Contains(o.dict, []byte("/EmbeddedFile")):
		if len(b) > 0 {
			p.w.content(&file{text: b, attached: true, whole: true}, p.at)
		}
	case bytes.Contains(o.dict, []byte("/Metadata")):
		text, _ := readXML(b)
		p.text = append(append(p.text, text.text...), '\n')
	case bytes.Contains(b, []byte("begincmap")):
	case bytes.Contains(b, []byte("BT")):
		p.content(b)
	case textual(b) && prose(b, 5): // a script, a long field
		p.text = append(append(p.text, b...), '\n')
	}
}

// strings reads the strings in an object that are words.
func (p *pdf) strings(b []byte) {
	for i := 0; i < len(b); i++ {
		var s []byte
		switch {
		case b[i] == '(':
			var n int
			s, n = literal(b[i:])
			i += n - 1
		case b[i] == '<' && i+1 < len(b) && b[i+1] != '<' && (i == 0 || b[i-1] != '<'):
			n := bytes.IndexByte(b[i:], '>')
			if n < 0 {
				return
			}
			s = unhexString(b[i+1 : i+n])
			i += n
		default:
			continue
		}
		if text := textString(s); prose(text, 3) || len(text) >= 2*minRun {
			p.text = append(append(p.text, text...), '\n')
		}
	}
}

// textString decodes a string that is for people (section 7.9.2.2).
func textString(s []byte) []byte {
	if bytes.HasPrefix(s, []byte("\xfe\xff")) {
		return appendUTF16(nil, s[2:])
	}
	if utf8.Valid(s) {
		return bytes.TrimPrefix(s, []byte("\xef\xbb\xbf"))
	}
	return appendWinAnsi(nil, s)
}

func appendUTF16(dst, b []byte) []byte {
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(b[i])<<8 | rune(b[i+1])
		if utf16.IsSurrogate(r) && i+3 < len(b) {
			r = utf16.DecodeRune(r, rune(b[i+2])<<8|rune(b[i+3]))
			i += 2
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func appendWinAnsi(dst, b []byte) []byte {
	for _, c := range b {
		dst = utf8.AppendRune(dst, charmap.Windows1252.DecodeByte(c))
	}
	return dst
}

// literal reads a string in parentheses (section 7.3.4.2) and returns its length.
func literal(b []byte) (s []byte, n int) {
	depth := 0
	for n = 0; n < len(b); n++ {
		switch c := b[n]; c {
		case '(':
			if depth++; depth > 1 {
				s = append(s, c)
			}
		case ')':
			if depth--; depth == 0 {
				return s, n + 1
			}
			s = append(s, c)
		case '\\':
			k := 0
			s, k = literalEscape(s, b[n+1:])
			n += k
		default:
			s = append(s, c)
		}
	}
	return s, n
}

func literalEscape(s, b []byte) ([]byte, int) {
	if len(b) == 0 {
		return s, 0
	}
	switch c := b[0]; {
	case c == 'n' || c == 'r' || c == 't':
		return append(s, '\n'), 1
	case c == '\r' || c == '\n': // a line that goes on
		return s, 1
	case '0' <= c && c <= '7':
		v, k := 0, 0
		for k < 3 && k < len(b) && '0' <= b[k] && b[k] <= '7' {
			v = v<<3 | int(b[k]-'0')
			k++
		}
		return append(s, byte(v)), k
	default:
		return append(s, c), 1
	}
}

func unhexString(b []byte) []byte {
	out := make([]byte, 0, len(b)/2+1)
	half, have := byte(0), false
	for _, c := range b {
		if !isHexDigit(c) {
			continue
		}
		if have {
			out = append(out, half<<4|byte(digitValue(c)))
		} else {
			half = byte(digitValue(c))
		}
		have = !have
	}
	if have {
		out = append(out, half<<4)
	}
	return out
}

// content reads what the operators of a content stream show (section 9.4).
func (p *pdf) content(b []byte) {
	var strings [][]byte // operands since the last operator
	var fonts []*cmap
	name := ""
	for i := 0; i < len(b) && len(p.text) <= maxPDFText; {
		switch c := b[i]; {
		case c == '(':
			s, n := literal(b[i:])
			i += n
			if len(strings) < maxOperands {
				strings = append(strings, s)
			} else {
				p.show(append(strings, s), fonts)
				strings = strings[:0]
			}
		case c == '<' && i+1 < len(b) && b[i+1] != '<':
			n := bytes.IndexByte(b[i:], '>')
			if n < 0 {
				return
			}
			strings = append(strings, unhexString(b[i+1:i+n]))
			i += n + 1
			if len(strings) > maxOperands {
				p.show(strings, fonts)
				strings = strings[:0]
			}
		case c == '/':
			n := wordEnd(b[i+1:])
			name = string(b[i+1 : i+1+min(n, 64)])
			i += 1 + n
		case isLetter(c) || c == '\'' || c == '"' || c == '*':
			n := max(wordEnd(b[i:]), 1)
			switch op := string(b[i : i+min(n, 4)]); op {
			case "Tf":
				fonts = p.fonts[name]
			case "Tj", "TJ", "'", "\"":
				if op[0] != 'T' {
					p.text = append(p.text, '\n')
				}
				p.show(strings, fonts)
			case "Td", "TD", "T*", "Tm", "ET":
				p.newLine(op)
			}
			strings = strings[:0]
			i += n
		case c == '-' && len(strings) > 0:
			if v, ok := number(string(b[i:min(len(b), i+12)])); ok && v < wideGap {
				strings = append(strings, []byte(" "))
			}
			i++
		default:
			i++
		}
	}
}

// newLine parts what operators move apart. Where a text goes on is not measured: each
// move ends a word, unless what was shown is one letter, as in text that is set
// letter by letter.
func (p *pdf) newLine(op string) {
	n := len(p.text)
	if n == 0 || p.text[n-1] == '\n' {
		return
	}
	if op != "ET" && (n < 2 || p.text[n-2] == '\n' || p.text[n-2] == ' ') {
		p.text = append(p.text, ' ') // words.joinSpaced puts them together
		return
	}
	p.text = append(p.text, '\n')
}

func wordEnd(b []byte) int {
	for i, c := range b {
		if !isLetter(c) && (c < '0' || c > '9') && c != '*' && c != '+' && c != '-' && c != '_' && c != '.' {
			return i
		}
	}
	return len(b)
}

// show appends strings in a font. Of fonts with one name the one is taken that gives
// the most letters.
func (p *pdf) show(strings [][]byte, fonts []*cmap) {
	if len(fonts) == 0 {
		for _, s := range strings {
			p.text = appendWinAnsi(p.text, s)
		}
		return
	}
	from, best, most := len(p.text), []byte(nil), -1
	for _, f := range fonts {
		for _, s := range strings {
			if len(s) == 1 && s[0] == ' ' {
				p.text = append(p.text, ' ')
			} else {
				p.text = f.append(p.text, s)
			}
		}
		letters := 0
		for _, c := range p.text[from:] {
			if isLetter(c) || c >= utf8.RuneSelf {
				letters++
			}
		}
		if letters > most {
			best, most = bytes.Clone(p.text[from:]), letters
		}
		p.text = p.text[:from]
	}
	p.text = append(p.text, best...)
	p.missed = p.missed || most == 0
}

// cmap maps the codes of a font to text (section 9.10.3).
type cmap struct {
	wide  bool // codes have two bytes
	codes map[uint16]string
}

// readCMap reads a ToUnicode table. Without one, codes are taken for characters.
func readCMap(b []byte) *cmap {
	m := &cmap{codes: map[uint16]string{}}
	for len(b) > 0 && len(m.codes) < maxCodes16 {
		i := bytes.Index(b, []byte("beginbf"))
		if i < 0 {
			break
		}
		isRange := bytes.HasPrefix(b[i:], []byte("beginbfrange"))
		b = b[i+len("beginbf"):]
		end := bytes.Index(b, []byte("endbf"))
		if end < 0 {
			end = len(b)
		}
		if block := b[:end]; isRange {
			m.ranges(block)
		} else {
			m.chars(block)
		}
		b = b[end:]
	}
	return m
}

// hexOperand takes the next <…> off a block.
func hexOperand(b []byte) (s, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '<')
	if i < 0 {
		return nil, nil, false
	}
	n := bytes.IndexByte(b[i:], '>')
	if n < 0 {
		return nil, nil, false
	}
	return unhexString(b[i+1 : i+n]), b[i+n+1:], true
}

func (m *cmap) code(s []byte) uint16 {
	if len(s) > 1 {
		m.wide = true
		return uint16(s[0])<<8 | uint16(s[1])
	}
	if len(s) == 1 {
		return uint16(s[0])
	}
	return 0
}

func (m *cmap) chars(b []byte) {
	for len(m.codes) < maxCodes16 {
		from, rest, ok := hexOperand(b)
		if !ok {
			return
		}
		to, rest, ok := hexOperand(rest)
		if !ok {
			return
		}
		b = rest
		m.codes[m.code(from)] = string(appendUTF16(nil, to[:min(len(to), 32)]))
	}
}

func (m *cmap) ranges(b []byte) {
	for {
		first, rest, ok := hexOperand(b)
		if !ok {
			return
		}
		last, rest, ok := hexOperand(rest)
		if !ok {
			return
		}
		list := bytes.HasPrefix(bytes.TrimLeft(rest, " \r\n"), []byte("["))
		from, to := int(m.code(first)), int(m.code(last))
		for code := from; code <= to && len(m.codes) < maxCodes16; code++ {
			var s []byte
			if s, b, ok = hexOperand(rest); !ok {
				return
			}
			if list {
				rest = b
			} else if len(s) >= 2 {
				s = bytes.Clone(s)
				v := int(s[len(s)-2])<<8 + int(s[len(s)-1]) + code - from
				s[len(s)-2], s[len(s)-1] = byte(v>>8), byte(v)
			}
			m.codes[uint16(code)] = string(appendUTF16(nil, s[:min(len(s), 32)]))
		}
		if from > to || len(m.codes) >= maxCodes16 {
			return
		}
	}
}

// append appends a string of codes as text.
func (m *cmap) append(dst, s []byte) []byte {
	width := 1
	if m.wide || len(m.codes) == 0 {
		width = 2
	}
	for ; len(s) >= width; s = s[width:] {
		code := uint16(s[0])
		if width == 2 {
			code = code<<8 | uint16(s[1])
		}
		text, ok := m.codes[code]
		switch {
		case ok:
			dst = append(dst, text...)
		case width == 1:
			dst = utf8.AppendRune(dst, charmap.Windows1252.DecodeByte(s[0]))
		}
	}
	return dst
}
