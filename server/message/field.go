package message

import (
	"bytes"
	"errors"
	"io"
	"iter"
)

// A Field is one field of a header block. Its slices alias the block.
type Field struct {
	// Name is what stands before the colon, without trailing white space. It is
	// nil for a line that has no colon and so is no field at all.
	Name []byte
	// Body is what stands behind the colon, folded, without the last line end.
	Body []byte
	// Span is the whole field in the block, line end included.
	Span Span
	// lone is a name whose colon may be on the next line: readers that unfold
	// first and split then see "From" in "From\r\n : x".
	lone []byte
}

// called is the name for Is and HasPrefix.
func (f Field) called() []byte {
	if f.Name == nil {
		return f.lone
	}
	return f.Name
}

// Is reports whether the field has that lower-case name. Letter case does not
// count, nor do control bytes and bytes that are not ASCII, which some readers
// drop or trim as white space: "Post\x00ern-Verdict" and "Postern-Verdict\xa0" are
// Postern-Verdict to us, so that they cannot pass as something else.
func (f Field) Is(name string) bool {
	var fold foldedName
	return string(fold.set(f.called())) == name
}

// HasPrefix reports whether the field's name starts with that lower-case
// prefix, by the rule of Is.
func (f Field) HasPrefix(prefix string) bool {
	var fold foldedName
	return bytes.HasPrefix(fold.set(f.called()), []byte(prefix))
}

// Value is the body unfolded (RFC 5322, section 2.2.3), trimmed, without NUL.
func (f Field) Value() string {
	return string(trimWSP(appendUnfolded(make([]byte, 0, len(f.Body)), f.Body)))
}

func appendUnfolded(dst, b []byte) []byte {
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 {
			dst = append(dst, c)
		}
	}
	return dst
}

// foldedName is room for a field name in lower case. Longer ones are nobody's.
type foldedName [64]byte

func (n *foldedName) set(name []byte) []byte {
	k := 0
	for _, c := range name {
		if c < 0x20 || c >= 0x7f {
			continue
		}
		if k == len(n) {
			return nil
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		n[k] = c
		k++
	}
	return n[:k]
}

// splitField cuts the first line of a field at its colon. A name that is empty
// or has white space inside is none. The name is nil without a colon.
func splitField(line []byte) (name, body []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return nil, line, false
	}
	name, body = trimWSP(line[:i]), line[i+1:]
	return name, body, len(name) > 0 && bytes.IndexByte(name, ' ') < 0 && bytes.IndexByte(name, '\t') < 0
}

// Fields goes through a header block in order, up to its blank line or end. It
// reads lines as Parse does: a bare CR or LF ends one. Lines that are no
// fields are given too, with what stands before a colon as their Name.
func Fields(header []byte) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		l := liner{b: header, lf: -1}
		var f Field
		open, body := false, 0
		for {
			start := l.pos
			line, ok := l.next()
			if !ok || len(line) == 0 {
				break
			}
			if open && isWSP(line[0]) {
				f.Span.End = int64(l.pos)
				f.Body = header[body : start+len(line)]
				continue
			}
			if open && !yield(f) {
				return
			}
			f = Field{Span: Span{int64(start), int64(l.pos)}}
			f.Name, f.Body, _ = splitField(line)
			if f.Name == nil {
				f.lone = loneName(line)
			}
			open, body = true, start+len(line)-len(f.Body)
		}
		if open {
			yield(f)
		}
	}
}

// loneName is a line that is nothing but a name.
func loneName(line []byte) []byte {
	name := trimWSP(line)
	if len(name) == 0 || bytes.ContainsAny(name, " \t:") {
		return nil
	}
	return name
}

// Lookup returns the value of the first field with that lower-case name.
func Lookup(header []byte, name string) (value string, ok bool) {
	for f := range Fields(header) {
		if f.Is(name) {
			return f.Value(), true
		}
	}
	return "", false
}

// ErrHeaderLong reports a header over MaxHeaderBytes.
var ErrHeaderLong = errors.New("message: header is too long")

// ReadHeader reads the top header of a parsed message. One over MaxHeaderBytes
// is ErrHeaderLong: a part of a header must not be judged as if it were all.
func ReadHeader(r io.ReaderAt, s *Structure) ([]byte, error) {
	if s.Header.Len() > MaxHeaderBytes {
		return nil, ErrHeaderLong
	}
	b := make([]byte, s.Header.Len())
	n, err := r.ReadAt(b, s.Header.Start)
	if n == len(b) {
		return b, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// A liner cuts a block in memory into lines by the scanner's rule.
type liner struct {
	b   []byte
	pos int
	lf  int // first LF at or after pos; len(b) when there is none
}

// next returns the line at pos without its end and moves behind it.
func (l *liner) next() (line []byte, ok bool) {
	if l.pos == len(l.b) {
		return nil, false
	}
	if l.lf < l.pos {
		l.lf = len(l.b)
		if i := bytes.IndexByte(l.b[l.pos:], '\n'); i >= 0 {
			l.lf = l.pos + i
		}
	}
	line = l.b[l.pos:l.lf]
	end := min(l.lf+1, len(l.b))
	if i := bytes.IndexByte(line, '\r'); i >= 0 {
		if l.pos+i+1 != l.lf {
			end = l.pos + i + 1
		}
		line = line[:i]
	}
	l.pos = end
	return line, true
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

func trimWSP(b []byte) []byte {
	for len(b) > 0 && isWSP(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isWSP(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
