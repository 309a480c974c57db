package message

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// The stored form of a Structure, version 1. Numbers are varints; a text is
// its length and bytes; a token is an atom's number or a text. Offsets are
// stored as distances from the end of what stands before, so that a view with
// a longer top header differs in one number.
//
//	structure = version size defects from received naddress nparam npart envelope part
//	envelope  = flags date [seconds zone] subject 6*list in-reply-to message-id
//	list      = n n*(name mailbox host)
//	part      = gap header body lines type subtype encoding flags ...
//
// The three counts in front let the decoder take all addresses, all parameters
// and all parts from one slice each.
const structureVersion = 1

// maxEncoded bounds what DecodeStructure looks at: MaxKeptBytes of values,
// substitutes for what addresses lack, and numbers.
const maxEncoded = 2 << 20

// ErrStructure reports bytes that AppendBinary did not write.
var ErrStructure = errors.New("message: stored structure is malformed")

const ( // flags of an envelope
	envSenderIsFrom = 1 << iota
	envReplyToIsFrom
	envTime
	envFlagsEnd
)

const ( // flags of a part: what follows, in this order
	partParams = 1 << iota
	partID
	partDescription
	partMD5
	partDisposition
	partDispositionParams
	partLanguage
	partLocation
	partChildren
	partMessage
	partFlagsEnd
)

// AppendBinary appends the stored form of the structure, a few hundred bytes
// for a usual message.
func (s *Structure) AppendBinary(b []byte) []byte {
	var n counts
	n.envelope(&s.Envelope)
	n.part(&s.Root)
	b = append(b, structureVersion)
	for _, x := range [...]uint64{uint64(s.Size), uint64(s.Defects), uint64(s.FromFields), uint64(s.ReceivedFields),
		n.addresses, n.params, n.parts} {
		b = binary.AppendUvarint(b, x)
	}
	b = appendEnvelope(b, &s.Envelope)
	return appendPart(b, &s.Root, 0)
}

// counts are the lengths of the decoder's slices.
type counts struct{ addresses, params, parts uint64 }

func (n *counts) envelope(e *Envelope) {
	for _, list := range e.lists() {
		n.addresses += uint64(len(list))
	}
}

func (n *counts) part(p *Part) {
	n.params += uint64(len(p.Params) + len(p.DispositionParams))
	n.parts += uint64(len(p.Children))
	for i := range p.Children {
		n.part(&p.Children[i])
	}
	if p.Message != nil {
		n.envelope(&p.Message.Envelope)
		n.part(&p.Message.Root)
	}
}

