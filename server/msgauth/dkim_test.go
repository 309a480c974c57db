package msgauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	library "github.com/emersion/go-msgauth/dkim"

	"postern/dns"
	"postern/server/message"
	"postern/server/msgauth"
)

// published is a checker in a world of these TXT records.
func published(t testing.TB, records map[string]string) *msgauth.Checker {
	z := &namedZone{records: map[string][]mdns.RR{}}
	for name, text := range records {
		z.add(t, name, mdns.TypeTXT, []string{text})
	}
	return z.start(t)
}

func values(r msgauth.Results) string {
	var out []string
	for _, d := range r.DKIM {
		out = append(out, d.Value.String())
	}
	return strings.Join(out, " ")
}

// RFC 6376, appendix A, and RFC 8463, appendix A.
func TestRFC6376_RFC8463_Examples(t *testing.T) {
	c := published(t, map[string]string{
		"brisbane._domainkey.example.com": "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt" +
			"IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB",
		"brisbane._domainkey.football.example.com": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"test._domainkey.football.example.com": "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J1" +
			"6JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
	})
	for file, want := range map[string]string{"rfc6376": "pass", "rfc8463": "pass pass"} {
		b, err := os.ReadFile("testdata/dkim/" + file + ".eml")
		if err != nil {
			t.Fatal(err)
		}
		mail := strings.ReplaceAll(string(b), "\n", "\r\n")
		if got := values(c.Check(t.Context(), facts(t, "192.0.2.1", "joe@football.example.com", mail))); got != want {
			t.Errorf("%s: %s", file, got)
		}
		if got := values(c.Check(t.Context(), facts(t, "192.0.2.1", "joe@football.example.com", strings.Replace(mail, "hungry", "thirsty", 1)))); strings.Contains(got, "pass") {
			t.Errorf("%s, changed: %s", file, got)
		}
	}
}

// stamp signs a letter with any tags: headers in relaxed form, the body, which
// ends with a line end, in simple form. It shares nothing with what it tests.
func stamp(t testing.TB, mail, tags, h string, key crypto.Signer) string {
	t.Helper()
	header, body, _ := strings.Cut(mail, "\r\n\r\n")
	for _, tag := range strings.Split(tags, ";") {
		var n int
		if _, err := fmt.Sscanf(strings.TrimSpace(tag), "l=%d", &n); err == nil && n <= len(body) {
			body = body[:n]
		}
	}
	sum := sha256.Sum256([]byte(body))
	s := sealer{key: key}
	field := "DKIM-Signature: v=1; c=relaxed/simple; " + tags + "; h=" + h + "; bh=" + base64.StdEncoding.EncodeToString(sum[:]) + "; b="
	if !strings.Contains(tags, "a=") {
		field = strings.Replace(field, "v=1;", "v=1; a="+s.algorithm()+";", 1)
	}
	var signed []string
	lines := strings.Split(strings.ReplaceAll(header, "\r\n ", " "), "\r\n")
	taken := map[int]bool{}
	for _, name := range strings.Split(h, ":") {
		for i := len(lines) - 1; i >= 0; i-- {
			if got, _, _ := strings.Cut(lines[i], ":"); !taken[i] && strings.EqualFold(strings.TrimSpace(got), strings.TrimSpace(name)) {
				signed, taken[i] = append(signed, relaxed(lines[i])), true
				break
			}
		}
	}
	_, b := s.sign(t, strings.Join(append(signed, relaxed(field)), "\r\n"))
	return field + b + "\r\n" + mail
}

