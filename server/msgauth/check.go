package msgauth

import (
	"context"
	"errors"
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
	// Timeout bounds one Check with all its lookups. Zero: 20 s, which RFC 7208,
	// section 4.6.4 asks SPF alone to have at least. What is not known by then is
	// TempError.
	Timeout time.Duration
	// Now tells when a signature has expired. Nil: time.Now.
	Now func() time.Time
}

func (c *Checker) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Facts are what a session knows about a message.
type Facts struct {
	Remote netip.Addr         // who handed it to us
	Helo   string             // argument of EHLO or HELO
	From   message.Path       // return path
	Data   io.ReaderAt        // as received
	Parsed *message.Structure // of Data
}

// mail is a message under judgement: its header, and what is wanted of its body.
type mail struct {
	Facts
	fields *fieldIndex
	bodies bodies
	unread bool // the body could not be read, or not in time
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
	var published dmarcPolicy
	header, err := message.ReadHeader(f.Data, f.Parsed)
	m := &mail{Facts: f, fields: indexFields(header)}
	var all sync.WaitGroup
	all.Go(func() { r.SPF = c.spf(ctx, f) })
	all.Go(func() { r.IPRev = c.iprev(ctx, f.Remote) })
	all.Go(func() { published = c.dmarcPolicy(ctx, m) })
	switch {
	case err == nil:
		r.DKIM, r.ARC = c.signatures(ctx, m)
	case !errors.Is(err, message.ErrHeaderLong): // one that is too long, nobody will be shown in full
		r.DKIM, r.ARC.Value = []DKIM{{Value: TempError}}, Fail
	}
	all.Wait()
	r.DMARC = published.judge(r)
	return r
}

// signatures judges DKIM and ARC, which share one reading of the body.
func (c *Checker) signatures(ctx context.Context, m *mail) (d []DKIM, a ARC) {
	signed := c.readDKIM(m)
	chain := c.readARC(m)
	m.unread = m.bodies.read(ctx, m.Data, m.Parsed.Header.End, m.Parsed.Size) != nil
	var both sync.WaitGroup
	both.Go(func() { d = c.judgeDKIM(ctx, m, signed) })
	a = c.judgeARC(ctx, m, chain)
	both.Wait()
	return d, a
}
