package relay

import (
	"io"

	"github.com/google/uuid"

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
	// Org is whose mail it is: MTA-STS policies are kept for each organization.
	// Zero: MTA-STS is not looked at.
	Org uuid.UUID
	// RequireTLS (RFC 8689, section 2): only over authenticated TLS, and only to a
	// host that promises the same.
	RequireTLS bool
	// Authenticated: only over authenticated TLS, by a rule of ours.
	Authenticated bool
	// TLSOptional (RFC 8689, section 3): what the destination asks by MTA-STS and
	// DANE is not insisted on. The two above are stronger.
	TLSOptional bool
	// Sign returns the header fields to put in front, each ended by CRLF, such
	// as the result of dkim.Signer.Sign. It is called at most once, and only
	// when a host is ready to listen. Nil: nothing is put in front.
	Sign func() ([]byte, error)
}
