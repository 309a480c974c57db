package main_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/server/servertest"
)

// The tests of this file run the binary in a DNS of other people's servers: a
// registry and zones that are kept by hand at Debian's nsd, and unbound, which begins
// at the root like any resolver on the Internet.

// reverse is the zone in which addresses of servertest.FreeAddr have their names.
const reverse = "53.127.in-addr.arpa"

// registry is the DNS around a server.
type registry struct {
	*servertest.NameServer
	resolver *servertest.Recursor
}

// newRegistry starts it with a root, the zone test, and zones that somebody keeps by
// hand below that.
func newRegistry(t testing.TB, byHand ...string) *registry {
	t.Helper()
	ns := servertest.NSD(t, servertest.FreeAddr(t, 53), append([]string{".", "test", reverse}, byHand...)...)
	ns.SetZone(".", servertest.Delegation("test", "ns.test", ns.Addr.Addr())+servertest.Delegation(reverse, "ns."+reverse, ns.Addr.Addr()))
	return &registry{ns, servertest.Unbound(t, servertest.UnboundOptions{Root: ns.Addr})}
}

// pointer names an address.
func (r *registry) pointer(ip netip.Addr, host string) {
	b := ip.As4()
	r.SetZone(reverse, fmt.Sprintf("%d.%d PTR %s.\n", b[3], b[2], host))
	r.resolver.Forget(reverse)
}

// delegate puts delegations, and nothing else, into the zone test.
func (r *registry) delegate(delegations ...string) {
	r.SetZone("test", strings.Join(delegations, ""))
	r.resolver.Forget("test")
}

// server is a server of its own, with a name server at an address, and more settings
// of its names.
func (r *registry) server(t testing.TB, host string, at netip.AddrPort, names ...string) *company {
	t.Helper()
	dir := t.TempDir()
	n := &internet{t: t, dir: dir}
	ca, cert, key := n.certify(host)
	base := freeBase(t)
	door := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", base+port) }
	c := &company{net: n, domain: host, config: filepath.Join(dir, "postern.toml"), dev: &dev{t: t, bin: binary(t, ""), dir: dir, ready: ready{
		SMTP: door(25), Submission: door(587), Submissions: door(465), IMAPS: door(993), Control: filepath.Join(dir, "control.sock"), CAFile: ca,
	}}}
	text := fmt.Sprintf(`host = %q
addresses = [%q]
data = %q
control = %q
listen = { smtp = %q, submission = %q, submissions = %q, imaps = %q, dns = %q }
keys = { root = %q }
tls = { cert = %q, key = %q }
relay = { allow_private = true }
[dns]
servers = [%q]
%s
`, host, at.Addr(), filepath.Join(dir, "data"), c.Control, c.SMTP, c.Submission, c.Submissions, c.IMAPS, at, filepath.Join(dir, "root.key"), cert, key, r.resolver.Addr, strings.Join(names, "\n"))
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	mustTool(t, nil, c.bin, "key", "init", "--config", c.config)
	c.start()
	return c
}

// checked is what postern domain check says of a domain.
type checked struct {
	Good, Owned  bool
	Proof, Names string
	Records      []struct {
		Name, Type, State, Purpose, Data, Hint string
		Found                                  []string
	}
}

// check looks at a domain now.
func (c *company) check(domain string) (found checked) {
	c.t.Helper()
	out, err := exec.Command(c.bin, "--control", c.Control, "domain", "check", domain, "-o", "json").Output()
	if len(out) == 0 {
		c.t.Fatalf("domain check %s: %v", domain, err)
	}
	if err := json.Unmarshal(out, &found); err != nil {
		c.t.Fatal(err)
	}
	return found
}

// comesTo checks a domain until it is as wanted. What the resolver remembers is
// forgotten each time, since the server asks by itself as well.
func (c *company) comesTo(world *registry, domain, what string, as func(checked) bool) (found checked) {
	c.t.Helper()
	until(c.t, what, func() bool {
		world.resolver.Forget(domain)
		found = c.check(domain)
		return as(found)
	})
	return found
}

// left is what is not as it should be: purposes and states.
func (f checked) left() (all []string) {
	for _, r := range f.Records {
		if r.State != "ok" && r.State != "optional" {
			all = append(all, r.Purpose+" "+r.State)
		}
	}
	return all
}

// shown is the domain as the server knows it, without asking the DNS.
func (c *company) shown(domain string) (d struct {
	Owned        bool
	Proof, Names string
	DNS          struct{ State string }
}) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.postern("domain", "show", domain, "-o", "json")), &d); err != nil {
		c.t.Fatal(err)
	}
	return d
}

