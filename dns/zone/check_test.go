package zone_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"postern/dns/zone"
)

const (
	edKey  = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	policy = "c0a762642c8ff96deabc4e74c1e5d657" // of mail.example.com in mode testing
)

// handKept are the facts of a domain that its owner keeps at a provider.
var handKept = zone.Facts{
	Domain: "example.com", Host: "mail.example.com", Addresses: []netip.Addr{netip.MustParseAddr("127.0.1.25")},
	Keys:  []zone.Key{{Selector: "e1", Record: edKey}},
	DMARC: "quarantine", MTASTS: "testing", Reports: "reports@example.com", Challenge: "postern-abc",
}

// parentText hands example.com to two name servers.
const parentText = `
com. NS a.gtld.test.
example.com. NS ns1.example.com.
example.com. NS ns2.example.com.
ns1.example.com. A 127.0.1.11
ns2.example.com. A 127.0.1.12
`

// goodText is all that the facts ask for.
const goodText = `
example.com. NS ns1.example.com.
example.com. NS ns2.example.com.
ns1.example.com. A 127.0.1.11
ns2.example.com. A 127.0.1.12
mail.example.com. A 127.0.1.25
example.com. MX 10 mail.example.com.
example.com. TXT "v=spf1 mx -all"
e1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
_dmarc.example.com. TXT "v=DMARC1; p=quarantine; rua=mailto:reports@example.com"
_mta-sts.example.com. TXT "v=STSv1; id=c0a762642c8ff96deabc4e74c1e5d657;"
mta-sts.example.com. CNAME mail.example.com.
_smtp._tls.example.com. TXT "v=TLSRPTv1; rua=mailto:reports@example.com"
_postern-challenge.example.com. TXT "postern-abc"
25.1.0.127.in-addr.arpa. PTR mail.example.com.
`

// delegation is what the resolver knows of the way to example.com.
const delegation = `
com. NS a.gtld.test.
a.gtld.test. A 127.0.1.10
`

// keeping is the world of a hand-kept domain: text is what both of its servers have
// and the resolver finds.
func keeping(t *testing.T, text string) (w *world, ns1, ns2 *peer) {
	w = newWorld(t)
	w.resolver.set(t, delegation+text)
	w.serve("127.0.1.10", parentText, "com")
	ns1 = w.serve("127.0.1.11", text, "example.com")
	ns2 = w.serve("127.0.1.12", text, "example.com")
	return w, ns1, ns2
}

func TestHandKeptZoneIsOK(t *testing.T) {
	w, _, _ := keeping(t, goodText)
	r, _ := w.check(handKept)
	for _, f := range r.Findings {
		if !f.State.Good() {
			t.Errorf("%s %s is %s: expected %q, found %q (%s)", f.Name, f.Type, f.State, f.Value, f.Found, f.Hint)
		}
	}
	if r.Zone != "example.com" || !slices.Equal(r.Servers, []string{"ns1.example.com", "ns2.example.com"}) || r.Proof != "challenge" || r.Names != "" || len(r.Silent) > 0 {
		t.Errorf("found %+v", r)
	}
}

