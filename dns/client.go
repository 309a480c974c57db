package dns

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// Config says whom a [Client] asks.
type Config struct {
	// Servers are recursive resolvers, "192.0.2.53" or "192.0.2.53:5353",
	// asked in this order. None: those of ResolvConf.
	Servers []string
	// ResolvConf is the file with the servers of this machine; empty:
	// /etc/resolv.conf. When it names none, 127.0.0.1 is asked, as resolver(5)
	// says.
	ResolvConf string
	// TrustAD believes the AD bit of every server, not only of those on a
	// loopback address. Right when the path to them is protected.
	TrustAD bool
	// TryTimeout bounds one exchange with one server, Timeout a whole lookup.
	// Zero: 3 and 12 seconds.
	TryTimeout, Timeout time.Duration
}

// Client asks recursive resolvers over UDP, and over TCP where the answer did
// not fit or did not belong to the question. It keeps nothing.
type Client struct {
	servers []server
	try     time.Duration
	timeout time.Duration
}

type server struct {
	addr    string
	trusted bool // its AD bit counts
}

var _ Resolver = (*Client)(nil)

// NewClient makes a resolver. It fails when a server is not an address.
func NewClient(c Config) (*Client, error) {
	addrs := c.Servers
	if len(addrs) == 0 {
		addrs = systemServers(c.ResolvConf)
	}
	client := &Client{try: c.TryTimeout, timeout: c.Timeout}
	if client.try <= 0 {
		client.try = 3 * time.Second
	}
	if client.timeout <= 0 {
		client.timeout = 12 * time.Second
	}
	for _, s := range addrs {
		addr, err := parseServer(s)
		if err != nil {
			return nil, err
		}
		client.servers = append(client.servers, server{
			addr:    addr.String(),
			trusted: c.TrustAD || addr.Addr().Unmap().IsLoopback(),
		})
	}
	return client, nil
}

func parseServer(s string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(ip, 53), nil
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		return addr, fmt.Errorf("dns: server %q: want an address such as 192.0.2.53 or [2001:db8::53]:53", s)
	}
	return addr, nil
}

func systemServers(path string) []string {
	if path == "" {
		path = "/etc/resolv.conf"
	}
	conf, err := mdns.ClientConfigFromFile(path)
	if err != nil || len(conf.Servers) == 0 {
		return []string{"127.0.0.1"}
	}
	return conf.Servers
}

// LookupMX implements [Resolver].
func (c *Client) LookupMX(ctx context.Context, domain string) (Answer[MX], error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a, err := c.lookup(ctx, domain, mdns.TypeMX)
	if err != nil {
		return Answer[MX]{}, err
	}
	out, null := answer[MX](a), false
	for _, rr := range a.records {
		mx := rr.(*mdns.MX)
		// RFC 7505, section 3: a single record with the root as exchanger. Beside
		// others it is a mistake, and passed over.
		if mx.Mx == "." {
			null = true
		} else if host, err := question(mx.Mx); err == nil && !strings.Contains(host, `\`) {
			out.Records = append(out.Records, MX{mx.Preference, host})
		}
	}
	if len(out.Records) == 0 && null {
		return Answer[MX]{}, &Error{Name: domain, Type: "MX", Class: ErrNullMX, TTL: a.ttl, Authentic: a.authentic}
	}
	slices.SortStableFunc(out.Records, func(x, y MX) int { return int(x.Preference) - int(y.Preference) })
	return orUnusable(out, domain, "MX")
}

// LookupTXT implements [Resolver].
func (c *Client) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a, err := c.lookup(ctx, name, mdns.TypeTXT)
	if err != nil {
		return Answer[string]{}, err
	}
	out := answer[string](a)
	for _, rr := range a.records {
		// RFC 7208, section 3.3 and RFC 6376, section 3.6.2.2: joined as they stand.
		out.Records = append(out.Records, unescape(strings.Join(rr.(*mdns.TXT).Txt, "")))
	}
	return out, nil
}

// LookupIP implements [Resolver].
func (c *Client) LookupIP(ctx context.Context, host string) (Answer[netip.Addr], error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	type half struct {
		found found
		err   error
	}
	six := make(chan half, 1)
	go func() {
		f, err := c.lookup(ctx, host, mdns.TypeAAAA)
		six <- half{f, err}
	}()
	a, err4 := c.lookup(ctx, host, mdns.TypeA)
	aaaa := <-six
	if err4 != nil && aaaa.err != nil {
		// A failure says less than a no: as long as one family is unknown, so is
		// the host.
		if errors.Is(err4, ErrNotFound) {
			return Answer[netip.Addr]{}, aaaa.err
		}
		return Answer[netip.Addr]{}, err4
	}
	out := Answer[netip.Addr]{Authentic: true}
	if err4 == nil {
		out = answer[netip.Addr](a)
	}
	if aaaa.err == nil {
		b := answer[netip.Addr](aaaa.found)
		out.Name, out.Authentic = b.Name, out.Authentic && b.Authentic
		if err4 != nil || b.TTL < out.TTL {
			out.TTL = b.TTL
		}
	}
	for _, rr := range append(a.records, aaaa.found.records...) {
		if ip, ok := addressOf(rr); ok {
			out.Records = append(out.Records, ip)
		}
	}
	return orUnusable(out, host, "A")
}

func addressOf(rr mdns.RR) (netip.Addr, bool) {
	var raw net.IP
	switch rr := rr.(type) {
	case *mdns.A:
		raw = rr.A
	case *mdns.AAAA:
		raw = rr.AAAA
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ip.Unmap(), ok
}

// LookupPTR implements [Resolver].
func (c *Client) LookupPTR(ctx context.Context, ip netip.Addr) (Answer[string], error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	name, err := ReverseName(ip)
	if err != nil {
		return Answer[string]{}, err
	}
	a, err := c.lookup(ctx, name, mdns.TypePTR)
	if err != nil {
		return Answer[string]{}, err
	}
	out := answer[string](a)
	for _, rr := range a.records {
		if name, err := Name(rr.(*mdns.PTR).Ptr); err == nil {
			out.Records = append(out.Records, name)
		}
	}
	return orUnusable(out, name, "PTR")
}

// LookupTLSA implements [Resolver].
func (c *Client) LookupTLSA(ctx context.Context, name string) (Answer[TLSA], error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a, err := c.lookup(ctx, name, mdns.TypeTLSA)
	if err != nil {
		return Answer[TLSA]{}, err
	}
	out := answer[TLSA](a)
	for _, rr := range a.records {
		r := rr.(*mdns.TLSA)
		if data, err := hex.DecodeString(r.Certificate); err == nil {
			out.Records = append(out.Records, TLSA{r.Usage, r.Selector, r.MatchingType, data})
		}
	}
	return orUnusable(out, name, "TLSA")
}

func answer[T any](f found) Answer[T] {
	return Answer[T]{Name: f.name, TTL: f.ttl, Authentic: f.authentic}
}

// orUnusable turns an answer whose every record was malformed into an error:
// temporary, since the zone's owner may mend it, and nothing was denied.
func orUnusable[T any](a Answer[T], name, typ string) (Answer[T], error) {
	if len(a.Records) > 0 {
		return a, nil
	}
	return Answer[T]{}, &Error{Name: name, Type: typ, Class: ErrTemporary, Cause: errors.New("only malformed records")}
}
