package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/dkim"
	"postern/dns"
)

// Facts are what a plan follows from.
type Facts struct {
	Domain    string       // the mail domain
	Host      string       // this server, as the MX names it
	Addresses []netip.Addr // of the host, as others reach it; none: not known, and not planned

	Keys    []Key  // DKIM keys that must be visible: prepared, published, signing, retiring
	DMARC   string // none, quarantine, reject
	MTASTS  string // none, testing, enforce
	Reports string // mail address for the reports of others; empty: none are asked for
	// Challenge is the text that proves ownership; empty when it is proved.
	Challenge string
	// Authorities are who may issue certificates for names of the domain, by the
	// names of RFC 8659, section 4.2, such as "letsencrypt.org"; none: not known.
	Authorities []string
	// TLSA are the data of the host's TLSA records, for zones that are signed.
	TLSA []string

	// Names says who keeps the names: "" by hand, "delegated", "dkim", "cname". Target
	// is the zone of this server in which the selectors of "cname" lie.
	Names, Target string
}

// Key is a DKIM key as others see it.
type Key struct {
	Selector string
	Record   string // text of the TXT record
}

// How the names of a domain may be kept, in the words of Facts.Names.
const (
	ByHand    = ""
	Delegated = "delegated"
	DKIMZone  = "dkim"
	CNAME     = "cname"
)

// TTL of planned records: long enough for caches, short enough to mend a mistake.
const TTL = time.Hour

// PolicyAge is the max_age of the MTA-STS policies that a plan has: a week is what
// RFC 8461, section 3.2 calls the usual least, in which a mistake can be lived down.
const PolicyAge = 7 * 24 * time.Hour

// ChallengeName is where the record stands that proves ownership of a domain.
func ChallengeName(domain string) string { return "_postern-challenge." + domain }

// Plan is what a domain publishes, in the order of groups. It fails when a name
// among the facts is none, or a word is not of the standards.
func Plan(f Facts) ([]Record, error) {
	if err := f.normalize(); err != nil {
		return nil, err
	}
	var p plan
	p.receive(f)
	p.send(f)
	if err := p.trust(f); err != nil {
		return nil, err
	}
	p.optional(f)
	return p.records, nil
}

// normalize brings the names into their one form, and checks the words.
func (f *Facts) normalize() (err error) {
	if f.Domain, err = dns.Name(f.Domain); err != nil {
		return fmt.Errorf("zone: domain: %w", err)
	}
	if f.Host, err = dns.Name(f.Host); err != nil {
		return fmt.Errorf("zone: host: %w", err)
	}
	if f.Names == CNAME || f.Target != "" {
		if f.Target, err = dns.Name(f.Target); err != nil {
			return fmt.Errorf("zone: target of selectors: %w", err)
		}
	}
	for _, w := range []struct {
		what  string
		word  *string
		words []string
	}{
		{"DMARC policy", &f.DMARC, []string{"none", "quarantine", "reject"}},
		{"MTA-STS mode", &f.MTASTS, []string{"none", "testing", "enforce"}},
		{"way of keeping names", &f.Names, []string{ByHand, Delegated, DKIMZone, CNAME}},
	} {
		if *w.word == "" {
			*w.word = w.words[0]
		}
		if !slices.Contains(w.words, *w.word) {
			return fmt.Errorf("zone: %s %q", w.what, *w.word)
		}
	}
	return nil
}

// plan collects records.
type plan struct{ records []Record }

func (p *plan) add(g Group, purpose Purpose, required bool, name, typ, value string) {
	p.records = append(p.records, Record{Group: g, Purpose: purpose, Name: name, Type: typ, Value: value, TTL: TTL, Required: required})
}

func (p *plan) receive(f Facts) {
	if f.Names == Delegated {
		p.add(Receive, PurposeDelegation, true, f.Domain, "NS", f.Host)
	}
	p.add(Receive, PurposeMX, true, f.Domain, "MX", "10 "+f.Host)
	for _, ip := range f.Addresses {
		p.add(Receive, PurposeHost, true, f.Host, addressType(ip), ip.Unmap().String())
	}
}

func addressType(ip netip.Addr) string {
	if ip.Unmap().Is4() {
		return "A"
	}
	return "AAAA"
}