// TestADelegatedDomainNeedsNoHand: where a zone is delegated to the server, adding the
// domain is all there is to do. The server finds that it is asked, takes that as the
// proof of ownership, and everything is in order, keys of the next rotation included.
func TestADelegatedDomainNeedsNoHand(t *testing.T) {
	const domain, host = "agents.example.test", "mail.agents.example.test"
	world := newRegistry(t)
	at := servertest.FreeAddr(t, 53)
	world.delegate(servertest.Delegation(domain, host, at.Addr()))
	world.pointer(at.Addr(), host)
	c := world.server(t, host, at)
	c.postern("domain", "add", domain)
	until(t, "the domain is in order by itself", func() bool {
		d := c.shown(domain)
		return d.Owned && d.Proof == "delegation" && d.Names == "delegated" && d.DNS.State == "ok"
	})
	if found := c.check(domain); !found.Good || len(found.left()) > 0 || len(found.Records) < 10 {
		t.Errorf("a check finds %+v", found)
	}
	// When the registry delegates it elsewhere, that is seen, and who owned it still does.
	world.delegate(servertest.Delegation(domain, "ns.test", world.Addr.Addr()))
	until(t, "the domain is broken", func() bool { return !c.check(domain).Good })
	if d := c.shown(domain); !d.Owned || d.Proof != "delegation" || d.Names == "delegated" {
		t.Errorf("after the delegation went elsewhere: %+v", d)
	}
}

// TestAZoneKeptByHand: the zone file that the server prints is accepted by BIND's
// checker and by nsd, and makes the domain all good; each record that is wrong,
// missing or in conflict then is named, with what was found.
func TestAZoneKeptByHand(t *testing.T) {
	const domain, host = "hand.test", "mail.hand.test"
	world := newRegistry(t, domain)
	at := servertest.FreeAddr(t, 0)
	world.delegate(servertest.Delegation(domain, "ns."+domain, world.Addr.Addr()))
	world.pointer(at.Addr(), host)
	c := world.server(t, host, at)
	c.postern("domain", "add", domain)
	if found := c.check(domain); found.Good || found.Owned || len(found.left()) < 5 {
		t.Errorf("before anything is published: %+v", found)
	}
	printed := c.postern("domain", "records", domain, "-o", "zone")
	mustTool(t, nil, needs(t, "named-checkzone"), "-k", "fail", domain, file(t, "zone", []byte("$TTL 3600\n@ SOA ns.hand.test. h.hand.test. 1 3600 600 86400 60\n@ NS ns.hand.test.\nns.hand.test. A 192.0.2.1\n"+within(printed, domain))))
	world.SetZone(domain, within(printed, domain))
	c.comesTo(world, domain, "the printed records are found", func(found checked) bool {
		return found.Good && found.Owned && found.Proof == "challenge" && found.Names == "hand"
	})
	spoiled := strings.NewReplacer("v=spf1 mx -all", "v=spf1 ip4:198.51.100.1 -all", "v=DMARC1; p=none", "v=DMARC1; p=sometimes").Replace(within(printed, domain))
	spoiled = strings.ReplaceAll(spoiled, "_submissions._tcp", "_gone._tcp")
	world.SetZone(domain, spoiled+"@ TXT \"v=spf1 include:other.test ~all\"\n")
	found := c.comesTo(world, domain, "the mistakes are found", func(found checked) bool {
		return slices.Contains(found.left(), "spf conflict") && len(found.left()) >= 2
	})
	states := map[string]string{}
	for _, r := range found.Records {
		if r.State != "ok" && r.State != "optional" {
			states[r.Purpose] = r.State
			if r.Hint == "" || r.Data == "" || len(r.Found) == 0 && r.State != "missing" {
				t.Errorf("it does not say what was found, or what to do: %+v", r)
			}
		}
	}
	if states["spf"] != "conflict" || states["dmarc"] == "" || len(states) > 3 {
		t.Errorf("what is said to be wrong: %v", states)
	}
}

// TestKeysAreDelegated: whoever keeps a zone by hand hands over the names of keys alone,
// by NS or by CNAME of each selector; the rest is theirs, and all is in order.
func TestKeysAreDelegated(t *testing.T) {
	const domain, host = "hand.test", "mail.hand.test"
	world := newRegistry(t, domain)
	at := servertest.FreeAddr(t, 53)
	world.delegate(servertest.Delegation(domain, "ns."+domain, world.Addr.Addr()), servertest.Delegation("keys.test", host, at.Addr()))
	world.pointer(at.Addr(), host)
	c := world.server(t, host, at, `zone = "keys.test"`)
	c.postern("domain", "add", domain)
	byNS, byCNAME := "_domainkey NS "+host+".\n", ""
	var rest strings.Builder
	for line := range strings.Lines(within(c.postern("domain", "records", domain, "-o", "zone"), domain)) {
		selector, _, key := strings.Cut(line, "._domainkey")
		if key {
			byCNAME += fmt.Sprintf("%s._domainkey CNAME %[1]s.%s.keys.test.\n", selector, domain)
		} else {
			rest.WriteString(line)
		}
	}
	if strings.Count(byCNAME, "\n") != 2+4 { // two keys, and the selectors that later ones take in turn
		t.Fatalf("keys: %q", byCNAME)
	}
	for names, records := range map[string]string{"dkim": byNS, "cname": byCNAME} {
		world.SetZone(domain, rest.String()+records)
		c.comesTo(world, domain, names+" keeps the names", func(found checked) bool { return found.Names == names && found.Good && found.Owned })
	}
}

// within drops the lines of a zone file that say nothing of a zone: names elsewhere,
// and what begins another zone.
func within(text, zone string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ = strings.Cut(name, "\t")
		if strings.HasSuffix(name, ".") && !strings.HasSuffix(name, zone+".") || strings.HasPrefix(name, "$") {
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}
