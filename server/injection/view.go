package injection

// A View says where in a message a text stands: what a person is shown, what only
// a program sees, or what comes out when something is decoded.
type View uint8

// The views. Their numbers are part of the model: append, never reorder.
const (
	Subject    View = iota // the Subject field
	Name                   // display names of addresses
	Header                 // other header fields that a client may read
	Text                   // a plain text body
	HTML                   // what a browser would show of an HTML body
	Hidden                 // text of an HTML body that a browser does not show
	Comment                // comments in HTML, scripts, style sheets
	Attribute              // alternative texts, titles and other attributes in HTML
	Attachment             // text inside an attachment
	FileName               // names of attachments
	Preamble               // what stands around the parts of a multipart
	Invisible              // text written in characters without a glyph
	Decoded                // what an encoded run in another view says
	numViews
)

var viewNames = [numViews]string{"subject", "name", "header", "text", "html", "hidden", "comment", "attribute",
	"attachment", "file_name", "preamble", "invisible", "decoded"}

// String is the stable name of the view.
func (v View) String() string {
	if v < numViews {
		return viewNames[v]
	}
	return "unknown"
}

// unseen reports whether a person who reads the message does not see the view.
func (v View) unseen() bool {
	return v == Hidden || v == Comment || v == Invisible || v == Decoded || v == Preamble
}

// A Step is one decoding on the way from the message to a text.
type Step uint8

// The decodings.
const (
	stepNone Step = iota
	stepBase64
	stepBase32
	stepHex
	stepBinary
	stepCodes
	stepPercent
	stepEntity
	stepEscape
	stepQuoted
	stepUU
	stepMorse
	stepROT13
	stepReversed
	stepTags
	stepSelectors
	stepCharset
	stepTransfer
	stepMessage
	stepArchive
	stepGzip
	stepRTF
	stepPDF
	stepStrings
	stepASCII85
)

var stepNames = [...]string{"", "base64", "base32", "hex", "binary", "character_codes", "percent", "entity", "escape", "quoted_printable", "uuencode",
	"morse", "rot13", "reversed", "tag_characters", "variation_selectors", "charset", "transfer_encoding", "message", "archive", "gzip", "rtf", "pdf", "strings", "ascii85"}

// String is the stable name of the decoding.
func (s Step) String() string { return stepNames[s] }

// maxChain is how often one text is decoded again: base64 in base64 in base64, in an
// archive in a message in an archive.
const maxChain = 6

// A Chain is the decodings that were applied, outermost first. Charset and transfer
// encoding stand in it where a part was read otherwise than it claims; message,
// archive, gzip, RTF, PDF and strings where the text was inside of a file.
type Chain [maxChain]Step

func (c Chain) len() int {
	n := 0
	for n < maxChain && c[n] != stepNone {
		n++
	}
	return n
}

// last is the newest decoding.
func (c Chain) last() Step {
	if n := c.len(); n > 0 {
		return c[n-1]
	}
	return stepNone
}

// then appends a decoding; false when the chain is full.
func (c Chain) then(s Step) (Chain, bool) {
	n := c.len()
	if n == maxChain {
		return c, false
	}
	c[n] = s
	return c, true
}

// Names are the names of the decodings, outermost first.
func (c Chain) Names() []string {
	var names []string
	for _, s := range c[:c.len()] {
		names = append(names, s.String())
	}
	return names
}

// segment is a text of one view, as an agent would be given it.
type segment struct {
	view  View
	part  string // IMAP section number of the part it is in; empty: the top header
	text  []byte // UTF-8, not yet normalised
	chain Chain

	// Where it stood in the decoded part: from at on; or, when it was decoded from
	// a run, in [at, until); or as marks into source say.
	at, until int
	source    []byte
	marks     []mark

	alternative bool // it is in one of the alternatives of a body
	declared    bool // what it was decoded from was declared to be encoded, in the text
}

// span is where [from, to) of the text stood in the decoded part.
func (s *segment) span(from, to int) (start, end int) {
	switch {
	case s.until > 0:
		return s.at, s.until
	case s.marks != nil:
		start, end = span(s.source, s.marks, from, to)
		return s.at + start, s.at + end
	}
	return s.at + from, s.at + to
}