func (p *plan) send(f Facts) {
	p.add(Send, PurposeSPF, true, f.Domain, "TXT", "v=spf1 mx -all")
	if f.Names == DKIMZone {
		p.add(Send, PurposeDelegation, true, "_domainkey."+f.Domain, "NS", f.Host)
	}
	fixed := fixedSelectors(f)
	if f.Names == CNAME {
		p.aliases(Send, true, f, fixed)
	}
	for _, k := range f.Keys {
		if f.Names != CNAME || !slices.Contains(fixed, k.Selector) {
			p.add(Send, PurposeDKIM, true, dkim.RecordName(k.Selector, f.Domain), "TXT", k.Record)
		}
	}
	for _, ip := range f.Addresses {
		if name, err := dns.ReverseName(ip); err == nil {
			p.add(Send, PurposePTR, true, name, "PTR", f.Host)
		}
	}
}

// fixedSelectors are those that point here by CNAME, made once, so that keys rotate
// without a further hand. There are none without a zone for them to point into.
func fixedSelectors(f Facts) (all []string) {
	if f.Target == "" {
		return nil
	}
	for _, a := range []dkim.Algorithm{dkim.RSA, dkim.Ed25519} {
		two := dkim.FixedSelectors(a)
		all = append(all, two[:]...)
	}
	return all
}

func (p *plan) aliases(g Group, required bool, f Facts, selectors []string) {
	for _, s := range selectors {
		p.add(g, PurposeDelegation, required, dkim.RecordName(s, f.Domain), "CNAME", s+"."+f.Domain+"."+f.Target)
	}
}

func (p *plan) trust(f Facts) error {
	if f.Challenge != "" {
		p.add(Trust, PurposeChallenge, true, ChallengeName(f.Domain), "TXT", f.Challenge)
	}
	p.add(Trust, PurposeDMARC, true, "_dmarc."+f.Domain, "TXT", dmarcRecord(f))
	if f.MTASTS != "none" {
		policy, err := MTASTSPolicy(f.MTASTS, []string{f.Host}, PolicyAge)
		if err != nil {
			return err
		}
		p.add(Trust, PurposeMTASTS, false, "_mta-sts."+f.Domain, "TXT", "v=STSv1; id="+MTASTSID(policy)+";")
		p.alias(Trust, PurposeMTASTSHost, "mta-sts."+f.Domain, f)
	}
	if f.Reports != "" {
		p.add(Trust, PurposeTLSRPT, false, "_smtp._tls."+f.Domain, "TXT", "v=TLSRPTv1; rua=mailto:"+f.Reports)
	}
	for _, data := range f.TLSA {
		// RFC 7672, section 2.2: of the host, at the port of mail exchange.
		p.add(Trust, PurposeTLSA, false, "_25._tcp."+f.Host, "TLSA", data)
	}
	return nil
}

// dmarcRecord asks for reports with every policy: they are the evidence for a
// stricter one.
func dmarcRecord(f Facts) string {
	text := "v=DMARC1; p=" + f.DMARC
	if f.Reports != "" {
		text += "; rua=mailto:" + f.Reports
	}
	return text
}

// alias is a name that is this server. A name cannot be an alias of itself.
func (p *plan) alias(g Group, purpose Purpose, name string, f Facts) {
	if name != f.Host {
		p.add(g, purpose, false, name, "CNAME", f.Host)
	}
}

// services are where mail programs find the server. RFC 8314, section 5.1: TLS from
// the first octet is preferred.
var services = []struct{ name, priority, port string }{
	{"_submissions._tcp", "0 1", "465"},
	{"_submission._tcp", "10 1", "587"},
	{"_imaps._tcp", "0 1", "993"},
	{"_autodiscover._tcp", "0 1", "443"},
}

func (p *plan) optional(f Facts) {
	if f.Names == ByHand {
		// A selector that has a key of its own cannot be an alias, too.
		used := func(s string) bool { return slices.ContainsFunc(f.Keys, func(k Key) bool { return k.Selector == s }) }
		p.aliases(Optional, false, f, slices.DeleteFunc(fixedSelectors(f), used))
	}
	for _, ca := range f.Authorities {
		p.add(Optional, PurposeCAA, false, f.Domain, "CAA", `0 issue "`+strings.ToLower(ca)+`"`)
	}
	p.alias(Optional, PurposeAutoconfig, "autoconfig."+f.Domain, f)
	p.alias(Optional, PurposeAutodiscover, "autodiscover."+f.Domain, f)
	for _, s := range services {
		p.add(Optional, PurposeService, false, s.name+"."+f.Domain, "SRV", s.priority+" "+s.port+" "+f.Host)
	}
}
