package relay

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"postern/dns"
	"postern/server/message"
)

// Bounds of one attempt, whatever a zone lists.
const (
	maxHosts    = 8 // hosts looked up
	maxPerHost  = 4 // addresses tried of one host
	maxSessions = 4 // hosts that were spoken to
)

// hop is a host that may take the message.
type hop struct {
	name string
	ips  []netip.Addr // nil: to be looked up
	port uint16
	// smart is set for a smart host: its policy of TLS and password, and no
	// guard, as the operator chose it.
	smart *SmartHost
}

// way is how a message gets to its destination.
type way struct {
	hops []hop // in the order to try
	// authentic: DNSSEC vouches for the hosts being the destination's.
	authentic bool
	alias     string // what the destination's name stands for, if it is an alias
}

// route finds the hosts for a destination.
func (r *Relay) route(ctx context.Context, domain string) (way, *fault) {
	if s := r.config.SmartHost; s != nil {
		h := hop{name: s.Host, port: s.Port, smart: s}
		if ip, err := netip.ParseAddr(s.Host); err == nil {
			h.ips = []netip.Addr{ip}
		}
		return way{hops: []hop{h}}, nil
	}
	if ip, ok := literal(domain); ok {
		return way{hops: []hop{{name: domain, ips: []netip.Addr{ip}, port: r.config.Port}}}, nil
	}
	mx, err := r.config.Resolver.LookupMX(ctx, domain)
	var no *dns.Error
	switch {
	case errors.Is(err, dns.ErrNoData):
		// RFC 5321, section 5.1: the domain itself is the implicit MX.
		return way{hops: []hop{{name: domain, port: r.config.Port}}, authentic: errors.As(err, &no) && no.Authentic}, nil
	case errors.Is(err, dns.ErrNullMX):
		return way{}, permanent(NullMX, 556, "5.1.10") // RFC 7505, section 4.1
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrName):
		return way{}, permanent(NoDomain, 0, "5.1.2")
	case err != nil:
		return way{}, lookupFailed(ctx, err)
	}
	w := way{authentic: mx.Authentic}
	if mx.Name != domain {
		w.alias = mx.Name
	}
	hosts := slices.DeleteFunc(mx.Records, func(mx dns.MX) bool {
		_, err := dns.Name(mx.Host)
		return err != nil
	})
	if len(hosts) == 0 { // the zone's owner may mend it
		return way{}, lookupFailed(ctx, &dns.Error{Name: domain, Type: "MX", Class: dns.ErrTemporary})
	}
	var f *fault
	w.hops, f = r.hops(hosts)
	return w, f
}

// hops orders mail exchangers and drops ourselves with all that are no better,
// or two servers would hand mail to each other for ever (RFC 5321, section 5.1).
func (r *Relay) hops(records []dns.MX) ([]hop, *fault) {
	// Shuffle, then sort by preference with a stable sort: equals share the load.
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	slices.SortStableFunc(records, func(a, b dns.MX) int { return int(a.Preference) - int(b.Preference) })
	ours := slices.IndexFunc(records, func(mx dns.MX) bool {
		return strings.EqualFold(mx.Host, strings.TrimSuffix(r.config.Hostname, "."))
	})
	var out []hop
	for _, mx := range records {
		if ours < 0 || mx.Preference < records[ours].Preference {
			out = append(out, hop{name: mx.Host, port: r.config.Port})
		}
	}
	if len(out) == 0 {
		return nil, permanent(Loop, 0, "5.4.6")
	}
	return out[:min(len(out), maxHosts)], nil
}

// places are where a hop can be reached.
type places struct {
	addrs []netip.AddrPort // in the order to try
	// authentic: DNSSEC vouches for them.
	authentic bool
	alias     string // what the host's name stands for, if it is an alias
}

// addresses finds where a hop can be reached.
func (r *Relay) addresses(ctx context.Context, h hop) (places, *fault) {
	ips := h.ips
	var p places
	if ips == nil {
		a, err := r.config.Resolver.LookupIP(ctx, h.name)
		switch {
		case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrName):
			f := permanent(NoAddress, 0, "5.4.4")
			f.final = false // the next host may have one
			if h.smart != nil {
				f.outcome, f.enhanced = Temporary, "4.4.4" // our configuration, not the sender's mistake
			}
			return p, f
		case err != nil:
			return p, lookupFailed(ctx, err)
		}
		ips, p.authentic = a.Records, a.Authentic
		if a.Name != h.name {
			p.alias = a.Name
		}
	}
	for _, ip := range inTurn(ips) {
		if (h.smart != nil || r.config.AllowPrivate || dns.IsPublic(ip)) && len(p.addrs) < maxPerHost {
			p.addrs = append(p.addrs, netip.AddrPortFrom(ip.Unmap(), h.port))
		}
	}
	if len(p.addrs) == 0 {
		f := permanent(PrivateAddress, 0, "5.4.4")
		f.final = false
		return p, f
	}
	return p, nil
}

// inTurn orders addresses so that either family is tried soon, however many the
// other has. IPv4 is first, whose reverse DNS is more often in order.
func inTurn(ips []netip.Addr) []netip.Addr {
	var family [2][]netip.Addr
	for _, ip := range ips {
		six := 0
		if ip.Unmap().Is6() {
			six = 1
		}
		family[six] = append(family[six], ip)
	}
	var out []netip.Addr
	for i := range max(len(family[0]), len(family[1])) {
		for _, all := range family {
			if i < len(all) {
				out = append(out, all[i])
			}
		}
	}
	return out
}

func lookupFailed(ctx context.Context, err error) *fault {
	if ctx.Err() != nil {
		return faultOf(ctx, err)
	}
	return temporary(DNSFailed, "4.4.3")
}

// literal reads the domain of user@[192.0.2.1] (RFC 5321, section 4.1.3).
func literal(domain string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(domain, "[")
	inner, ok2 := strings.CutSuffix(inner, "]")
	if !ok || !ok2 {
		return netip.Addr{}, false
	}
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		inner = inner[5:]
	}
	ip, err := netip.ParseAddr(inner)
	return ip, err == nil
}

// wire writes a path for the envelope, its domain in A-labels, so that
// SMTPUTF8 is needed for the local part only.
func wire(p message.Path) message.Path {
	if p.Domain == "" || p.Domain[0] == '[' {
		return p
	}
	return message.Path{Local: p.Local, Domain: message.CanonicalDomain(p.Domain)}
}
