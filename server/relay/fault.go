package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// fault is why a host, or one recipient at it, did not work out.
type fault struct {
	outcome   Outcome
	uncertain bool
	reason    Reason
	code      int
	enhanced  string
	text      string // the peer's
	// final: no other host is asked, since the answer would be the same, or the
	// message may have been accepted.
	final bool
	// at is the host that it happened at; nil: the one being tried.
	at *place
	// absent: the host itself seems to be away, and is left alone for a while.
	absent bool
	// failure is what TLS reports call it; empty: it is not about TLS.
	failure string
}

func (f *fault) Error() string { return fmt.Sprintf("relay: %s %d %s", f.reason, f.code, f.enhanced) }

// place is a host and how we spoke to it.
type place struct {
	host string
	ip   netip.Addr
	tls  TLS

	security Security
}

func temporary(reason Reason, enhanced string) *fault {
	return &fault{reason: reason, enhanced: enhanced}
}

// insecure makes a fault about TLS.
func insecure(enhanced, failure string) *fault {
	return &fault{reason: TLSFailed, enhanced: enhanced, failure: failure}
}

// permanent makes a fault that ends the attempt.
func permanent(reason Reason, code int, enhanced string) *fault {
	return &fault{outcome: Permanent, reason: reason, code: code, enhanced: enhanced, final: true}
}

// faultOf turns a failed read or write into a fault.
func faultOf(ctx context.Context, err error) *fault {
	var f *fault
	var nerr net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		f = temporary(Cancelled, "4.3.2")
		f.final = true
	case ctx.Err() != nil:
		f = temporary(TimedOut, "4.4.7") // RFC 3463: delivery time expired
		f.final = true
	case errors.Is(err, errReply):
		f = temporary(Protocol, "4.5.0")
	case errors.As(err, &nerr) && nerr.Timeout():
		f = temporary(TimedOut, "4.4.2")
	default:
		f = temporary(ConnectionLost, "4.4.2")
	}
	return f
}

// refusal turns a reply that is not the hoped-for one into a fault.
func refusal(r reply) *fault {
	f := &fault{reason: Refused, code: r.code, enhanced: r.enhanced, text: r.text}
	switch r.code / 100 {
	case 4:
	case 5:
		f.outcome = Permanent
	default:
		// A reply of success or of a question where none belongs.
		f.reason, f.enhanced = Protocol, "4.5.0"
	}
	return f
}

// worse picks what to report after several hosts failed. One that may still
// deliver outweighs one that never will; one that spoke outweighs silence.
func worse(a, b *fault) *fault {
	switch {
	case a == nil:
		return b
	case a.outcome != b.outcome && a.outcome == Temporary, a.outcome == b.outcome && a.code != 0 && b.code == 0:
		return a
	}
	return b
}
