package relay

import (
	"net/netip"

	"postern/server/message"
	"postern/server/queue"
)

// Outcome is what became of a recipient in this attempt.
type Outcome uint8

// The outcomes.
const (
	Temporary Outcome = iota // not delivered as far as we know; try again
	Delivered                // the next hop took responsibility
	Permanent                // will never be delivered: a DSN is due
)

// String is "temporary", "delivered" or "permanent".
func (o Outcome) String() string { return [...]string{"temporary", "delivered", "permanent"}[o] }

// Reason is the rule that led to an outcome: a closed vocabulary, safe to show
// to anybody, unlike the peer's text.
type Reason string

// The reasons. Those marked (P) are permanent, (B) either, by the reply's class.
const (
	Accepted       Reason = "accepted"
	Refused        Reason = "refused"         // the peer said no (B)
	NullMX         Reason = "null-mx"         // the domain accepts no mail (P)
	NoDomain       Reason = "no-domain"       // the domain does not exist (P)
	NoAddress      Reason = "no-address"      // its mail hosts have no address (P)
	PrivateAddress Reason = "private-address" // its mail hosts have only addresses that we may not reach (P)
	Loop           Reason = "loop"            // its best mail host is ourselves (P)
	DNSFailed      Reason = "dns-failed"      // could not be looked up
	Unreachable    Reason = "unreachable"     // no connection
	Away           Reason = "away"            // all hosts failed a moment ago, and were not asked again
	Busy           Reason = "busy"            // the limit of connections to this destination: not an attempt
	TimedOut       Reason = "timed-out"       // the peer fell silent, or took too long altogether
	ConnectionLost Reason = "connection-lost" // the peer hung up
	Protocol       Reason = "protocol"        // the peer does not speak SMTP
	TLSFailed      Reason = "tls-failed"      // demanded, and not offered, broken, or not verified
	NotInPolicy    Reason = "not-in-policy"   // the MTA-STS policy does not list the host
	NoRequireTLS   Reason = "no-requiretls"   // the message has REQUIRETLS, which the peer lacks (P)
	AuthFailed     Reason = "auth-failed"     // the smart host did not take the password
	NoEightBit     Reason = "no-8bitmime"     // the peer lacks 8BITMIME (P)
	NoUTF8         Reason = "no-smtputf8"     // the peer lacks SMTPUTF8 (P)
	TooLarge       Reason = "too-large"       // for the peer (P)
	BadAddress     Reason = "bad-address"     // no address that can be sent (P)
	BadMessage     Reason = "bad-message"     // bare CR or LF, or no way to sign it (P)
	TooMany        Reason = "too-many"        // recipients, or domains, for one attempt
	LocalFailure   Reason = "local-failure"   // reading or signing the message failed here
	Cancelled      Reason = "cancelled"       // the caller ended the attempt
)

// Result is what became of one recipient.
type Result struct {
	Address message.Path
	Outcome Outcome
	// Uncertain, with Temporary only: the final dot may have arrived and the
	// message may have been accepted; the reply was lost. Trying again may
	// deliver twice.
	Uncertain bool
	Reason    Reason
	// Code is the peer's reply code, or 0 when the outcome is ours and no reply
	// code belongs to it.
	Code int
	// Enhanced is the status code of RFC 3463: the peer's if it gave one of the
	// right class, otherwise ours. Never empty.
	Enhanced string
	// Text is what the peer said: at most 512 octets of printable UTF-8. It is a
	// stranger's text, for people only; never shown to an agent, never logged.
	Text string
	// Host and IP are the last host that was spoken to; empty when none was.
	Host string
	IP   netip.Addr
	TLS  TLS
	Security
	// BytesSent counts the octets of the message with the signature fields,
	// before dot-stuffing, and SHA256 is over the same octets. Both are zero
	// unless the data was sent to its end for this recipient.
	BytesSent int64
	SHA256    [32]byte
	// Sessions are the hosts that were asked, for TLS reports: in the first result
	// of an attempt alone.
	Sessions []queue.TLSSession
}

// Security is what the destination publishes about TLS, and what came of it, in
// the words of package queue.
type Security struct {
	Policy       string   // queue.PolicyNone, PolicySTS or PolicyTLSA; empty: no host was found
	PolicyDomain string   // whose policy it is
	PolicyText   []string // as TLS reports quote it
	VerifiedBy   string   // queue.ProofNone, ProofPKIX, ProofSTS or ProofDANE
	TLSFailure   string   // result type of RFC 8460, section 4.3; empty: none
	Demand       string   // queue.DemandSTS and so on; empty: nothing demands TLS
}

// TLS is what protected the connection.
type TLS struct {
	Version string // "TLS 1.3"; empty: the connection was in clear
	Cipher  string // "TLS_AES_128_GCM_SHA256"
	// Verified: the certificate is valid for the host's name, or DANE says that it
	// is the host's. Of the first alone nobody knows who published the name: see
	// Security.VerifiedBy.
	Verified bool
	// Failed: STARTTLS was offered and did not work, so it went in clear.
	Failed bool
}
