package msgauth_test

import (
	"fmt"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"postern/dns"
	"postern/server/message"
	"postern/server/msgauth"
)

// zoneOf reads lines of name, type and data.
func zoneOf(t testing.TB, lines string) *namedZone {
	t.Helper()
	z := &namedZone{records: map[string][]mdns.RR{}, silent: map[string]bool{}}
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		data := strings.TrimSpace(strings.SplitN(strings.TrimSpace(line), f[1], 2)[1])
		switch f[1] {
		case "TXT":
			z.add(t, f[0], mdns.TypeTXT, []string{data})
		case "A":
			z.add(t, f[0], mdns.TypeA, []string{data})
		case "AAAA":
			z.add(t, f[0], mdns.TypeAAAA, []string{data})
		case "MX":
			z.add(t, f[0], mdns.TypeMX, []string{"10", data})
		case "PTR":
			z.add(t, f[0], mdns.TypePTR, []string{data})
		case "SILENT":
			z.silent[strings.ToLower(f[0])+"."] = true
		default:
			t.Fatalf("record type %s", f[1])
		}
	}
	return z
}

func spfOf(t testing.TB, c *msgauth.Checker, ip, from, helo string) string {
	t.Helper()
	f := facts(t, ip, "", "")
	f.Helo = helo
	if at := strings.LastIndexByte(from, '@'); at >= 0 {
		f.From = message.Path{Local: from[:at], Domain: from[at+1:]}
	}
	return c.Check(t.Context(), f).SPF.Value.String()
}

const spfWorld = `
all.test TXT v=spf1 -all
upper.test TXT V=SPF1 IP4:192.0.2.0/24 -ALL
four.test TXT v=spf1 ip4:192.0.2.0/24 -all
six.test TXT v=spf1 ip6:2001:db8::/32 -all
mixed.test TXT v=spf1 a/24//64 -all
mixed.test A 192.0.2.200
mixed.test AAAA 2001:db8::9
mx.test TXT v=spf1 mx -all
mx.test MX gone.test
mx.test MX host.test
host.test A 192.0.2.1
host.test AAAA 2001:db8::1
nullmx.test TXT v=spf1 mx ?all
nullmx.test MX .
late.test TXT v=spf1 ip4:192.0.2.1 -all bogus
twice.test TXT v=spf1 -all
twice.test TXT v=spf1 +all
other.test TXT verification=1
inc.test TXT v=spf1 include:four.test -all
inc-none.test TXT v=spf1 include:other.test -all
inc-perm.test TXT v=spf1 include:late.test -all
inc-silent.test TXT v=spf1 include:silent.test -all
silent.test SILENT
redirect.test TXT v=spf1 redirect=four.test
redirect-none.test TXT v=spf1 redirect=other.test
redirect-all.test TXT v=spf1 redirect=four.test ?all
loop.test TXT v=spf1 include:loop.test -all
void.test TXT v=spf1 a:g1.test a:g2.test a:g3.test ip4:192.0.2.1 -all
void2.test TXT v=spf1 a:g1.test a:g2.test ip4:192.0.2.1 -all
ten.test TXT v=spf1 a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test ip4:192.0.2.9 -all
eleven.test TXT v=spf1 a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test a:host.test ip4:192.0.2.9 -all
macro.test TXT v=spf1 exists:%{l1r-}.%{d2}._%{ir}.%{v}.x.test -all
me.macro.test._9.2.0.192.in-addr.x.test A 127.0.0.1
tag.test TXT v=spf1 exists:%{l}.x.test -all
user+tag=1.x.test A 127.0.0.2
esc.test TXT v=spf1 exists:%{L}.x.test -all
user%2btag%3d1.x.test A 127.0.0.2
helo.test TXT v=spf1 a:%{h} -all
ptr.test TXT v=spf1 ptr -all
1.2.0.192.in-addr.arpa PTR mail.ptr.test
2.2.0.192.in-addr.arpa PTR liar.ptr.test
mail.ptr.test A 192.0.2.1
liar.ptr.test A 192.0.2.77
unknown-modifier.test TXT v=spf1 zz=%{s} ip4:192.0.2.1 -all
macro-nobody.test TXT v=spf1 exists:%{c}.test -all
zero.test TXT v=spf1 exists:%{d0}.test -all
open.test TXT v=spf1 exists:%{d.test -all
cidr.test TXT v=spf1 ip4:192.0.2.1/033 -all
`

