package msgauth_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"postern/dkim"
	"postern/server/msgauth"
)

// RFC 7489, section 3.1: which authenticated domains stand for which authors.
func TestRFC7489_Alignment(t *testing.T) {
	const spf = "v=spf1 ip4:192.0.2.1 -all"
	for _, test := range []struct {
		record, from, path, signer string // path: passes SPF; signer: passes DKIM
		want                       string
	}{
		{"p=reject", "example.com", "example.com", "", "pass"},
		{"p=reject", "example.com", "", "example.com", "pass"},
		{"p=reject", "example.com", "", "", "fail"},
		{"p=reject", "EXAMPLE.com", "example.COM", "", "pass"},
		{"p=reject", "example.com", "mail.example.com", "", "pass"},
		{"p=reject", "example.com", "a.b.c.example.com", "", "pass"},
		{"p=reject", "news.example.com", "mail.example.com", "", "pass"},
		{"p=reject", "news.example.com", "example.com", "", "pass"},
		{"p=reject", "example.com", "", "mail.example.com", "pass"},
		{"p=reject", "news.example.com", "", "mail.example.com", "pass"},
		{"p=reject; aspf=s", "example.com", "mail.example.com", "", "fail"},
		{"p=reject; aspf=s", "example.com", "example.com", "", "pass"},
		{"p=reject; aspf=s", "example.com", "mail.example.com", "mail.example.com", "pass"},
		{"p=reject; adkim=s", "example.com", "", "mail.example.com", "fail"},
		{"p=reject; adkim=s", "example.com", "", "example.com", "pass"},
		{"p=reject; adkim=s", "example.com", "mail.example.com", "mail.example.com", "pass"},
		{"p=reject; adkim=r; aspf=r", "example.com", "mail.example.com", "", "pass"},
		{"p=reject; adkim=x; aspf=strict", "example.com", "mail.example.com", "", "pass"}, // what makes no sense is the default
		{"p=reject; ADKIM=S; ASPF=S", "example.com", "mail.example.com", "mail.example.com", "fail"},
		{"p=reject", "example.com", "example.net", "example.org", "fail"},
		{"p=reject", "example.com", "evilexample.com", "", "fail"},
		{"p=reject", "example.com", "example.com.evil.net", "", "fail"},
		{"p=reject", "example.co.uk", "other.co.uk", "", "fail"}, // co.uk is nobody's
		{"p=reject", "example.co.uk", "mail.example.co.uk", "", "pass"},
		{"p=reject", "example.co.uk", "co.uk", "co.uk", "fail"},
		{"p=reject", "alice.github.io", "bob.github.io", "", "fail"}, // nor is github.io
		{"p=reject", "xn--bcher-kva.example", "b\u00fccher.example", "", "pass"},
		{"p=reject", "b\u00fccher.example", "", "xn--bcher-kva.example", "pass"},
		{"p=none", "example.com", "", "", "fail"},
	} {
		z := &namedZone{records: map[string][]mdns.RR{}}
		author := strings.ReplaceAll(strings.ToLower(test.from), "b\u00fccher", "xn--bcher-kva")
		// The organization's record is found from below.
		z.add(t, "_dmarc."+organizationOf(author), mdns.TypeTXT, []string{"v=DMARC1; " + test.record})
		if test.path != "" {
			z.add(t, strings.ReplaceAll(test.path, "b\u00fccher", "xn--bcher-kva"), mdns.TypeTXT, []string{spf})
		}
		mail := letter("a@" + test.from)
		if test.signer != "" {
			z.add(t, dkim.RecordName("s", test.signer), mdns.TypeTXT, []string{keys()[1].Record()})
			mail = stamp(t, mail, "d="+test.signer+"; s=s", "From", private(t, keys()[1]))
		}
		f := facts(t, "192.0.2.1", "", mail)
		f.From.Local, f.From.Domain = "a", test.path
		if test.path == "" {
			f.From.Domain = "unrelated.example"
		}
		if got := z.start(t).Check(t.Context(), f).DMARC.Value.String(); got != test.want {
			t.Errorf("%s From %s, path %q, signed by %q: %s, want %s", test.record, test.from, test.path, test.signer, got, test.want)
		}
	}
}

// organizationOf knows the public suffixes of the table above.
func organizationOf(domain string) string {
	labels := strings.Split(domain, ".")
	n := 2
	if strings.HasSuffix(domain, ".co.uk") || strings.HasSuffix(domain, ".github.io") {
		n = 3
	}
	return strings.Join(labels[len(labels)-n:], ".")
}

