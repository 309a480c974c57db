package message

import "time"

// A Span is a half-open range of byte offsets, [Start, End), in a message.
type Span struct{ Start, End int64 }

// Len is the number of bytes in the span.
func (s Span) Len() int64 { return s.End - s.Start }

// A Structure is what IMAP needs to know of a message without reading it
// again: its envelope (RFC 9051, section 7.5.2), its tree of parts, and the
// byte offsets of every header and body.
type Structure struct {
	Size     int64 // octets of the whole message
	Header   Span  // the top header, with the blank line that ends it
	Root     Part
	Envelope Envelope

	FromFields     int // From fields in the top header; exactly 1 in a sound message
	ReceivedFields int // Received fields in the top header (RFC 5321, section 6.3: loops)

	Defects Defects
}

// A Part is a node of the MIME tree. Texts are raw: header bytes unfolded,
// with encoded words left as they came.
type Part struct {
	Type, Subtype string  // lower case, never empty: "text", "plain"
	Params        []Param // of Content-Type, in order, RFC 2231 forms left as written
	ID            string  // Content-ID, with its angle brackets
	Description   string  // Content-Description
	Encoding      string  // Content-Transfer-Encoding, lower case; "7bit" when absent

	MD5               string // Content-MD5
	Disposition       string // lower case; empty when absent
	DispositionParams []Param
	Language          []string // Content-Language
	Location          string   // Content-Location

	Header Span  // MIME header of the part, with the blank line that ends it
	Body   Span  // in its transfer encoding; Body.Len() is IMAP's size in octets
	Lines  int64 // lines of the body in its transfer encoding, for every kind of part

	Children []Part    // of a multipart: at least one
	Message  *Embedded // of message/rfc822 and message/global: never nil there
}

// Embedded is the message inside a message/rfc822 or message/global part. Its
// Root.Header is the section HEADER of the part, its Root.Body the section TEXT.
type Embedded struct {
	Envelope Envelope
	Root     Part
}

// A Param is one attribute of a Content-Type or Content-Disposition field.
type Param struct {
	Name  string // lower case
	Value string // unquoted
}

// An Envelope has the fields of RFC 9051, section 7.5.2, raw: unfolded, with
// encoded words left as they came (DecodeWords turns them into UTF-8). Sender
// and ReplyTo equal From where the message has none, as that section asks.
type Envelope struct {
	Date      string    // as written
	Time      time.Time // Date, parsed; zero when it makes no sense; keeps the zone written
	Subject   string
	From      []Address
	Sender    []Address
	ReplyTo   []Address
	To        []Address
	Cc        []Address
	Bcc       []Address
	InReplyTo string
	MessageID string
}

// An Address is an element of an address list as IMAP shows it. A group is
// bracketed by two marks: its start has the group's name as Mailbox and no
// Host, its end has neither. A mailbox without a domain has the Host
// MissingHost, so that nobody takes it for the start of a group.
type Address struct{ Name, Mailbox, Host string }

// MissingHost stands for the domain of an address that was written without one.
const MissingHost = "MISSING_DOMAIN"

// IsGroupStart reports whether the address opens a group named Mailbox.
func (a Address) IsGroupStart() bool { return a.Host == "" && a.Mailbox != "" }

// IsGroupEnd reports whether the address closes a group.
func (a Address) IsGroupEnd() bool { return a.Host == "" && a.Mailbox == "" }

// IsMultipart reports whether the part has Children.
func (p *Part) IsMultipart() bool { return len(p.Children) > 0 }

// MediaType is the part's type and subtype with a slash between.
func (p *Part) MediaType() string { return p.Type + "/" + p.Subtype }

// Param returns the first parameter of that (lower-case) name, or "".
func (p *Part) Param(name string) string {
	for _, q := range p.Params {
		if q.Name == name {
			return q.Value
		}
	}
	return ""
}

// Section finds a part by its IMAP section number (RFC 9051, section 6.4.5.1),
// such as [1 2] for "1.2". The empty path is the root.
func (s *Structure) Section(path []int) (*Part, bool) { return s.Root.section(path) }

func (p *Part) section(path []int) (*Part, bool) {
	if len(path) == 0 {
		return p, true
	}
	n := path[0]
	switch {
	case p.IsMultipart():
		if n < 1 || n > len(p.Children) {
			return nil, false
		}
		p = &p.Children[n-1]
	case n != 1:
		// A part that is not a multipart has the one part 1: its body.
		return nil, false
	}
	path = path[1:]
	if len(path) == 0 {
		return p, true
	}
	switch {
	case p.Message != nil:
		return p.Message.Root.section(path)
	case p.IsMultipart():
		return p.section(path)
	}
	return nil, false
}

// Shift moves the structure to a view whose top header is longer by delta
// bytes (shorter when negative): the header's end, and everything after it.
func (s *Structure) Shift(delta int64) {
	s.Size += delta
	s.Header.End += delta
	s.Root.shift(delta)
	s.Root.Header.Start = s.Header.Start
}

func (p *Part) shift(delta int64) {
	p.Header.Start += delta
	p.Header.End += delta
	p.Body.Start += delta
	p.Body.End += delta
	for i := range p.Children {
		p.Children[i].shift(delta)
	}
	if p.Message != nil {
		p.Message.Root.shift(delta)
	}
}
