package msgauth_test

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/dkim"
	"postern/dns"
	"postern/dns/nameserver"
	"postern/server/message"
	"postern/server/msgauth"
)

var keys = sync.OnceValue(func() []*dkim.Key {
	var out []*dkim.Key
	for _, a := range []dkim.Algorithm{dkim.RSA, dkim.Ed25519} {
		k, err := dkim.GenerateKey(a)
		if err != nil {
			panic(err)
		}
		out = append(out, k)
	}
	return out
})

// world is a DNS with senders of every kind in it.
func world(t testing.TB) *msgauth.Checker {
	t.Helper()
	s := nameserver.New()
	txt := func(name, data string) nameserver.Record {
		return nameserver.Record{Name: name, Type: nameserver.TXT, TTL: time.Hour, Data: data}
	}
	records := []nameserver.Record{
		txt("good.example", "v=spf1 ip4:192.0.2.1 -all"),
		txt("_dmarc.good.example", "v=DMARC1; p=reject; sp=quarantine"),
		txt("news.good.example", "v=spf1 ip4:192.0.2.1 -all"),
		txt(dkim.RecordName("r1", "good.example"), keys()[0].Record()),
		txt(dkim.RecordName("e1", "good.example"), keys()[1].Record()),
		txt(dkim.RecordName("e1", "other.example"), keys()[1].Record()),
		txt("strict.example", "v=spf1 ip4:192.0.2.1 -all"),
		txt("_dmarc.strict.example", "v=DMARC1; p=none; aspf=s; adkim=s"),
		txt("news.strict.example", "v=spf1 ip4:192.0.2.1 -all"),
		txt("twice.example", "v=spf1 -all"),
		txt("_dmarc.twice.example", "v=DMARC1; p=reject"),
		txt("_dmarc.twice.example", "v=DMARC1; p=none"),
		txt("broken.example", "v=spf1 ip4:nonsense -all"),
		txt("_dmarc.broken.example", "v=DMARC1; p=nonsense"),
		txt("endless.example", "v=spf1 include:endless.example -all"),
		txt("soft.example", "v=spf1 mx ~all"),
		txt(dkim.RecordName("huge", "good.example"), "v=DKIM1; p="+strings.Repeat("A", 4000)),
		{Name: "soft.example", Type: nameserver.MX, Data: "10 mx.good.example"},
		{Name: "mx.good.example", Type: nameserver.A, TTL: time.Hour, Data: "192.0.2.1"},
		{Name: "liar.example", Type: nameserver.A, TTL: time.Hour, Data: "192.0.2.77"},
	}
	for _, z := range []nameserver.Zone{
		{Origin: "example", Nameservers: []string{"ns.example"}, TTL: time.Hour, Records: records},
		{Origin: "2.0.192.in-addr.arpa", Nameservers: []string{"ns.example"}, TTL: time.Hour, Records: []nameserver.Record{
			{Name: "1.2.0.192.in-addr.arpa", Type: nameserver.PTR, TTL: time.Hour, Data: "mx.good.example"},
			{Name: "2.2.0.192.in-addr.arpa", Type: nameserver.PTR, TTL: time.Hour, Data: "liar.example"},
		}},
	} {
		if err := s.SetZone(z); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Stop(ctx)
	})
	c, err := dns.NewClient(dns.Config{Servers: []string{s.Addr().String()}, TryTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return &msgauth.Checker{Resolver: c}
}

func facts(t testing.TB, ip, from, mail string) msgauth.Facts {
	t.Helper()
	f := msgauth.Facts{Remote: netip.MustParseAddr(ip), Helo: "mx.good.example", Data: strings.NewReader(mail)}
	if from != "" {
		p, err := message.ParseAddress(from)
		if err != nil {
			t.Fatal(err)
		}
		f.From = p
	}
	f.Parsed = message.Parse(f.Data, int64(len(mail)))
	return f
}

func letter(from string) string {
	return "From: " + from + "\r\nTo: b@here.example\r\nSubject: x\r\nDate: Sat, 03 Jan 2026 10:00:00 +0000\r\n\r\nHello\r\n"
}

func signed(t testing.TB, domain, mail string, keys ...dkim.Selected) string {
	t.Helper()
	s, err := dkim.NewSigner(domain, keys...)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := s.Sign(strings.NewReader(mail), int64(len(mail)))
	if err != nil {
		t.Fatal(err)
	}
	return string(fields) + mail
}

func brief(r msgauth.Results) string {
	s := fmt.Sprintf("spf=%s dmarc=%s/%s iprev=%s dkim", r.SPF.Value, r.DMARC.Value, r.DMARC.Policy, r.IPRev.Value)
	for _, d := range r.DKIM {
		s += " " + d.Value.String()
	}
	return s
}

func TestCheck(t *testing.T) {
	c := world(t)
	r1, e1 := dkim.Selected{Selector: "r1", Key: keys()[0]}, dkim.Selected{Selector: "e1", Key: keys()[1]}
	gone := dkim.Selected{Selector: "gone", Key: keys()[1]}
	huge := dkim.Selected{Selector: "huge", Key: keys()[0]}
	plain := letter("a@good.example")
	for _, test := range []struct{ what, ip, from, mail, want string }{
		{"both pass", "192.0.2.1", "a@good.example", signed(t, "good.example", plain, r1, e1), "spf=pass dmarc=pass/reject iprev=pass dkim pass pass"},
		{"SPF alone", "192.0.2.1", "a@good.example", plain, "spf=pass dmarc=pass/reject iprev=pass dkim"},
		{"DKIM alone, forwarded", "192.0.2.2", "a@good.example", signed(t, "good.example", plain, e1), "spf=fail dmarc=pass/reject iprev=fail dkim pass"},
		{"neither", "192.0.2.3", "a@good.example", plain, "spf=fail dmarc=fail/reject iprev=permerror dkim"},
		{"changed", "192.0.2.3", "a@good.example", signed(t, "good.example", plain, e1) + "more\r\n", "spf=fail dmarc=fail/reject iprev=permerror dkim fail"},
		{"no key", "192.0.2.3", "a@good.example", signed(t, "good.example", plain, gone), "spf=fail dmarc=fail/reject iprev=permerror dkim permerror"},
		{"huge key", "192.0.2.3", "a@good.example", signed(t, "good.example", plain, huge), "spf=fail dmarc=fail/reject iprev=permerror dkim permerror"},
		{"signed by another", "192.0.2.3", "a@none.example", signed(t, "other.example", plain, e1), "spf=none dmarc=fail/reject iprev=permerror dkim pass"},
		{"relaxed: subdomain in path", "192.0.2.1", "a@news.good.example", plain, "spf=pass dmarc=pass/reject iprev=pass dkim"},
		{"subdomain policy", "192.0.2.3", "a@good.example", letter("a@deep.news.good.example"), "spf=fail dmarc=fail/quarantine iprev=permerror dkim"},
		{"strict: subdomain in path", "192.0.2.1", "a@news.strict.example", letter("a@strict.example"), "spf=pass dmarc=fail/none iprev=pass dkim"},
		{"null path: HELO", "192.0.2.1", "", plain, "spf=none dmarc=fail/reject iprev=pass dkim"},
		{"soft", "192.0.2.9", "a@soft.example", letter("a@soft.example"), "spf=softfail dmarc=none/none iprev=permerror dkim"},
		{"by MX", "192.0.2.1", "a@soft.example", letter("a@soft.example"), "spf=pass dmarc=none/none iprev=pass dkim"},
		{"two DMARC records", "192.0.2.1", "a@twice.example", letter("a@twice.example"), "spf=fail dmarc=none/none iprev=pass dkim"},
		{"broken records", "192.0.2.1", "a@broken.example", letter("a@broken.example"), "spf=permerror dmarc=permerror/none iprev=pass dkim"},
		{"endless SPF", "192.0.2.1", "a@endless.example", letter("a@endless.example"), "spf=permerror dmarc=none/none iprev=pass dkim"},
		{"two From fields", "192.0.2.1", "a@good.example", "From: a@good.example\r\n" + plain, "spf=pass dmarc=permerror/none iprev=pass dkim"},
		{"two authors of one domain", "192.0.2.1", "a@good.example", letter("a@good.example, b@good.example"), "spf=pass dmarc=pass/reject iprev=pass dkim"},
		{"authors of two domains", "192.0.2.1", "a@good.example", letter("a@good.example, b@soft.example"), "spf=pass dmarc=permerror/none iprev=pass dkim"},
		{"an author without a domain", "192.0.2.1", "a@good.example", letter("Doe, Ada <a@good.example>"), "spf=pass dmarc=pass/reject iprev=pass dkim"},
		{"a group", "192.0.2.1", "a@good.example", letter("us: a@good.example;"), "spf=pass dmarc=permerror/none iprev=pass dkim"},
		{"no From", "192.0.2.1", "a@good.example", "Subject: x\r\n\r\nx\r\n", "spf=pass dmarc=permerror/none iprev=pass dkim"},
		{"no header", "192.0.2.1", "a@good.example", "", "spf=pass dmarc=permerror/none iprev=pass dkim"},
		{"literal", "192.0.2.1", "a@[192.0.2.1]", plain, "spf=none dmarc=fail/reject iprev=pass dkim"},
	} {
		if got := brief(c.Check(t.Context(), facts(t, test.ip, test.from, test.mail))); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.what, got, test.want)
		}
	}
	r := c.Check(t.Context(), facts(t, "192.0.2.1", "a@Good.Example", signed(t, "good.example", plain, e1)))
	want := msgauth.Results{
		SPF: msgauth.SPF{Value: msgauth.Pass, Domain: "good.example"}, DKIM: []msgauth.DKIM{{Value: msgauth.Pass, Domain: "good.example", Selector: "e1"}},
		DMARC: msgauth.DMARC{Value: msgauth.Pass, Domain: "good.example", Policy: msgauth.PolicyReject, SPF: true, DKIM: true, Published: r.DMARC.Published},
		IPRev: msgauth.IPRev{Value: msgauth.Pass, Addr: netip.MustParseAddr("192.0.2.1"), Name: "mx.good.example"},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v", r)
	}
}

