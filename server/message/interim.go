package message

import (
	"errors"
	"io"
	"iter"
	"net/netip"
	"time"
)

type Defects uint32

func (d Defects) Has(x Defects) bool { return d&x != 0 }
func (d Defects) Names() []string    { return nil }

const (
	DefectNoHeader Defects = 1 << iota
	DefectHeaderTruncated
	DefectSeveralFrom
)

func Parse(r io.ReaderAt, size int64) *Structure {
	return &Structure{Size: size, Root: Part{Type: "text", Subtype: "plain", Encoding: "7bit", Body: Span{0, size}}}
}

func (s *Structure) AppendBinary(b []byte) []byte { return b }
func DecodeStructure(b []byte) (*Structure, error) {
	return nil, errors.New("message: structure: not yet")
}

// ReadHeader reads the top header.
func ReadHeader(r io.ReaderAt, s *Structure) ([]byte, error) { return nil, nil }

// Field is one field of a header block. Slices alias the block.
type Field struct {
	Name []byte // as written
	Body []byte // raw, folded, without the final line end
	Span Span   // of the whole field, with its line end, in the block
}

func (f Field) Is(name string) bool { return false }
func (f Field) Value() string       { return "" } // unfolded and trimmed

func Fields(header []byte) iter.Seq[Field]             { return func(func(Field) bool) {} }
func Lookup(header []byte, name string) (string, bool) { return "", false }

func ParseAddressList(value string) []Address { return nil }
func ParseDate(s string) (time.Time, bool)    { return time.Time{}, false }
func DecodeWords(s string) string             { return s } // RFC 2047 to UTF-8, never fails

// Path is a mailbox of the envelope (RFC 5321, section 4.1.2). Zero: the null path.
type Path struct{ Local, Domain string } // Local unquoted; Domain may be an address literal "[...]"; Domain empty with Local "postmaster"

func (p Path) IsNull() bool    { return p == Path{} }
func (p Path) String() string  { return p.Local + "@" + p.Domain } // quoted as needed, no angle brackets
func (p Path) Canonical() Path { return p }                        // for lookups: lower case, A-labels

type PathError struct{ Rule string }

func (e *PathError) Error() string  { return "" }
func (e *PathError) Public() string { return "" }

// ParsePath parses the argument of MAIL FROM or RCPT TO, with or without angle brackets.
func ParsePath(s string, utf8 bool) (Path, error) { return Path{}, nil }

// NewPath validates a local part that is already unquoted and a domain.
func NewPath(local, domain string, utf8 bool) (Path, error) { return Path{}, nil }

// ParseAddress parses local@domain as a person writes it; the domain is required.
func ParseAddress(s string) (Path, error) { return Path{}, nil }

// Overlay is the frozen difference between the stored bytes and what IMAP shows.
type Overlay struct {
	Prefix []byte
	Hidden []Span // ascending, disjoint, inside the top header
}

// NewOverlay: hide decides by lower-case field name (and field) what the view skips.
func NewOverlay(header, prefix []byte, hide func(Field) bool) Overlay { return Overlay{} }
func (o Overlay) Delta() int64                                        { return 0 }
func (o Overlay) View(body io.ReaderAt, size int64) *View             { return &View{} }
func (o Overlay) AppendBinary(b []byte) []byte                        { return b }
func DecodeOverlay(b []byte) (Overlay, error)                         { return Overlay{}, nil }

type View struct{}

func (v *View) ReadAt(p []byte, off int64) (int, error) { return 0, io.EOF }
func (v *View) Size() int64                             { return 0 }

// Overlaid returns a copy of s moved to the overlay's view.
func (s *Structure) Overlaid(o Overlay) *Structure { return s }

func PartReader(view io.ReaderAt, p *Part) io.Reader { return nil } // transfer encoding removed
func TextReader(view io.ReaderAt, p *Part) io.Reader { return nil } // and in UTF-8

// AppendField appends "Name: value CRLF", folded, with control bytes of value replaced by spaces.
func AppendField(b []byte, name, value string) []byte { return b }

// Received is a trace field (RFC 5321, section 4.4).
type Received struct {
	Helo string     // what the client called itself
	Addr netip.Addr // of the client; zero when there is none (a local submission)
	By   string     // our host name
	With string     // ESMTP, ESMTPS, ESMTPSA, UTF8SMTPS...
	TLS  string     // "TLS1.3 TLS_AES_128_GCM_SHA256" or ""
	ID   string     // our id
	For  Path       // only when there is one recipient
	Time time.Time
}

func (r Received) Append(b []byte) []byte      { return b }
func AppendReturnPath(b []byte, p Path) []byte { return b }

func NewMessageID(domain string) string { return "" } // with angle brackets

// Complete returns the fields that a submission lacks (Date, Message-ID), to stand in front of header.
func Complete(header []byte, domain string, now time.Time) []byte { return nil }

// DSN is a delivery status notification (RFC 3464).
type DSN struct {
	From         string // mailbox of the sender, e.g. "Mail Delivery <postmaster@example.com>"
	To           Path   // return path of the original
	ReportingMTA string
	MessageID    string // of this notice
	EnvelopeID   string // ENVID of the original, optional
	Arrival      time.Time
	Time         time.Time
	Recipients   []DSNRecipient
	Header       []byte // header of the original
}

type DSNRecipient struct {
	Final, Original Path
	Action          DSNAction
	Status          string // "5.1.1": class.subject.detail
	RemoteMTA       string
	DiagnosticCode  int // SMTP reply code of the remote server, 0 when none; never its text
	LastAttempt     time.Time
	WillRetryUntil  time.Time
}

type DSNAction uint8

const (
	ActionFailed DSNAction = iota + 1
	ActionDelayed
	ActionDelivered
	ActionRelayed
	ActionExpanded
)

func (d DSN) Bytes() []byte { return nil }
