package msgauth_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/dkim"
	"postern/server/message"
	"postern/server/msgauth"
)

// sealer is a hop that adds ARC sets, for tests: straight from RFC 8617, section
// 5.1, and with nothing of the code that it tests.
type sealer struct {
	domain, selector string
	key              crypto.Signer
	cv               string // empty: none for the first, then pass
	extra            string // further tags of the seal
}

func relaxed(field string) string {
	name, value, _ := strings.Cut(field, ":")
	return strings.ToLower(strings.TrimSpace(name)) + ":" + strings.Join(strings.Fields(value), " ")
}

func (s sealer) sign(t testing.TB, text string) (algorithm, b string) {
	digest := sha256.Sum256([]byte(text))
	switch k := s.key.(type) {
	case ed25519.PrivateKey:
		return "ed25519-sha256", base64.StdEncoding.EncodeToString(ed25519.Sign(k, digest[:]))
	case *rsa.PrivateKey:
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return "rsa-sha256", base64.StdEncoding.EncodeToString(sig)
	}
	t.Fatalf("%T", s.key)
	return "", ""
}

// private is the key itself.
func private(t testing.TB, k *dkim.Key) crypto.Signer {
	t.Helper()
	signer, err := x509.ParsePKCS8PrivateKey(k.PKCS8())
	if err != nil {
		t.Fatal(err)
	}
	return signer.(crypto.Signer)
}

// algorithm is known before anything is signed.
func (s sealer) algorithm() string {
	if _, ok := s.key.(*rsa.PrivateKey); ok {
		return "rsa-sha256"
	}
	return "ed25519-sha256"
}

// seal puts a set in front of a message whose sets are its first fields, newest
// first, and each of them one line.
func (s sealer) seal(t testing.TB, mail, said string) string {
	t.Helper()
	var sets []string // relaxed, oldest first: results, signature, seal
	rest, n := mail, 1
	for strings.HasPrefix(rest, "ARC-Seal:") {
		three := strings.SplitN(rest, "\r\n", 4)
		sets, rest, n = slices.Insert(sets, 0, relaxed(three[2]), relaxed(three[1]), relaxed(three[0])), three[3], n+1
	}
	header, body, _ := strings.Cut(rest, "\r\n\r\n")
	var from, subject string
	for line := range strings.SplitSeq(header, "\r\n") {
		if strings.HasPrefix(line, "From:") {
			from = relaxed(line)
		}
		if strings.HasPrefix(line, "Subject:") {
			subject = relaxed(line)
		}
	}
	bodyHash := sha256.Sum256([]byte(body))
	results := fmt.Sprintf("ARC-Authentication-Results: i=%d; %s", n, said)
	tags := fmt.Sprintf("i=%d; a=%s; d=%s; s=%s; ", n, s.algorithm(), s.domain, s.selector)
	message := "ARC-Message-Signature: " + tags + "c=relaxed/simple; h=from:subject; bh=" + base64.StdEncoding.EncodeToString(bodyHash[:]) + "; b="
	_, b := s.sign(t, from+"\r\n"+subject+"\r\n"+relaxed(message))
	message += b
	cv := s.cv
	if cv == "" {
		cv = map[bool]string{true: "none", false: "pass"}[n == 1]
	}
	seal := "ARC-Seal: " + tags + s.extra + "cv=" + cv + "; b="
	_, b = s.sign(t, strings.Join(append(sets, relaxed(results), relaxed(message), relaxed(seal)), "\r\n"))
	return seal + b + "\r\n" + message + "\r\n" + results + "\r\n" + mail
}

