package relay

import (
	"io"

	"postern/server/message"
)

// MaxRecipients is how many recipients one attempt takes: what every server
// must accept in one transaction (RFC 5321, section 4.5.3.1.8).
const MaxRecipients = 100

// Message is what one attempt sends.
type Message struct {
	// From is the return path; the zero Path is the null sender of a DSN.
	From message.Path
	// To are the recipients: 1 to MaxRecipients, all at one domain, except with
	// a smart host, which takes any.
	To []message.Path
	// Data holds the message, Size octets of it, with CRLF line ends.
	Data io.ReaderAt
	Size int64
	// EightBit says that the body has octets over 127: needs 8BITMIME.
	EightBit bool
	// UTF8 says that the header has octets over 127: needs SMTPUTF8. For
	// addresses the relay sees for itself.
	UTF8 bool
	// Sign returns the header fields to put in front, each ended by CRLF, such
	// as the result of dkim.Signer.Sign. It is called at most once, and only
	// when a host is ready to listen. Nil: nothing is put in front.
	Sign func() ([]byte, error)
}
