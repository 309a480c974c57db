package servertest_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/dns"
	"postern/dns/zone"
	"postern/server"
	door "postern/server/control"
	"postern/server/servertest"
)

// internet is the DNS of others: a registry with a root, the zone test and reverse
// names, and a resolver that walks from the root. Our host is mail.example.test.
type internet struct {
	registry *servertest.NameServer
	resolver *servertest.Recursor
	at       netip.AddrPort // our name server, and our host
}

func newInternet(t *testing.T, hand ...string) *internet {
	at := servertest.FreeAddr(t, 53)
	n := &internet{at: at, registry: servertest.NSD(t, servertest.FreeAddr(t, 53), append([]string{".", "test", "127.in-addr.arpa"}, hand...)...)}
	ns := n.registry.Addr.Addr()
	var below strings.Builder
	for _, origin := range hand {
		below.WriteString(servertest.Delegation(origin, "ns."+origin, ns))
	}
	n.registry.SetZone(".", servertest.Delegation("test", "ns.test", ns)+servertest.Delegation("127.in-addr.arpa", "ns.127.in-addr.arpa", ns))
	n.registry.SetZone("test", "mail.example A "+at.Addr().String()+"\n"+below.String())
	reverse, err := dns.ReverseName(at.Addr())
	fatal(t, err)
	n.registry.SetZone("127.in-addr.arpa", reverse+". PTR mail.example.test.\n")
	n.resolver = servertest.Unbound(t, servertest.UnboundOptions{Root: n.registry.Addr})
	return n
}

// postern is a server in it, and a command that talks to it.
func (n *internet) postern(t *testing.T) *door.Client {
	client, err := dns.NewClient(dns.Config{Servers: []string{n.resolver.Addr.String()}})
	fatal(t, err)
	p := servertest.New(t, servertest.Options{Domain: "example.test", Checker: &zone.Checker{Client: client, Private: true}, Configure: func(c *server.Config) {
		serving(n.at, n.at.Addr().String())(c)
		c.DNS.Check = true
	}})
	c := door.NewClient(p.ControlSocket())
	t.Cleanup(c.Close)
	return c.As(p.Admin.Session)
}

// TestAU11_DelegatedZoneNeedsNoFurtherStep: a zone was delegated to this server; its
// domain is added, and by itself it is owned and publishes all that it needs, as
// other people's servers see it.
func TestAU11_DelegatedZoneNeedsNoFurtherStep(t *testing.T) {
	n := newInternet(t)
	n.registry.SetZone("test", servertest.Delegation("agents.example.test", "mail.example.test", n.at.Addr()))
	c := n.postern(t)
	_, err := c.AddDomain(t.Context(), door.DomainAdd{Name: "agents.example.test"})
	fatal(t, err)
	var d door.Domain
	for end := time.Now().Add(2 * time.Minute); d.DNS.State != "ok"; time.Sleep(50 * time.Millisecond) {
		d, err = c.Domain(t.Context(), "agents.example.test")
		fatal(t, err)
		if time.Now().After(end) {
			check, err := c.CheckDomain(t.Context(), "agents.example.test")
			t.Fatalf("it does not come to be ok: %+v, %v", check, err)
		}
	}
	check, err := c.CheckDomain(t.Context(), "agents.example.test")
	fatal(t, err)
	for _, r := range check.Records {
		if r.State != zone.OK {
			t.Errorf("%s %s is %s: expected %q, found %q", r.Name, r.Type, r.State, r.Data, r.Found)
		}
	}
	if !check.Good || !d.Owned || d.Proof != "delegation" || d.Names != "delegated" || len(check.Records) < 15 {
		t.Errorf("owned %v by %q, names %q, good %v with %d records", d.Owned, d.Proof, d.Names, check.Good, len(check.Records))
	}
}

