package message

import (
	"io"
	"strings"
)

// What Parse keeps at most. Beyond a limit the message is as readable as
// before; its structure is coarser, and Defects says so.
const (
	MaxDepth       = 64        // containers inside one another
	MaxParts       = 1000      // parts of a message
	MaxHeaderBytes = 256 << 10 // of one header that are interpreted
	MaxFields      = 1000      // of one header that are interpreted
	MaxValueBytes  = 64 << 10  // of one field, unfolded
	MaxKeptBytes   = 512 << 10 // of all values of a message together
	MaxAddresses   = 1000      // of one field, marks of groups included
	MaxParams      = 50        // of one Content-Type or Content-Disposition

	maxAllAddresses = 10_000 // of a message, its embedded messages included
	maxBoundary     = 1000   // bytes; RFC 2046, section 5.1.1, allows 70
)

// Parse reads a message once, front to back, with memory that does not grow
// with its size. It never fails: what cannot be understood becomes text/plain
// or application/octet-stream, and Defects says so. A reader that fails gives
// DefectReadFailed.
func Parse(r io.ReaderAt, size int64) *Structure {
	p := &parser{scanner: newScanner(r, size)}
	defer p.release()
	s := &Structure{Size: p.size}
	p.top = s
	p.parts = 1
	p.entity(&s.Root, &s.Envelope, 0, "text/plain", 0)
	s.Header = s.Root.Header
	s.Defects = p.defects
	return s
}

type parser struct {
	scanner
	top       *Structure // while its header is read; nil afterwards
	bounds    []string   // of the open multiparts, outermost first
	delim     delimiter
	parts     int
	kept      int
	addresses int
	value     []byte // of the field being read
}

// A delimiter is a boundary line that was read and not yet acted upon. It ends
// everything inside the multipart that it belongs to.
type delimiter struct {
	pending bool
	closing bool
	level   int   // of its multipart in bounds
	offset  int64 // of the line
	lines   int64 // line ends before it
}

// entity reads one header and one body at the given offset: a message, when
// there is an envelope to fill, or a part of a multipart.
func (p *parser) entity(part *Part, env *Envelope, offset int64, mediaType string, depth int) {
	part.Header = Span{offset, offset}
	if !p.delim.pending {
		p.header(part, env)
	}
	if part.Type == "" {
		part.Type, part.Subtype, _ = strings.Cut(mediaType, "/")
		if part.Type == "text" {
			part.Params = []Param{{"charset", "us-ascii"}} // RFC 2045, section 5.2
		}
	}
	if part.Encoding == "" {
		part.Encoding = "7bit" // RFC 2045, section 6.1
	}
	part.Body.Start = part.Header.End
	lines := p.ended()
	p.body(part, depth)
	part.Body.End, part.Lines = p.contentEnd(part.Body.Start, lines)
	if end := part.insideEnd(); end > part.Body.End {
		// The last thing inside is a header, which keeps its blank line.
		part.Body.End, part.Lines = end, p.delim.lines-lines
	}
	if part.Type == "multipart" && len(part.Children) == 0 {
		// RFC 9051: body-type-mpart = 1*body. IMAP cannot say "no parts".
		p.defects |= DefectNoParts
		p.parts++
		none := Span{part.Body.End, part.Body.End}
		part.Children = []Part{{Type: "text", Subtype: "plain", Encoding: "7bit", Header: none, Body: none}}
	}
}

// insideEnd is where the last child or the embedded message ends.
func (p *Part) insideEnd() int64 {
	if p.Message != nil {
		return p.Message.Root.Body.End
	}
	if n := len(p.Children); n > 0 {
		return p.Children[n-1].Body.End
	}
	return 0
}