// lists are the address lists as stored: those that repeat From are empty.
func (e *Envelope) lists() [6][]Address {
	l := [6][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc}
	if slices.Equal(e.Sender, e.From) {
		l[1] = nil
	}
	if slices.Equal(e.ReplyTo, e.From) {
		l[2] = nil
	}
	return l
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendToken(b []byte, s string) []byte {
	if n, ok := atomNumbers[s]; ok {
		return binary.AppendUvarint(b, n<<1|1)
	}
	return append(binary.AppendUvarint(b, uint64(len(s))<<1), s...)
}

func appendEnvelope(b []byte, e *Envelope) []byte {
	lists := e.lists()
	var flags byte
	if lists[1] == nil && len(e.Sender) == len(e.From) {
		flags |= envSenderIsFrom
	}
	if lists[2] == nil && len(e.ReplyTo) == len(e.From) {
		flags |= envReplyToIsFrom
	}
	if !e.Time.IsZero() {
		flags |= envTime
	}
	b = appendText(append(b, flags), e.Date)
	if flags&envTime != 0 {
		_, zone := e.Time.Zone()
		b = binary.AppendVarint(b, e.Time.Unix())
		b = binary.AppendVarint(b, int64(zone/60))
	}
	b = appendText(b, e.Subject)
	for _, list := range lists {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, a := range list {
			b = appendText(b, a.Name)
			b = appendText(b, a.Mailbox)
			b = appendToken(b, a.Host)
		}
	}
	b = appendText(b, e.InReplyTo)
	return appendText(b, e.MessageID)
}

func appendParams(b []byte, params []Param) []byte {
	b = binary.AppendUvarint(b, uint64(len(params)))
	for _, p := range params {
		b = appendToken(b, p.Name)
		b = appendToken(b, p.Value)
	}
	return b
}

func (p *Part) flags() (flags uint64) {
	for i, set := range [...]bool{len(p.Params) > 0, p.ID != "", p.Description != "", p.MD5 != "", p.Disposition != "",
		len(p.DispositionParams) > 0, len(p.Language) > 0, p.Location != "", len(p.Children) > 0, p.Message != nil} {
		if set {
			flags |= 1 << i
		}
	}
	return flags
}

// appendPart appends a part that stands behind offset prev.
func appendPart(b []byte, p *Part, prev int64) []byte {
	for _, x := range [...]int64{p.Header.Start - prev, p.Header.Len(), p.Body.Len(), p.Lines} {
		b = binary.AppendUvarint(b, uint64(x))
	}
	b = appendToken(b, p.Type)
	b = appendToken(b, p.Subtype)
	b = appendToken(b, p.Encoding)
	flags := p.flags()
	b = binary.AppendUvarint(b, flags)
	if flags&partParams != 0 {
		b = appendParams(b, p.Params)
	}
	for _, s := range [...]string{p.ID, p.Description, p.MD5} {
		if s != "" {
			b = appendText(b, s)
		}
	}
	if flags&partDisposition != 0 {
		b = appendToken(b, p.Disposition)
	}
	if flags&partDispositionParams != 0 {
		b = appendParams(b, p.DispositionParams)
	}
	if flags&partLanguage != 0 {
		b = binary.AppendUvarint(b, uint64(len(p.Language)))
		for _, tag := range p.Language {
			b = appendText(b, tag)
		}
	}
	if flags&partLocation != 0 {
		b = appendText(b, p.Location)
	}
	if flags&partChildren != 0 {
		b = binary.AppendUvarint(b, uint64(len(p.Children)))
		prev = p.Body.Start
		for i := range p.Children {
			b = appendPart(b, &p.Children[i], prev)
			prev = p.Children[i].Body.End
		}
	}
	if flags&partMessage != 0 {
		b = appendEnvelope(b, &p.Message.Envelope)
		b = appendPart(b, &p.Message.Root, p.Body.Start)
	}
	return b
}

// DecodeStructure reads what AppendBinary wrote. It refuses everything else
// with ErrStructure: spans outside the message or outside the part around
// them, nesting over the limits, a multipart without parts, bytes left over.
func DecodeStructure(b []byte) (*Structure, error) {
	if len(b) == 0 || b[0] != structureVersion || len(b) > maxEncoded {
		return nil, ErrStructure
	}
	d := decoder{text: string(b), pos: 1}
	s := &Structure{}
	s.Size = d.length(1 << 62)
	s.Defects = Defects(d.length(int64(defectEnd) - 1))
	s.FromFields = int(d.length(s.Size))
	s.ReceivedFields = int(d.length(s.Size))
	// The least that an address, a parameter and a part take bounds the slices.
	d.addresses = make([]Address, d.count(3))
	d.params = make([]Param, d.count(2))
	d.parts = make([]Part, d.count(8))
	d.envelope(&s.Envelope)
	d.part(&s.Root, Span{0, s.Size}, 0, 0)
	s.Header = s.Root.Header
	if d.bad || d.pos != len(d.text) || len(d.addresses)+len(d.params)+len(d.parts) != 0 ||
		s.Header.Start != 0 || s.Root.Body.End != s.Size {
		return nil, ErrStructure
	}
	return s, nil
}

// A decoder reads the stored form. After the first mistake it is bad and all
// it reads is zero.
type decoder struct {
	text      string
	pos       int
	bad       bool
	addresses []Address
	params    []Param
	parts     []Part
}

func (d *decoder) fail() { d.bad, d.pos = true, len(d.text) }

func (d *decoder) uvarint() uint64 {
	if d.pos < len(d.text) {
		if c := d.text[d.pos]; c < 0x80 {
			d.pos++
			return uint64(c)
		}
	}
	var x uint64
	for shift := 0; shift < 64 && d.pos < len(d.text); shift += 7 {
		c := d.text[d.pos]
		d.pos++
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if c == 0 || shift == 63 && c > 1 {
				break // not the shortest form
			}
			return x
		}
	}
	d.fail()
	return 0
}

func (d *decoder) varint() int64 {
	x := d.uvarint()
	return int64(x>>1) ^ -int64(x&1)
}

// length reads a number up to limit.
func (d *decoder) length(limit int64) int64 {
	x := d.uvarint()
	if limit < 0 || x > uint64(limit) {
		d.fail()
		return 0
	}
	return int64(x)
}

// count reads a number of things that take at least least bytes each.
func (d *decoder) count(least int) int {
	x := d.uvarint()
	if x > uint64((len(d.text)-d.pos)/least) {
		d.fail()
		return 0
	}
	return int(x)
}

func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.text)-d.pos) {
		d.fail()
		return ""
	}
	s := d.text[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return s
}

func (d *decoder) string() string { return d.take(d.uvarint()) }

