package msgauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"postern/dns"
	"postern/server/message"
)

// errNoRecord: the domain takes no part in DMARC.
var errNoRecord = errors.New("no DMARC record")

// errBadRecord: it wants to, and does not say how.
var errBadRecord = errors.New("malformed DMARC record")

// dmarcPolicy is what the domain in From asks for.
type dmarcPolicy struct {
	value   Value // None with a record; otherwise the result, whatever SPF and DKIM say
	none    bool  // no record: the result is None
	domain  string
	found   string // where the record was
	policy  Policy
	spared  bool // by pct=
	several bool // domains in From
	record  dmarcRecord
}

// dmarcPolicy finds the policy for a message (RFC 7489, section 6.6).
func (c *Checker) dmarcPolicy(ctx context.Context, m *mail) dmarcPolicy {
	domain, several, ok := author(m)
	if !ok {
		return dmarcPolicy{value: PermError, several: several}
	}
	out := dmarcPolicy{domain: domain}
	record, found, err := c.dmarcRecord(ctx, domain)
	switch {
	case errors.Is(err, errNoRecord):
		out.none = true
	case errors.Is(err, errBadRecord):
		out.value = PermError
	case err != nil, ctx.Err() != nil:
		out.value = TempError
	default:
		out.record, out.found, out.policy = record, found, c.policyFor(ctx, record, domain, found)
		if out.policy != PolicyNone && !sampled(record.percent, m.fields.header) {
			out.policy, out.spared = milder(out.policy), true
		}
	}
	return out
}

// judge asks whether SPF or DKIM passed for the domain (RFC 7489, section
// 6.6.2). One that could not be judged now leaves the answer open.
func (p dmarcPolicy) judge(r Results) DMARC {
	out := DMARC{Value: p.value, Domain: p.domain, Policy: p.policy, Several: p.several}
	if p.none || p.value != None {
		return out
	}
	out.Value, out.SampledOut, out.Published = Fail, p.spared, p.record.published(p.found)
	consider := func(v Value, domain string, strict bool) (passed bool) {
		if (v == Pass || v == TempError && out.Value == Fail) && aligned(domain, p.domain, strict) {
			out.Value = v
			return v == Pass
		}
		return false
	}
	// Section 3.1.2: with a null return path the HELO name takes its place.
	out.SPF = consider(r.SPF.Value, r.SPF.Domain, p.record.strictSPF)
	for _, d := range r.DKIM {
		out.DKIM = consider(d.Value, d.Domain, p.record.strictDKIM) || out.DKIM
	}
	return out
}

// author is the one domain in From. With several, or none, nobody can be asked
// (section 6.6.1); several says that it was for this.
func author(m *mail) (domain string, several, ok bool) {
	if len(m.fields.header) == 0 || m.Parsed.FromFields != 1 {
		return "", false, false
	}
	for _, a := range m.Parsed.Envelope.From {
		if a.IsGroupStart() || a.IsGroupEnd() {
			return "", false, false // RFC 6854: meant for those who cannot be answered
		}
		if a.Host == message.MissingHost {
			continue // as the first half of "Doe, Ada <ada@example.com>": nobody's domain
		}
		name, err := dns.Name(a.Host)
		if err != nil {
			return "", len(m.Parsed.Envelope.From) > 1, false
		}
		if domain != "" && name != domain {
			return "", true, false
		}
		domain = name
	}
	return domain, false, domain != ""
}

// dmarcRecord finds the record of a domain, or that of its organizational
// domain (section 6.6.3), and where it was.
func (c *Checker) dmarcRecord(ctx context.Context, domain string) (dmarcRecord, string, error) {
	record, err := c.oneRecord(ctx, domain)
	if org := organization(domain); errors.Is(err, errNoRecord) && org != domain {
		record, err = c.oneRecord(ctx, org)
		return record, org, err
	}
	return record, domain, err
}

func (c *Checker) oneRecord(ctx context.Context, domain string) (dmarcRecord, error) {
	a, err := c.Resolver.LookupTXT(ctx, "_dmarc."+domain)
	if errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrName) {
		return dmarcRecord{}, errNoRecord
	}
	if err != nil {
		return dmarcRecord{}, err
	}
	records := slices.DeleteFunc(slices.Clone(a.Records), func(txt string) bool { return !isDMARC(txt) })
	if len(records) != 1 {
		return dmarcRecord{}, errNoRecord // section 6.6.3, step 5: several count as none
	}
	return parseDMARC(records[0])
}

// dmarcRecord is what counts of a record (section 6.3).
type dmarcRecord struct {
	policy                Policy
	subdomains            Policy // sp=, or policy
	absent                Policy // np= of RFC 9091, or subdomains
	hasAbsent             bool
	strictSPF, strictDKIM bool
	percent               int // of failing mail to which the policy applies
	reports               []string
}

// maxReportURIs is how many of those who want reports are told of. Section 6.2
// asks for two at least.
const maxReportURIs = 5