// TestEachRecordIsNamed spoils one record at a time: it is named with what was
// found and what is expected.
func TestEachRecordIsNamed(t *testing.T) {
	drop := func(prefix string) func(string) string {
		return func(text string) string {
			lines := strings.Split(text, "\n")
			return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) }), "\n")
		}
	}
	swap := func(prefix string, lines ...string) func(string) string {
		return func(text string) string { return drop(prefix)(text) + "\n" + strings.Join(lines, "\n") + "\n" }
	}
	for _, c := range []struct {
		name     string
		spoil    func(string) string
		purpose  zone.Purpose
		state    zone.State
		found    string // joined with " | "
		expected string
		hint     string
	}{
		{"no exchanger", drop("example.com. MX"), zone.PurposeMX, zone.Missing, "", "10 mail.example.com", "make this record"},
		{"mail elsewhere", swap("example.com. MX", "example.com. MX 1 mx.other.test."), zone.PurposeMX, zone.Conflict, "1 mx.other.test", "10 mail.example.com", "mail goes to mx.other.test"},
		{"mail in two places", swap("example.com. MX", "example.com. MX 10 mail.example.com.", "example.com. MX 20 mx.other.test."), zone.PurposeMX, zone.Conflict,
			"10 mail.example.com | 20 mx.other.test", "10 mail.example.com", "some mail goes to mx.other.test"},
		{"null MX", swap("example.com. MX", "example.com. MX 0 ."), zone.PurposeMX, zone.Conflict, "0 .", "10 mail.example.com", "takes no mail"},
		{"host moved", swap("mail.example.com. A", "mail.example.com. A 127.0.1.99"), zone.PurposeHost, zone.Wrong, "127.0.1.99", "127.0.1.25", "leads elsewhere"},
		{"no host", drop("mail.example.com. A"), zone.PurposeHost, zone.Missing, "", "127.0.1.25", "make"},
		{"no SPF", drop("example.com. TXT"), zone.PurposeSPF, zone.Missing, "", "v=spf1 mx -all", "make"},
		{"SPF of others", swap("example.com. TXT", `example.com. TXT "v=spf1 include:_spf.other.test ~all"`), zone.PurposeSPF, zone.Wrong,
			"v=spf1 include:_spf.other.test ~all", "v=spf1 mx include:_spf.other.test ~all", "never make a second one"},
		{"two SPF", swap("example.com. TXT", `example.com. TXT "v=spf1 mx -all"`, `example.com. TXT "v=spf1 include:_spf.other.test ~all"`), zone.PurposeSPF, zone.Conflict,
			"v=spf1 include:_spf.other.test ~all | v=spf1 mx -all", "v=spf1 include:_spf.other.test mx ~all", "2 SPF records"},
		{"everybody", swap("example.com. TXT", `example.com. TXT "v=spf1 mx +all"`), zone.PurposeSPF, zone.Wrong, "v=spf1 mx +all", "v=spf1 mx ~all", "everybody"},
		{"SPF misspelt", swap("example.com. TXT", `example.com. TXT "v=spf1 mx ipv4:192.0.2.1 -all"`), zone.PurposeSPF, zone.Wrong, "v=spf1 mx ipv4:192.0.2.1 -all", "v=spf1 mx -all", "cannot read"},
		{"no key", drop("e1._domainkey"), zone.PurposeDKIM, zone.Missing, "", edKey, "make"},
		{"another key", swap("e1._domainkey", `e1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=AAAA"`), zone.PurposeDKIM, zone.Wrong, "v=DKIM1; k=ed25519; p=AAAA", edKey, "another key"},
		{"key cut off", swap("e1._domainkey", `e1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg"`), zone.PurposeDKIM, zone.Wrong, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg", edKey, "cut off"},
		{"key revoked", swap("e1._domainkey", `e1._domainkey.example.com. TXT "v=DKIM1; p="`), zone.PurposeDKIM, zone.Wrong, "v=DKIM1; p=", edKey, "revoked"},
		{"two keys", swap("e1._domainkey", `e1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=AAAA"`, `e1._domainkey.example.com. TXT "`+edKey+`"`), zone.PurposeDKIM, zone.Conflict,
			edKey + " | v=DKIM1; k=ed25519; p=AAAA", edKey, "2 keys"},
		{"reverse name of the provider", swap("25.1.0.127", "25.1.0.127.in-addr.arpa. PTR vps25.provider.test."), zone.PurposePTR, zone.Wrong, "vps25.provider.test", "mail.example.com", "whoever gave you the address"},
		{"weak DMARC", swap("_dmarc", `_dmarc.example.com. TXT "v=DMARC1; p=none; sp=reject; rua=mailto:reports@example.com"`), zone.PurposeDMARC, zone.Wrong,
			"v=DMARC1; p=none; sp=reject; rua=mailto:reports@example.com", "v=DMARC1; p=quarantine; sp=reject; rua=mailto:reports@example.com", "less than was decided"},
		{"reports elsewhere", swap("_dmarc", `_dmarc.example.com. TXT "v=DMARC1; p=reject; rua=mailto:x@other.test"`), zone.PurposeDMARC, zone.Wrong,
			"v=DMARC1; p=reject; rua=mailto:x@other.test", "v=DMARC1; p=reject; rua=mailto:x@other.test,mailto:reports@example.com", "reports do not come here"},
		{"two DMARC", swap("_dmarc", `_dmarc.example.com. TXT "v=DMARC1; p=none"`, `_dmarc.example.com. TXT "v=DMARC1; p=reject"`), zone.PurposeDMARC, zone.Conflict,
			"v=DMARC1; p=none | v=DMARC1; p=reject", "v=DMARC1; p=quarantine; rua=mailto:reports@example.com", "2 DMARC records"},
		{"old policy", swap("_mta-sts", `_mta-sts.example.com. TXT "v=STSv1; id=20250101;"`), zone.PurposeMTASTS, zone.Wrong, "v=STSv1; id=20250101;", "v=STSv1; id=" + policy + ";", "fetch it anew"},
		{"policy elsewhere", swap("mta-sts", "mta-sts.example.com. CNAME www.other.test."), zone.PurposeMTASTSHost, zone.Wrong, "CNAME www.other.test", "mail.example.com", "leads to www.other.test"},
		{"policy host by address", swap("mta-sts", "mta-sts.example.com. A 127.0.1.25"), zone.PurposeMTASTSHost, zone.OK, "127.0.1.25", "mail.example.com", ""},
		{"TLS reports elsewhere", swap("_smtp._tls", `_smtp._tls.example.com. TXT "v=TLSRPTv1; rua=https://other.test/r"`), zone.PurposeTLSRPT, zone.Wrong,
			"v=TLSRPTv1; rua=https://other.test/r", "v=TLSRPTv1; rua=https://other.test/r,mailto:reports@example.com", "reports do not come here"},
		{"no challenge", drop("_postern-challenge"), zone.PurposeChallenge, zone.Missing, "", "postern-abc", "make"},
		{"alias at the top", swap("example.com. MX", "example.com. CNAME www.other.test."), zone.PurposeMX, zone.Conflict, "CNAME www.other.test", "10 mail.example.com", "alias"},
		{"wildcard", swap("_dmarc", `*.example.com. TXT "v=spf1 -all"`), zone.PurposeDMARC, zone.Missing, "v=spf1 -all", "v=DMARC1; p=quarantine; rua=mailto:reports@example.com", "wildcard"},
		{"other client settings", swap("nothing", "autoconfig.example.com. CNAME auto.other.test."), zone.PurposeAutoconfig, zone.Wrong, "CNAME auto.other.test", "mail.example.com", "auto.other.test"},
		{"no client settings", drop("nothing"), zone.PurposeAutoconfig, zone.Absent, "", "mail.example.com", "make"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, _, _ := keeping(t, c.spoil(goodText))
			_, by := w.check(handKept)
			f := by[c.purpose]
			if got := strings.Join(f.Found, " | "); f.State != c.state || got != c.found || f.Value != c.expected || !strings.Contains(f.Hint, c.hint) || c.hint == "" && f.Hint != "" {
				t.Errorf("%s: found %q, expected %q (%s)\nwant %s: found %q, expected %q (%s)", f.State, got, f.Value, f.Hint, c.state, c.found, c.expected, c.hint)
			}
		})
	}
}

