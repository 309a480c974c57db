package msgauth

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"postern/dns"
)

// Limits of RFC 7208, section 4.6.4, for one evaluation with all that it
// includes.
const (
	maxTerms    = 10 // terms that ask the DNS
	maxVoid     = 2  // of them that find nothing
	maxHosts    = 10 // exchangers of one mx
	maxPTRNames = 10 // names of one address that are looked at
)

// spf asks whether the host may use the return path.
func (c *Checker) spf(ctx context.Context, f Facts) SPF {
	local, name := f.From.Local, f.From.Domain
	helo := f.From.IsNull()
	if helo { // RFC 7208, section 2.4
		name = f.Helo
	}
	domain, err := dns.Name(name)
	if err != nil || !f.Remote.IsValid() {
		return SPF{} // an address literal publishes nothing (section 4.3)
	}
	if local == "" {
		local = "postmaster" // section 4.3
	}
	e := spfEvaluation{ctx: ctx, resolver: c.Resolver, ip: f.Remote.Unmap().WithZone(""), local: local, origin: domain, helo: f.Helo}
	return SPF{Value: e.check(domain), Domain: domain, Helo: helo}
}

// spfEvaluation is one run of check_host() with all that it leads to.
type spfEvaluation struct {
	ctx           context.Context
	resolver      dns.Resolver
	ip            netip.Addr
	local, origin string // of the sender
	helo          string

	terms, void int
	names       []string // of ip, as far as they have it
	named       bool     // names were looked for
}

// check is check_host() of section 4, for the domain whose record is read.
func (e *spfEvaluation) check(domain string) Value {
	record, v := e.record(domain)
	if v != None || record == nil {
		return v
	}
	for _, t := range record.terms {
		switch v := e.matches(t, domain); v {
		case Pass:
			return t.result
		case Fail:
		default:
			return v
		}
	}
	if record.redirect == "" {
		return Neutral // section 4.7
	}
	if !e.count() {
		return PermError
	}
	v = e.check(e.expand(record.redirect, domain))
	if v == None {
		return PermError // section 6.1
	}
	return v
}

// record finds the one record of a domain (section 4.4 and 4.5): none and None
// without one.
func (e *spfEvaluation) record(domain string) (*spfRecord, Value) {
	a, err := e.resolver.LookupTXT(e.ctx, domain)
	if errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrName) {
		return nil, None
	}
	if err != nil {
		return nil, TempError
	}
	var found *string
	for _, txt := range a.Records {
		if !isSPF(txt) {
			continue
		}
		if found != nil {
			return nil, PermError
		}
		found = &txt
	}
	if found == nil {
		return nil, None
	}
	if record, ok := parseSPF(*found); ok {
		return record, None
	}
	return nil, PermError
}

// count takes one of the terms that may ask the DNS.
func (e *spfEvaluation) count() bool {
	e.terms++
	return e.terms <= maxTerms
}

// missed is the value for a lookup that failed: Fail, no match, when there is
// nothing (section 5).
func (e *spfEvaluation) missed(err error) Value {
	switch {
	case errors.Is(err, dns.ErrNotFound):
		if e.void++; e.void > maxVoid {
			return PermError
		}
	case !errors.Is(err, dns.ErrName) && !errors.Is(err, dns.ErrNullMX):
		return TempError
	}
	return Fail
}

// matches evaluates one mechanism: Pass for a match, Fail for none, otherwise
// the result of everything.
func (e *spfEvaluation) matches(t spfTerm, domain string) Value {
	switch t.mechanism {
	case "all":
		return Pass
	case "ip4", "ip6":
		return match(t.network.Contains(e.ip))
	}
	if !e.count() {
		return PermError
	}
	target := domain
	if t.domain != "" {
		target = e.expand(t.domain, domain)
	}
	switch t.mechanism {
	case "include":
		return e.include(target)
	case "a":
		return e.hasAddress(target, t)
	case "mx":
		return e.exchanges(target, t)
	case "exists":
		return e.exists(target)
	}
	return e.ptr(target)
}

func match(yes bool) Value {
	if yes {
		return Pass
	}
	return Fail
}

// include is section 5.2.
func (e *spfEvaluation) include(target string) Value {
	switch v := e.check(target); v {
	case Pass, TempError, PermError:
		return v
	case None:
		return PermError
	}
	return Fail
}

// hasAddress is section 5.3.
func (e *spfEvaluation) hasAddress(host string, t spfTerm) Value {
	a, err := e.resolver.LookupIP(e.ctx, host)
	if err != nil {
		return e.missed(err)
	}
	for _, ip := range a.Records {
		bits := t.bits6
		if ip.Is4() {
			bits = t.bits4
		}
		if p, err := e.ip.Prefix(bits); err == nil && ip.BitLen() == e.ip.BitLen() && p.Contains(ip) {
			return Pass
		}
	}
	return Fail
}

// exchanges is section 5.4. That an exchanger has no address is passed over.
func (e *spfEvaluation) exchanges(domain string, t spfTerm) Value {
	a, err := e.resolver.LookupMX(e.ctx, domain)
	if err != nil {
		return e.missed(err)
	}
	if len(a.Records) > maxHosts {
		return PermError
	}
	for _, mx := range a.Records {
		void := e.void
		if v := e.hasAddress(mx.Host, t); v == Pass || v == TempError {
			return v
		}
		e.void = void
	}
	return Fail
}

// exists is section 5.7: it asks for an address of IPv4, whoever connects.
func (e *spfEvaluation) exists(name string) Value {
	a, err := e.resolver.LookupIP(e.ctx, name)
	if err != nil {
		return e.missed(err)
	}
	for _, ip := range a.Records {
		if ip.Is4() {
			return Pass
		}
	}
	return Fail
}

// ptr is section 5.5. Nobody should publish it, and whoever connects owns the
// answer: what goes wrong with it is no match.
func (e *spfEvaluation) ptr(domain string) Value {
	name, err := dns.Name(domain)
	if err != nil {
		return Fail
	}
	for _, n := range e.validated() {
		if n == name || strings.HasSuffix(n, "."+name) {
			return Pass
		}
	}
	return Fail
}

// validated are the names of the address that have it, looked up once.
func (e *spfEvaluation) validated() []string {
	if e.named {
		return e.names
	}
	e.named = true
	a, err := e.resolver.LookupPTR(e.ctx, e.ip)
	if err != nil {
		return nil
	}
	for _, name := range a.Records[:min(len(a.Records), maxPTRNames)] {
		addrs, err := e.resolver.LookupIP(e.ctx, name)
		for _, ip := range addrs.Records {
			if err == nil && ip == e.ip {
				e.names = append(e.names, name)
				break
			}
		}
	}
	return e.names
}
