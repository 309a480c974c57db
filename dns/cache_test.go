package dns_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"postern/dns"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func TestCacheKeepsForTheTTL(t *testing.T) {
	p := newPeer(t, "x.example. 60 IN TXT v\nlong.example. 86400 IN MX 10 mx.example.\n")
	at := &clock{time.Unix(1e9, 0)}
	c := dns.NewCache(p.client(t), at.now)
	lookup := func(name string, wantAsked int) {
		t.Helper()
		if _, err := c.LookupTXT(t.Context(), name); err != nil && !errors.Is(err, dns.ErrNoDomain) {
			t.Error(err)
		}
		if n := len(p.asked()); n != wantAsked {
			t.Errorf("%s: %d questions left the house, want %d", name, n, wantAsked)
		}
	}
	lookup("x.example", 1)
	lookup("x.example", 1)
	at.t = at.t.Add(61 * time.Second)
	lookup("x.example", 2)
	lookup("absent.example", 3) // SOA minimum: 300 s
	at.t = at.t.Add(299 * time.Second)
	lookup("absent.example", 3)
	at.t = at.t.Add(2 * time.Second)
	lookup("absent.example", 4)
	c.Flush()
	lookup("absent.example", 5)

	for range 2 {
		if _, err := c.LookupMX(t.Context(), "long.example"); err != nil {
			t.Fatal(err)
		}
	}
	at.t = at.t.Add(time.Hour) // no TTL outlives an hour
	if _, err := c.LookupMX(t.Context(), "long.example"); err != nil || len(p.asked()) != 7 {
		t.Errorf("%d questions, %v", len(p.asked()), err)
	}
}

func TestCacheCopiesRecords(t *testing.T) {
	p := newPeer(t, "x.example. 60 IN MX 1 a.example.\nx.example. 60 IN MX 1 b.example.\n")
	c := dns.NewCache(p.client(t), nil)
	a, err := c.LookupMX(t.Context(), "x.example")
	if err != nil {
		t.Fatal(err)
	}
	a.Records[0].Host = "changed"
	b, _ := c.LookupMX(t.Context(), "x.example")
	b.Records[1].Host = "changed"
	d, _ := c.LookupMX(t.Context(), "x.example")
	if d.Records[0].Host != "a.example" || d.Records[1].Host != "b.example" {
		t.Errorf("a caller changed the cache: %v", d.Records)
	}
}

// TestCacheKeepsFailuresForSeconds: a burst of mail waits once for a name server
// that is away, and a retry asks again. RFC 2308, section 7.1.
func TestCacheKeepsFailuresForSeconds(t *testing.T) {
	down := &failing{}
	at := &clock{time.Unix(1e9, 0)}
	c := dns.NewCache(down, at.now)
	lookup := func(ctx context.Context, wantAsked int) {
		t.Helper()
		if _, err := c.LookupMX(ctx, "x.example"); !errors.Is(err, dns.ErrTemporary) {
			t.Error(err)
		}
		if down.asked != wantAsked {
			t.Errorf("asked %d times, want %d", down.asked, wantAsked)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	lookup(gone, 1) // who gave up says nothing about the server
	lookup(t.Context(), 2)
	lookup(t.Context(), 2)
	at.t = at.t.Add(11 * time.Second)
	lookup(t.Context(), 3)
}

// failing is a resolver whose servers are away.
type failing struct {
	dns.Resolver
	asked int
}

func (f *failing) LookupMX(context.Context, string) (dns.Answer[dns.MX], error) {
	f.asked++
	return dns.Answer[dns.MX]{}, &dns.Error{Class: dns.ErrTemporary}
}

func TestCacheIsBounded(t *testing.T) {
	p := newPeer(t, "")
	c := dns.NewCache(p.client(t), nil)
	for i := range 5000 {
		if _, err := c.LookupTXT(t.Context(), fmt.Sprintf("n%d.example", i)); !errors.Is(err, dns.ErrNoDomain) {
			t.Fatal(err)
		}
	}
	if n := c.Len(); n > 4096 {
		t.Errorf("%d entries", n)
	}
}