// TestPropagating: servers that do not agree, and a resolver that remembers.
func TestPropagating(t *testing.T) {
	old := strings.Replace(goodText, "v=spf1 mx -all", "v=spf1 -all", 1)
	t.Run("servers differ", func(t *testing.T) {
		w, _, ns2 := keeping(t, goodText)
		ns2.set(t, old)
		_, by := w.check(handKept)
		if f := by[zone.PurposeSPF]; f.State != zone.Propagating || !slices.Equal(f.Found, []string{"v=spf1 -all"}) {
			t.Errorf("found %+v", f)
		}
	})
	t.Run("the resolver is old", func(t *testing.T) {
		w, _, _ := keeping(t, goodText)
		w.resolver.set(t, delegation+old)
		_, by := w.check(handKept)
		if f := by[zone.PurposeSPF]; f.State != zone.Propagating || !slices.Equal(f.Found, []string{"v=spf1 -all"}) {
			t.Errorf("found %+v", f)
		}
	})
	t.Run("the resolver remembers what is gone", func(t *testing.T) {
		w, ns1, ns2 := keeping(t, goodText)
		ns1.set(t, old)
		ns2.set(t, old)
		_, by := w.check(handKept)
		if f := by[zone.PurposeSPF]; f.State != zone.Wrong {
			t.Errorf("the servers of the zone have another record, and the state is %s", f.State)
		}
	})
}

