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
// Of a text that is longer, the beginning and the end are read.
const (
	maxText     = 24 << 20 // bytes of decoded text, over all parts
	maxPart     = 12 << 20 // bytes of one part
	maxEnd      = 1 << 20  // bytes of a longer part's end
	maxParts    = 1000
	maxDepth    = 4        // messages and archives in one another, beyond what MIME nests
	maxUnpacked = 16 << 20 // bytes that come out of archives and compressed files, over all
	minUnpacked = 2 << 20  // so many at least, and eight for each byte of the message

	unpackedPerByte = 8
)

// walk goes through the texts of one message.
type walk struct {
	body     io.ReaderAt
	emit     func(segment)
	skip     func(part, why string)
	left     int    // bytes of text that may still be read
	unpacked int    // bytes that may still be unpacked
	parts    int    // that were met
	depth    int    // of files in files
	fixed    string // the part that this message is a file in
	chain    Chain  // how it was taken out of there

	alternatives func(begin bool) // told about those of a body; may be nil
	inside       bool             // of the alternatives of a body
}

func newWalk(body io.ReaderAt, emit func(segment), skip func(part, why string)) *walk {
	return &walk{body: body, emit: emit, skip: skip, left: maxText, unpacked: maxUnpacked}
}

// message walks the top header and all parts.
func (w *walk) message(s *message.Structure) {
	if w.depth == 0 { // a small message is no reason for much work
		w.unpacked = int(min(maxUnpacked, minUnpacked+unpackedPerByte*max(s.Size, 0)))
	}
	if s.Defects&(message.DefectHeaderTruncated|message.DefectDepth|message.DefectParts|message.DefectValueTruncated|message.DefectAddresses) != 0 {
		w.skip(w.fixed, "limit")
	}
	if s.Defects.Has(message.DefectReadFailed) {
		w.skip(w.fixed, "error")
	}
	w.headerAt(s.Header, w.fixed)
	w.part(&s.Root, "", s.Header)
}

// file walks a message that is a file in this one.
func (w *walk) file(text []byte, at string, step Step) {
	chain, ok := w.chain.then(step)
	if w.depth == maxDepth || !ok {
		w.skip(at, "limit")
		w.put(segment{view: Attachment, part: at, text: text})
		return
	}
	inner := *w
	inner.body, inner.depth, inner.fixed, inner.chain = bytes.NewReader(text), w.depth+1, at, chain
	inner.message(message.Parse(inner.body, int64(len(text))))
	w.left, w.unpacked, w.parts = inner.left, inner.unpacked, inner.parts
}

// put gives a text on.
func (w *walk) put(s segment) {
	if len(s.text) > w.left {
		w.skip(s.part, "limit")
		s.text = s.text[:w.left]
	}
	w.left -= len(s.text)
	s.alternative = w.inside && s.chain == (Chain{}) && (s.view == Text || s.view == HTML)
	if s.chain == (Chain{}) {
		s.chain = w.chain
	}
	if len(bytes.TrimSpace(s.text)) > 0 {
		w.emit(s)
	}
}

// within gives on a text that was taken out of another by a step.
func (w *walk) within(v View, at string, step Step, text []byte) {
	chain, ok := w.chain.then(step)
	if !ok {
		w.skip(at, "limit")
		return
	}
	w.put(segment{view: v, part: at, text: text, chain: chain, declared: step == stepTransfer})
}

// section is the number of a child (RFC 9051, section 6.4.5.1).
func (w *walk) section(parent string, i int) string {
	switch {
	case w.fixed != "":
		return w.fixed
	case parent == "":
		return strconv.Itoa(i + 1)
	}
	return parent + "." + strconv.Itoa(i+1)
}