// A failure of DNS is temporary, and never a pass.
func TestCheckWithoutDNS(t *testing.T) {
	down, err := dns.NewClient(dns.Config{Servers: []string{"127.0.0.1:1"}, TryTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	c := &msgauth.Checker{Resolver: down}
	mail := signed(t, "good.example", letter("a@good.example"), dkim.Selected{Selector: "e1", Key: keys()[1]})
	if got := brief(c.Check(t.Context(), facts(t, "192.0.2.1", "a@good.example", mail))); got != "spf=temperror dmarc=temperror/none iprev=temperror dkim temperror" {
		t.Error(got)
	}
}

// One clock runs for all lookups of a message, however many they are.
func TestLookupsEndTogether(t *testing.T) {
	c := zoneOf(t, "slow.example SILENT\n_dmarc.slow.example SILENT\ns._domainkey.slow.example SILENT\n9.2.0.192.in-addr.arpa SILENT\n").start(t)
	c.Timeout = 50 * time.Millisecond // less than one try takes
	mail := letter("a@slow.example")
	for range 5 {
		mail = stamp(t, mail, "d=slow.example; s=s", "From", private(t, keys()[1]))
	}
	mail = sealer{domain: "slow.example", selector: "s", key: private(t, keys()[1])}.seal(t, mail, "x; none")
	r := c.Check(t.Context(), facts(t, "192.0.2.9", "a@slow.example", mail))
	want := "spf=temperror dmarc=temperror/none iprev=temperror dkim temperror temperror temperror temperror temperror"
	if got := brief(r); got != want || r.ARC.Value != msgauth.Fail {
		t.Errorf("%s, arc=%s", got, r.ARC.Value)
	}
}

func TestSignaturesAreCapped(t *testing.T) {
	c := world(t)
	mail := letter("a@good.example")
	e1 := dkim.Selected{Selector: "e1", Key: keys()[1]}
	mail = signed(t, "good.example", mail, e1)
	field, _, _ := strings.Cut(mail, "\r\nFrom:")
	r := c.Check(t.Context(), facts(t, "192.0.2.3", "a@good.example", strings.Repeat(field+"\r\n", 500)+mail))
	if len(r.DKIM) != 5 || r.DKIM[4].Value != msgauth.Pass {
		t.Errorf("%+v", r.DKIM)
	}
}

// A body of nothing but what a canonical form holds back or drops costs no more
// than any other.
func TestBlankBodies(t *testing.T) {
	c := world(t)
	simple := "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=good.example; s=r1; h=From; b=AAAA;\r\n bh=" + strings.Repeat("A", 43) + "=\r\n"
	for _, blank := range []string{"\r\n", " \r\n", "\t"} {
		mail := strings.Repeat(simple, 5) + letter("a@good.example") + strings.Repeat(blank, (10<<20)/len(blank))
		got := brief(c.Check(t.Context(), facts(t, "192.0.2.3", "a@good.example", mail)))
		if got != "spf=fail dmarc=fail/reject iprev=permerror dkim fail fail fail fail fail" {
			t.Error(got)
		}
	}
}

// The shape of a header changes neither the answer nor the order of the work.
func TestCostlyHeaders(t *testing.T) {
	c := world(t)
	folds := "X-Folded: a\r\n" + strings.Repeat(" \r\n", 50_000)
	recipients := "Cc: c@there.example" + strings.Repeat(",\r\n someone.there@there.example", 1_500) + "\r\n"
	names := "DKIM-Signature: v=1; a=rsa-sha256; d=good.example; s=r1; b=AAAA; bh=" + strings.Repeat("A", 43) + "=;\r\n h=From" + strings.Repeat(":x", 20_000) + "\r\n"
	letter := letter("a@good.example")
	e1 := dkim.Selected{Selector: "e1", Key: keys()[1]}
	for _, test := range []struct{ what, mail, want string }{
		{"folds, signed", folds + signed(t, "good.example", letter, e1), " pass"},
		{"folds alone", folds + letter, ""},
		{"names", strings.Repeat(names, 5) + letter, " fail fail fail fail fail"},
		{"many recipients", signed(t, "good.example", recipients+letter, e1), " pass"},
	} {
		got := brief(c.Check(t.Context(), facts(t, "192.0.2.3", "a@good.example", test.mail)))
		if _, got, _ = strings.Cut(got, "dkim"); got != test.want {
			t.Errorf("%s: got %q, want %q", test.what, got, test.want)
		}
	}
}

type failing struct{ strings.Reader }

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if off > 20000 {
		return 0, fmt.Errorf("the disk is gone")
	}
	return f.Reader.ReadAt(p[:min(len(p), 8192)], off)
}

func TestUnreadableBody(t *testing.T) {
	c := world(t)
	mail := signed(t, "good.example", letter("a@good.example")+strings.Repeat("x\r\n", 20000),
		dkim.Selected{Selector: "e1", Key: keys()[1]}, dkim.Selected{Selector: "r1", Key: keys()[0]})
	f := facts(t, "192.0.2.3", "a@good.example", mail)
	f.Data = &failing{*strings.NewReader(mail)}
	if got := brief(c.Check(t.Context(), f)); got != "spf=fail dmarc=temperror/reject iprev=permerror dkim temperror temperror" {
		t.Error(got)
	}
}

func BenchmarkCheck(b *testing.B) {
	r1, e1 := dkim.Selected{Selector: "r1", Key: keys()[0]}, dkim.Selected{Selector: "e1", Key: keys()[1]}
	plain := letter("a@good.example") + strings.Repeat("A line of text as people write it.\r\n", 110)
	list := sealer{domain: "other.example", selector: "e1", key: private(b, keys()[1])}
	for _, bench := range []struct{ what, mail string }{
		{"unsigned", plain},
		{"one signature", signed(b, "good.example", plain, r1)},
		{"two signatures", signed(b, "good.example", plain, r1, e1)},
		{"three signatures", signed(b, "good.example", signed(b, "good.example", plain, r1), r1, e1)},
		{"two hops of ARC", list.seal(b, list.seal(b, plain, "x; none"), "x; none")},
		{"one signature, 10 MB of tabs", signed(b, "good.example", plain+strings.Repeat("a\t", 5<<20), e1)},
		{"one signature, 10 MB", signed(b, "good.example", plain+strings.Repeat("A line of text as people write it.\r\n", 300_000), e1)},
	} {
		b.Run(bench.what, func(b *testing.B) {
			c := world(b)
			c.Resolver = dns.NewCache(c.Resolver, nil)
			f := facts(b, "192.0.2.1", "a@good.example", bench.mail)
			b.ReportAllocs()
			for b.Loop() {
				c.Check(b.Context(), f)
			}
		})
	}
}