// TestSilentServers: what cannot be asked is not missing.
func TestSilentServers(t *testing.T) {
	refuse := func(q, _ *mdns.Msg) *mdns.Msg {
		reply := new(mdns.Msg).SetReply(q)
		reply.Rcode = mdns.RcodeServerFailure
		return reply
	}
	t.Run("one server", func(t *testing.T) {
		w, ns1, _ := keeping(t, goodText)
		ns1.be(refuse)
		r, _ := w.check(handKept)
		if !r.Good() || len(r.Silent) != 1 || !strings.Contains(r.Silent[0], "ns1.example.com") {
			t.Errorf("silent are %v", r.Silent)
		}
	})
	t.Run("one that takes questions and says nothing", func(t *testing.T) {
		w, ns1, _ := keeping(t, goodText)
		ns1.be(func(q, reply *mdns.Msg) *mdns.Msg { return nil })
		r, _ := w.check(handKept)
		ns1.mu.Lock()
		defer ns1.mu.Unlock()
		if !r.Good() || len(r.Silent) != 1 || ns1.asked > 40 {
			t.Errorf("good %v, silent %v, asked %d times", r.Good(), r.Silent, ns1.asked)
		}
	})
	t.Run("a resolver that says nothing", func(t *testing.T) {
		w, _, _ := keeping(t, goodText)
		w.resolver.be(func(q, reply *mdns.Msg) *mdns.Msg {
			if q.Question[0].Qtype == mdns.TypeTXT || q.Question[0].Qtype == mdns.TypeSRV {
				return nil
			}
			return reply
		})
		if r, by := w.check(handKept); by[zone.PurposeSPF].State != zone.OK || by[zone.PurposeDMARC].State != zone.OK {
			t.Errorf("the servers of the zone answer, and it is %+v", r)
		}
	})
	t.Run("all servers", func(t *testing.T) {
		w, ns1, ns2 := keeping(t, goodText)
		ns1.be(refuse)
		ns2.be(refuse)
		w.resolver.be(refuse)
		r, _ := w.check(handKept)
		for _, f := range r.Findings {
			if f.State != zone.Unknown {
				t.Errorf("%s %s is %s, and nobody could be asked", f.Name, f.Type, f.State)
			}
		}
	})
}

