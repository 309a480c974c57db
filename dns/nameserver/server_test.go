package nameserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"postern/dns"
	"postern/dns/nameserver"
)

const ttl = 5 * time.Minute

var lab = nameserver.Zone{
	Origin:      "example.com",
	Nameservers: []string{"ns1.example.com", "ns2.example.com"},
	TTL:         time.Minute,
	Records: []nameserver.Record{
		{Name: "example.com", Type: nameserver.MX, TTL: ttl, Data: "10 mx.example.com"},
		{Name: "example.com", Type: nameserver.MX, TTL: ttl, Data: "20 mx.example.net."},
		{Name: "Example.com.", Type: nameserver.TXT, TTL: ttl, Data: `v=spf1 "quoted" back\slash ä -all`},
		{Name: "mx.example.com", Type: nameserver.A, TTL: ttl, Data: "192.0.2.1"},
		{Name: "mx.example.com", Type: nameserver.A, TTL: ttl, Data: "192.0.2.1"}, // a duplicate
		{Name: "mx.example.com", Type: nameserver.AAAA, TTL: ttl, Data: "2001:db8::1"},
		{Name: "_imaps._tcp.example.com", Type: nameserver.SRV, TTL: ttl, Data: "0 5 993 mx.example.com"},
		{Name: "www.example.com", Type: nameserver.CNAME, TTL: ttl, Data: "web.example.com"},
		{Name: "web.example.com", Type: nameserver.CNAME, TTL: ttl, Data: "host.example.org"},
		{Name: "away.example.com", Type: nameserver.CNAME, TTL: ttl, Data: "host.elsewhere.example"},
		{Name: "dangling.example.com", Type: nameserver.CNAME, TTL: ttl, Data: "nowhere.example.com"},
		{Name: "l1.example.com", Type: nameserver.CNAME, TTL: ttl, Data: "l2.example.com"},
		{Name: "l2.example.com", Type: nameserver.CNAME, TTL: ttl, Data: "l1.example.com"},
		{Name: "nomail.example.com", Type: nameserver.MX, TTL: ttl, Data: "0 ."},
		{Name: "example.com", Type: nameserver.CAA, TTL: ttl, Data: `0 issue "ca.example"`},
		{Name: "_25._tcp.mx.example.com", Type: nameserver.TLSA, TTL: ttl, Data: "3 1 1 " + strings.Repeat("0f", 32)},
		{Name: "*.wild.example.com", Type: nameserver.A, TTL: ttl, Data: "192.0.2.7"},
		{Name: "here.wild.example.com", Type: nameserver.TXT, TTL: ttl, Data: "x"},
		{Name: "big.example.com", Type: nameserver.TXT, TTL: ttl, Data: strings.Repeat("0123456789", 300)},
	},
}

func start(t testing.TB, zones ...nameserver.Zone) *nameserver.Server {
	t.Helper()
	s := nameserver.New()
	run(t, s, zones...)
	return s
}

