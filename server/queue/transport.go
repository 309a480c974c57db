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
}