// TestDelegatedZone: the zone is handed to this server, which is proof of ownership.
func TestDelegatedZone(t *testing.T) {
	const ours = `
agents.example.com. NS mail.example.com.
agents.example.com. SOA mail.example.com. hostmaster.example.com. 1 2 3 4 5
agents.example.com. MX 10 mail.example.com.
`
	f := handKept
	f.Domain = "agents.example.com"
	parent := goodText + "agents.example.com. NS mail.example.com.\n"
	w, _, _ := keeping(t, parent)
	server := w.serve("127.0.1.25", ours, "agents.example.com")
	r, by := w.check(f)
	if r.Names != zone.Delegated || r.Proof != "delegation" || r.Zone != "agents.example.com" || by[zone.PurposeDelegation].State != zone.OK {
		t.Errorf("found %+v", r)
	}
	t.Run("and is not answered for", func(t *testing.T) {
		server.be(func(q, reply *mdns.Msg) *mdns.Msg { reply.Authoritative = false; return reply })
		defer server.be(nil)
		if r, _ := w.check(f); r.Proof != "" {
			t.Errorf("a server that does not answer for the zone proves %q", r.Proof)
		}
	})
	t.Run("and it says that a zone below is its own", func(t *testing.T) {
		server.set(t, ours+strings.ReplaceAll(ours, "agents.", "x.agents."))
		server.mu.Lock()
		server.origins = append(server.origins, "x.agents.example.com")
		server.mu.Unlock()
		below := f
		below.Domain = "x.agents.example.com"
		if r, _ := w.check(below); r.Names != zone.Delegated || !r.Own {
			t.Errorf("that this is its own word is not said: %+v", r)
		}
		if r, _ := w.check(f); r.Own || r.Proof != "delegation" {
			t.Errorf("of the zone that was delegated: %+v", r)
		}
	})
	t.Run("to another server of the name", func(t *testing.T) {
		elsewhere := f
		elsewhere.Addresses = []netip.Addr{netip.MustParseAddr("127.0.1.77")}
		if r, _ := w.check(elsewhere); r.Proof != "" {
			t.Errorf("a server at another address than ours proves %q", r.Proof)
		}
	})
}

// TestDelegatedKeys: _domainkey alone is handed to this server.
func TestDelegatedKeys(t *testing.T) {
	text := strings.Replace(goodText, "e1._domainkey.example.com. TXT", "_domainkey.example.com. NS mail.example.com.\nunused.test. TXT", 1)
	w, _, _ := keeping(t, text)
	w.serve("127.0.1.25", `
_domainkey.example.com. SOA mail.example.com. hostmaster.example.com. 1 2 3 4 5
_domainkey.example.com. NS mail.example.com.
e1._domainkey.example.com. TXT "`+edKey+`"
`, "_domainkey.example.com")
	w.resolver.set(t, delegation+text+`e1._domainkey.example.com. TXT "`+edKey+`"`)
	r, by := w.check(handKept)
	if r.Names != zone.DKIMZone || by[zone.PurposeDKIM].State != zone.OK || by[zone.PurposeDelegation].State != zone.OK || r.Proof != "challenge" {
		t.Errorf("names %q, proof %q, key %+v, delegation %+v", r.Names, r.Proof, by[zone.PurposeDKIM], by[zone.PurposeDelegation])
	}
}

