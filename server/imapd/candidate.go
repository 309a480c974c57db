package imapd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"postern/server/message"
	"postern/storage"
)

// A candidate is a message that a SEARCH looks at, opened as far as the keys that were asked needed it: its row, then
// what is stored beside it, then its bytes. It is used for one message after another by one goroutine.
type candidate struct {
	m         *storage.Message
	depth     depth
	structure *message.Structure
	view      io.ReaderAt
	err       error
	finder    finder
	whole     []byte // a small message, read at once
	text      []byte // a header field being looked at
	reader    bytes.Reader
}

// A depth is how far a candidate is open.
type depth uint8

const (
	openRow depth = iota
	openContent
	openBody
)

var candidates = sync.Pool{New: func() any { return new(candidate) }}

// free gives the candidate's buffers to the next search, emptied.
func (c *candidate) free() {
	clear(c.whole[:cap(c.whole)])
	clear(c.text[:cap(c.text)])
	*c = candidate{finder: c.finder, whole: c.whole[:0], text: c.text[:0]}
	candidates.Put(c)
}

// try reports whether a message that was read with its content matches.
func (c *candidate) try(s *session, q *query, m *storage.Message) (bool, error) {
	c.m, c.depth, c.view, c.err = m, openContent, nil, nil
	var err error
	if c.structure, err = message.DecodeStructure(m.Content.Structure); err != nil {
		return false, errors.Join(storage.ErrCorrupt, err)
	}
	if a := q.root.eval(c); a != unknown {
		return a == yes, nil
	}
	view, body, err := s.view(m)
	if err != nil {
		return false, err
	}
	defer body.Close()
	c.depth, c.view = openBody, view
	if err := c.readWhole(view); err != nil {
		return false, err
	}
	return q.root.eval(c) == yes, c.err
}

// smallMessage is the largest message that is read at once.
const smallMessage = 64 << 10

// readWhole reads a small message into memory, so that its parts are looked at there.
func (c *candidate) readWhole(view *message.View) error {
	n := view.Size()
	if n > smallMessage {
		return nil
	}
	if int64(cap(c.whole)) < n {
		c.whole = make([]byte, smallMessage)
	}
	c.whole = c.whole[:n]
	if k, err := view.ReadAt(c.whole, 0); int64(k) < n {
		return err
	}
	c.reader.Reset(c.whole)
	c.view = &c.reader
	return nil
}

// look answers a key that is about content.
func (c *candidate) look(k *criterion) answer {
	switch {
	case k.op <= opEnvelope && c.depth < openContent, k.op > opEnvelope && c.depth < openBody:
		return unknown
	case k.op == opSent:
		sent := c.structure.Envelope.Time
		return answerOf(!sent.IsZero() && k.inTime(day(sent)))
	case k.op == opEnvelope:
		return answerOf(c.inEnvelope(k))
	case k.op == opHeader:
		return answerOf(c.inField(k))
	case k.op == opBody:
		return answerOf(c.inParts(&c.structure.Root, k.needle, false))
	}
	return answerOf(c.inHeader(c.structure.Header, k.needle) || c.inParts(&c.structure.Root, k.needle, true))
}

// inEnvelope looks at a field of the envelope as a reader sees it.
func (c *candidate) inEnvelope(k *criterion) bool {
	env := &c.structure.Envelope
	switch k.field {
	case "subject":
		return env.Subject != "" && c.inText(env.Subject, k.needle)
	case "from":
		return c.inAddresses(env.From, k.needle)
	case "to":
		return c.inAddresses(env.To, k.needle)
	case "cc":
		return c.inAddresses(env.Cc, k.needle)
	}
	return c.inAddresses(env.Bcc, k.needle)
}

// inText looks at a header value that is still encoded.
func (c *candidate) inText(value string, n needle) bool {
	c.text = append(c.text[:0], message.DecodeWords(value)...)
	return c.finder.in(c.text, n)
}