func TestSPF(t *testing.T) {
	c := zoneOf(t, spfWorld).start(t)
	for _, test := range []struct{ ip, from, want string }{
		{"192.0.2.1", "a@all.test", "fail"}, {"192.0.2.1", "a@upper.test", "pass"}, {"192.0.2.1", "a@four.test", "pass"},
		{"::ffff:192.0.2.1", "a@four.test", "pass"}, {"2001:db8::1", "a@four.test", "fail"}, {"2001:db8::1", "a@six.test", "pass"},
		{"192.0.2.1", "a@mixed.test", "pass"}, {"192.0.3.1", "a@mixed.test", "fail"}, {"2001:db8::ffff", "a@mixed.test", "pass"}, {"2001:db8:0:1::1", "a@mixed.test", "fail"},
		{"192.0.2.1", "a@mx.test", "pass"}, {"2001:db8::1", "a@mx.test", "pass"}, {"192.0.2.2", "a@mx.test", "fail"}, {"192.0.2.1", "a@nullmx.test", "neutral"},
		{"192.0.2.1", "a@late.test", "permerror"}, {"192.0.2.1", "a@twice.test", "permerror"}, {"192.0.2.1", "a@other.test", "none"}, {"192.0.2.1", "a@nowhere.test", "none"},
		{"192.0.2.1", "a@inc.test", "pass"}, {"192.0.3.1", "a@inc.test", "fail"}, {"192.0.2.1", "a@inc-none.test", "permerror"},
		{"192.0.2.1", "a@inc-perm.test", "permerror"}, {"192.0.2.1", "a@inc-silent.test", "temperror"}, {"192.0.2.1", "a@silent.test", "temperror"},
		{"192.0.2.1", "a@redirect.test", "pass"}, {"192.0.3.1", "a@redirect.test", "fail"}, {"192.0.2.1", "a@redirect-none.test", "permerror"}, {"192.0.2.1", "a@redirect-all.test", "neutral"},
		{"192.0.2.1", "a@loop.test", "permerror"}, {"192.0.2.1", "a@void.test", "permerror"}, {"192.0.2.1", "a@void2.test", "pass"},
		{"192.0.2.9", "a@ten.test", "pass"}, {"192.0.2.9", "a@eleven.test", "permerror"},
		{"192.0.2.9", "me-and-more@macro.test", "pass"}, {"192.0.2.9", "more-me@macro.test", "fail"}, {"192.0.2.9", "me@macro.test", "pass"},
		{"192.0.2.9", "user+tag=1@tag.test", "pass"}, {"192.0.2.9", "User+Tag=1@tag.test", "pass"}, {"192.0.2.9", "b\u00fccher@tag.test", "fail"}, // RFC 8616, section 4
		{"192.0.2.9", "user+tag=1@esc.test", "pass"}, {"192.0.2.9", "a@b@tag.test", "fail"},
		{"192.0.2.1", "a@ptr.test", "pass"}, {"192.0.2.2", "a@ptr.test", "fail"}, {"192.0.2.3", "a@ptr.test", "fail"},
		{"192.0.2.1", "a@unknown-modifier.test", "pass"}, {"192.0.2.1", "a@macro-nobody.test", "permerror"}, {"192.0.2.1", "a@zero.test", "permerror"},
		{"192.0.2.1", "a@open.test", "permerror"}, {"192.0.2.1", "a@cidr.test", "permerror"},
	} {
		if got := spfOf(t, c, test.ip, test.from, "host.test"); got != test.want {
			t.Errorf("%s from %s: %s, want %s", test.from, test.ip, got, test.want)
		}
	}
	for _, test := range []struct{ from, helo, want string }{
		{"", "four.test", "pass"}, {"", "all.test", "fail"}, {"", "[192.0.2.1]", "none"}, {"", "four", "none"}, {"", "", "none"}, {"", "bad name!", "none"},
		{"a@helo.test", "host.test", "pass"}, {"a@helo.test", "[192.0.2.1]", "fail"}, {"a@helo.test", "%{d}.test", "fail"},
	} {
		if got := spfOf(t, c, "192.0.2.1", test.from, test.helo); got != test.want {
			t.Errorf("%q, HELO %q: %s, want %s", test.from, test.helo, got, test.want)
		}
	}
}

// RFC 7208, section 4.6.4: whatever a stranger publishes, few questions follow.
func TestSPFAsksLittle(t *testing.T) {
	var lines strings.Builder
	wide, deep := "v=spf1", 10_000
	for i := range 1_000 { // a record is at most 64 KiB
		wide += fmt.Sprintf(" include:i%d.test", i)
	}
	for i := range deep {
		fmt.Fprintf(&lines, "i%d.test TXT v=spf1 include:i%d.test -all\n", i, i+1)
	}
	names := ""
	for i := range 300 {
		names += fmt.Sprintf("9.2.0.192.in-addr.arpa PTR n%d.test\n", i)
		fmt.Fprintf(&lines, "x11.test MX n%d.test\n", i%11)
	}
	fmt.Fprintf(&lines, "%swide.test TXT %s -all\nx11.test TXT v=spf1 mx -all\n", names, wide)
	fmt.Fprintf(&lines, "ptr.test TXT v=spf1 ptr ptr ptr:%%{p} -all\n")
	fmt.Fprintf(&lines, "long.test TXT v=spf1 %s-all\n", strings.Repeat("ip4:198.51.100.1 ", 3_000))
	fmt.Fprintf(&lines, "macros.test TXT v=spf1 exists:%s -all\n", strings.Repeat("%{s}", 10_000))
	fmt.Fprintf(&lines, "brace.test TXT v=spf1 exists:%%{%s -all\n", strings.Repeat("a", 50_000))
	z := zoneOf(t, lines.String())
	for i := range 300 {
		z.add(t, fmt.Sprintf("n%d.test", i), mdns.TypeA, []string{"192.0.2.8"})
	}
	c := z.start(t)
	asked := &questions{Resolver: c.Resolver.(*dns.Cache)}
	c.Resolver = asked
	for _, test := range []struct {
		domain, want string
		most         int64
	}{
		// with six of iprev: the names of the address
		{"i0.test", "permerror", 1 + 10 + 6}, {"wide.test", "permerror", 1 + 10 + 6}, {"x11.test", "permerror", 2 + 6},
		{"ptr.test", "fail", 1 + 11 + 6}, {"long.test", "fail", 1 + 6}, {"macros.test", "fail", 2 + 6}, {"brace.test", "permerror", 1 + 6},
	} {
		asked.n.Store(0)
		if got := spfOf(t, c, "192.0.2.9", "a@"+test.domain, "host.test"); got != test.want || asked.n.Load() > test.most {
			t.Errorf("%s: %s after %d questions, want %s after %d at most", test.domain, got, asked.n.Load(), test.want, test.most)
		}
	}
}
