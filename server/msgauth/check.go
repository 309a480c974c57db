package msgauth

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"time"

	"postern/dns"
	"postern/server/message"
)

// Checker judges messages. It is safe for concurrent use.
type Checker struct {
	// Resolver answers; put a dns.Cache in front.
	Resolver dns.Resolver
	// Timeout bounds one Check. Zero: 20 s, which RFC 7208, section 4.6.4 asks
	// SPF alone to have at least. What is not known by then is TempError.
	Timeout time.Duration
}

// Facts are what a session knows about a message.
type Facts struct {
	Remote netip.Addr         // who handed it to us
	Helo   string             // argument of EHLO or HELO
	From   message.Path       // return path
	Data   io.ReaderAt        // as received
	Parsed *message.Structure // of Data
}

// Check judges a message. It never fails: what could not be found out is in the
// results as TempError or PermError.
func (c *Checker) Check(ctx context.Context, f Facts) Results {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var r Results
	var all sync.WaitGroup
	all.Go(func() { r.SPF = c.spf(ctx, f) })
	all.Go(func() { r.IPRev = c.iprev(ctx, f.Remote) })
	r.DKIM = c.dkim(ctx, f)
	all.Wait()
	r.DMARC = c.dmarc(ctx, f, r)
	return r
}
