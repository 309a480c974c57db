package dns

import (
	"context"
	"errors"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	maxAliases  = 8                  // CNAME steps of one lookup
	maxRecords  = 256                // records used of one answer
	maxPositive = 7 * 24 * time.Hour // RFC 8767, section 4
	maxNegative = 3 * time.Hour      // RFC 2308, section 5
)

// found is the outcome of following one question to its records.
type found struct {
	name      string
	records   []mdns.RR // of the type asked for; at least one
	ttl       time.Duration
	authentic bool
}

// lookup asks for one type, following aliases inside the answer and, where a
// server did not chase them, by asking again.
func (c *Client) lookup(ctx context.Context, asked string, typ uint16) (found, error) {
	fail := func(class, cause error) (found, error) {
		return found{}, &Error{Name: asked, Type: mdns.TypeToString[typ], Class: class, Cause: cause}
	}
	name, err := question(asked)
	if err != nil {
		return fail(ErrName, err)
	}
	f := found{name: name, ttl: maxPositive, authentic: true}
	for range maxAliases {
		reply, trusted, err := c.ask(ctx, f.name, typ)
		if err != nil {
			return fail(ErrTemporary, err)
		}
		f.authentic = f.authentic && trusted && reply.AuthenticatedData
		moved := f.follow(reply.Answer, typ)
		switch {
		case len(f.records) > 0:
			return f, nil
		case f.name == "":
			return fail(ErrTemporary, errors.New("aliases lead in a circle or to no name"))
		case reply.Rcode == mdns.RcodeNameError || !moved:
			class := ErrNoData
			if reply.Rcode == mdns.RcodeNameError {
				class = ErrNoDomain
			}
			return found{}, &Error{Name: asked, Type: mdns.TypeToString[typ], Class: class,
				TTL: min(negativeTTL(reply.Ns), f.ttl), Authentic: f.authentic}
		}
	}
	return fail(ErrTemporary, errors.New("too many aliases"))
}

// follow walks the chain of aliases inside one answer section from f.name and
// collects the records at its end. It reports whether the name moved; f.name
// is empty when the chain has no end.
func (f *found) follow(section []mdns.RR, typ uint16) (moved bool) {
	for range maxAliases {
		var target *mdns.CNAME
		for _, rr := range section {
			h := rr.Header()
			if h.Class != mdns.ClassINET || !strings.EqualFold(strings.TrimSuffix(h.Name, "."), f.name) {
				continue
			}
			switch {
			case h.Rrtype == typ && len(f.records) < maxRecords:
				f.records = append(f.records, rr)
				f.ttl = min(f.ttl, ttlOf(h))
			case h.Rrtype == mdns.TypeCNAME:
				target, _ = rr.(*mdns.CNAME)
			}
		}
		if len(f.records) > 0 || target == nil {
			return moved
		}
		f.ttl = min(f.ttl, ttlOf(target.Header()))
		moved = true
		next, err := Name(target.Target)
		if err != nil {
			break
		}
		f.name = next
	}
	f.name = ""
	return moved
}

func ttlOf(h *mdns.RR_Header) time.Duration {
	if h.Ttl > 1<<31-1 { // RFC 2181, section 8
		return 0
	}
	return time.Duration(h.Ttl) * time.Second
}

// negativeTTL is the lesser of the SOA's own TTL and its MINIMUM field
// (RFC 2308, section 5), zero without a SOA.
func negativeTTL(authority []mdns.RR) time.Duration {
	for _, rr := range authority {
		if soa, ok := rr.(*mdns.SOA); ok {
			return min(ttlOf(soa.Header()), time.Duration(soa.Minttl)*time.Second, maxNegative)
		}
	}
	return 0
}
