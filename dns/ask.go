package dns

import (
	"context"
	"fmt"
	"net/netip"

	mdns "github.com/miekg/dns"
)

// Lookup asks the configured resolvers for records of any of the types A, AAAA,
// CAA, CNAME, DS, MX, NS, PTR, SOA, SRV, TLSA and TXT, in the form of Record.Value,
// following aliases. The root is ".".
func (c *Client) Lookup(ctx context.Context, name, typ string) (Answer[string], error) {
	t, ok := types[typ]
	if !ok {
		return Answer[string]{}, fmt.Errorf("dns: no lookup for type %q", typ)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if name == "." {
		return c.lookupRoot(ctx, typ)
	}
	f, err := c.lookup(ctx, name, t)
	if err != nil {
		return Answer[string]{}, err
	}
	out := answer[string](f)
	for _, rr := range f.records {
		if r, ok := recordOf(rr); ok {
			out.Records = append(out.Records, r.Value)
		}
	}
	return orUnusable(out, name, typ)
}

// lookupRoot asks for records of the root, which has no aliases.
func (c *Client) lookupRoot(ctx context.Context, typ string) (Answer[string], error) {
	reply, trusted, err := c.ask(ctx, "", types[typ])
	if err != nil {
		return Answer[string]{}, &Error{Name: ".", Type: typ, Class: ErrTemporary, Cause: err}
	}
	out := Answer[string]{Authentic: trusted && reply.AuthenticatedData, TTL: maxPositive}
	for _, r := range section(reply.Answer) {
		if r.Name == "" && r.Type == typ {
			out.Records, out.TTL = append(out.Records, r.Value), min(out.TTL, r.TTL)
		}
	}
	if len(out.Records) == 0 {
		return out, &Error{Name: ".", Type: typ, Class: ErrNoData, TTL: negativeTTL(reply.Ns), Authentic: out.Authentic}
	}
	return out, nil
}

// Reply is what one server said, not yet believed: the records may have any name.
type Reply struct {
	Authoritative bool // it speaks for the zone itself (RFC 1035, section 4.1.1: AA)
	NoDomain      bool // the name does not exist
	Answer        []Record
	Authority     []Record
	Additional    []Record
}

// Ask puts one question to one server, and asks for no recursion: what it answers
// is its own. Types are those of Lookup. An error is an *Error of class ErrTemporary
// when the server gave no answer that can be used, refusals among them, and of class
// ErrName for what is no name.
func (c *Client) Ask(ctx context.Context, server netip.AddrPort, name, typ string) (Reply, error) {
	t, ok := types[typ]
	if !ok {
		return Reply{}, fmt.Errorf("dns: no question for type %q", typ)
	}
	asked, err := question(name)
	if err != nil {
		return Reply{}, &Error{Name: name, Type: typ, Class: ErrName, Cause: err}
	}
	q := new(mdns.Msg)
	q.SetQuestion(mdns.Fqdn(asked), t)
	q.RecursionDesired = false
	q.SetEdns0(udpSize, false)
	m, err := c.exchange(ctx, q, server.String())
	if err != nil {
		return Reply{}, &Error{Name: name, Type: typ, Class: ErrTemporary, Cause: err}
	}
	return Reply{
		Authoritative: m.Authoritative, NoDomain: m.Rcode == mdns.RcodeNameError,
		Answer: section(m.Answer), Authority: section(m.Ns), Additional: section(m.Extra),
	}, nil
}

// section is a section of a message in our form, as much of it as is used.
func section(rrs []mdns.RR) (all []Record) {
	for _, rr := range rrs[:min(len(rrs), maxRecords)] {
		if r, ok := recordOf(rr); ok {
			all = append(all, r)
		}
	}
	return all
}
