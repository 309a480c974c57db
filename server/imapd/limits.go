package imapd

import "time"

// Limits bounds what a client may use. The zero value of a field is no limit at all but nonsense: start from
// DefaultLimits.
type Limits struct {
	// Conns is the number of connections in total, handshakes included.
	Conns int
	// PerAddress is the number of connections from one network: one IPv4 address or one IPv6 /64, which is what one
	// subscriber has. It is generous, since a host may run a thousand agents.
	PerAddress int
	// Strangers is how many connections of one network may be unauthenticated at a time.
	Strangers int

	// Handshake bounds the TLS handshake; Login the time from its end until the client is authenticated.
	Handshake, Login time.Duration
	// Command bounds the time from a command's first byte to its last, without the message of an APPEND. It starts
	// anew when the client is asked for a literal.
	Command time.Duration
	// Idle bounds the wait for a command, or in IDLE for DONE, of an authenticated client.
	// RFC 9051, section 5.4: at least 30 minutes.
	Idle time.Duration
	// Stall bounds the time without progress while a message is read or a response is written.
	Stall time.Duration

	// Message is the size of the largest message that APPEND takes, in bytes (RFC 7889).
	Message int64
	// Logins is how many times LOGIN and AUTHENTICATE may fail before the connection is closed.
	Logins int
	// Mistakes is how many commands in a row may be answered BAD before the connection is closed. Before
	// authentication it is three, and they need not be in a row.
	Mistakes int
}

// DefaultLimits returns the limits of a server for which nothing was configured.
func DefaultLimits() Limits {
	return Limits{
		Conns:      10_000,
		PerAddress: 4_096,
		Strangers:  256,
		Handshake:  10 * time.Second,
		Login:      time.Minute,
		Command:    30 * time.Second,
		Idle:       35 * time.Minute,
		Stall:      time.Minute,
		Message:    50 << 20,
		Logins:     5,
		Mistakes:   50,
	}
}

// Bounds of the protocol's pieces. They are tighter than the library's, which gives up on a line at 50 KiB and on a
// buffered literal at 4 KiB, and are not configurable for that reason.
const (
	// maxCommand is the longest command in the form in which the library gets it: literals quoted, CR LF included.
	// RFC 2683, section 3.2.1.5, asks for 8,000 octets; clients name long sets of UIDs.
	maxCommand = 48 << 10
	// maxStrangerCommand is the same before authentication, when only a login is long.
	maxStrangerCommand = 8 << 10
	// maxLiteral is the longest literal that is not a message.
	maxLiteral = 4096
	// maxLiterals is the number of literals in one command.
	maxLiterals = 64
	// maxDigits is how many digits the announcement of a literal may have.
	maxDigits = 40
	// maxTag is the longest tag, in bytes.
	maxTag = 64
	// maxDepth is how deep parentheses may nest.
	maxDepth = 64
	// maxSpent is how many bytes of one command are read in order to stay in step with a client whose command is
	// refused; maxStrangerSpent is the same before authentication.
	maxSpent         = 1 << 20
	maxStrangerSpent = 64 << 10
	// maxSASL is the longest line of a SASL exchange. The library's reader loses its place at 4096.
	maxSASL = 2048
	// maxStrangerMistakes is how many commands may be answered BAD before authentication.
	maxStrangerMistakes = 3
	// minRate is what a message must arrive at, in bytes a second, after a start of literalGrace.
	minRate      = 4 << 10
	literalGrace = 5 * time.Minute
)

// A Refusal is why the server turned a client away or ended a connection. It carries nothing that the client sent.
type Refusal uint8

// The reasons, for counters and for the record of strangers.
const (
	RefusedFull      Refusal = iota + 1 // as many connections as Limits.Conns
	RefusedAddress                      // as many from this network as Limits.PerAddress
	RefusedStrangers                    // as many unauthenticated ones as Limits.Strangers
	RefusedHandshake                    // no TLS handshake, or not in time
	RefusedFraming                      // where a command ends could not be told
	RefusedLogins                       // too many failed logins
	RefusedMistakes                     // too many commands that are none
	RefusedTimeout                      // too slow, or idle for too long
	RefusedConfused                     // the library lost its place, which is a mistake of ours
)

// String returns the reason as a word, stable for metrics.
func (r Refusal) String() string {
	switch r {
	case RefusedFull:
		return "full"
	case RefusedAddress:
		return "address"
	case RefusedStrangers:
		return "strangers"
	case RefusedHandshake:
		return "handshake"
	case RefusedFraming:
		return "framing"
	case RefusedLogins:
		return "logins"
	case RefusedMistakes:
		return "mistakes"
	case RefusedTimeout:
		return "timeout"
	case RefusedConfused:
		return "confused"
	}
	return "unknown"
}
