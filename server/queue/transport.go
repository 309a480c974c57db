package queue

import (
	"context"
	"io"
	"net/netip"

	"postern/server/message"
	"postern/storage"
)

// Item is one recipient of one attempt. The items of a batch are of one
// message, sender and destination domain, and share the body.
type Item struct {
	storage.Outgoing
	Sender, Recipient message.Path
	Body              io.ReaderAt // Size bytes, as stored; for one goroutine
}

// Transport tries to hand a message on. It returns one result for each item, in
// order, and no later than some time after the context is done.
type Transport interface {
	Attempt(ctx context.Context, batch []Item) []Result
}

// Outcome is what became of a recipient in an attempt.
type Outcome uint8

// The outcomes.
const (
	Temporary Outcome = iota // not delivered as far as we know: try again
	Delivered                // the next hop took responsibility
	Permanent                // will never be delivered
	NotTried                 // nothing was attempted: it does not count
)

// Result is what an attempt came to for one recipient.
type Result struct {
	Outcome   Outcome
	Uncertain bool   // with Temporary: it may have been delivered, the reply was lost
	Rule      string // the transport's word for why
	Code      int    // reply code of the remote server, 0 when there was none
	Enhanced  string // RFC 3463; may be empty
	Text      string // what the remote server said: for people only
	Host      string // the host that was spoken to, and its address
	IP        netip.Addr
	TLS       string // version, empty in clear
	Cipher    string
	Size      int64    // bytes that were sent, with signatures; 0 when none
	SHA256    [32]byte // of those bytes // AU-5

	// Deposit is what is left to do for a Delivered where the next hop is this very
	// database; shared by all items that it serves. Nil: nothing is left.
	Deposit *Deposit

	// What the destination publishes about TLS, and what came of it. // CO-1
	Policy       string   // that applied: one of the policies below; empty: no host outside was asked
	PolicyDomain string   // whose policy it is, in A-labels
	PolicyText   []string // as it was published, one string a line or record; for TLS reports
	VerifiedBy   string   // what authenticated the host: one of the proofs below; empty as Policy
	TLSFailure   string   // a result type of RFC 8460, section 4.3; empty: none
	Demand       string   // what forbade a connection without authenticated TLS: one of the demands below; empty: nothing
	// Sessions are all the hosts that were asked, with what came of TLS at each. They
	// are in the first result of a batch alone, so that who adds up results counts
	// each session once.
	Sessions []TLSSession
}

// Deposit stores a message that a transport has made ready, in the transaction that
// settles its rows: it is in the mailbox and out of the queue in one moment.
type Deposit struct {
	Store  func(tx *storage.Tx) error // perhaps more than once
	Failed func(error) Result         // what follows when Store fails, for each of its items
}

// TLSSession is one connection to one host of a destination, as TLS reports
// count it (RFC 8460, section 4).
type TLSSession struct {
	Policy, PolicyDomain string // as in Result
	PolicyText           []string
	Host                 string     // the mail exchanger; empty: none was found
	IP                   netip.Addr // its address; zero: none was reached
	Failure              string     // as Result.TLSFailure; empty: TLS was made, as the policy asks
}

// What a destination may publish about TLS; the words are those of RFC 8460,
// section 4.4, but for the first.
const (
	PolicyNone = "none"
	PolicySTS  = "sts"  // MTA-STS, RFC 8461
	PolicyTLSA = "tlsa" // DANE, RFC 7672
)

// What may authenticate a host.
const (
	ProofNone = "none"
	ProofPKIX = "pkix" // a certificate for its name, which came from DNS that nobody vouches for
	ProofSTS  = "sts"  // a certificate for a name that the destination's MTA-STS policy lists
	ProofDANE = "dane" // a TLSA record in a signed zone
)

// What may forbid a connection without authenticated TLS.
const (
	DemandRequireTLS = "requiretls" // the message: RFC 8689
	DemandPolicy     = "policy"     // the setting tls-required
	DemandSTS        = "sts"        // the destination, in mode enforce
	DemandDANE       = "dane"       // the destination
	DemandSmartHost  = "smarthost"  // our configuration
	DemandNone       = "none"       // of a message: what the destination demands is set aside (RFC 8689, section 3)
)