// TestAU11_HandKeptZone: a zone that somebody keeps by hand at another server, from
// the file that we print. Each record in turn is taken out, changed, and made twice:
// it alone is named, with what was found and what is expected.
func TestAU11_HandKeptZone(t *testing.T) {
	n := newInternet(t, "shop.test")
	c := n.postern(t)
	_, err := c.AddDomain(t.Context(), door.DomainAdd{Name: "shop.test"})
	fatal(t, err)
	plan, err := c.DomainRecords(t.Context(), "shop.test")
	fatal(t, err)
	publish := func(records []zone.Record) {
		t.Helper()
		var file bytes.Buffer
		fatal(t, zone.WriteFile(&file, "shop.test", records))
		n.registry.SetZone("shop.test", file.String())
	}
	var all []zone.Record
	for _, r := range plan.Records {
		all = append(all, r.Zone())
	}
	look := func() map[string]door.CheckedRecord {
		t.Helper()
		n.resolver.Forget("shop.test")
		check, err := c.CheckDomain(t.Context(), "shop.test")
		fatal(t, err)
		found := map[string]door.CheckedRecord{}
		for _, r := range check.Records {
			found[r.Name+" "+r.Type] = r
		}
		return found
	}
	publish(all)
	for name, r := range look() {
		if r.State != zone.OK {
			t.Errorf("from the printed file, %s is %s (%q)", name, r.State, r.Found)
		}
	}
	for i, r := range all {
		if !zone.Within(r.Name, "shop.test") || r.Purpose == zone.PurposeChallenge {
			continue
		}
		for _, c := range []struct {
			what    string
			records []zone.Record
			states  []zone.State
		}{
			{"missing", slices.Delete(slices.Clone(all), i, i+1), []zone.State{zone.Missing, zone.Absent}},
			{"wrong", replaced(all, i, other(r)), []zone.State{zone.Wrong, zone.Conflict}},
			{"twice", append(slices.Clone(all), twice(r)...), []zone.State{zone.Conflict}},
		} {
			if len(c.records) == len(all) && c.what == "twice" {
				continue // a second one of this kind does no harm
			}
			t.Run(fmt.Sprintf("%s %s %s", r.Name, r.Type, c.what), func(t *testing.T) {
				publish(c.records)
				found := look()
				got := found[r.Name+" "+r.Type]
				if !slices.Contains(c.states, got.State) || got.Data == "" || (len(got.Found) > 0) != (c.what != "missing") || got.Hint == "" {
					t.Errorf("it is %s: expected %q, found %q (%s)", got.State, got.Data, got.Found, got.Hint)
				}
				for name, f := range found {
					// The SPF record says "mx", which depends on the exchanger.
					if f.State != zone.OK && name != r.Name+" "+r.Type && r.Purpose != zone.PurposeMX {
						t.Errorf("and %s is %s (%q)", name, f.State, f.Found)
					}
				}
			})
		}
	}
}

func replaced(all []zone.Record, i int, by zone.Record) []zone.Record {
	out := slices.Clone(all)
	out[i] = by
	return out
}

// other is a record that does not do what it should.
func other(r zone.Record) zone.Record {
	switch r.Purpose {
	case zone.PurposeSPF:
		r.Value = "v=spf1 include:shop.test -all"
	case zone.PurposeDKIM:
		r.Value = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	case zone.PurposeDMARC:
		r.Value = "v=DMARC1; p=none; rua=mailto:somebody@else.test"
	case zone.PurposeMTASTS:
		r.Value = "v=STSv1; id=1;"
	case zone.PurposeTLSRPT:
		r.Value = "v=TLSRPTv1; rua=mailto:somebody@else.test"
	case zone.PurposeDelegation:
		r.Value = "ns.test"
	default:
		r.Value = strings.ReplaceAll(r.Value, "mail.example.test", "ns.test")
	}
	return r
}

// twice is a second record that makes the first one useless; none where it does not.
func twice(r zone.Record) []zone.Record {
	switch r.Purpose {
	case zone.PurposeMX, zone.PurposeSPF, zone.PurposeDKIM, zone.PurposeDMARC, zone.PurposeMTASTS, zone.PurposeTLSRPT:
		second := other(r)
		if r.Purpose == zone.PurposeMX {
			second.Value = "20 ns.test"
		}
		return []zone.Record{second}
	}
	return nil
}
