package servertest_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	mdns "github.com/miekg/dns"

	"postern/dkim"
	"postern/dns/nameserver"
	"postern/dns/zone"
	"postern/server"
	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// serving has a server answer for the zones of its domains.
func serving(at netip.AddrPort, addresses ...string) func(*server.Config) {
	return func(c *server.Config) {
		c.Listen.DNS, c.DNS.Zone, c.Addresses = at.String(), "keys.test", addresses
	}
}

// asks one server, over TCP: what it says now, and no limit of replies. A line is
// type and data.
func asks(t testing.TB, at, name, qtype string) (lines []string, reply *mdns.Msg) {
	t.Helper()
	q := new(mdns.Msg).SetQuestion(mdns.Fqdn(name), mdns.StringToType[qtype])
	client := mdns.Client{Net: "tcp", Timeout: 20 * time.Second}
	reply, _, err := client.Exchange(q, at)
	fatal(t, err)
	for _, rr := range reply.Answer {
		lines = append(lines, mdns.TypeToString[rr.Header().Rrtype]+" "+strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(lines)
	return lines, reply
}

// soon waits until a server answers in these lines.
func soon(t testing.TB, at, name, qtype string, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got, _ = asks(t, at, name, qtype); slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("%s %s: %q, want %q", name, qtype, got, want)
}

// planned is what a plan of a domain has that its own zone can hold, with the facts
// that a new installation has.
func planned(t testing.TB, p *servertest.Postern, domain storage.Domain, addresses ...string) (records []zone.Record) {
	t.Helper()
	keys, err := p.Server().Directory().DKIMKeys(t.Context(), p.Org.ID, domain.ID)
	fatal(t, err)
	f := zone.Facts{Domain: domain.Name, Host: p.Host, DMARC: "none", MTASTS: "testing", Reports: "postern-reports@" + domain.Name}
	for _, a := range addresses {
		f.Addresses = append(f.Addresses, netip.MustParseAddr(a))
	}
	for _, k := range keys {
		f.Keys = append(f.Keys, zone.Key{Selector: k.Selector, Record: k.Record})
	}
	all, err := zone.Plan(f)
	fatal(t, err)
	for _, r := range all {
		if zone.Within(r.Name, domain.Name) {
			records = append(records, r)
		}
	}
	if len(records) < 15 {
		t.Fatalf("a plan of %d records", len(records))
	}
	return records
}

func domainOf(t testing.TB, p *servertest.Postern, name string) storage.Domain {
	t.Helper()
	d, err := p.Server().Store().DomainByName(t.Context(), name)
	fatal(t, err)
	return d
}

// TestZonesFollowDomains: what is in the database is in the answers, as soon as it is
// committed, and after a restart.
func TestZonesFollowDomains(t *testing.T) {
	p := servertest.New(t, servertest.Options{Configure: serving(servertest.FreeAddr(t, 0), "192.0.2.25")})
	at := p.Addr("dns").String()
	soon(t, at, "alpha.test", "MX", "MX 10 mail.alpha.test.")
	soon(t, at, "mail.alpha.test", "A", "A 192.0.2.25")
	soon(t, at, "_dmarc.alpha.test", "TXT", `TXT "v=DMARC1; p=none; rua=mailto:postern-reports@alpha.test"`)
	domain := domainOf(t, p, "alpha.test")
	fatal(t, p.SetPolicy(t.Context(), p.Org.ID, storage.LevelDomain, domain.ID, map[string]string{"dmarc": "reject"}))
	soon(t, at, "_dmarc.alpha.test", "TXT", `TXT "v=DMARC1; p=reject; rua=mailto:postern-reports@alpha.test"`)

	// A domain that nobody proved is served with the text that would.
	dir := p.Server().Directory()
	_, _, err := dir.AddDomain(t.Context(), storage.System, p.Org.ID, "beta.test", directory.AssumeOwned{})
	fatal(t, err)
	soon(t, at, zone.ChallengeName("beta.test"), "TXT", fmt.Sprintf("TXT %q", p.Server().Store().DomainChallenge(p.Org.ID, "beta.test")))
	fatal(t, dir.RemoveDomain(t.Context(), storage.System, p.Org.ID, "beta.test"))
	soon(t, at, "beta.test", "MX")
	if _, r := asks(t, at, "beta.test", "MX"); r.Rcode != mdns.RcodeRefused {
		t.Errorf("a domain that is gone: %v", r)
	}
	fatal(t, p.Down())
	fatal(t, p.Up())
	soon(t, at, "_dmarc.alpha.test", "TXT", `TXT "v=DMARC1; p=reject; rua=mailto:postern-reports@alpha.test"`)
}

// TestNameServerAtSeveralAddresses: where something else has port 53 of loopback, each
// other address is named; and when one is taken, the start says what to do.
func TestNameServerAtSeveralAddresses(t *testing.T) {
	one, two := servertest.FreeAddr(t, 0), servertest.FreeAddr(t, 0)
	p := servertest.New(t, servertest.Options{Configure: serving(one, "192.0.2.25")})
	soon(t, one.String(), "alpha.test", "MX", "MX 10 mail.alpha.test.")
	for addrs, taken := range map[string]bool{two.String() + ", " + one.String(): true, two.String() + ", " + servertest.FreeAddr(t, 0).String(): false} {
		second, err := servertest.Start(servertest.Options{World: p.World, Domain: "beta.test", Dir: t.TempDir(), Configure: func(c *server.Config) { c.Listen.DNS = addrs }})
		var config *server.ConfigError
		if taken != errors.As(err, &config) || taken && !strings.Contains(config.Hint, "name the addresses") {
			t.Fatalf("%s: %v", addrs, err)
		}
		if err == nil {
			soon(t, two.String(), "beta.test", "MX", "MX 10 mail.beta.test.")
			fatal(t, second.Down())
		}
	}
}

// TestZonesOfKeys: for who delegates _domainkey alone, or points selectors here, the
// keys are in zones of their own, which know nothing else of the domain.
func TestZonesOfKeys(t *testing.T) {
	p := servertest.New(t, servertest.Options{Configure: serving(servertest.FreeAddr(t, 0), "192.0.2.25")})
	at := p.Addr("dns").String()
	soon(t, at, "alpha.test", "MX", "MX 10 mail.alpha.test.")
	keys, err := p.Server().Directory().DKIMKeys(t.Context(), p.Org.ID, domainOf(t, p, "alpha.test").ID)
	fatal(t, err)
	for _, k := range keys {
		want := "TXT " + zone.Record{Type: "TXT", Value: k.Record}.Data()
		soon(t, at, dkim.RecordName(k.Selector, "alpha.test"), "TXT", want)
		soon(t, at, k.Selector+".alpha.test.keys.test", "TXT", want)
	}
	for origin, names := range map[string][]string{
		"_domainkey.alpha.test": {"_domainkey.alpha.test", "absent._domainkey.alpha.test"},
		"alpha.test.keys.test":  {"alpha.test.keys.test", "absent.alpha.test.keys.test", "_dmarc.alpha.test.keys.test"},
		"keys.test":             {"keys.test", "test.keys.test", "absent.keys.test"}, // a name above a zone is there
	} {
		for _, name := range names {
			_, r := asks(t, at, name, "MX")
			there := !strings.HasPrefix(name, "absent.") && !strings.HasPrefix(name, "_dmarc.")
			if len(r.Ns) != 1 || r.Ns[0].Header().Name != origin+"." || !r.Authoritative || (r.Rcode == mdns.RcodeSuccess) != there {
				t.Errorf("%s: %v", name, r)
			}
			if soa, ok := r.Ns[0].(*mdns.SOA); !ok || soa.Ns != "mail.alpha.test." || soa.Minttl != 300 {
				t.Errorf("%s: %v", name, r.Ns)
			}
		}
		soon(t, at, origin, "NS", "NS mail.alpha.test.")
	}
}

// TestAC19_NobodyAnswersForAnother: whoever adds a name below the zone of another
// organization, or below the one with selectors, gets no zone there, before or
// after the other one came to be owned; the same organization does.
func TestAC19_NobodyAnswersForAnother(t *testing.T) {
	p := servertest.New(t, servertest.Options{Configure: serving(servertest.FreeAddr(t, 0), "192.0.2.25")})
	at := p.Addr("dns").String()
	other, err := p.Server().Directory().CreateOrganization(t.Context(), storage.System, "other")
	fatal(t, err)
	for _, name := range []string{"mta-sts.alpha.test", "a.b.alpha.test", "x.keys.test", "below.later.test", "other.test"} {
		addBare(t, p, storage.Domain{Head: storage.Head{Org: other.ID}, Name: name})
	}
	soon(t, at, "other.test", "MX", "MX 10 mail.alpha.test.") // the last: all are there by now
	soon(t, at, "below.later.test", "MX", "MX 10 mail.alpha.test.")
	soon(t, at, "mta-sts.alpha.test", "MX", "CNAME mail.alpha.test.")
	for _, name := range []string{"a.b.alpha.test", zone.ChallengeName("mta-sts.alpha.test"), "x.keys.test"} {
		if lines, r := asks(t, at, name, "TXT"); len(lines) > 0 || r.Rcode != mdns.RcodeNameError {
			t.Errorf("%s: %v", name, r)
		}
	}
	addBare(t, p, storage.Domain{Head: storage.Head{Org: p.Org.ID}, Name: "later.test", Owned: true})
	soon(t, at, "below.later.test", "MX")
	addBare(t, p, storage.Domain{Head: storage.Head{Org: p.Org.ID}, Name: "own.alpha.test"})
	soon(t, at, "own.alpha.test", "MX", "MX 10 mail.alpha.test.")
}

// TestAC19_OurOwnWordProvesNothing: below a zone that somebody else delegated to this
// server, the server would answer for any name that anybody adds. That proves the name
// to who owns the zone, and to nobody else, also before it is known who that is.
func TestAC19_OurOwnWordProvesNothing(t *testing.T) {
	world, err := servertest.NewWorld()
	fatal(t, err)
	t.Cleanup(func() { world.Close() })
	p := servertest.New(t, servertest.Options{World: world, Configure: func(c *server.Config) {
		ip := netip.MustParseAddrPort(c.Listen.SMTP).Addr()
		serving(netip.AddrPortFrom(ip, world.Names.Addr().Port()), ip.String())(c)
	}})
	dir := p.Server().Directory()
	other, err := dir.CreateOrganization(t.Context(), storage.System, "other")
	fatal(t, err)
	proof := func(org uuid.UUID, name string, want storage.DomainProof) {
		t.Helper()
		soon(t, p.Addr("dns").String(), name, "MX", "MX 10 "+p.Host+".")
		if d, _, err := dir.CheckDomain(t.Context(), storage.System, org, name); err != nil || d.Proof != want || d.Owned != (want != "") || d.Names != storage.NamesDelegated {
			t.Errorf("%+v, %v", d, err)
		}
	}
	fatal(t, world.Names.SetZone(nameserver.Zone{Origin: "later.test", Nameservers: []string{p.Host}}))
	addBare(t, p, storage.Domain{Head: storage.Head{Org: other.ID}, Name: "x.later.test"})
	addBare(t, p, storage.Domain{Head: storage.Head{Org: p.Org.ID}, Name: "own.later.test"})
	addBare(t, p, storage.Domain{Head: storage.Head{Org: p.Org.ID}, Name: "later.test"})
	proof(other.ID, "x.later.test", storage.ProofNone)
	proof(p.Org.ID, "own.later.test", storage.ProofNone)
	proof(p.Org.ID, "later.test", storage.ProofDelegation)
	proof(p.Org.ID, "own.later.test", storage.ProofDelegation)
	soon(t, p.Addr("dns").String(), "x.later.test", "MX")
	d, _, err := dir.CheckDomain(t.Context(), storage.System, other.ID, "x.later.test")
	if err != nil || d.Owned {
		t.Errorf("afterwards: %+v, %v", d, err)
	}
}

// addBare adds a domain without keys, which take their time to make.
func addBare(t testing.TB, p *servertest.Postern, d storage.Domain) {
	t.Helper()
	fatal(t, p.Server().Store().Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		d := d
		return tx.CreateDomain(tx.Record(audit.Event{Verb: audit.DomainAdd}), &d)
	}))
}

