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

// route lists the hosts for a destination in the order to try.
func (r *Relay) route(ctx context.Context, domain string) ([]hop, *fault) {
	if s := r.config.SmartHost; s != nil {
		h := hop{name: s.Host, port: s.Port, smart: s}
		if ip, err := netip.ParseAddr(s.Host); err == nil {
			h.ips = []netip.Addr{ip}
		}
		return []hop{h}, nil
	}
	if ip, ok := literal(domain); ok {
		return []hop{{name: domain, ips: []netip.Addr{ip}, port: r.config.Port}}, nil
	}
	mx, err := r.config.Resolver.LookupMX(ctx, domain)
	switch {
	case errors.Is(err, dns.ErrNoData):
		// RFC 5321, section 5.1: the domain itself is the implicit MX.
		return []hop{{name: domain, port: r.config.Port}}, nil
	case errors.Is(err, dns.ErrNullMX):
		return nil, permanent(NullMX, 556, "5.1.10") // RFC 7505, section 4.1
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrName):
		return nil, permanent(NoDomain, 0, "5.1.2")
	case err != nil:
		return nil, lookupFailed(ctx, err)
	}
	hosts := slices.DeleteFunc(mx.Records, func(mx dns.MX) bool {
		_, err := dns.Name(mx.Host)
		return err != nil
	})
	if len(hosts) == 0 { // the zone's owner may mend it
		return nil, lookupFailed(ctx, &dns.Error{Name: domain, Type: "MX", Class: dns.ErrTemporary})
	}
	return r.hops(hosts)
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

// addresses returns where a hop can be reached, in the order to try: IPv4
// first, whose reverse DNS is more often in order.
func (r *Relay) addresses(ctx context.Context, h hop) ([]netip.AddrPort, *fault) {
	ips := h.ips
	if ips == nil {
		a, err := r.config.Resolver.LookupIP(ctx, h.name)
		switch {
		case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrName):
			f := permanent(NoAddress, 0, "5.4.4")
			f.final = false // the next host may have one
			if h.smart != nil {
				f.outcome, f.enhanced = Temporary, "4.4.4" // our configuration, not the sender's mistake
			}
			return nil, f
		case err != nil:
			return nil, lookupFailed(ctx, err)
		}
		ips = a.Records
	}
	var out []netip.AddrPort
	for _, ip := range ips {
		if (h.smart != nil || r.config.AllowPrivate || dns.IsPublic(ip)) && len(out) < maxPerHost {
			out = append(out, netip.AddrPortFrom(ip.Unmap(), h.port))
		}
	}
	if len(out) == 0 {
		f := permanent(PrivateAddress, 0, "5.4.4")
		f.final = false
		return nil, f
	}
	return out, nil
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