// inAddresses looks at an address list, written as in a header. RFC 9051, section 6.4.4, has a field that is not there
// match nothing, also not the empty string.
func (c *candidate) inAddresses(list []message.Address, n needle) bool {
	c.text = c.text[:0]
	for i, a := range list {
		if i > 0 {
			c.text = append(c.text, ", "...)
		}
		if a.Name != "" {
			c.text = append(append(c.text, message.DecodeWords(a.Name)...), ' ')
		}
		c.text = append(append(c.text, '<'), a.Mailbox...)
		if a.Host != "" {
			c.text = append(append(c.text, '@'), a.Host...)
		}
		c.text = append(c.text, '>')
	}
	return len(list) > 0 && c.finder.in(c.text, n)
}

// inField looks at header fields of a name.
func (c *candidate) inField(k *criterion) bool {
	for f := range message.Fields(c.header(c.structure.Header)) {
		if strings.EqualFold(string(f.Name), k.field) && c.inText(f.Value(), k.needle) {
			return true
		}
	}
	return false
}

// header returns the bytes of a header.
func (c *candidate) header(span message.Span) []byte {
	if c.view == &c.reader {
		return c.whole[span.Start:span.End]
	}
	header, _, err := readHeader(c.view, span)
	c.fail(err)
	return header
}

// fail notes that the store failed; the answer does not count then.
func (c *candidate) fail(err error) {
	if err != nil && c.err == nil {
		c.err = err
	}
}

// inHeader looks at a whole header, unfolded and decoded.
func (c *candidate) inHeader(span message.Span, n needle) bool {
	header := c.header(span)
	if !bytes.Contains(header, []byte("=?")) {
		c.text = appendUnfolded(c.text[:0], header)
		return c.finder.in(c.text, n)
	}
	for f := range message.Fields(header) {
		if c.inText(string(f.Name)+": "+f.Value(), n) {
			return true
		}
	}
	return false
}

// appendUnfolded appends a header without the line ends that only fold it (RFC 5322, section 2.2.3).
func appendUnfolded(dst, header []byte) []byte {
	for len(header) > 0 {
		i := bytes.IndexByte(header, '\n')
		if i < 0 {
			return append(dst, header...)
		}
		line, rest := header[:i+1], header[i+1:]
		if len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
			line = bytes.TrimRight(line, "\r\n")
		}
		dst = append(dst, line...)
		header = rest
	}
	return dst
}

// inParts looks at the text of a part and of those inside. With headers, at the headers of parts too; those of a message
// inside are part of its text either way.
func (c *candidate) inParts(p *message.Part, n needle, headers bool) bool {
	switch {
	case c.err != nil:
		return false
	case p.IsMultipart():
		for i := range p.Children {
			kid := &p.Children[i]
			if headers && c.inHeader(kid.Header, n) || c.inParts(kid, n, headers) {
				return true
			}
		}
		return false
	case p.Message != nil:
		root := &p.Message.Root
		return c.inHeader(root.Header, n) || c.inParts(root, n, headers)
	case p.Type != "text":
		return false
	}
	if c.view == &c.reader && legible(p) {
		if body := c.whole[p.Body.Start:p.Body.End]; utf8.Valid(body) {
			return c.finder.in(body, n)
		}
	}
	found, err := c.finder.inReader(message.TextReader(c.view, p), n)
	c.fail(err)
	return found
}

// legible reports whether a part's bytes are its text: not encoded, and ASCII or UTF-8. What lies about its character
// set is not, so a body with other bytes is read as TextReader does.
func legible(p *message.Part) bool {
	switch p.Encoding {
	case "", "7bit", "8bit", "binary":
	default:
		return false
	}
	for _, q := range p.Params {
		if strings.HasPrefix(q.Name, "charset") && !strings.EqualFold(q.Value, "us-ascii") && !strings.EqualFold(q.Value, "utf-8") {
			return false
		}
	}
	return true
}
