package injection

import (
	"bytes"
	"path"
	"strings"

	"postern/server/message"
)

// file is the content of a part or of a member of an archive.
type file struct {
	media     string // what it claims to be; may be empty
	name      string
	text      []byte // UTF-8 when the type is text
	at        int    // where text begins in the part
	whole     bool
	attached  bool
	enveloped bool
	part      *message.Part // nil for a member
}

// content reads a file by what it is, which its bytes say before its name and type do.
func (w *walk) content(f *file, at string) {
	ext := strings.ToLower(path.Ext(f.name))
	subtype := f.media[strings.IndexByte(f.media, '/')+1:]
	isText := strings.HasPrefix(f.media, "text/") || textual(f.text)
	switch {
	case bytes.HasPrefix(f.text, []byte("{\\rtf")):
		w.within(Attachment, at, stepRTF, readRTF(f.text))
	case isPDF(f.text):
		w.pdf(f, at)
	case archived(f.text):
		w.archive(f, at)
	case bytes.HasPrefix(f.text, []byte("\x1f\x8b")):
		w.gzip(f, at)
	case !isText:
		w.binary(f, at)
	case subtype == "html" || subtype == "xhtml+xml" || subtype == "svg+xml" || subtype == "enriched" || subtype == "richtext" ||
		ext == ".html" || ext == ".htm" || ext == ".svg" || ext == ".xhtml" || looksHTML(f.text):
		w.html(f, at)
	case subtype == "xml" || strings.HasSuffix(subtype, "+xml") || ext == ".xml" || ext == ".rels" || bytes.HasPrefix(f.text, []byte("<?xml")):
		w.xml(f, at)
	case ext == ".eml" || strings.HasPrefix(f.media, "message/") && subtype != "delivery-status" || f.attached && looksMessage(f.text):
		w.file(f.text, at, stepMessage)
	default:
		w.plain(f, at, ext, subtype)
	}
}

// plain reads a text without markup.
func (w *walk) plain(f *file, at, ext, subtype string) {
	view := Text
	if f.attached {
		view = Attachment
	}
	w.put(segment{view: view, part: at, text: f.text, at: f.at})
	switch {
	case ext == ".ics" || ext == ".vcf" || subtype == "calendar" || strings.HasSuffix(subtype, "vcard") || subtype == "directory":
		w.within(view, at, stepTransfer, unfold(f.text))
	case ext == ".json" || strings.HasSuffix(subtype, "json"):
		if bytes.Contains(f.text, []byte("\\")) {
			w.within(view, at, stepEscape, unescape(f.text))
		}
	case f.part != nil && strings.EqualFold(f.part.Param("delsp"), "yes"):
		w.within(view, at, stepTransfer, unflow(f.text))
	case bytes.Count(f.text, []byte("</")) >= 4:
		// A page that claims to be plain text: what its tags cut in two.
		if p := readHTML(f.text); len(p.views[HTML].text) > 0 {
			w.put(segment{view: view, part: at, text: p.views[HTML].text, at: f.at, source: f.text, marks: p.views[HTML].marks})
		}
	}
}

// unfold joins lines that were cut, even inside of words, and resolves the escapes of
// line ends (RFC 5545, sections 3.1 and 3.3.11; RFC 6350, section 3.2).
func unfold(text []byte) []byte {
	s := strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\n ", "", "\n\t", "", "\\n", "\n", "\\N", "\n", "\\,", ",", "\\;", ";").Replace(string(text))
	return []byte(s)
}

// unflow joins lines that end in a space which is to be deleted (RFC 3676, section 4).
func unflow(text []byte) []byte {
	return []byte(strings.NewReplacer(" \r\n", "", " \n", "").Replace(string(text)))
}