// body reads up to the delimiter or end that closes the part.
func (p *parser) body(part *Part, depth int) {
	multipart := part.Type == "multipart"
	message := part.Type == "message" && (part.Subtype == "rfc822" || part.Subtype == "global")
	encoded := part.Encoding == "base64" || part.Encoding == "quoted-printable"
	boundary := ""
	if multipart {
		boundary = strings.TrimRight(joinedParam(part.Params, "boundary"), " \t")
	}
	switch {
	case !multipart && !message:
	case message && encoded:
		p.defects |= DefectEncodedContainer
		part.Type, part.Subtype = "application", "octet-stream"
	case depth >= MaxDepth:
		p.defects |= DefectDepth
		part.Type, part.Subtype = "application", "octet-stream"
	case p.parts >= MaxParts:
		p.defects |= DefectParts
		part.Type, part.Subtype = "application", "octet-stream"
	case message:
		p.parts++
		part.Message = new(Embedded)
		p.entity(&part.Message.Root, &part.Message.Envelope, part.Body.Start, "text/plain", depth+1)
		return
	case boundary == "" || len(boundary) > maxBoundary:
		p.defects |= DefectNoBoundary
		part.Type, part.Subtype = "text", "plain"
	default:
		if encoded {
			p.defects |= DefectEncodedContainer
		}
		p.multipart(part, boundary, depth)
		return
	}
	p.skip()
}

// multipart reads the parts between the boundary's delimiters (RFC 2046,
// section 5.1.1), and the epilogue.
func (p *parser) multipart(part *Part, boundary string, depth int) {
	mediaType := "text/plain"
	if part.Subtype == "digest" {
		mediaType = "message/rfc822" // RFC 2046, section 5.1.5
	}
	level := len(p.bounds)
	p.bounds = append(p.bounds, boundary)
	p.skip()
	for p.delim.pending && p.delim.level == level {
		p.delim.pending = false
		if p.delim.closing {
			p.bounds = p.bounds[:level]
			p.skip()
			return
		}
		if p.parts >= MaxParts {
			p.defects |= DefectParts
			p.skip()
			continue
		}
		p.parts++
		var child Part
		p.entity(&child, nil, p.offset(), mediaType, depth+1)
		part.Children = append(part.Children, child)
	}
	p.bounds = p.bounds[:level]
	p.defects |= DefectUnclosed
}

// skip passes over content up to the next delimiter or the message's end.
func (p *parser) skip() {
	if p.delim.pending {
		return
	}
	for p.next() {
		if len(p.text) >= 2 && p.text[0] == '-' && p.text[1] == '-' && p.delimits() {
			return
		}
	}
}

// delimits reports whether the current line is the delimiter of an open
// multipart, the innermost first, and notes it. A line "--boundary" with
// anything but white space behind it is none.
func (p *parser) delimits() bool {
	if !p.start || (p.term == 0 && !p.last()) || len(p.bounds) == 0 {
		return false
	}
	text := p.text[2:]
	for len(text) > 0 && isWSP(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	for level := len(p.bounds) - 1; level >= 0; level-- {
		b := p.bounds[level]
		if len(text) < len(b) || string(text[:len(b)]) != b {
			continue
		}
		rest := text[len(b):]
		closing := len(rest) == 2 && rest[0] == '-' && rest[1] == '-'
		if len(rest) == 0 || closing {
			p.delim = delimiter{true, closing, level, p.lineOffset(), p.lines}
			return true
		}
	}
	return false
}

// last reports whether the current piece is the message's last.
func (p *parser) last() bool { return p.eof && p.pos == p.end }

// contentEnd is where content that began at start, with that many line ends
// before it, ends, and how many lines it has: at the pending delimiter, whose
// line the line end before it belongs to, or at the end of the message. A last
// line without a line end counts.
func (p *parser) contentEnd(start, lines int64) (end, n int64) {
	if !p.delim.pending {
		if start >= p.size {
			return p.size, 0
		}
		n = p.ended() - lines
		if p.term == 0 && p.length > 0 {
			n++
		}
		return p.size, n
	}
	end = p.delim.offset - int64(p.prevTerm)
	if end <= start {
		return start, 0 // the line end is the header's
	}
	n = p.delim.lines - lines
	if p.prevLen == 0 {
		n--
	}
	return end, n
}