func TestDKIM(t *testing.T) {
	key := private(t, keys()[1])
	record := keys()[1].Record() // "v=DKIM1; k=ed25519; p=..."
	p := record[strings.Index(record, "p="):]
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&small.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	tiny, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).Rsh(small.N, 512), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]string{"plain": record, "testing": record + "; t=y", "exact": record + "; t=s", "both": "v=DKIM1; t=y:s; k=ed25519; " + p,
		"revoked": "v=DKIM1; k=ed25519; p=", "other": "v=DKIM2; k=ed25519; " + p, "spaced": " v = DKIM1 ;\tk = ed25519 ; n = a note ; " + strings.Replace(p, "p=", "p = ", 1)[:20] + "\t " + strings.Replace(p, "p=", "p = ", 1)[20:] + " ; ",
		"bare": "k=ed25519; " + p, "unpadded": strings.TrimRight(record, "="), "unknown": record + "; zz=1; g=*", "twice": record + "; k=rsa",
		"services": record + "; s=tlsrpt:email", "elsewhere": record + "; s=tlsrpt", "sha1": record + "; h=sha1", "both-hashes": record + "; h=sha1 : sha256",
		"rsa": strings.Replace(record, "ed25519", "rsa", 1), "tiny": "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(tiny), "x448": strings.Replace(record, "ed25519", "ed448", 1),
		"words": "not a key at all", "empty": "", "short": "v=DKIM1; k=ed25519; p=AAAA",
		"pkcs1": "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&small.PublicKey)), "spki": "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(spki)}
	zone := &namedZone{records: map[string][]mdns.RR{}}
	for selector, text := range records {
		zone.add(t, selector+"._domainkey.good.example", mdns.TypeTXT, []string{text})
	}
	for _, text := range []string{"some wildcard", record} {
		zone.add(t, "wild._domainkey.good.example", mdns.TypeTXT, []string{text})
	}
	for _, text := range []string{record, keys()[0].Record()} {
		zone.add(t, "two._domainkey.good.example", mdns.TypeTXT, []string{text})
	}
	c := zone.start(t)
	now := time.Unix(1_800_000_000, 0)
	c.Now = func() time.Time { return now }
	plain := letter("a@good.example")
	body := "Hello\r\n"
	with := func(tags string) string { return stamp(t, plain, "d=good.example; "+tags, "From:Subject", key) }
	by := func(selector string) string { return with("s=" + selector) }
	for _, test := range []struct{ what, mail, want string }{
		{"a key", by("plain"), "pass"},
		{"a key in test counts as none", by("testing"), "neutral"}, // RFC 6376, section 3.6.1
		{"t=y:s", by("both"), "neutral"},
		{"t=s without i=", by("exact"), "pass"},
		{"t=s with i= of the domain", with("s=exact; i=a@GOOD.example"), "pass"},
		{"t=s with i= below", with("s=exact; i=a@news.good.example"), "permerror"},
		{"i= below", with("s=plain; i=u=3Db=20c@news.good.example"), "pass"},
		{"i= elsewhere", with("s=plain; i=a@evilgood.example"), "permerror"},
		{"i= above", with("s=plain; i=@example"), "permerror"},
		{"i= without @", with("s=plain; i=good.example"), "permerror"},
		{"revoked", by("revoked"), "permerror"}, {"another version", by("other"), "permerror"},
		{"white space everywhere", by("spaced"), "pass"}, {"no v=", by("bare"), "pass"}, {"no padding", by("unpadded"), "pass"},
		{"unknown tags", by("unknown"), "pass"}, {"a tag twice", by("twice"), "permerror"}, {"two services", by("services"), "pass"},
		{"not for mail", by("elsewhere"), "permerror"}, {"not for SHA-256", by("sha1"), "permerror"}, {"for both hashes", by("both-hashes"), "pass"},
		{"not of the algorithm", by("rsa"), "permerror"}, {"an algorithm of tomorrow", by("x448"), "permerror"}, {"words", by("words"), "permerror"},
		{"an empty record", by("empty"), "permerror"}, {"a short key", by("short"), "permerror"},
		{"a key of 512 bits", with("a=rsa-sha256; s=tiny"), "permerror"}, // RFC 8301, section 3.2
		{"a key of 1024 bits", stamp(t, plain, "d=good.example; s=spki", "From", small), "pass"},
		{"in PKCS#1", stamp(t, plain, "d=good.example; s=pkcs1", "From", small), "pass"},
		{"no record", by("gone"), "permerror"}, {"one key of two records", by("wild"), "pass"}, {"two keys", by("two"), "permerror"},
		{"no name", with("s=a b c!"), "permerror"}, {"upper case", with("s=PLAIN"), "pass"},
		{"sha1", with("a=rsa-sha1; s=plain"), "permerror"}, // RFC 8301, section 3.1
		{"l= of all", with(fmt.Sprintf("s=plain; l=%d", len(body))), "pass"},
		{"l= of a part", with("s=plain; l=3"), "policy"}, // RFC 6376, section 8.2
		{"l= of nothing", with("s=plain; l=0"), "policy"},
		{"l= of more", with("s=plain; l=4000"), "permerror"},
		{"l= that overflows", with("s=plain; l=18446744073709551615"), "permerror"},
		{"l= of a part, and the tail changed", strings.Replace(with("s=plain; l=3"), "Hello", "Helium", 1), "policy"},
		{"l= of a part, and it changed", strings.Replace(with("s=plain; l=3"), "Hello", "Hullo", 1), "fail"},
		{"expired", with("s=plain; t=1700000000; x=1799999999"), "permerror"},
		{"expires now", with("s=plain; t=1700000000; x=1800000000"), "pass"},
		{"expired before it was made", with("s=plain; t=1800000100; x=1800000050"), "permerror"},
		{"made tomorrow", with("s=plain; t=1800086400"), "pass"},
		{"a date that is none", with("s=plain; t=soon"), "permerror"},
		{"copied fields with b= in them", with("s=plain; z=Subject:b=3D1|To:b=40c"), "pass"},
		{"another method beside", with("s=plain; q=dns/zz:dns/txt"), "pass"}, {"another method", with("s=plain; q=dns/zz"), "permerror"},
		{"a tag twice in the signature", with("s=plain; s=plain"), "permerror"},
		{"From is not signed", stamp(t, plain, "d=good.example; s=plain", "Subject", key), "permerror"},
		{"version 2", strings.Replace(by("plain"), "v=1;", "v=2;", 1), "permerror"},
		{"folded b=", strings.Replace(by("plain"), "; b=", ";\r\n\tb =\r\n ", 1), "fail"}, // the space before = is signed
		{"folded in b=", strings.Replace(by("plain"), "; b=", "; b=\r\n ", 1), "pass"},
		{"a field folded anew", strings.Replace(by("plain"), "Subject: x", "SUBJECT:\r\n\t  x  ", 1), "pass"},
		{"fields of one name, from the bottom", stamp(t, "Subject: above\r\n"+plain, "d=good.example; s=plain", "From:Subject", key), "pass"},
		{"one more above", "Subject: above\r\n" + by("plain"), "pass"},
		{"one more below", strings.Replace(by("plain"), "\r\n\r\n", "\r\nSubject: below\r\n\r\n", 1), "fail"},
		{"one more above, oversigned", "Subject: above\r\n" + stamp(t, plain, "d=good.example; s=plain", "From:Subject:Subject", key), "fail"},
		{"eight bits", stamp(t, strings.Replace(plain, "Subject: x", "Subject: gr\xfc\xdfe \xe2\x82\xac", 1)+"\xff\xfe\r\n", "d=good.example; s=plain", "From:Subject", key), "pass"},
		{"a body without line end", strings.TrimSuffix(by("plain"), "\r\n"), "pass"},
		{"three more line ends", by("plain") + "\r\n\r\n\r\n", "pass"},
		{"the domain in U-labels", stamp(t, plain, "d=g\u00f6\u00f6d.example; s=plain", "From:Subject", key), "permerror"},
	} {
		if got := values(c.Check(t.Context(), facts(t, "192.0.2.1", "a@good.example", test.mail))); got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
}

