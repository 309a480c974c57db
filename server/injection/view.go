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
	stepHex
	stepBinary
	stepPercent
	stepEntity
	stepEscape
	stepROT13
	stepReversed
	stepTags
	stepSelectors
	stepArchive
)

var stepNames = [...]string{"", "base64", "hex", "binary", "percent", "entity", "escape", "rot13", "reversed", "tag_characters",
	"variation_selectors", "archive"}

// String is the stable name of the decoding.
func (s Step) String() string { return stepNames[s] }

// maxChain is how often one text is decoded again: base64 in base64 in base64.
const maxChain = 3

// A Chain is the decodings that were applied, outermost first.
type Chain [maxChain]Step

func (c Chain) len() int {
	n := 0
	for n < maxChain && c[n] != stepNone {
		n++
	}
	return n
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
	at    int    // where text begins in the decoded part
	chain Chain
}
