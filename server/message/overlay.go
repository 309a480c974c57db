package message

import (
	"encoding/binary"
	"errors"
	"io"
	"sort"
)

// An Overlay is the frozen difference between a message as it was received,
// which is stored untouched, and as a mailbox shows it: our header block in
// front, and ranges of the original top header that are skipped. It is made
// once, at delivery, so that what a UID shows never changes.
type Overlay struct {
	Prefix []byte // whole header lines, each with its CRLF
	Hidden []Span // of the original top header: ascending, apart, not empty
}

// NewOverlay puts prefix in front of a message with that top header and hides
// the fields for which hide is true. Lines that are no fields are shown to
// hide as well. A "From " line, which Unix mailboxes put in front, is hidden in
// any case, since behind a field it is none. Where the message has no header
// at all, the prefix gets the blank line that sets it off from the body.
func NewOverlay(header, prefix []byte, hide func(Field) bool) Overlay {
	o := Overlay{Prefix: prefix}
	if len(header) == 0 && len(prefix) > 0 {
		o.Prefix = append(prefix[:len(prefix):len(prefix)], '\r', '\n')
	}
	for f := range Fields(header) {
		mbox := f.Span.Start == 0 && len(header) >= 5 && string(header[:5]) == "From "
		if !mbox && !hide(f) {
			continue
		}
		if n := len(o.Hidden); n > 0 && o.Hidden[n-1].End == f.Span.Start {
			o.Hidden[n-1].End = f.Span.End
		} else {
			o.Hidden = append(o.Hidden, f.Span)
		}
	}
	for i, h := range o.Hidden {
		// A bare CR in front and an LF behind would become one line end.
		if h.Start > 0 && header[h.Start-1] == '\r' && h.End < int64(len(header)) && header[h.End] == '\n' {
			o.Hidden[i].End--
		}
	}
	return o
}

// Delta is how many bytes the view is longer than the message.
func (o Overlay) Delta() int64 {
	n := int64(len(o.Prefix))
	for _, h := range o.Hidden {
		n -= h.Len()
	}
	return n
}

// Overlaid is the structure of the message's view through the overlay: a copy
// whose top header has the overlay's size and whose other spans have moved.
// What the overlay adds and hides must not concern the envelope or MIME.
func (s *Structure) Overlaid(o Overlay) *Structure {
	c := *s
	c.Root = s.Root.clone()
	c.Shift(o.Delta())
	return &c
}

// clone copies the tree; texts, parameters and envelopes are shared.
func (p *Part) clone() Part {
	c := *p
	if len(p.Children) > 0 {
		c.Children = make([]Part, len(p.Children))
		for i := range p.Children {
			c.Children[i] = p.Children[i].clone()
		}
	}
	if p.Message != nil {
		c.Message = &Embedded{p.Message.Envelope, p.Message.Root.clone()}
	}
	return c
}

// A View reads a message through an Overlay. It may be used by several
// goroutines at once if the message's reader may.
type View struct {
	pieces []piece
	size   int64
}

// A piece of a view stands at an offset of the view and comes from an offset
// of a reader, or from memory.
type piece struct {
	start, end int64 // in the view
	r          io.ReaderAt
	from       int64 // in r
	b          []byte
}

// View is the message, of that size, through the overlay. Spans outside the
// message are cut.
func (o Overlay) View(body io.ReaderAt, size int64) *View {
	v := &View{pieces: make([]piece, 0, len(o.Hidden)+2)}
	if n := int64(len(o.Prefix)); n > 0 {
		v.pieces = append(v.pieces, piece{end: n, b: o.Prefix})
		v.size = n
	}
	from := int64(0)
	show := func(to int64) {
		if n := to - from; n > 0 {
			v.pieces = append(v.pieces, piece{start: v.size, end: v.size + n, r: body, from: from})
			v.size += n
		}
	}
	for _, h := range o.Hidden {
		show(min(h.Start, size))
		from = min(max(from, h.End), size)
	}
	show(size)
	return v
}

// Size is the view's length in bytes.
func (v *View) Size() int64 { return v.size }

// ReadAt implements io.ReaderAt.
func (v *View) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("message: view: negative offset")
	}
	i := sort.Search(len(v.pieces), func(i int) bool { return v.pieces[i].end > off })
	for ; n < len(p) && i < len(v.pieces); i++ {
		piece := &v.pieces[i]
		at := off + int64(n) - piece.start
		want := min(int64(len(p)-n), piece.end-piece.start-at)
		var m int
		if piece.r == nil {
			m = copy(p[n:], piece.b[at:])
		} else if m, err = piece.r.ReadAt(p[n:n+int(want)], piece.from+at); int64(m) < want {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n + m, err
		}
		n += m
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

const overlayVersion = 1

// ErrOverlay reports bytes that Overlay.AppendBinary did not write.
var ErrOverlay = errors.New("message: stored overlay is malformed")

// AppendBinary appends the stored form of the overlay: version, prefix, and
// the hidden spans as distances and lengths.
func (o Overlay) AppendBinary(b []byte) []byte {
	b = append(b, overlayVersion)
	b = append(binary.AppendUvarint(b, uint64(len(o.Prefix))), o.Prefix...)
	b = binary.AppendUvarint(b, uint64(len(o.Hidden)))
	end := int64(0)
	for _, h := range o.Hidden {
		b = binary.AppendUvarint(b, uint64(h.Start-end))
		b = binary.AppendUvarint(b, uint64(h.Len()))
		end = h.End
	}
	return b
}

// DecodeOverlay reads what AppendBinary wrote and refuses everything else with
// ErrOverlay.
func DecodeOverlay(b []byte) (Overlay, error) {
	if len(b) == 0 || b[0] != overlayVersion || len(b) > maxEncoded {
		return Overlay{}, ErrOverlay
	}
	d := decoder{text: string(b), pos: 1}
	var o Overlay
	if prefix := d.string(); prefix != "" {
		o.Prefix = []byte(prefix)
	}
	if n := d.count(2); n > 0 {
		o.Hidden = make([]Span, n)
	}
	end := int64(0)
	for i := range o.Hidden {
		start := end + d.length(1<<40)
		length := d.length(1 << 40)
		if length == 0 || start == end && i > 0 {
			d.fail()
		}
		end = start + length
		o.Hidden[i] = Span{start, end}
	}
	if d.bad || d.pos != len(d.text) {
		return Overlay{}, ErrOverlay
	}
	return o, nil
}