// questions counts what is asked of a resolver, by one Check with no other at
// work beside it.
type questions struct {
	dns.Resolver
	n atomic.Int64
}

func (q *questions) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	q.n.Add(1)
	return q.Resolver.LookupTXT(ctx, name)
}

func (q *questions) LookupMX(ctx context.Context, name string) (dns.Answer[dns.MX], error) {
	q.n.Add(1)
	return q.Resolver.LookupMX(ctx, name)
}

func (q *questions) LookupIP(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	q.n.Add(1)
	return q.Resolver.LookupIP(ctx, name)
}

func (q *questions) LookupPTR(ctx context.Context, ip netip.Addr) (dns.Answer[string], error) {
	q.n.Add(1)
	return q.Resolver.LookupPTR(ctx, ip)
}

// Five hundred signatures of five hundred selectors: five are looked at.
func TestSignaturesAskForFewKeys(t *testing.T) {
	c := world(t)
	asked := &questions{Resolver: c.Resolver}
	c.Resolver = asked
	mail, key := letter("a@none.example"), private(t, keys()[1])
	for i := range 500 {
		mail = stamp(t, mail, fmt.Sprintf("d=none.example; s=s%d", i), "From", key)
	}
	r := c.Check(t.Context(), facts(t, "192.0.2.1", "a@none.example", mail))
	if len(r.DKIM) != 5 || asked.n.Load() > 5+5 { // and SPF, iprev, DMARC
		t.Errorf("%d results, %d questions", len(r.DKIM), asked.n.Load())
	}
}

