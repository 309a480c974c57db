package injection

import (
	"bytes"
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// viewText is the text of one view, and where its pieces stood in a source.
type viewText struct {
	text  []byte
	marks []mark
}

// mark says that the text from at on was written in [start, end) of the source.
type mark struct{ at, start, end int32 }

func (v *viewText) add(text []byte, start, end int) {
	if len(text) > 0 {
		v.marks = append(v.marks, mark{int32(len(v.text)), int32(start), int32(end)})
		v.text = append(v.text, text...)
	}
}

// addLong adds a text with entities in steps, so that no place in it is far from a
// mark.
func (v *viewText) addLong(source, text []byte, start, end int) {
	const step = 4 << 10
	if end-start <= 2*step || end-start == len(text) {
		v.add(text, start, end)
		return
	}
	from, at := start, 0
	for i := start; i < end; {
		in, out := character(source[i:end])
		i, at = i+in, at+out
		if i-from >= step || i >= end {
			if i >= end {
				at = len(text)
			}
			at = min(at, len(text))
			v.add(text[:at], from, i)
			text, from, at = text[at:], i, 0
		}
	}
}

// end ends a word.
func (v *viewText) end() {
	if n := len(v.text); n > 0 && v.text[n-1] != '\n' {
		v.text = append(v.text, '\n')
	}
}

// span is where the text [from, to) was written.
func span(source []byte, marks []mark, from, to int) (start, end int) {
	return place(source, marks, from), max(place(source, marks, to-1)+1, place(source, marks, from))
}

// place is where the byte at i was written. Inside a piece that has entities it is
// found by counting.
func place(source []byte, marks []mark, i int) int {
	k, exact := slices.BinarySearchFunc(marks, int32(i), func(m mark, i int32) int { return int(m.at) - int(i) })
	if !exact {
		k--
	}
	if k < 0 {
		return 0
	}
	m := marks[k]
	raw := source[m.start:m.end]
	at, n := 0, i-int(m.at)
	for at < len(raw) && n > 0 {
		in, out := character(raw[at:])
		at, n = at+in, n-out
	}
	return int(m.start) + min(at, max(len(raw)-1, 0))
}

// character is the length of the byte, line end or entity that b begins with, and of
// what it stands for.
func character(b []byte) (in, out int) {
	switch {
	case b[0] == '&':
		return entity(b)
	case b[0] == '\r' && len(b) > 1 && b[1] == '\n':
		return 2, 1
	}
	return 1, 1
}

// entity is the length of the entity that b begins with, and of what it stands for.
func entity(b []byte) (in, out int) {
	end := 1
	for end < len(b) && end < 32 && (b[end] == '#' || isLetter(b[end]) || '0' <= b[end] && b[end] <= '9') {
		end++
	}
	if end < len(b) && b[end] == ';' {
		end++
	}
	if len(b) > 3 && b[1] == '#' && '0' <= b[2] && b[2] <= '9' {
		if n, err := strconv.Atoi(strings.TrimRight(string(b[2:end]), ";")); err == nil {
			return end, max(utf8.RuneLen(rune(min(n, utf8.MaxRune))), 1)
		}
	}
	if s := html.UnescapeString(string(b[:end])); len(s) != end {
		return end, max(len(s), 1)
	}
	return 1, 1
}

// pageTexts are the views of an HTML text.
type pageTexts struct {
	views [numViews]viewText
	// mixed has the blocks that a person sees a part of. A program that strips tags
	// reads the whole.
	mixed viewText
	block viewText // being read
	part  [2]bool  // the block has text that is shown, and that is not
	cut   bool
	inner bool // the page is in an attribute of another
	pages int  // in attributes of this one

	source []byte
}

// readHTML takes an HTML text apart into visible text, hidden text, comments and
// attributes.
func readHTML(text []byte) *pageTexts {
	t := &pageTexts{}
	t.read(text)
	return t
}

func (t *pageTexts) read(text []byte) {
	t.source = text
	p := newPage(text)
	for p.next() {
		t.piece(&p.piece)
	}
	t.breaks()
	t.cut = p.cut
}

func (t *pageTexts) piece(p *Piece) {
	switch p.Kind {
	case PieceText:
		t.text(p)
	case PieceComment:
		t.views[Comment].add(withoutTags(p.Text), p.Start, p.End)
		t.views[Comment].end()
	case PieceRaw:
		t.views[Comment].add(proseOf(p.Text), p.Start, p.End)
		t.views[Comment].end()
	case PieceRest:
		t.views[Hidden].add(withoutTags(p.Text), p.Start, p.End)
		t.views[Hidden].end()
	case PieceStart:
		if breaks[p.tag] {
			t.breaks()
		}
		t.attributes(p)
	case PieceEnd:
		if breaks[p.tag] {
			t.breaks()
		}
	}
}

func (t *pageTexts) text(p *Piece) {
	v := Hidden
	if p.Shown {
		v = HTML
	}
	t.views[v].addLong(t.source, p.Text, p.Start, p.End)
	t.block.addLong(t.source, p.Text, p.Start, p.End)
	if !t.part[v&1] && len(bytes.TrimSpace(p.Text)) > 0 {
		t.part[v&1] = true // HTML and Hidden are neighbours
	}
}

// breaks ends a block of text.
func (t *pageTexts) breaks() {
	t.views[HTML].end()
	t.views[Hidden].end()
	if t.part[0] && t.part[1] {
		for i, m := range t.block.marks {
			to := len(t.block.text)
			if i+1 < len(t.block.marks) {
				to = int(t.block.marks[i+1].at)
			}
			t.mixed.add(t.block.text[m.at:to], int(m.start), int(m.end))
		}
		t.mixed.end()
	}
	t.block.text, t.block.marks, t.part = t.block.text[:0], t.block.marks[:0], [2]bool{}
}

// attributes files what the attributes of a tag say.
func (t *pageTexts) attributes(p *Piece) {
	bare := 0
	for _, a := range p.Attrs {
		if len(a.Value) == 0 {
			bare++
			continue
		}
		t.attribute(p, a)
	}
	if bare < 3 {
		return
	}
	// <ignore all previous instructions> is a tag with attributes.
	words := []byte(p.Name)
	for _, a := range p.Attrs {
		if len(a.Value) == 0 {
			words = append(append(words, ' '), a.Key...)
		}
	}
	t.say(p, words)
}

func (t *pageTexts) say(p *Piece, text []byte) {
	t.views[Attribute].add(text, p.Start, p.End)
	t.views[Attribute].end()
}

func (t *pageTexts) attribute(p *Piece, a Attr) {
	switch a.Key {
	case "style", "class", "id", "width", "height", "align", "valign", "border", "cellpadding", "cellspacing", "bgcolor", "color", "face", "rel", "lang", "dir", "role":
		if len(a.Value) > 24 && prose(a.Value, 5) {
			t.say(p, a.Value)
		}
	case "href", "src", "action", "cite", "background", "srcset", "poster", "longdesc", "formaction", "data", "xlink:href":
		t.link(p, a.Value)
	case "srcdoc":
		const most = 32 // pages in a page
		if t.pages++; t.inner || t.pages > most {
			t.say(p, withoutTags(a.Value))
			return
		}
		inner := &pageTexts{inner: true}
		inner.read(a.Value)
		t.say(p, inner.views[HTML].text)
		t.say(p, inner.views[Hidden].text)
	case "alt", "title", "placeholder", "summary", "label", "value":
		t.say(p, a.Value)
	default:
		if len(a.Value) >= 2*minRun || prose(a.Value, 3) {
			t.say(p, a.Value)
		}
	}
}

// link files what an address says: its query and fragment, a path that is words, and
// the whole of an address that carries its content.
func (t *pageTexts) link(p *Piece, value []byte) {
	scheme, _, _ := bytes.Cut(value[:min(len(value), 12)], []byte(":"))
	switch strings.ToLower(string(bytes.TrimSpace(scheme))) {
	case "data":
		t.say(p, dataURL(value))
		return
	case "mailto", "javascript", "tel", "sms", "cid":
		t.say(p, unpercent(value))
		return
	}
	plain := unpercent(value)
	if prose(linkWords(plain), 5) {
		t.say(p, plain)
	} else if i := bytes.IndexAny(value, "?#"); i >= 0 {
		t.say(p, unpercent(value[i+1:]))
	}
}

// linkWords are the words of an address: what stands between its marks.
func linkWords(link []byte) []byte {
	return bytes.Map(func(r rune) rune {
		switch r {
		case '-', '_', '/', '+', '.', '?', '#', '&', '=', ',', '~':
			return ' '
		}
		return r
	}, link)
}

// dataURL is the content of an address that has it inside (RFC 2397), without tags
// when it is HTML.
func dataURL(value []byte) []byte {
	head, data, ok := bytes.Cut(value, []byte(","))
	if !ok {
		return value
	}
	data = unpercent(data)
	if bytes.Contains(bytes.ToLower(head), []byte(";base64")) {
		data = unbase64(nil, bytes.Map(func(r rune) rune {
			if r == ' ' { // a plus sign that unpercent took for a space
				return '+'
			}
			return r
		}, data))
	}
	if !textual(data) {
		return nil
	}
	if looksHTML(data) || bytes.Contains(data, []byte("</")) {
		return withoutTags(data)
	}
	return data
}

// withoutTags blanks out tags, except those that say something themselves.
func withoutTags(text []byte) []byte {
	if bytes.IndexByte(text, '<') < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	for {
		i := bytes.IndexByte(text, '<')
		if i < 0 {
			return append(out, text...)
		}
		out, text = append(out, text[:i]...), text[i:]
		end := bytes.IndexByte(text, '>')
		if end < 0 {
			return append(out, text...)
		}
		if prose(text[1:end], 4) {
			out = append(out, text[:end+1]...)
		} else {
			out = append(out, ' ')
		}
		text = text[end+1:]
	}
}

// prose reports whether a text has that many words of a language beside one another.
// In scripts without spaces, and in any but Latin, a few letters do.
func prose(text []byte, least int) bool {
	words, letters, foreign := 0, 0, 0
	gap := 1
	for _, c := range text {
		switch {
		case isLetter(c):
			letters++
			gap = 0
			continue
		case c >= 0x80:
			if foreign++; foreign >= 6*least {
				return true
			}
			letters++
			gap = 0
			continue
		case c == '\'' && letters > 0:
			continue
		}
		if letters > 0 {
			if words++; words >= least {
				return true
			}
			letters = 0
		}
		gap++
		switch c {
		case ' ', '\t', '\r', '\n', '.', ',', ':', '!', '?', '"', ')':
			if gap > 3 {
				words = 0
			}
		default:
			words, foreign = 0, 0
		}
	}
	return letters > 0 && words+1 >= least
}

// proseOf keeps the lines and statements of a program or style sheet that are words:
// comments, strings, and what is neither program nor style.
func proseOf(text []byte) []byte {
	var out []byte
	for len(text) > 0 {
		end := bytes.IndexAny(text, "\n;{}") + 1
		if end == 0 {
			end = len(text)
		}
		if line := text[:end]; len(line) >= 2*minRun && (prose(line, 4) || bytes.IndexByte(line, ' ') < 0) {
			out = append(out, line...)
		}
		text = text[end:]
	}
	return out
}