// part walks a part and what is in it. Its header was read already when it is that
// of a message.
func (w *walk) part(p *message.Part, at string, header message.Span) {
	if w.parts++; w.parts > maxParts {
		w.skip(at, "limit")
		return
	}
	if p.Header != header {
		w.headerAt(p.Header, at)
	}
	w.names(p, at)
	switch {
	case p.IsMultipart():
		w.around(p, at)
		begun := p.Subtype == "alternative" && !w.inside && w.alternatives != nil
		if begun {
			w.inside = true
			w.alternatives(true)
		}
		for i := range p.Children {
			w.part(&p.Children[i], w.section(at, i), message.Span{})
		}
		if begun {
			w.inside = false
			w.alternatives(false)
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

// gap reads a stretch between parts, without its delimiter lines.
func (w *walk) gap(from, to int64, at string) {
	const shortest = 8 // of two lines, one of them a delimiter
	if to-from <= shortest {
		return
	}
	text := make([]byte, min(to-from, int64(w.left)))
	n, _ := w.body.ReadAt(text, from)
	if to-from > int64(w.left) {
		w.skip(at, "limit")
	}
	text = text[:n]
	rest := bytes.TrimSpace(text)
	if bytes.HasPrefix(rest, []byte("--")) && bytes.IndexByte(rest, '\n') < 0 && !prose(rest, 4) {
		return // nothing but a delimiter
	}
	w.put(segment{view: Preamble, part: at, text: text})
}

// embedded reads a message in a message.
func (w *walk) embedded(p *message.Part, at string) {
	root := &p.Message.Root
	w.headerAt(root.Header, at)
	if root.IsMultipart() || w.fixed != "" {
		w.part(root, at, root.Header)
		return
	}
	w.part(root, w.section(at, 0), root.Header)
}

// leaf reads a part without parts.
func (w *walk) leaf(p *message.Part, at string) {
	if at == "" {
		at = "1"
	}
	f := file{media: p.MediaType(), name: p.Filename(), attached: p.Disposition == "attachment" || p.Type != "text", part: p}
	if p.MediaType() == "application/pkcs7-mime" || p.MediaType() == "application/x-pkcs7-mime" {
		f.enveloped = !strings.Contains(p.Param("smime-type"), "signed") && !strings.Contains(p.Param("smime-type"), "compressed")
	}
	head := w.head(p)
	switch {
	case f.enveloped || p.MediaType() == "application/pgp-encrypted" || armored(head):
		w.skip(at, "encrypted")
		if !textual(head) {
			return
		}
		// What only claims to be encrypted is read all the same.
	case p.Type != "text" && wordless(p.Type, head):
		return
	}
	texts, whole := w.read(p, at)
	f.whole = whole
	for i := range texts {
		f.text, f.at = texts[i].text, texts[i].at
		w.content(&f, at)
	}
	if p.Type == "text" || textual(head) {
		w.otherwise(p, at, texts)
	}
}

// armored reports whether a text is an encrypted message of OpenPGP in ASCII armor
// (RFC 9580, section 6.2).
func armored(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(head), []byte("-----BEGIN PGP MESSAGE-----"))
}

// head is the beginning of what is in a part.
func (w *walk) head(p *message.Part) []byte {
	b := make([]byte, 1024)
	n, _ := io.ReadFull(message.PartReader(w.body, p), b)
	return b[:n]
}

// A stretch is a text and where it begins in the decoded part.
type stretch struct {
	text []byte
	at   int
}

// read decodes a part as far as the bounds let it: all of it, or its beginning and
// its end.
func (w *walk) read(p *message.Part, at string) (texts []stretch, whole bool) {
	r := message.PartReader(w.body, p)
	if p.Type == "text" {
		r = message.TextReader(w.body, p)
	}
	limit := min(maxPart, w.left)
	var b bytes.Buffer
	b.Grow(int(min(max(p.Body.Len(), 0)+512, int64(limit)+512)))
	n, err := b.ReadFrom(io.LimitReader(r, int64(limit)))
	texts = []stretch{{b.Bytes(), 0}}
	if err != nil {
		w.skip(at, "error")
		return texts, false
	}
	if n < int64(limit) {
		return texts, true
	}
	end, skipped := lastBytes(r, maxEnd)
	if len(end) == 0 {
		return texts, true
	}
	w.skip(at, "limit")
	return append(texts, stretch{end, int(n) + skipped}), false
}

// lastBytes reads to the end and returns up to most bytes of what is there, and how
// many were passed over.
func lastBytes(r io.Reader, most int) (end []byte, skipped int) {
	buf := make([]byte, 0, 2*most)
	for {
		n, err := io.ReadFull(r, buf[len(buf):2*most])
		buf = buf[:len(buf)+n]
		if err != nil {
			break
		}
		skipped += most
		buf = append(buf[:0], buf[most:]...)
	}
	if over := len(buf) - most; over > 0 {
		skipped += over
		buf = buf[over:]
	}
	return buf, skipped
}

// otherwise reads a text part in the ways in which it does not claim to be written:
// programs that read mail do not agree on what to believe.
func (w *walk) otherwise(p *message.Part, at string, texts []stretch) {
	n := int64(w.left)
	raw := make([]byte, min(max(p.Body.Len(), 0), maxPart, n))
	k, err := w.body.ReadAt(raw, p.Body.Start)
	if err != nil && !errors.Is(err, io.EOF) {
		return // said already
	}
	raw = raw[:k]
	switch {
	case p.Encoding == "base64" && bytes.IndexByte(raw, ' ') >= 0 && prose(raw, 5):
		w.within(Text, at, stepTransfer, raw)
	case strings.Contains(p.Encoding, "uu"):
		if b := uudecode(raw); len(b) > 0 {
			w.within(Text, at, stepTransfer, b)
		}
	}
	if len(texts) == 0 {
		return
	}
	for _, b := range otherCharsets(p, func() []byte { return w.undone(p) }, texts[0].text) {
		if looksHTML(b) || p.Subtype == "html" {
			b = withoutTags(b)
		}
		w.within(Text, at, stepCharset, b)
	}
}

// undone is a part without its transfer encoding, in the character set that it has.
func (w *walk) undone(p *message.Part) []byte {
	b, _ := io.ReadAll(io.LimitReader(message.PartReader(w.body, p), int64(min(maxPart, w.left))))
	return b
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
		if r == utf8.RuneError && n == 1 && i+utf8.UTFMax < len(b) || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b {
			control++
		}
		i += n
	}
	return control*50 <= len(b)
}
