package injection

import (
	"bytes"
	"html"
)

// xml files the texts of an XML document as those of an attachment: what stands
// between its tags, and attributes and comments that are words.
func (w *walk) xml(f *file, at string) {
	text, other := readXML(f.text)
	w.put(segment{view: Attachment, part: at, text: text.text, at: f.at, source: f.text, marks: text.marks})
	w.put(segment{view: Comment, part: at, text: other.text, at: f.at, source: f.text, marks: other.marks})
}

// runsOn are the elements of office documents that do not end a word: pieces of a
// text in one style.
var runsOn = map[string]bool{"r": true, "t": true, "rPr": true, "span": true, "b": true, "i": true, "u": true, "sz": true, "color": true, "rFonts": true,
	"lang": true, "szCs": true, "vanish": true, "proofErr": true, "bookmarkStart": true, "bookmarkEnd": true, "a": true, "em": true, "strong": true}

// readXML separates the texts of a document from its comments and attributes.
func readXML(b []byte) (text, other viewText) {
	for i := 0; i < len(b); {
		if b[i] != '<' {
			end := bytes.IndexByte(b[i:], '<')
			if end < 0 {
				end = len(b) - i
			}
			text.add([]byte(html.UnescapeString(string(b[i:i+end]))), i, i+end)
			i += end
			continue
		}
		rest := b[i:]
		switch {
		case bytes.HasPrefix(rest, []byte("<!--")):
			n, inside := until(rest, 4, "-->")
			other.add(inside, i, i+n)
			other.end()
			i += n
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			n, inside := until(rest, 9, "]]>")
			text.add(inside, i, i+n)
			i += n
		default:
			n, inside := until(rest, 1, ">")
			if !runsOn[localName(inside)] {
				text.end()
			}
			if prose(inside, 3) {
				other.add([]byte(html.UnescapeString(string(inside))), i, i+n)
				other.end()
			}
			i += n
		}
	}
	return text, other
}

// until is the length up to and with an end mark, and what stands before that.
func until(b []byte, from int, mark string) (n int, inside []byte) {
	end := bytes.Index(b[min(from, len(b)):], []byte(mark))
	if end < 0 {
		return len(b), b[min(from, len(b)):]
	}
	return from + end + len(mark), b[from : from+end]
}

// localName is the name of an element without its prefix.
func localName(inside []byte) string {
	inside = bytes.TrimPrefix(inside, []byte("/"))
	if i := bytes.IndexAny(inside, " \t\r\n/"); i >= 0 {
		inside = inside[:i]
	}
	if i := bytes.IndexByte(inside, ':'); i >= 0 {
		inside = inside[i+1:]
	}
	if len(inside) > 32 {
		return ""
	}
	return string(inside)
}