// RFC 7489, section 6.3 and 6.6.3: what a record, or several, ask for.
func TestRFC7489_Policies(t *testing.T) {
	many := ""
	for i := range 3_000 {
		many += fmt.Sprintf("z%d=1; ", i)
	}
	for _, test := range []struct {
		records map[string][]string // by owner below example.com: "" itself
		from    string
		want    string
	}{
		{nil, "example.com", "none/none"},
		{map[string][]string{"": {"v=DMARC1; p=reject"}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=quarantine"}}, "example.com", "fail/quarantine"},
		{map[string][]string{"": {"v=DMARC1;p=none"}}, "example.com", "fail/none"},
		{map[string][]string{"": {"v = DMARC1 ; P = Reject ; "}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"V=DMARC1; p=reject"}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=dmarc1; p=reject"}}, "example.com", "none/none"}, // section 6.4: the value has a case
		{map[string][]string{"": {"p=reject; v=DMARC1"}}, "example.com", "none/none"}, // section 6.3: v comes first
		{map[string][]string{"": {"v=DMARC12; p=reject"}}, "example.com", "none/none"},
		{map[string][]string{"": {"some other text", "v=DMARC1; p=reject"}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=reject", "v=DMARC1; p=none"}}, "example.com", "none/none"}, // section 6.6.3, step 5
		{map[string][]string{"": {"v=DMARC1; p=reject", "v=DMARC1; p=reject;"}, "news.": {"v=DMARC1; p=reject"}}, "example.com", "none/none"},
		{map[string][]string{"": {"v=DMARC1; p=reject; rf=iodef; ri=often; fo=x:y; ruf=; zz"}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; " + many + "p=reject"}}, "example.com", "permerror/none"},
		{map[string][]string{"": {"v=DMARC1; p=reject; " + many}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1"}}, "example.com", "permerror/none"},
		{map[string][]string{"": {"v=DMARC1; p=maybe"}}, "example.com", "permerror/none"},
		{map[string][]string{"": {"v=DMARC1; p=reject; sp=maybe"}}, "example.com", "permerror/none"},
		{map[string][]string{"": {"v=DMARC1; p=maybe; rua=mailto:d@example.com"}}, "example.com", "fail/none"}, // section 6.6.3, step 6
		{map[string][]string{"": {"v=DMARC1; rua=mailto:d@example.com"}}, "example.com", "fail/none"},
		{map[string][]string{"": {"v=DMARC1; p=reject; p=none"}}, "example.com", "fail/reject"},

		{map[string][]string{"": {"v=DMARC1; p=reject; sp=none"}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=reject; sp=none"}}, "news.example.com", "fail/none"},
		{map[string][]string{"": {"v=DMARC1; p=none; sp=reject"}}, "a.b.c.example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=quarantine"}}, "news.example.com", "fail/quarantine"},
		{map[string][]string{"": {"v=DMARC1; p=reject"}, "news.": {"v=DMARC1; p=none; sp=reject"}}, "news.example.com", "fail/none"},
		{map[string][]string{"": {"v=DMARC1; p=reject"}, "news.": {"nothing of the kind"}}, "news.example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=reject"}, "b.": {"v=DMARC1; p=none"}}, "a.b.example.com", "fail/reject"}, // two places, not every one between
		// RFC 9091: subdomains that are there, and that are not.
		{map[string][]string{"": {"v=DMARC1; p=none; sp=none; np=reject"}}, "gone.example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=none; sp=none; np=reject"}}, "here.example.com", "fail/none"},
		{map[string][]string{"": {"v=DMARC1; p=none; np=reject"}}, "example.com", "fail/none"},
		{map[string][]string{"": {"v=DMARC1; p=reject; np=none"}}, "silent.example.com", "fail/reject"}, // nobody knows: not absent

		{map[string][]string{"": {"v=DMARC1; p=reject; pct=0"}}, "example.com", "fail/quarantine"}, // section 6.6.4
		{map[string][]string{"": {"v=DMARC1; p=quarantine; pct=0"}}, "example.com", "fail/none"},
		{map[string][]string{"": {"v=DMARC1; p=none; pct=0"}}, "example.com", "fail/none"},
		{map[string][]string{"": {"v=DMARC1; p=reject; pct=100"}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=reject; pct=101"}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=reject; pct=-1"}}, "example.com", "fail/reject"},
		{map[string][]string{"": {"v=DMARC1; p=reject; t=y"}}, "example.com", "fail/quarantine"},
		{map[string][]string{"": {"v=DMARC1; p=reject; t=n"}}, "example.com", "fail/reject"},
		{map[string][]string{"silent": nil}, "silent.example.com", "none/none"},
	} {
		z := &namedZone{records: map[string][]mdns.RR{}, silent: map[string]bool{"silent.example.com.": true}}
		z.add(t, "here.example.com", mdns.TypeA, []string{"192.0.2.7"})
		for owner, records := range test.records {
			for _, r := range records {
				z.add(t, "_dmarc."+owner+"example.com", mdns.TypeTXT, []string{r})
			}
		}
		r := z.start(t).Check(t.Context(), facts(t, "192.0.2.1", "a@unrelated.example", letter("a@"+test.from))).DMARC
		if got := r.Value.String() + "/" + r.Policy.String(); got != test.want {
			t.Errorf("%.100q, From %s: %s, want %s", test.records, test.from, got, test.want)
		}
	}
}

// Temporary is what may be otherwise tomorrow.
func TestDMARCThatCouldNotBeJudged(t *testing.T) {
	z := zoneOf(t, `
_dmarc.silent.example SILENT
silent.example TXT v=spf1 ip4:192.0.2.1 -all
_dmarc.spf.example TXT v=DMARC1; p=reject
spf.example SILENT
_dmarc.dkim.example TXT v=DMARC1; p=reject
s._domainkey.dkim.example SILENT
both.example TXT v=spf1 ip4:192.0.2.1 -all
_dmarc.both.example TXT v=DMARC1; p=reject
s._domainkey.both.example SILENT
`)
	c := z.start(t)
	for domain, want := range map[string]string{"silent.example": "temperror/none", "spf.example": "temperror/reject",
		"dkim.example": "temperror/reject", "both.example": "pass/reject"} {
		mail := stamp(t, letter("a@"+domain), "d="+domain+"; s=s", "From", private(t, keys()[1]))
		r := c.Check(t.Context(), facts(t, "192.0.2.1", "a@"+domain, mail)).DMARC
		if got := r.Value.String() + "/" + r.Policy.String(); got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
}

// pct= takes about its share, and of equal messages all or none.
func TestSampling(t *testing.T) {
	c := zoneOf(t, "_dmarc.part.example TXT v=DMARC1; p=reject; pct=25").start(t)
	rejected := 0
	for i := range 400 {
		mail := fmt.Sprintf("X: %d\r\n", i) + letter("a@part.example")
		first := c.Check(t.Context(), facts(t, "192.0.2.1", "", mail)).DMARC
		if i < 20 && c.Check(t.Context(), facts(t, "192.0.2.99", "", mail)).DMARC.Policy != first.Policy {
			t.Error("another answer at a second try")
		}
		if first.Policy == msgauth.PolicyReject {
			rejected++
		}
	}
	if rejected < 60 || rejected > 140 {
		t.Errorf("%d of 400", rejected)
	}
}

// What a domain publishes goes into the report that it is sent: RFC 7489, sections
// 6.3 and 7.2.
func TestPublished(t *testing.T) {
	c := zoneOf(t, `
_dmarc.asks.example TXT v=DMARC1; p=reject; sp=quarantine; adkim=s; pct=0; rua=mailto:Reports@Asks.example!10m , https://asks.example/r,mailto:b@b.example,mailto:c@c.example,mailto:d@d.example,mailto:e@e.example
asks.example TXT v=spf1 ip4:192.0.2.1 -all
`).start(t)
	r := c.Check(t.Context(), facts(t, "192.0.2.1", "x@asks.example", letter("a@news.asks.example"))).DMARC
	want := &msgauth.Published{Domain: "asks.example", Policy: msgauth.PolicyReject, Subdomains: msgauth.PolicyQuarantine, Absent: msgauth.PolicyQuarantine,
		StrictDKIM: true, Reports: []string{"mailto:Reports@Asks.example!10m", "https://asks.example/r", "mailto:b@b.example", "mailto:c@c.example", "mailto:d@d.example"}}
	if !reflect.DeepEqual(r.Published, want) {
		t.Errorf("got %+v", r.Published)
	}
	if r.Value != msgauth.Pass || !r.SPF || r.DKIM || !r.SampledOut || r.Policy != msgauth.PolicyNone {
		t.Errorf("got %+v", r)
	}
	if bare := c.Check(t.Context(), facts(t, "192.0.2.1", "", letter("a@none.example"))).DMARC; bare.Published != nil {
		t.Errorf("a domain without a record: %+v", bare)
	}
}
