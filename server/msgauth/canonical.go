package msgauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"postern/server/message"
)

// appendRelaxed appends a header field in relaxed form (RFC 6376, section
// 3.4.2), without its line end.
func appendRelaxed(dst, name, body []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	dst = append(dst, ':')
	start, gap := len(dst), false
	for _, c := range body {
		switch c {
		case ' ', '\t':
			gap = true
		case '\r', '\n':
		default:
			if gap && len(dst) > start {
				dst = append(dst, ' ')
			}
			dst, gap = append(dst, c), false
		}
	}
	return dst
}

// fieldIndex finds the fields of a header by name.
type fieldIndex struct {
	header []byte
	fields []message.Field
	byName map[string][]int // in the order of the header
}

func indexFields(header []byte) *fieldIndex {
	x := &fieldIndex{header: header, byName: map[string][]int{}}
	for f := range message.Fields(header) {
		if f.Name != nil {
			name := string(bytes.ToLower(f.Name))
			x.byName[name] = append(x.byName[name], len(x.fields))
			x.fields = append(x.fields, f)
		}
	}
	return x
}

// all returns the fields of a lower-case name from the top.
func (x *fieldIndex) all(name string) []message.Field {
	var out []message.Field
	for _, i := range x.byName[name] {
		out = append(out, x.fields[i])
	}
	return out
}

// writeField writes a field in canonical form, with its line end.
func (x *fieldIndex) writeField(w hash.Hash, f message.Field, relaxed bool) {
	if !relaxed {
		w.Write(x.header[f.Span.Start:f.Span.End])
		return
	}
	w.Write(append(appendRelaxed(nil, f.Name, f.Body), "\r\n"...))
}

// writeUnsigned writes a signature's field as it was when it was signed: with
// the value of b= deleted, and without the last line end (section 3.7).
func (x *fieldIndex) writeUnsigned(w hash.Hash, s *signature) {
	body := append(bytes.Clone(s.field.Body[:s.b.start]), s.field.Body[s.b.end:]...)
	if s.relaxedHeader {
		w.Write(appendRelaxed(nil, s.field.Name, body))
		return
	}
	raw := x.header[s.field.Span.Start:s.field.Span.End]
	w.Write(raw[:bytes.IndexByte(raw, ':')+1])
	w.Write(body)
}

// headerDigest is what b= signs: the fields that h= names, then the signature's
// own. Several fields of one name are taken from the bottom up, and a name for
// which none is left stands for nothing (section 5.4.2).
func (x *fieldIndex) headerDigest(s *signature) []byte {
	w, taken := sha256.New(), map[string]int{}
	for _, name := range s.headers {
		at := x.byName[name]
		taken[name]++
		if i := len(at) - taken[name]; i >= 0 {
			x.writeField(w, x.fields[at[i]], s.relaxedHeader)
		}
	}
	x.writeUnsigned(w, s)
	return w.Sum(nil)
}

// bodyDigest hashes a canonical body, or its beginning.
type bodyDigest struct {
	limit int64 // octets that are hashed; negative: all
	size  int64 // of the canonical body
	hash  hash.Hash
}

func (d *bodyDigest) write(b []byte) {
	left := int64(len(b))
	if d.limit >= 0 {
		left = min(left, max(0, d.limit-d.size))
	}
	d.hash.Write(b[:left])
	d.size += int64(len(b))
}

// canonicalBody brings a body into canonical form as it comes, and gives it to
// digests (section 3.4.3 and 3.4.4). It keeps counts of what it holds back, so
// that its memory and work are the same for any body.
type canonicalBody struct {
	relaxed bool
	digests []*bodyDigest
	out     []byte
	ends    int64 // line ends held back: the last ones are no part of the body
	cr, gap bool  // a CR, or white space, held back
	written bool
}

// digest returns the digest for a limit, which signatures of one limit share.
func (c *canonicalBody) digest(limit int64) *bodyDigest {
	for _, d := range c.digests {
		if d.limit == limit {
			return d
		}
	}
	d := &bodyDigest{limit: limit, hash: sha256.New()}
	c.digests = append(c.digests, d)
	return d
}

func (c *canonicalBody) flush() {
	for _, d := range c.digests {
		d.write(c.out)
	}
	c.out = c.out[:0]
}

// release writes what was held back, since more follows.
func (c *canonicalBody) release() {
	for ; c.ends > 0; c.ends-- {
		c.out = append(c.out, '\r', '\n')
		if len(c.out) >= 4096 {
			c.flush()
		}
	}
	if c.gap {
		c.out, c.gap = append(c.out, ' '), false
	}
	c.written = true
}

func (c *canonicalBody) Write(p []byte) (int, error) {
	if len(c.digests) == 0 {
		return len(p), nil
	}
	n := len(p)
	for len(p) > 0 {
		if run := c.plain(p); run > 0 && !c.cr {
			c.release()
			c.out = append(c.out, p[:run]...)
			p = p[run:]
			continue
		}
		b := p[0]
		switch {
		case c.cr && b == '\n':
			c.ends, c.gap, c.cr = c.ends+1, false, false
		case c.cr: // a CR by itself is text
			c.release()
			c.out, c.cr = append(c.out, '\r'), false
			continue
		case b == '\r':
			c.cr = true
		default:
			c.gap = true
		}
		p = p[1:]
	}
	c.flush()
	return n, nil
}

// plain is the length of what stands as it is: all up to a CR, and in relaxed
// form up to white space other than one blank between words. It looks a few lines
// ahead at most, or a body of tabs would be gone through for each of them.
func (c *canonicalBody) plain(p []byte) int {
	p = p[:min(len(p), 512)]
	end := bytes.IndexByte(p, '\r')
	if end < 0 {
		end = len(p)
	}
	if !c.relaxed {
		return end
	}
	for i, b := range p[:end] {
		if b == '\t' || b == ' ' && (i+1 == end || p[i+1] == ' ' || p[i+1] == '\t' || i == 0) {
			return i
		}
	}
	return end
}

// close ends the body: a simple one always with a line end, a relaxed one
// unless it is empty.
func (c *canonicalBody) close() {
	if c.cr {
		c.release()
		c.out = append(c.out, '\r')
	}
	c.ends, c.gap = 0, false
	if !c.relaxed || c.written {
		c.out = append(c.out, '\r', '\n')
	}
	c.flush()
}

// bodies are both canonical forms of one body.
type bodies struct{ simple, relaxed canonicalBody }

// want asks for the digest that a signature needs.
func (b *bodies) want(s *signature) {
	if s.relaxedBody {
		s.body = b.relaxed.digest(s.length)
	} else {
		s.body = b.simple.digest(s.length)
	}
}

// read goes through the body once for all signatures.
func (b *bodies) read(ctx context.Context, r io.ReaderAt, start, size int64) error {
	b.relaxed.relaxed = true
	if len(b.simple.digests)+len(b.relaxed.digests) == 0 {
		return nil
	}
	start = min(start, size)
	section := io.NewSectionReader(r, start, size-start)
	buf := make([]byte, min(size-start+1, 32<<10))
	for {
		n, err := section.Read(buf)
		b.simple.Write(buf[:n])
		b.relaxed.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	b.simple.close()
	b.relaxed.close()
	return nil
}