// TestHostileServers: answers for other names, referrals in circles and to nowhere,
// thousands of servers. A check ends, asks a bounded number of questions, and
// believes nothing of it.
func TestHostileServers(t *testing.T) {
	rr := func(text string) mdns.RR {
		r, err := mdns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	refer := func(q *mdns.Msg, lines ...string) *mdns.Msg {
		reply := new(mdns.Msg).SetReply(q)
		for _, l := range lines {
			if r := rr(l); r.Header().Rrtype == mdns.TypeNS {
				reply.Ns = append(reply.Ns, r)
			} else {
				reply.Extra = append(reply.Extra, r)
			}
		}
		return reply
	}
	for name, odd := range map[string]func(q, reply *mdns.Msg) *mdns.Msg{
		"other names": func(q, reply *mdns.Msg) *mdns.Msg {
			reply.Answer = []mdns.RR{rr("evil.test. 60 IN MX 10 mail.example.com."), rr(`_dmarc.evil.test. 60 IN TXT "v=DMARC1; p=reject"`), rr(`evil.test. 60 IN TXT "postern-abc"`)}
			reply.Authoritative = true
			return reply
		},
		"referral to itself": func(q, _ *mdns.Msg) *mdns.Msg {
			return refer(q, "example.com. 60 IN NS ns1.example.com.", "ns1.example.com. 60 IN A 127.0.1.11")
		},
		"referral upwards": func(q, _ *mdns.Msg) *mdns.Msg {
			return refer(q, "com. 60 IN NS a.gtld.test.", "a.gtld.test. 60 IN A 127.0.1.10")
		},
		"referral sideways": func(q, _ *mdns.Msg) *mdns.Msg {
			return refer(q, "evil.test. 60 IN NS ns.evil.test.", "ns.evil.test. 60 IN A 127.0.1.11")
		},
		"referral down for ever": func(q, _ *mdns.Msg) *mdns.Msg {
			return refer(q, q.Question[0].Name+" 60 IN NS ns1.example.com.", "ns1.example.com. 60 IN A 127.0.1.11")
		},
		"a crowd of servers": func(q, _ *mdns.Msg) *mdns.Msg {
			var lines []string
			for i := range 200 {
				lines = append(lines, fmt.Sprintf("%s 60 IN NS n%d.example.com.", q.Question[0].Name, i))
			}
			return refer(q, lines...)
		},
		"alias to itself": func(q, reply *mdns.Msg) *mdns.Msg {
			reply.Authoritative = true
			reply.Answer = []mdns.RR{rr(q.Question[0].Name + " 60 IN CNAME " + q.Question[0].Name)}
			return reply
		},
		"glue for others": func(q, _ *mdns.Msg) *mdns.Msg {
			return refer(q, q.Question[0].Name+" 60 IN NS mail.bank.test.", "mail.bank.test. 60 IN A 127.0.1.11")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, ns1, ns2 := keeping(t, goodText)
			w.resolver.set(t, delegation)
			ns1.be(odd)
			ns2.be(odd)
			r, _ := w.check(handKept)
			for _, f := range r.Findings {
				if f.State == zone.OK {
					t.Errorf("%s %s is ok by %q", f.Name, f.Type, f.Found)
				}
			}
			if r.Proof != "" {
				t.Errorf("it proves %q", r.Proof)
			}
			for _, p := range []*peer{w.resolver, ns1, ns2} {
				if p.mu.Lock(); p.asked > 1500 {
					t.Errorf("a server was asked %d times", p.asked)
				}
				p.mu.Unlock()
			}
		})
	}
}

// TestSPFCounts: receivers stop after ten look-ups (RFC 7208, section 4.6.4), and a
// record that includes itself or ten thousand others is counted no further.
func TestSPFCounts(t *testing.T) {
	var many strings.Builder
	text := strings.Replace(goodText, `"v=spf1 mx -all"`, `"v=spf1 mx include:a.test -all"`, 1)
	for i := range 9 {
		fmt.Fprintf(&many, "a.test. TXT \"v=spf1 include:b%d.test include:a.test -all\"\n", i)
	}
	w, _, _ := keeping(t, text)
	w.resolver.set(t, delegation+text+many.String())
	_, by := w.check(handKept)
	if f := by[zone.PurposeSPF]; f.State != zone.Wrong || !strings.Contains(f.Hint, "10 look-ups") {
		t.Errorf("found %+v", f)
	}
}

// TestCAA: an authority that is not named may not issue (RFC 8659, section 3).
func TestCAA(t *testing.T) {
	f := handKept
	f.Authorities = []string{"letsencrypt.org"}
	for name, c := range map[string]struct {
		lines string
		state zone.State
	}{
		"none":              {"", zone.Absent},
		"ours":              {`example.com. CAA 0 issue "letsencrypt.org; validationmethods=dns-01"`, zone.OK},
		"another":           {`example.com. CAA 0 issue "other.test"`, zone.Conflict},
		"above":             {`com. CAA 0 issue "other.test"`, zone.Conflict},
		"wildcards alone":   {`example.com. CAA 0 issuewild "other.test"`, zone.Absent},
		"ours beside other": {"example.com. CAA 0 issue \"other.test\"\nexample.com. CAA 0 issue \"letsencrypt.org\"", zone.OK},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, _ := keeping(t, goodText+c.lines+"\n")
			_, by := w.check(f)
			if got := by[zone.PurposeCAA]; got.State != c.state {
				t.Errorf("%s: found %v (%s), want %s", got.State, got.Found, got.Hint, c.state)
			}
		})
	}
}
