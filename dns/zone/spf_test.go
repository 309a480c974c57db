package zone

import (
	"net/netip"
	"strings"
	"testing"
)

var us = sender{domain: "example.com", host: "mail.example.com", mx: true, addresses: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")}}

// TestRFC7208_Merge: one record that keeps what others permit, and permits us.
func TestRFC7208_Merge(t *testing.T) {
	elsewhere := us
	elsewhere.mx = false
	for _, c := range []struct {
		who    sender
		have   []string
		merged string
	}{
		{us, []string{"v=spf1 mx -all"}, "v=spf1 mx -all"},
		{us, []string{"v=spf1 a:MAIL.example.com. -all"}, "v=spf1 a:MAIL.example.com. -all"},
		{us, []string{"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"}, "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"},
		{us, []string{"v=spf1 ip4:192.0.2.25 -all"}, "v=spf1 mx ip4:192.0.2.25 -all"}, // not our IPv6
		{us, []string{"v=spf1 -ip4:192.0.2.25 mx -all"}, "v=spf1 mx -ip4:192.0.2.25 -all"},
		{us, []string{"v=spf1 -all mx"}, "v=spf1 mx -all"},
		{us, []string{"v=spf1 ~mx -all"}, "v=spf1 mx ~mx -all"},
		{elsewhere, []string{"v=spf1 mx -all"}, "v=spf1 a:mail.example.com mx -all"},
		{us, []string{"v=spf1 include:a.test ?all"}, "v=spf1 mx include:a.test ?all"},
		{us, []string{"v=spf1 redirect=a.test"}, "v=spf1 mx redirect=a.test"},
		{us, []string{"v=spf1 +all"}, "v=spf1 mx ~all"},
		{us, []string{"v=spf1"}, "v=spf1 mx"},
		{us, []string{"v=spf1 include:a.test -all", "v=spf1 include:b.test include:a.test ~all"}, "v=spf1 mx include:a.test include:b.test ~all"},
		{us, []string{"v=spf1 redirect=a.test", "v=spf1 mx -all"}, "v=spf1 include:a.test mx -all"},
		{us, []string{"v=spf1 redirect=a.test", "v=spf1 mx"}, "v=spf1 include:a.test mx ~all"},
	} {
		var records []spf
		for _, text := range c.have {
			r, err := parseSPF(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			records = append(records, r)
		}
		if got := mergeSPF(records).admit(c.who).String(); got != c.merged {
			t.Errorf("%q\n got %q\nwant %q", c.have, got, c.merged)
		}
	}
}

func TestSPFRefuses(t *testing.T) {
	for _, text := range []string{
		"", "v=spf2 -all", "v=spf10 -all", "v=spf1 ipv4:192.0.2.1", "v=spf1 ip4:2001:db8::1", "v=spf1 ip4:192.0.2.0/99", "v=spf1 include", "v=spf1 all:x",
		"v=spf1 \x01", "v=spf1" + strings.Repeat(" a", 5000), "v=spf1" + strings.Repeat(" a", 300),
	} {
		if _, err := parseSPF(text); err == nil {
			t.Errorf("%.40q is no SPF record", text)
		}
	}
}

// FuzzSPF: whatever stands in a zone, what is proposed is one record that permits
// us, and proposing it again changes nothing.
func FuzzSPF(f *testing.F) {
	f.Add("v=spf1 mx -all", "v=spf1 include:a.test ~all")
	f.Add("v=spf1 redirect=%{d}.x ip4:1.2.3.4/0", "v=spf1 ?all all")
	f.Fuzz(func(t *testing.T, a, b string) {
		var records []spf
		for _, text := range []string{a, b} {
			if isSPF(text) {
				r, _ := parseSPF(text)
				records = append(records, r)
			}
		}
		if len(records) == 0 {
			return
		}
		made := mergeSPF(records).admit(us)
		again, err := parseSPF(made.String())
		if len(made.String()) > maxSPFText || len(made.terms) > maxSPFTerms {
			return
		}
		if err != nil || !again.permits(us) || again.admit(us).String() != made.String() {
			t.Fatalf("%q and %q make %q (%v)", a, b, made, err)
		}
	})
}

func FuzzTags(f *testing.F) {
	f.Add("v=DMARC1; p=none; rua=mailto:a@b.test")
	f.Add("v=STSv1;; id = 1 ;")
	f.Fuzz(func(t *testing.T, text string) {
		have, err := parseTags(text)
		if err != nil {
			return
		}
		again, err := parseTags(have.String())
		if err != nil || again.String() != have.String() {
			t.Fatalf("%q is %q and then %q (%v)", text, have, again, err)
		}
	})
}

func TestProviders(t *testing.T) {
	for server, want := range map[string]string{
		"ada.ns.cloudflare.com": "Cloudflare", "ns-1.awsdns-00.co.uk": "Amazon Route 53", "ns1-02.azure-dns.com": "Azure DNS",
		"hydrogen.ns.hetzner.com": "Hetzner", "awsdns-00.example.com": "", "ns.evilcloudflare.com": "", "ns1.example.com": "",
	} {
		if got := ProviderOf([]string{server}).Name; got != want {
			t.Errorf("%s is of %q, not %q", server, got, want)
		}
	}
}
