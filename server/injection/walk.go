package injection

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"postern/server/message"
)

// Bounds of one message. What lies beyond is not looked at, and the verdict says so.
const (
	maxText  = 8 << 20  // bytes of decoded text, over all parts
	maxPart  = 4 << 20  // bytes of one part
	maxHead  = 64 << 10 // bytes of header fields
	maxParts = 1000
)

// walk goes through the texts of one message.
type walk struct {
	body  io.ReaderAt
	emit  func(segment)
	left  int // bytes of text that may still be read
	parts int
	skip  func(part, why string)
}

// message walks the top header and all parts.
func (w *walk) message(s *message.Structure) {
	header := make([]byte, min(s.Header.Len(), maxHead))
	n, err := w.body.ReadAt(header, s.Header.Start)
	if err != nil && !errors.Is(err, io.EOF) {
		w.skip("", "error")
	}
	if s.Header.Len() > maxHead {
		w.skip("", "limit")
	}
	w.header(header[:n], "")
	w.part(&s.Root, "")
}

// unread are header fields whose text no agent takes for words: traces, signatures
// and machine-made values. A field that is not here is read.
var unread = map[string]bool{"received": true, "dkim-signature": true, "arc-seal": true, "arc-message-signature": true,
	"arc-authentication-results": true, "authentication-results": true, "received-spf": true, "return-path": true, "date": true, "message-id": true,
	"in-reply-to": true, "references": true, "mime-version": true, "content-type": true, "content-transfer-encoding": true,
	"x-google-dkim-signature": true, "x-gm-message-state": true, "x-google-smtp-source": true, "x-received": true, "list-unsubscribe": true,
	"list-unsubscribe-post": true, "domainkey-signature": true, "x-ms-exchange-antispam-messagedata": true, "content-length": true, "lines": true}

// header reads the fields of a message's header.
func (w *walk) header(header []byte, part string) {
	var others bytes.Buffer
	for f := range message.Fields(header) {
		name := strings.ToLower(string(f.Name))
		value := message.DecodeWords(f.Value())
		switch {
		case name == "subject":
			w.put(Subject, part, []byte(value))
		case name == "from" || name == "to" || name == "cc" || name == "reply-to" || name == "sender":
			for _, a := range message.ParseAddressList(f.Value()) {
				if a.Name != "" {
					w.put(Name, part, []byte(message.DecodeWords(a.Name)))
				}
				if len(a.Mailbox) > 24 { // a local part can be a sentence
					w.put(Name, part, []byte(a.Mailbox))
				}
			}
		case !unread[name]:
			others.WriteString(value)
			others.WriteByte('\n')
		}
	}
	w.put(Header, part, others.Bytes())
}

func (w *walk) put(v View, part string, text []byte) {
	if len(text) > w.left {
		w.skip(part, "limit")
		text = text[:w.left]
	}
	w.left -= len(text)
	if len(bytes.TrimSpace(text)) > 0 {
		w.emit(segment{view: v, part: part, text: text})
	}
}

// section is the number of a child (RFC 9051, section 6.4.5.1).
func section(parent string, i int) string {
	if parent == "" {
		return strconv.Itoa(i + 1)
	}
	return parent + "." + strconv.Itoa(i+1)
}

// part walks a part and what is in it.
func (w *walk) part(p *message.Part, at string) {
	if w.parts++; w.parts > maxParts {
		if w.parts == maxParts+1 {
			w.skip(at, "limit")
		}
		return
	}
	if name := p.Filename(); name != "" {
		w.put(FileName, at, []byte(name))
	}
	if p.Description != "" {
		w.put(Header, at, []byte(message.DecodeWords(p.Description)))
	}
	switch {
	case p.IsMultipart():
		w.around(p, at)
		for i := range p.Children {
			w.part(&p.Children[i], section(at, i))
		}
	case p.Message != nil:
		w.embedded(p, at)
	default:
		w.leaf(p, at)
	}
}

// around reads what stands before, between and after the parts of a multipart.
func (w *walk) around(p *message.Part, at string) {
	from := p.Body.Start
	for i := range p.Children {
		w.gap(from, p.Children[i].Header.Start, at)
		from = p.Children[i].Body.End
	}
	w.gap(from, p.Body.End, at)
}

// gap reads a stretch between parts without its delimiter lines.
func (w *walk) gap(from, to int64, at string) {
	const longestDelimiter = 80
	if to-from <= longestDelimiter {
		return
	}
	text := make([]byte, min(to-from, maxPart, int64(w.left)))
	n, _ := w.body.ReadAt(text, from)
	w.put(Preamble, at, text[:n])
}

// embedded reads a message in a message.
func (w *walk) embedded(p *message.Part, at string) {
	span := p.Message.Root.Header
	header := make([]byte, min(max(span.Len(), 0), maxHead))
	n, _ := w.body.ReadAt(header, span.Start)
	w.header(header[:n], at)
	if p.Message.Root.IsMultipart() {
		w.part(&p.Message.Root, at)
		return
	}
	w.part(&p.Message.Root, section(at, 0))
}

// leaf reads a part without parts.
func (w *walk) leaf(p *message.Part, at string) {
	if at == "" {
		at = "1"
	}
	attached := p.Disposition == "attachment" || p.Type != "text"
	switch {
	case p.Type == "image" && p.Subtype != "svg+xml", p.Type == "audio", p.Type == "video", p.Type == "font":
		return // nothing that is read as words
	case p.MediaType() == "application/pgp-encrypted", p.MediaType() == "application/pkcs7-mime":
		w.skip(at, "encrypted")
		return
	}
	text, whole := w.read(p, at)
	switch {
	case archived(text):
		w.archive(text, at, whole)
	case p.Type != "text" && !textual(text):
		w.skip(at, "type")
	case p.Subtype == "html" || p.Subtype == "svg+xml" || p.Subtype == "xhtml+xml" || looksHTML(text):
		w.html(text, at, attached)
	case attached:
		w.put(Attachment, at, text)
	default:
		w.put(Text, at, text)
	}
}

// read decodes a part as far as the bounds let it.
func (w *walk) read(p *message.Part, at string) (text []byte, whole bool) {
	limit := min(maxPart, w.left)
	r := message.TextReader(w.body, p)
	if p.Type != "text" {
		r = message.PartReader(w.body, p)
	}
	var b bytes.Buffer
	b.Grow(int(min(p.Body.Len()+512, int64(limit)+512)))
	n, err := b.ReadFrom(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		w.skip(at, "error")
	}
	if n > int64(limit) {
		w.skip(at, "limit")
		return b.Bytes()[:limit], false
	}
	return b.Bytes(), true
}

// html files the views of an HTML text.
func (w *walk) html(text []byte, at string, attached bool) {
	p := readHTML(text)
	for v := range p.texts {
		view := View(v)
		if view == HTML && attached {
			view = Attachment
		}
		w.put(view, at, p.texts[v].Bytes())
	}
}

// looksHTML reports whether a text that claims to be something else starts as HTML
// does: some readers look.
func looksHTML(text []byte) bool {
	head := bytes.ToLower(bytes.TrimSpace(text[:min(len(text), 256)]))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
}

// textual reports whether bytes of an unknown type are text after all.
func textual(b []byte) bool {
	b = b[:min(len(b), 4096)]
	control := 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 && i+utf8.UTFMax < len(b) || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' {
			control++
		}
		i += n
	}
	return control*50 <= len(b)
}