func (d *decoder) token() string {
	x := d.uvarint()
	if x&1 == 0 {
		return d.take(x >> 1)
	}
	if x >>= 1; x < uint64(len(atoms)) {
		return atoms[x]
	}
	d.fail()
	return ""
}

// present reads a text that is stored only when there is one.
func (d *decoder) present(s string) string {
	if s == "" {
		d.fail()
	}
	return s
}

func (d *decoder) envelope(e *Envelope) {
	flags := d.length(envFlagsEnd - 1)
	e.Date = d.string()
	if flags&envTime != 0 {
		e.Time = d.time()
	}
	e.Subject = d.string()
	for _, list := range [...]*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		*list = d.addressList()
	}
	if flags&envSenderIsFrom != 0 {
		e.Sender = e.From
	}
	if flags&envReplyToIsFrom != 0 {
		e.ReplyTo = e.From
	}
	e.InReplyTo = d.string()
	e.MessageID = d.string()
}

func (d *decoder) time() time.Time {
	seconds, zone := d.varint(), d.varint()
	// ParseDate knows the years 1900 to 9999, and zones up to a day.
	if seconds < -2_300_000_000 || seconds > 253_500_000_000 || zone < -1500 || zone > 1500 {
		d.fail()
		return time.Time{}
	}
	if zone == 0 {
		return time.Unix(seconds, 0).UTC()
	}
	return time.Unix(seconds, 0).In(time.FixedZone("", int(zone)*60))
}

func (d *decoder) addressList() []Address {
	n := d.count(3)
	if n == 0 {
		return nil
	}
	if n > len(d.addresses) {
		d.fail()
		return nil
	}
	list := d.addresses[:n:n]
	d.addresses = d.addresses[n:]
	for i := range list {
		list[i] = Address{d.string(), d.string(), d.token()}
	}
	return list
}

func (d *decoder) paramList() []Param {
	n := d.count(2)
	if n == 0 || n > len(d.params) {
		d.fail()
		return nil
	}
	params := d.params[:n:n]
	d.params = d.params[n:]
	for i := range params {
		params[i] = Param{d.token(), d.token()}
	}
	return params
}

// part reads a part that stands behind offset prev and inside outer.
func (d *decoder) part(p *Part, outer Span, prev int64, depth int) {
	if depth > MaxDepth {
		d.fail()
		return
	}
	p.Header.Start = prev + d.length(outer.End-prev)
	p.Header.End = p.Header.Start + d.length(outer.End-p.Header.Start)
	p.Body.Start = p.Header.End
	p.Body.End = p.Body.Start + d.length(outer.End-p.Body.Start)
	p.Lines = d.length(p.Body.Len())
	p.Type = d.present(d.token())
	p.Subtype = d.present(d.token())
	p.Encoding = d.present(d.token())
	flags := d.length(partFlagsEnd - 1)
	if flags&partParams != 0 {
		p.Params = d.paramList()
	}
	if flags&partID != 0 {
		p.ID = d.present(d.string())
	}
	if flags&partDescription != 0 {
		p.Description = d.present(d.string())
	}
	if flags&partMD5 != 0 {
		p.MD5 = d.present(d.string())
	}
	if flags&partDisposition != 0 {
		p.Disposition = d.present(d.token())
	}
	if flags&partDispositionParams != 0 {
		p.DispositionParams = d.paramList()
	}
	if flags&partLanguage != 0 {
		p.Language = d.languages()
	}
	if flags&partLocation != 0 {
		p.Location = d.present(d.string())
	}
	d.inside(p, flags, depth)
}

func (d *decoder) languages() []string {
	n := d.count(1)
	if n == 0 || n > MaxParams {
		d.fail()
		return nil
	}
	tags := make([]string, n)
	for i := range tags {
		tags[i] = d.present(d.string())
	}
	return tags
}

// inside reads the children or the embedded message of a part.
func (d *decoder) inside(p *Part, flags int64, depth int) {
	if children := flags&partChildren != 0; children != (p.Type == "multipart") || children && flags&partMessage != 0 {
		d.fail()
		return
	}
	if flags&partChildren != 0 {
		n := d.count(8)
		if n == 0 || n > len(d.parts) {
			d.fail()
			return
		}
		p.Children = d.parts[:n:n]
		d.parts = d.parts[n:]
		prev := p.Body.Start
		for i := range p.Children {
			d.part(&p.Children[i], p.Body, prev, depth+1)
			prev = p.Children[i].Body.End
		}
	}
	if flags&partMessage != 0 {
		p.Message = new(Embedded)
		d.envelope(&p.Message.Envelope)
		d.part(&p.Message.Root, p.Body, p.Body.Start, depth+1)
	}
}