// RFC 8617, section 5.2.
func TestRFC8617_Chains(t *testing.T) {
	c := world(t)
	list := sealer{domain: "other.example", selector: "e1", key: private(t, keys()[1])}
	host := sealer{domain: "good.example", selector: "r1", key: private(t, keys()[0])}
	plain := letter("a@good.example")
	one := list.seal(t, plain, "list.other.example; spf=pass; dmarc=pass header.from=good.example")
	two := host.seal(t, one, "mx.good.example; none")
	fifty := plain
	for range 50 {
		fifty = list.seal(t, fifty, "x; none")
	}
	again := func(s sealer, said string) string { return s.seal(t, one, said) }
	with := func(s sealer, do func(*sealer)) sealer { do(&s); return s }
	pass := func(sealers ...string) msgauth.ARC {
		return msgauth.ARC{Value: msgauth.Pass, Sealers: sealers, DMARC: msgauth.Pass}
	}
	failed := msgauth.ARC{Value: msgauth.Fail}
	for _, test := range []struct {
		what, mail string
		want       msgauth.ARC
	}{
		{"no chain", plain, msgauth.ARC{}},
		{"one hop", one, pass("other.example")},
		{"two hops, two algorithms", two, pass("other.example", "good.example")},
		{"three hops", list.seal(t, two, "x; none"), pass("other.example", "good.example", "other.example")},
		{"fifty hops", fifty, msgauth.ARC{Value: msgauth.Pass, Sealers: slices.Repeat([]string{"other.example"}, 50)}},
		{"fifty-one hops", list.seal(t, fifty, "x; none"), failed},
		{"results nobody can read", list.seal(t, plain, "dmarc dmarc"), msgauth.ARC{Value: msgauth.Pass, Sealers: []string{"other.example"}}},
		{"results that say it twice", list.seal(t, plain, "x; dmarc=fail; dmarc=pass"), msgauth.ARC{Value: msgauth.Pass, Sealers: []string{"other.example"}}},
		{"body changed", one + "more\r\n", failed},
		{"field changed", strings.Replace(one, "Subject: x", "Subject: y", 1), failed},
		{"field added below", strings.Replace(one, "\r\n\r\n", "\r\nSubject: y\r\n\r\n", 1), failed},
		{"a field that nobody signed", strings.Replace(one, "\r\n\r\n", "\r\nX-Mailer: y\r\n\r\n", 1), pass("other.example")},
		{"results changed", strings.Replace(one, "spf=pass", "spf=fail", 1), failed},
		{"results of the first hop changed, after the second", strings.Replace(two, "dmarc=pass", "dmarc=fail", 1), failed},
		{"a set is gone", two[strings.Index(two, "\r\nARC-Seal: i=1")+2:], pass("other.example")},
		{"the first set is gone", strings.Replace(two, one[:len(one)-len(plain)], "", 1), failed},
		{"a seal is gone", one[strings.Index(one, "\r\n")+2:], failed},
		{"a seal is there twice", one[:strings.Index(one, "\r\n")+2] + one, failed},
		{"the chain did not pass at the second hop", again(with(host, func(s *sealer) { s.cv = "fail" }), "x; none"), failed},
		{"no chain, says the second hop", again(with(host, func(s *sealer) { s.cv = "none" }), "x; none"), failed},
		{"the seal names fields", again(with(host, func(s *sealer) { s.extra = "h=from; " }), "x; none"), failed},
		{"the seal has an unknown tag", again(with(host, func(s *sealer) { s.extra = "zz=1; " }), "x; none"), pass("other.example", "good.example")},
		{"a seal with another's key", again(with(host, func(s *sealer) { s.selector = "e1" }), "x; none"), failed},
		{"a seal without a key", again(with(host, func(s *sealer) { s.selector = "gone" }), "x; none"), failed},
		{"instance 0", strings.ReplaceAll(one, "i=1;", "i=0;"), failed},
		{"instance 2 alone", strings.ReplaceAll(one, "i=1;", "i=2;"), failed},
		{"instance 257", strings.ReplaceAll(one, "i=1;", "i=257;"), failed},
	} {
		f := facts(t, "192.0.2.3", "a@good.example", test.mail)
		if got := c.Check(t.Context(), f).ARC; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", test.what, got, test.want)
		}
	}
}

// A header full of chains is refused before anybody is asked for a key.
func TestARCIsBounded(t *testing.T) {
	c := world(t)
	list := sealer{domain: "other.example", selector: "e1", key: private(t, keys()[1])}
	one := list.seal(t, letter("a@good.example"), "x; none")
	set := one[:strings.Index(one, "From:")]
	many := strings.Repeat(set, message.MaxHeaderBytes/len(set)-1) + letter("a@good.example")
	if got := c.Check(t.Context(), facts(t, "192.0.2.3", "a@good.example", many)).ARC; got.Value != msgauth.Fail {
		t.Errorf("%+v", got)
	}
}