// published is the record as others see it.
func (r dmarcRecord) published(found string) *Published {
	p := &Published{Domain: found, Policy: r.policy, Subdomains: r.subdomains, Absent: r.subdomains, StrictSPF: r.strictSPF,
		StrictDKIM: r.strictDKIM, Percent: r.percent, Reports: r.reports}
	if r.hasAbsent {
		p.Absent = r.absent
	}
	return p
}

// isDMARC reports whether a TXT record begins as section 6.4 says.
func isDMARC(txt string) bool {
	version, _, _ := strings.Cut(txt, ";")
	name, value, ok := strings.Cut(version, "=")
	return ok && strings.EqualFold(strings.TrimRight(name, " \t"), "v") && strings.Trim(value, " \t") == "DMARC1"
}

// parseDMARC reads a record as section 6.3 asks: a tag that is unknown, or whose
// value makes no sense, is as if it were not there. Only p= is needed, and one
// who asks for reports without a proper p= or sp= is taken to ask for nothing
// more (section 6.6.3, step 6).
func parseDMARC(txt string) (dmarcRecord, error) {
	list, written := map[string]string{}, map[string]string{}
	for t := range strings.SplitSeq(txt, ";") {
		name, value, _ := strings.Cut(t, "=")
		name = strings.ToLower(strings.Trim(name, fws))
		if _, twice := list[name]; !twice && len(list) < maxTags {
			written[name] = strings.Trim(value, fws)
			list[name] = strings.ToLower(written[name])
		}
	}
	r := dmarcRecord{percent: 100, strictSPF: list["aspf"] == "s", strictDKIM: list["adkim"] == "s", reports: reportURIs(written["rua"])}
	if n, err := strconv.ParseUint(list["pct"], 10, 8); err == nil && n <= 100 {
		r.percent = int(n)
	}
	if list["t"] == "y" { // DMARCbis, in the place of pct=0
		r.percent = 0
	}
	policy, ok := parsePolicy(list["p"])
	r.policy, r.subdomains = policy, policy
	if sp, given := list["sp"]; given {
		var valid bool
		r.subdomains, valid = parsePolicy(sp)
		ok = ok && valid
	}
	if !ok && !strings.Contains(list["rua"], "mailto:") {
		return dmarcRecord{}, errBadRecord
	}
	if !ok {
		return dmarcRecord{percent: r.percent, strictSPF: r.strictSPF, strictDKIM: r.strictDKIM, reports: r.reports}, nil
	}
	r.absent, r.hasAbsent = parsePolicy(list["np"])
	return r, nil
}

// reportURIs are those of a rua= (section 6.2: separated by commas, a comma inside
// of one is encoded).
func reportURIs(list string) (all []string) {
	for uri := range strings.SplitSeq(list, ",") {
		if uri = strings.Trim(uri, fws); uri != "" && len(uri) <= 512 && len(all) < maxReportURIs {
			all = append(all, uri)
		}
	}
	return all
}

func parsePolicy(s string) (Policy, bool) {
	for p := PolicyNone; p <= lastPolicy; p++ {
		if s == p.String() {
			return p, true
		}
	}
	return PolicyNone, false
}

// policyFor chooses between p=, sp= and np=.
func (c *Checker) policyFor(ctx context.Context, r dmarcRecord, domain, found string) Policy {
	switch {
	case domain == found:
		return r.policy
	case r.hasAbsent && c.absent(ctx, domain):
		return r.absent
	}
	return r.subdomains
}

// absent reports that a domain has neither addresses nor exchangers (RFC 9091,
// section 2.7).
func (c *Checker) absent(ctx context.Context, domain string) bool {
	if _, err := c.Resolver.LookupIP(ctx, domain); !errors.Is(err, dns.ErrNotFound) {
		return false
	}
	_, err := c.Resolver.LookupMX(ctx, domain)
	return errors.Is(err, dns.ErrNotFound)
}

// sampled reports whether a message is one of the pct= to which the policy
// applies (section 6.6.4). It depends on the header alone, so that trying again
// does not help.
func sampled(percent int, header []byte) bool {
	if percent == 100 {
		return true
	}
	sum := sha256.Sum256(header)
	return int(binary.BigEndian.Uint32(sum[:])%100) < percent
}

// milder is what holds for the other messages.
func milder(p Policy) Policy {
	if p == PolicyReject {
		return PolicyQuarantine
	}
	return PolicyNone
}

// aligned compares a domain that was authenticated with that of the author
// (section 3.1): equal, or in relaxed mode of one organization.
func aligned(domain, author string, strict bool) bool {
	if domain == "" {
		return false
	}
	return domain == author || !strict && organization(domain) == organization(author)
}

// Organization is the organizational domain of a domain in the form of dns.Name
// (section 3.2).
func Organization(domain string) string { return organization(domain) }

// organization is the domain that one registers below a public suffix (section
// 3.2); of a public suffix, itself.
func organization(domain string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
}