// TestRFC8555_Challenges: what somebody asks for once is there at once, beside
// another one of the same name, survives a change of the domain, and goes.
func TestRFC8555_Challenges(t *testing.T) {
	p := servertest.New(t, servertest.Options{Configure: serving(servertest.FreeAddr(t, 0), "192.0.2.25")})
	at, s := p.Addr("dns").String(), p.Server()
	soon(t, at, "alpha.test", "MX", "MX 10 mail.alpha.test.")
	const name = "_acme-challenge.alpha.test"
	fatal(t, errors.Join(s.SetChallenge(name, "one"), s.SetChallenge("_ACME-challenge.alpha.test.", "two"), s.SetChallenge(name, "two")))
	if lines, _ := asks(t, at, name, "TXT"); !slices.Equal(lines, []string{`TXT "one"`, `TXT "two"`}) {
		t.Errorf("%q", lines)
	}
	fatal(t, p.SetPolicy(t.Context(), p.Org.ID, storage.LevelDomain, domainOf(t, p, "alpha.test").ID, map[string]string{"dmarc": "reject"}))
	soon(t, at, "_dmarc.alpha.test", "TXT", `TXT "v=DMARC1; p=reject; rua=mailto:postern-reports@alpha.test"`)
	if lines, _ := asks(t, at, name, "TXT"); len(lines) != 2 {
		t.Errorf("after a change of the zone: %q", lines)
	}
	s.ClearChallenge(name, "one")
	if lines, _ := asks(t, at, name, "TXT"); !slices.Equal(lines, []string{`TXT "two"`}) {
		t.Errorf("%q", lines)
	}
	s.ClearChallenge(name, "two")
	if _, r := asks(t, at, name, "TXT"); r.Rcode != mdns.RcodeNameError {
		t.Errorf("when all are gone: %v", r)
	}
	if err := s.SetChallenge("_acme-challenge.elsewhere.test", "one"); !errors.Is(err, server.ErrNotServed) {
		t.Errorf("a name of somebody else: %v", err)
	}
	off := servertest.New(t, servertest.Options{World: p.World, Domain: "off.test"})
	if err := off.Server().SetChallenge("_acme-challenge.off.test", "one"); !errors.Is(err, server.ErrNotServed) || off.Addr("dns") != nil {
		t.Errorf("without a name server: %v", err)
	}
}