// html files the views of an HTML text.
func (w *walk) html(f *file, at string) {
	p := readHTML(f.text)
	if p.cut {
		w.skip(at, "limit")
	}
	put := func(v View, t *viewText) {
		if v == HTML && f.attached {
			v = Attachment
		}
		w.put(segment{view: v, part: at, text: t.text, at: f.at, source: f.text, marks: t.marks})
	}
	for v := range p.views {
		put(View(v), &p.views[v])
	}
	put(HTML, &p.mixed)
}

// binary reads a file that is no text: one without words, one that is encrypted, or
// one that we do not know, of which the words are read that stand in it as they are.
func (w *walk) binary(f *file, at string) {
	kind, _, _ := strings.Cut(f.media, "/")
	switch {
	case wordless(kind, f.text) || signature[f.media] || wordlessNames[strings.ToLower(path.Ext(f.name))]:
		return
	case bytes.HasPrefix(f.text, []byte("\xd0\xcf\x11\xe0")) && bytes.Contains(f.text, []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e")):
		w.skip(at, "encrypted") // an office document (MS-OFFCRYPTO, section 2.3.4)
		return
	}
	w.skip(at, "type")
	if text := wordsInside(f.text); len(text) > 0 {
		w.within(Attachment, at, stepStrings, text)
	}
}

// signature are types that carry no words beside what signs.
var signature = map[string]bool{"application/pkcs7-signature": true, "application/x-pkcs7-signature": true, "application/pgp-signature": true}

// wordless reports whether a file is a picture, a sound or the like: it has no text
// for who reads mail. Looking at pictures is for who looks at pictures. A file that
// claims to be one and is text is read.
func wordless(kind string, head []byte) bool {
	switch kind {
	case "image", "audio", "video", "font", "model":
		return !textual(head) || len(head) == 0
	}
	for _, magic := range []string{"\x89PNG\r\n", "\xff\xd8\xff", "GIF87a", "GIF89a", "BM", "II*\x00", "MM\x00*", "\x00\x00\x01\x00", "ID3", "OggS", "fLaC", "wOFF", "wOF2", "\x00\x01\x00\x00\x00"} {
		if bytes.HasPrefix(head, []byte(magic)) && !textual(head) {
			return true
		}
	}
	return len(head) > 12 && !textual(head) && (string(head[4:8]) == "ftyp" || string(head[8:12]) == "WEBP" || string(head[8:12]) == "WAVE")
}

// wordlessNames are the endings of files without words that have no mark of their own.
var wordlessNames = map[string]bool{".emf": true, ".wmf": true, ".ttf": true, ".otf": true, ".odttf": true, ".fntdata": true, ".mp3": true}

// wordsInside finds the text in bytes that are no text: runs of letters in ASCII or
// UTF-16, as in the files of old office programs.
func wordsInside(b []byte) []byte {
	const shortest = 24
	var out []byte
	for _, width := range []int{1, 2} {
		for i := 0; i < len(b); {
			j := i
			for j < len(b) && (b[j] >= ' ' && b[j] < 0x7f || b[j] == '\n' || b[j] == '\r' || b[j] == '\t') && (width == 1 || j+1 < len(b) && b[j+1] == 0) {
				j += width
			}
			if run := b[i:j]; len(run) >= shortest*width {
				if width == 2 {
					run = bytes.ReplaceAll(run, []byte{0}, nil)
				}
				if prose(run, 4) {
					out = append(append(out, run...), '\n')
				}
			}
			i = max(j, i+1)
		}
	}
	return out
}

// looksMessage reports whether a text begins with fields of a message's header.
func looksMessage(text []byte) bool {
	head := text[:min(len(text), 4096)]
	known, fields := 0, 0
	for f := range message.Fields(head) {
		if f.Name == nil {
			return false
		}
		if fields++; fields > 12 {
			break
		}
		for _, name := range []string{"from", "to", "subject", "received", "date", "message-id", "mime-version", "content-type", "return-path"} {
			if f.Is(name) {
				known++
			}
		}
	}
	return known >= 2
}