var forms = []library.Canonicalization{library.CanonicalizationSimple, library.CanonicalizationRelaxed}

// What go-msgauth signs, we verify; and of what was changed on the way, we think
// what it thinks.
func FuzzAgainstLibrary(f *testing.F) {
	signer := private(f, keys()[1])
	c := world(f)
	c.Resolver = dns.NewCache(c.Resolver, nil)
	record := keys()[1].Record()
	f.Add("Subject: x\r\nTo: a\r\n\tb", "Hello \t there \r\n\r\n x\r\n\r\n", byte(0), uint16(9), byte(1))
	f.Add("subject : a", "", byte(1), uint16(0), byte(0))
	f.Add("X: y\r\n  \r\nX: z", " \r\n\r\n", byte(2), uint16(400), byte(32))
	f.Add("A:", "no end", byte(3), uint16(300), byte(7))
	f.Fuzz(func(t *testing.T, header, body string, form byte, at uint16, flip byte) {
		mail := "From: a@good.example\r\n" + header + "\r\n\r\n" + body
		if strings.ContainsAny(strings.ReplaceAll(mail, "\r\n", ""), "\r\n\x00") || strings.Contains(header, "\r\n\r\n") || len(mail) > 1<<14 {
			return // the library mends bare line ends
		}
		for field := range message.Fields([]byte(header)) {
			if field.Name == nil || bytes.ContainsFunc(field.Name, func(r rune) bool { return r <= ' ' || r > '~' || r == ';' }) {
				return // no field: the library takes any line for one
			}
		}
		var signed bytes.Buffer
		err := library.Sign(&signed, strings.NewReader(mail), &library.SignOptions{Domain: "good.example", Selector: "e1", Signer: signer,
			HeaderCanonicalization: forms[form&1], BodyCanonicalization: forms[form>>1&1]})
		if err != nil {
			return
		}
		judge := func(mail string) (ours, theirs bool) {
			for _, d := range c.Check(t.Context(), facts(t, "192.0.2.9", "a@good.example", mail)).DKIM {
				ours = ours || d.Value == msgauth.Pass
			}
			verdicts, _ := library.VerifyWithOptions(strings.NewReader(mail), &library.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{record}, nil }})
			for _, v := range verdicts {
				theirs = theirs || v.Err == nil
			}
			return ours, theirs
		}
		if ours, theirs := judge(signed.String()); ours != theirs {
			t.Errorf("as signed: we %t, the library %t: %q", ours, theirs, signed.String())
		}
		changed := signed.Bytes()
		changed[int(at)%len(changed)] ^= flip
		mail = string(changed)
		if strings.ContainsAny(strings.ReplaceAll(mail, "\r\n", ""), "\r\n\x00") {
			return
		}
		if ours, theirs := judge(mail); ours && !theirs {
			t.Errorf("changed: we %t, the library %t: %q", ours, theirs, mail)
		}
	})
}