// run starts a server, and stops it at the test's end.
func run(t testing.TB, s *nameserver.Server, zones ...nameserver.Zone) {
	t.Helper()
	for _, z := range zones {
		if err := s.SetZone(z); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

func ask(t testing.TB, s *nameserver.Server, network, name string, qtype uint16, change ...func(*mdns.Msg)) *mdns.Msg {
	t.Helper()
	q := new(mdns.Msg).SetQuestion(mdns.Fqdn(name), qtype)
	for _, f := range change {
		f(q)
	}
	c := mdns.Client{Net: network, Timeout: 5 * time.Second, UDPSize: 4096}
	r, _, err := c.Exchange(q, s.Addr().String())
	if err != nil {
		t.Fatalf("%s %s: %v", name, mdns.TypeToString[qtype], err)
	}
	return r
}

// text is a section as one line per record, without owner and class.
func text(section []mdns.RR) string {
	var lines []string
	for _, rr := range section {
		if rr.Header().Rrtype != mdns.TypeOPT {
			f := strings.Fields(rr.String())
			lines = append(lines, f[0]+" "+f[1]+" "+strings.Join(f[3:], " "))
		}
	}
	return strings.Join(lines, "; ")
}

func TestAnswers(t *testing.T) {
	s := start(t, lab, nameserver.Zone{Origin: "example.org", Nameservers: []string{"ns.example.org"},
		Records: []nameserver.Record{{Name: "host.example.org", Type: nameserver.A, TTL: ttl, Data: "192.0.2.9"}}})
	for _, test := range []struct {
		name   string
		qtype  uint16
		rcode  int
		answer string
		soa    bool
	}{
		{"mx.example.com", mdns.TypeA, 0, "mx.example.com. 300 A 192.0.2.1", false},
		{"MX.Example.COM", mdns.TypeAAAA, 0, "MX.Example.COM. 300 AAAA 2001:db8::1", false},
		{"example.com", mdns.TypeMX, 0, "example.com. 300 MX 10 mx.example.com.; example.com. 300 MX 20 mx.example.net.", false},
		{"example.com", mdns.TypeNS, 0, "example.com. 60 NS ns1.example.com.; example.com. 60 NS ns2.example.com.", false},
		{"_imaps._tcp.example.com", mdns.TypeSRV, 0, "_imaps._tcp.example.com. 300 SRV 0 5 993 mx.example.com.", false},
		{"nomail.example.com", mdns.TypeMX, 0, "nomail.example.com. 300 MX 0 .", false},
		{"example.com", mdns.TypeCAA, 0, `example.com. 300 CAA 0 issue "ca.example"`, false},
		{"_25._tcp.mx.example.com", mdns.TypeTLSA, 0, "_25._tcp.mx.example.com. 300 TLSA 3 1 1 " + strings.Repeat("0f", 32), false},
		// RFC 2308: NXDOMAIN and NODATA carry the SOA.
		{"absent.example.com", mdns.TypeA, mdns.RcodeNameError, "", true},
		{"mx.example.com", mdns.TypeTXT, 0, "", true},
		// RFC 8020: a name exists when something lies below it.
		{"_tcp.example.com", mdns.TypeA, 0, "", true},
		{"_tcp.example.com", mdns.TypeANY, 0, "", true},
		// RFC 4592: wildcards, hidden by names that exist.
		{"any.wild.example.com", mdns.TypeA, 0, "any.wild.example.com. 300 A 192.0.2.7", false},
		{"a.b.wild.example.com", mdns.TypeA, 0, "a.b.wild.example.com. 300 A 192.0.2.7", false},
		{"any.wild.example.com", mdns.TypeMX, 0, "", true},
		{"here.wild.example.com", mdns.TypeA, 0, "", true},
		{"below.here.wild.example.com", mdns.TypeA, mdns.RcodeNameError, "", true},
		// Aliases: inside of the zone and no further, to nothing, in a circle.
		{"www.example.com", mdns.TypeA, 0, "www.example.com. 300 CNAME web.example.com.; web.example.com. 300 CNAME host.example.org.", false},
		{"www.example.com", mdns.TypeCNAME, 0, "www.example.com. 300 CNAME web.example.com.", false},
		{"away.example.com", mdns.TypeA, 0, "away.example.com. 300 CNAME host.elsewhere.example.", false},
		{"dangling.example.com", mdns.TypeA, mdns.RcodeNameError, "dangling.example.com. 300 CNAME nowhere.example.com.", true},
		// RFC 8482.
		{"example.com", mdns.TypeANY, 0, `example.com. 60 HINFO "RFC8482" ""`, false},
		// Not ours, and not for anybody.
		{"example.net", mdns.TypeA, mdns.RcodeRefused, "", false},
		{"com", mdns.TypeNS, mdns.RcodeRefused, "", false},
		{".", mdns.TypeNS, mdns.RcodeRefused, "", false},
		{"example.com", mdns.TypeAXFR, mdns.RcodeRefused, "", false},
	} {
		for _, network := range []string{"udp", "tcp"} {
			r := ask(t, s, network, test.name, test.qtype)
			soa := len(r.Ns) == 1 && r.Ns[0].Header().Rrtype == mdns.TypeSOA
			if r.Rcode != test.rcode || text(r.Answer) != test.answer || soa != test.soa {
				t.Errorf("%s %s over %s: %s %q SOA %t", test.name, mdns.TypeToString[test.qtype], network,
					mdns.RcodeToString[r.Rcode], text(r.Answer), soa)
			}
			if r.RecursionAvailable || r.Authoritative != (test.rcode != mdns.RcodeRefused) {
				t.Errorf("%s: flags RA=%t AA=%t", test.name, r.RecursionAvailable, r.Authoritative)
			}
		}
	}
	if r := ask(t, s, "udp", "l1.example.com", mdns.TypeA); len(r.Answer) != 8 {
		t.Errorf("circle: %d records", len(r.Answer))
	}
}

func TestOurClientUnderstandsOurServer(t *testing.T) {
	s := start(t, lab)
	c, err := dns.NewClient(dns.Config{Servers: []string{s.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	txt, err := c.LookupTXT(t.Context(), "example.com")
	if err != nil || !slices.Equal(txt.Records, []string{`v=spf1 "quoted" back\slash ä -all`}) {
		t.Errorf("TXT: %q, %v", txt.Records, err)
	}
	big, err := c.LookupTXT(t.Context(), "big.example.com") // truncated, then TCP
	if err != nil || big.Records[0] != strings.Repeat("0123456789", 300) {
		t.Errorf("big TXT: %v", err)
	}
	ips, err := c.LookupIP(t.Context(), "mx.example.com")
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	if err != nil || !slices.Equal(ips.Records, want) {
		t.Errorf("IP: %v, %v", ips.Records, err)
	}
	if _, err := c.LookupMX(t.Context(), "nomail.example.com"); !errors.Is(err, dns.ErrNullMX) {
		t.Errorf("null MX: %v", err)
	}
	if _, err := c.LookupTXT(t.Context(), "absent.example.com"); !errors.Is(err, dns.ErrNoDomain) {
		t.Errorf("NXDOMAIN: %v", err)
	}
	if _, err := c.LookupTXT(t.Context(), "elsewhere.example"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("refused: %v", err)
	}
}

func TestEDNSAndTruncation(t *testing.T) {
	s := start(t, lab)
	edns := func(size uint16, version uint8, do bool) func(*mdns.Msg) {
		return func(m *mdns.Msg) {
			m.SetEdns0(size, do)
			m.IsEdns0().SetVersion(version)
		}
	}
	r := ask(t, s, "udp", "big.example.com", mdns.TypeTXT)
	if !r.Truncated || r.Len() > 512 || r.IsEdns0() != nil {
		t.Errorf("without EDNS: TC=%t, %d octets, OPT %v", r.Truncated, r.Len(), r.IsEdns0())
	}
	r = ask(t, s, "udp", "big.example.com", mdns.TypeTXT, edns(65535, 0, true))
	if !r.Truncated || r.Len() > 1232 || r.IsEdns0() == nil || !r.IsEdns0().Do() {
		t.Errorf("with EDNS: TC=%t, %d octets, OPT %v", r.Truncated, r.Len(), r.IsEdns0())
	}
	r = ask(t, s, "tcp", "big.example.com", mdns.TypeTXT)
	if r.Truncated || len(r.Answer) != 1 {
		t.Errorf("over TCP: TC=%t, %d records", r.Truncated, len(r.Answer))
	}
	if r = ask(t, s, "udp", "mx.example.com", mdns.TypeA, edns(1232, 1, false)); r.Rcode != mdns.RcodeBadVers || len(r.Answer) > 0 {
		t.Errorf("EDNS version 1: %s", mdns.RcodeToString[r.Rcode])
	}
}

func TestChangesShowAtOnce(t *testing.T) {
	s := start(t, lab)
	serial := func() uint32 { return ask(t, s, "udp", "example.com", mdns.TypeSOA).Answer[0].(*mdns.SOA).Serial }
	before := serial()
	if err := s.Replace("new.example.com", nameserver.A, 0, "192.0.2.20", "192.0.2.21"); err != nil {
		t.Fatal(err)
	}
	if got := text(ask(t, s, "udp", "new.example.com", mdns.TypeA).Answer); got != "new.example.com. 0 A 192.0.2.20; new.example.com. 0 A 192.0.2.21" {
		t.Error(got)
	}
	if after := serial(); after != before+1 {
		t.Errorf("serial %d, then %d", before, after)
	}
	if err := s.Replace("NEW.example.com.", nameserver.A, 0); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, s, "udp", "new.example.com", mdns.TypeA); r.Rcode != mdns.RcodeNameError {
		t.Errorf("after removal: %s", mdns.RcodeToString[r.Rcode])
	}
	if err := s.Replace("x.example.net", nameserver.A, 0, "192.0.2.1"); err == nil {
		t.Error("a record in no zone")
	}
	if err := s.Replace("mx.example.com", nameserver.CNAME, 0, "x.example.com"); err == nil {
		t.Error("CNAME beside A")
	}
	if got := text(ask(t, s, "udp", "mx.example.com", mdns.TypeA).Answer); got != "mx.example.com. 300 A 192.0.2.1" {
		t.Errorf("a failed change left %q", got)
	}
	if !s.RemoveZone("Example.com.") || s.RemoveZone("example.com") {
		t.Error("RemoveZone")
	}
	if r := ask(t, s, "udp", "mx.example.com", mdns.TypeA); r.Rcode != mdns.RcodeRefused {
		t.Errorf("after the zone: %s", mdns.RcodeToString[r.Rcode])
	}
}

// The laboratory of "every domain is here": a root zone with a wildcard.
func TestRootZone(t *testing.T) {
	s := start(t, lab, nameserver.Zone{Origin: ".", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
		{Name: "*", Type: nameserver.MX, Data: "10 mx.test"},
		{Name: "mx.test", Type: nameserver.A, Data: "127.0.0.1"},
	}})
	for name, want := range map[string]string{
		"anything.example.net": "anything.example.net. 0 MX 10 mx.test.",
		"nomail.example.com":   "nomail.example.com. 300 MX 0 .",
	} {
		if got := text(ask(t, s, "udp", name, mdns.TypeMX).Answer); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := text(ask(t, s, "udp", "mx.test", mdns.TypeA).Answer); got != "mx.test. 0 A 127.0.0.1" {
		t.Error(got)
	}
}

func TestBadZones(t *testing.T) {
	s := nameserver.New()
	ns := []string{"ns.example.com"}
	for what, z := range map[string]nameserver.Zone{
		"no origin":       {Nameservers: ns},
		"bad origin":      {Origin: "a b", Nameservers: ns},
		"wild origin":     {Origin: "*.example.com", Nameservers: ns},
		"no server":       {Origin: "example.com"},
		"bad server":      {Origin: "example.com", Nameservers: []string{"a b"}},
		"bad hostmaster":  {Origin: "example.com", Nameservers: ns, Hostmaster: "a@b"},
		"negative TTL":    {Origin: "example.com", Nameservers: ns, TTL: -1},
		"outside":         {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "x.example.net", Type: nameserver.A, Data: "192.0.2.1"}}},
		"near":            {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "notexample.com", Type: nameserver.A, Data: "192.0.2.1"}}},
		"A with AAAA":     {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.A, Data: "2001:db8::1"}}},
		"MX without host": {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.MX, Data: "10"}}},
		"MX over 65535":   {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.MX, Data: "70000 a.example.com"}}},
		"SRV short":       {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.SRV, Data: "1 2 a.example.com"}}},
		"PTR nonsense":    {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.PTR, Data: "a..b"}}},
		"huge TXT":        {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.TXT, Data: strings.Repeat("x", 1<<15)}}},
		"other type":      {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: 250, Data: "x"}}},
		"TLSA in prose":   {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "_25._tcp.example.com", Type: nameserver.TLSA, Data: "3 1 1 fingerprint"}}},
		"CAA of two":      {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.CAA, Data: "0 issue \"a.example\"\nexample.com. CAA 0 issue \"b.example\""}}},
		"CAA of no text":  {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.CAA, Data: "0 issue a.example"}}},
		"CAA commented":   {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.CAA, Data: "0 issue \"a.example\" ; b"}}},
		"record TTL":      {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.TXT, TTL: 1e6 * time.Hour, Data: "x"}}},
		"CNAME at apex":   {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{{Name: "example.com", Type: nameserver.CNAME, Data: "a.example.com"}}},
		"two TTLs": {Origin: "example.com", Nameservers: ns, Records: []nameserver.Record{
			{Name: "example.com", Type: nameserver.TXT, TTL: ttl, Data: "x"}, {Name: "example.com", Type: nameserver.TXT, Data: "y"}}},
	} {
		if err := s.SetZone(z); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

// TestAllAddresses: bound to all addresses, the server replies from the one that was
// asked. A resolver takes nothing from another.
func TestAllAddresses(t *testing.T) {
	s := nameserver.New()
	if err := s.SetZone(lab); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(":0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	for _, ip := range []string{"127.0.0.1", "127.0.0.5", "::1"} {
		if ip == "::1" && s.Addr().Addr().Is4() {
			continue // a machine without IPv6
		}
		at := netip.AddrPortFrom(netip.MustParseAddr(ip), s.Addr().Port())
		for _, network := range []string{"udp", "tcp"} {
			c := mdns.Client{Net: network, Timeout: 10 * time.Second}
			r, _, err := c.Exchange(new(mdns.Msg).SetQuestion("mx.example.com.", mdns.TypeA), at.String())
			if err != nil || len(r.Answer) != 1 {
				t.Errorf("%s over %s: %v, %v", ip, network, r, err)
			}
		}
	}
}

func TestConcurrentChangesAndQuestions(t *testing.T) {
	s := start(t, lab)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				if err := s.Replace(fmt.Sprintf("c%d.example.com", i), nameserver.A, 0, fmt.Sprintf("192.0.2.%d", j)); err != nil {
					t.Error(err)
				}
				ask(t, s, "udp", "mx.example.com", mdns.TypeA)
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		if got := text(ask(t, s, "udp", fmt.Sprintf("c%d.example.com", i), mdns.TypeA).Answer); !strings.HasSuffix(got, "192.0.2.49") {
			t.Errorf("c%d: %q", i, got)
		}
	}
}
