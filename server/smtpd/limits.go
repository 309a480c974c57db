package smtpd

import (
	"time"

	"postern/server/policy"
)

// Limits bounds what a client may use. Zero is no limit at all but nonsense: start from DefaultLimits and change single
// fields. Durations are of real time, since they bound real sockets.
type Limits struct {
	// Conns is the number of connections of each kind of door, handshakes included: a flood on port 25 leaves
	// submission alone.
	Conns int
	// PerAddress is the number of unauthenticated connections from one network: one IPv4 address or one IPv6 /64, which
	// is what one subscriber has. The wider network (IPv4 /24, IPv6 /48) may have wideFactor times as many. Whoever
	// authenticates leaves this count: a host may run a thousand agents.
	PerAddress int

	// Greeting is how long port 25 listens before it speaks. A program that does not wait for the banner sends its
	// first bytes right behind the handshake, so a few milliseconds tell it from a mail server, and cost a mail server
	// nothing that it would notice.
	Greeting time.Duration
	// Handshake bounds a TLS handshake.
	Handshake time.Duration
	// Command bounds the wait for a command. RFC 5321, section 4.5.3.2.7: at least five minutes.
	Command time.Duration
	// Stall bounds the wait for more of a message; Data the time that all of it may take.
	// RFC 5321, section 4.5.3.2.5: a client allows three minutes for a block.
	Stall, Data time.Duration
	// Rate is what a message must arrive at, in octets a second, after the first RateGrace.
	Rate      int64
	RateGrace time.Duration
	// Write bounds the wait for a client that does not read its replies.
	Write time.Duration
	// Answer bounds the time that we take for a reply. RFC 5321, section 4.5.3.2: clients wait five minutes, ten at the
	// end of the data, and one that gives up sends the message again.
	Answer time.Duration
	// Session is how long a connection lasts, measured where a command would begin.
	Session time.Duration

	// Message is the size of the largest message, in octets (RFC 1870). It bounds the length of a line too: lines of
	// over 1,000 octets (RFC 5321, section 4.5.3.1.6) occur in real mail, nothing here or behind needs more memory for
	// a longer one, and refusing the message would help nobody.
	Message int64
	// Recipients of one message. RFC 5321, section 4.5.3.1.8: at least 100.
	Recipients int
	// RefusedRecipients is how many recipients of a session may be refused before it ends with 421.
	RefusedRecipients int
	// Messages of one session.
	Messages int
	// Commands without a message being accepted. It leaves room for Recipients.
	Commands int
	// Unknown commands, and Errors (replies of 500 and more, but those to RCPT and AUTH), without a message being
	// accepted.
	Unknown, Errors int
	// AuthFailures is how many times AUTH may fail in a session. Directory slows guessing across sessions (AC-12).
	AuthFailures int

	// Guesses is how many unknown recipients a network may name at once before it is slowed down (AC-5): its count
	// falls by one every GuessDecay. From Guesses on each refusal waits Delay longer than the one before, up to
	// maxDelay; at twice Guesses the session ends with 421, and new ones are turned away, until the count has fallen.
	Guesses    int
	GuessDecay time.Duration
	Delay      time.Duration
}

// DefaultLimits returns the limits of a server for which nothing was configured.
func DefaultLimits() Limits {
	return Limits{
		Conns:             1_000,
		PerAddress:        100,
		Greeting:          10 * time.Millisecond,
		Handshake:         30 * time.Second,
		Command:           5 * time.Minute,
		Stall:             3 * time.Minute,
		Data:              30 * time.Minute,
		Rate:              256,
		RateGrace:         time.Minute,
		Write:             time.Minute,
		Answer:            4 * time.Minute,
		Session:           time.Hour,
		Message:           policy.MaxSize,
		Recipients:        1_000,
		RefusedRecipients: 100,
		Messages:          10_000,
		Commands:          2_500,
		Unknown:           10,
		Errors:            20,
		AuthFailures:      3,
		Guesses:           50,
		GuessDecay:        10 * time.Second,
		Delay:             100 * time.Millisecond,
	}
}

// Bounds of the protocol's pieces.
const (
	// wideFactor is how many times as much a wide network may have as a narrow one.
	wideFactor = 4
	// maxCommand is the longest command line, CR LF included. RFC 5321, section 4.5.3.1.4: 512, and extensions add
	// their own: SIZE 26, BODY 16, SMTPUTF8 10, AUTH 500.
	maxCommand = 512
	maxMail    = 512 + 26 + 16 + 10 + 500
	// maxSASL is the longest line of an authentication. RFC 4954, section 4: 12,288.
	maxSASL = 12 << 10
	// maxSpent is how much of a line that is too long is read away in order to stay in step.
	maxSpent = 64 << 10
	// maxDelay is the longest that a refusal waits.
	maxDelay = 5 * time.Second
	// lingerTime and lingerBytes bound how long a closed connection is read from, so that a client that is still
	// sending gets the farewell and not a reset.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
	// maxNetworks is how many networks the guess counter remembers.
	maxNetworks = 1 << 14
	// flushAt is how many bytes of replies to pipelined commands are gathered.
	flushAt = 4 << 10
	// inputSize is how much is read from the client at a time.
	inputSize = 8 << 10
)
