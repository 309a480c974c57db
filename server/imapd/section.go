package imapd

import (
	"bytes"
	"io"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"postern/server/message"
)

// A section is one BODY[…], BINARY[…] or BINARY.SIZE[…] that a FETCH asks for.
type section struct {
	kind    sectionKind
	name    []byte // how the response names it
	class   string // how the log names it
	path    []int
	spec    imap.PartSpecifier
	fields  []string // HEADER.FIELDS
	except  []string // HEADER.FIELDS.NOT
	partial *imap.SectionPartial
}

type sectionKind uint8

const (
	sectionBody sectionKind = iota
	sectionBinary
	sectionSize
)

// newSection takes a BODY[…]. obsolete is the name of RFC 3501 that the client used instead, and is answered with.
func newSection(r *response, o *imap.FetchItemBodySection, obsolete string) section {
	x := section{path: o.Part, spec: o.Specifier, fields: o.HeaderFields, except: o.HeaderFieldsNot, partial: o.Partial}
	switch {
	case o.Specifier == imap.PartSpecifierHeader, o.Specifier == imap.PartSpecifierMIME:
		x.class = "header"
	case o.Specifier == imap.PartSpecifierText:
		x.class = "text"
	case len(o.Part) == 0:
		x.class = "body"
	default:
		x.class = "part"
	}
	if obsolete != "" {
		x.name = []byte(obsolete)
		return x
	}
	x.name = appendPath([]byte("BODY["), o.Part)
	if len(o.Part) > 0 && o.Specifier != imap.PartSpecifierNone {
		x.name = append(x.name, '.')
	}
	x.name = append(x.name, o.Specifier...)
	x.name = r.appendFieldNames(x.name, ".FIELDS (", o.HeaderFields)
	x.name = r.appendFieldNames(x.name, ".FIELDS.NOT (", o.HeaderFieldsNot)
	x.name = append(x.name, ']')
	if o.Partial != nil {
		x.name = append(strconv.AppendInt(append(x.name, '<'), o.Partial.Offset, 10), '>')
	}
	return x
}

// newBinary takes a BINARY[…] (RFC 9051, section 6.4.5.1, and RFC 3516).
func newBinary(o *imap.FetchItemBinarySection) section {
	x := section{kind: sectionBinary, class: "part", path: o.Part, partial: o.Partial}
	x.name = append(appendPath([]byte("BINARY["), o.Part), ']')
	return x
}

// newBinarySize takes a BINARY.SIZE[…].
func newBinarySize(o *imap.FetchItemBinarySectionSize) section {
	x := section{kind: sectionSize, class: "part", path: o.Part}
	x.name = append(appendPath([]byte("BINARY.SIZE["), o.Part), ']')
	return x
}

func appendPath(b []byte, path []int) []byte {
	for i, n := range path {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return b
}

// appendFieldNames writes a list of header field names, if there is one, in the form of the response's strings.
func (r *response) appendFieldNames(b []byte, open string, names []string) []byte {
	if len(names) == 0 {
		return b
	}
	kept := r.b
	r.b = append(b, open...)
	for i, n := range names {
		if i > 0 {
			r.b = append(r.b, ' ')
		}
		r.str(n)
	}
	b, r.b = append(r.b, ')'), kept
	return b
}

// An opened message is what sections are cut from.
type opened struct {
	structure *message.Structure
	view      io.ReaderAt
}

// write writes one section of a message.
func (x *section) write(r *response, m *opened) error {
	part, ok := m.structure.Section(x.path)
	switch {
	case x.kind == sectionSize:
		return x.writeSize(r, m, part, ok)
	case !ok:
		x.writeNil(r)
		return nil
	case x.kind == sectionBinary:
		return x.writeBinary(r, m, part)
	}
	span, ok := x.span(m.structure, part)
	switch {
	case !ok:
		x.writeNil(r)
		return nil
	case x.spec == imap.PartSpecifierHeader && len(x.fields)+len(x.except) > 0:
		b, err := x.headerSubset(m.view, span)
		if err != nil {
			return err
		}
		from, to := x.clip(int64(len(b)))
		return r.literal(string(x.name), "", to-from, bytes.NewReader(b[from:to]))
	}
	from, to := x.clip(span.Len())
	return r.literal(string(x.name), "", to-from, io.NewSectionReader(m.view, span.Start+from, to-from))
}

// writeNil answers for a section that the message does not have.
func (x *section) writeNil(r *response) {
	r.b = append(append(r.b, x.name...), " NIL "...)
}

// span finds the bytes of a section. RFC 9051, section 6.4.5.1: HEADER and TEXT are those of the message, or of a part
// that is one; MIME is the header of a part.
func (x *section) span(s *message.Structure, part *message.Part) (span message.Span, ok bool) {
	top := len(x.path) == 0
	switch x.spec {
	case imap.PartSpecifierNone:
		if top {
			return message.Span{End: s.Size}, true
		}
		return part.Body, true
	case imap.PartSpecifierMIME:
		return part.Header, !top
	}
	root := part
	if !top {
		if part.Message == nil {
			return span, false
		}
		root = &part.Message.Root
	}
	if x.spec == imap.PartSpecifierHeader {
		return root.Header, true
	}
	return root.Body, true
}

// clip applies <offset.count> to something of that size. RFC 9051, section 6.4.5: what is beyond the end is empty.
func (x *section) clip(size int64) (from, to int64) {
	if x.partial == nil {
		return 0, size
	}
	from = min(x.partial.Offset, size)
	return from, from + min(x.partial.Size, size-from)
}

// headerSubset is the header with some of its fields. The blank line stays (RFC 9051, section 6.4.5.1). Of a header that is
// longer than message.MaxHeaderBytes, which only parts can have, the rest is left out.
func (x *section) headerSubset(view io.ReaderAt, span message.Span) ([]byte, error) {
	header, whole, err := readHeader(view, span)
	if err != nil {
		return nil, err
	}
	var out []byte
	end := int64(0)
	for f := range message.Fields(header) {
		end = f.Span.End
		if x.wants(f.Name) {
			out = append(out, header[f.Span.Start:f.Span.End]...)
		}
	}
	if !whole {
		return append(out, "\r\n"...), nil
	}
	return append(out, header[end:]...), nil
}

func (x *section) wants(name []byte) bool {
	if len(x.except) > 0 {
		return !named(x.except, name)
	}
	return named(x.fields, name)
}

func named(list []string, name []byte) bool {
	for _, n := range list {
		if len(n) == len(name) && bytes.EqualFold([]byte(n), name) {
			return true
		}
	}
	return false
}

// readHeader reads a header block, or the start of one that is too long.
func readHeader(view io.ReaderAt, span message.Span) (header []byte, whole bool, err error) {
	n := min(span.Len(), message.MaxHeaderBytes)
	header = make([]byte, n)
	if k, err := view.ReadAt(header, span.Start); int64(k) < n {
		return nil, false, err
	}
	return header, n == span.Len(), nil
}
