package msgauth

import (
	"context"
	"errors"
	"strings"

	"github.com/emersion/go-msgauth/dmarc"
	"golang.org/x/net/publicsuffix"

	"postern/dns"
	"postern/server/message"
)

// errNoRecord: the domain takes no part in DMARC.
var errNoRecord = errors.New("no DMARC record")

// dmarc asks whether SPF or DKIM passed for the domain in From (RFC 7489,
// section 6.6.2).
func (c *Checker) dmarc(ctx context.Context, f Facts, r Results) DMARC {
	domain, ok := author(f)
	if !ok {
		// Section 6.6.1: several authors, or none. Nobody can be asked.
		return DMARC{Value: PermError}
	}
	out := DMARC{Domain: domain}
	record, found, err := c.dmarcRecord(ctx, domain)
	switch {
	case errors.Is(err, errNoRecord):
		return out
	case errors.Is(err, dns.ErrTemporary), ctx.Err() != nil:
		out.Value = TempError
		return out
	case err != nil:
		out.Value = PermError
		return out
	}
	out.Policy = policyOf(record, found != domain)
	// Section 3.1.2: with a null return path the HELO name takes its place.
	spf := aligned(r.SPF.Domain, domain, record.SPFAlignment)
	out.Value = Fail
	if spf && r.SPF.Value == TempError {
		out.Value = TempError
	}
	for _, d := range r.DKIM {
		switch match := aligned(d.Domain, domain, record.DKIMAlignment); {
		case match && d.Value == Pass:
			out.Value = Pass
			return out
		case match && d.Value == TempError:
			out.Value = TempError
		}
	}
	if spf && r.SPF.Value == Pass {
		out.Value = Pass
	}
	return out
}

// author is the domain of the only mailbox in From.
func author(f Facts) (string, bool) {
	header, err := message.ReadHeader(f.Data, f.Parsed)
	if err != nil || len(f.Parsed.Envelope.From) != 1 {
		return "", false
	}
	fields := 0
	for field := range message.Fields(header) {
		if field.Is("from") {
			fields++
		}
	}
	domain, err := dns.Name(f.Parsed.Envelope.From[0].Host)
	return domain, err == nil && fields == 1
}

// dmarcRecord finds the record of a domain, or that of its organizational
// domain (RFC 7489, section 6.6.3), and where it was.
func (c *Checker) dmarcRecord(ctx context.Context, domain string) (*dmarc.Record, string, error) {
	record, err := c.oneRecord(ctx, domain)
	if org := organization(domain); errors.Is(err, errNoRecord) && org != domain {
		record, err = c.oneRecord(ctx, org)
		return record, org, err
	}
	return record, domain, err
}

func (c *Checker) oneRecord(ctx context.Context, domain string) (*dmarc.Record, error) {
	a, err := c.Resolver.LookupTXT(ctx, "_dmarc."+domain)
	if errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrName) {
		return nil, errNoRecord
	}
	if err != nil {
		return nil, err
	}
	var records []string
	for _, txt := range a.Records {
		if v, _, _ := strings.Cut(txt, ";"); strings.ReplaceAll(strings.TrimSpace(v), " ", "") == "v=DMARC1" {
			records = append(records, txt)
		}
	}
	if len(records) != 1 {
		return nil, errNoRecord // section 6.6.3, step 5: several count as none
	}
	return dmarc.Parse(records[0])
}

func policyOf(r *dmarc.Record, subdomain bool) Policy {
	p := r.Policy
	if subdomain && r.SubdomainPolicy != "" {
		p = r.SubdomainPolicy
	}
	switch p {
	case dmarc.PolicyQuarantine:
		return PolicyQuarantine
	case dmarc.PolicyReject:
		return PolicyReject
	}
	return PolicyNone
}

// aligned compares a domain that was authenticated with that of the author
// (section 3.1): equal, or in relaxed mode of one organization.
func aligned(domain, author string, mode dmarc.AlignmentMode) bool {
	if domain == "" {
		return false
	}
	return domain == author || mode != dmarc.AlignmentStrict && organization(domain) == organization(author)
}

// organization is the domain that one registers below a public suffix (section
// 3.2); of a public suffix, itself.
func organization(domain string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
}