// dig asks for records with Debian's dig, and returns the answers as type and data.
func dig(t testing.TB, at netip.AddrPort, records []zone.Record, options ...string) (lines []string) {
	t.Helper()
	path, err := exec.LookPath("dig")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("dig is not installed")
		}
		t.Skip("dig is not installed (Debian's package dnsutils; .ci/run installs it)")
	}
	args := append([]string{"@" + at.Addr().String(), "-p", fmt.Sprint(at.Port()), "+noall", "+answer", "+time=10", "+tries=2"}, options...)
	for _, r := range records {
		args = append(args, r.Name, r.Type)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dig %s: %v\n%s", args, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 4 && !strings.HasPrefix(line, ";") {
			lines = append(lines, strings.TrimSuffix(f[0], ".")+" "+f[3]+" "+strings.Join(f[4:], " "))
		}
	}
	return lines
}

// TestDigAnswersForThePlan: dig finds each record of the plan at our server, over
// UDP with EDNS and without, and over TCP; and through a resolver that begins at the
// root, where a registry delegates the zone.
func TestDigAnswersForThePlan(t *testing.T) {
	parent, resolver := registry(t)
	at := servertest.FreeAddr(t, 53)
	const host = "mail.agents.example.test"
	p := servertest.New(t, servertest.Options{Domain: "agents.example.test", Configure: serving(at, at.Addr().String())})
	parent.SetZone("test", servertest.Delegation("agents.example.test", host, at.Addr()))
	resolver.Forget("test")
	soon(t, at.String(), "agents.example.test", "MX", "MX 10 "+host+".")
	records := planned(t, p, domainOf(t, p, "agents.example.test"), at.Addr().String())
	var want []string
	for _, r := range records {
		want = append(want, r.Name+" "+r.Type+" "+r.Data())
	}
	for _, server := range []netip.AddrPort{at, resolver.Addr} {
		for _, way := range [][]string{{"+notcp"}, {"+noedns"}, {"+bufsize=512", "+dnssec"}, {"+tcp"}} {
			if got := dig(t, server, records, way...); !slices.Equal(got, want) {
				t.Errorf("dig @%s %s: %q, want %q", server, way, got, want)
			}
		}
	}
	for name, want := range map[string]string{
		"absent.agents.example.test": "status: NXDOMAIN", "_tcp.agents.example.test": "status: NOERROR", "agents.example.test": "status: NOERROR",
	} {
		if got := strings.Join(digAll(t, resolver.Addr, name), "\n"); !strings.Contains(got, want) || !strings.Contains(got, "SOA") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// digAll is all that dig says of a question for addresses.
func digAll(t testing.TB, at netip.AddrPort, name string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "dig", "@"+at.Addr().String(), "-p", fmt.Sprint(at.Port()), name, "AAAA").CombinedOutput()
	fatal(t, err)
	return strings.Split(string(out), "\n")
}
