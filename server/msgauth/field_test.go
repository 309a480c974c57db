package msgauth_test

import (
	"encoding/hex"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"

	"postern/server/msgauth"
)

var full = msgauth.Results{
	SPF:   msgauth.SPF{Value: msgauth.Pass, Domain: "example.com"},
	DKIM:  []msgauth.DKIM{{Value: msgauth.Pass, Domain: "example.com", Selector: "s1"}, {Value: msgauth.Fail, Domain: "list.example.org"}, {Value: msgauth.PermError}},
	DMARC: msgauth.DMARC{Value: msgauth.Pass, Domain: "example.com", Policy: msgauth.PolicyReject},
	IPRev: msgauth.IPRev{Value: msgauth.Pass, Addr: netip.MustParseAddr("2001:db8::1"), Name: "mx.example.com"},
}

// RFC 8601, section 2.2.
func TestRFC8601_Field(t *testing.T) {
	for _, test := range []struct {
		r    msgauth.Results
		want string
	}{
		{msgauth.Results{}, "mx.postern.test; none"},
		{full, `mx.postern.test; spf=pass smtp.mailfrom=example.com; dkim=pass header.d=example.com header.s=s1; dkim=fail header.d=list.example.org; ` +
			`dkim=permerror; dmarc=pass header.from=example.com; iprev=pass policy.iprev="2001:db8::1"`},
		{msgauth.Results{SPF: msgauth.SPF{Value: msgauth.SoftFail, Domain: "h.example", Helo: true}, ARC: msgauth.ARC{Value: msgauth.Fail},
			IPRev: msgauth.IPRev{Value: msgauth.TempError, Addr: netip.MustParseAddr("192.0.2.1")}},
			"mx.postern.test; spf=softfail smtp.helo=h.example; arc=fail; iprev=temperror policy.iprev=192.0.2.1"},
		// What strangers chose gets in as a domain name, or not at all.
		{msgauth.Results{SPF: msgauth.SPF{Value: msgauth.Pass, Domain: "evil\r\nX: y"}, DMARC: msgauth.DMARC{Value: msgauth.Fail, Domain: "a; dkim=pass"}},
			"mx.postern.test; spf=pass; dmarc=fail"},
	} {
		field := string(test.r.AppendField(nil, "mx.postern.test"))
		for _, line := range strings.SplitAfter(field, "\r\n") {
			if len(line) > 80 {
				t.Errorf("line of %d octets: %q", len(line), line)
			}
		}
		value := strings.TrimPrefix(strings.ReplaceAll(strings.TrimSuffix(field, "\r\n"), "\r\n", ""), "Authentication-Results: ")
		if value != test.want {
			t.Errorf("got  %s\nwant %s", value, test.want)
		}
		f, err := msgauth.ParseField(value)
		if err != nil || f.ID != "mx.postern.test" || !msgauth.Claims(value, "mx.postern.test") {
			t.Errorf("we do not understand ourselves: %+v, %v", f, err)
		}
		if id, _, err := authres.Parse(value); err != nil || id != "mx.postern.test" {
			t.Errorf("go-msgauth does not understand us: %q, %v", id, err)
		}
	}
}

// RFC 8601, appendix B, and what well-known servers write.
func TestParseField(t *testing.T) {
	for value, want := range map[string]msgauth.Field{
		"example.org 1; none": {ID: "example.org"},
		"example.com;\r\n\tspf=pass smtp.mailfrom=example.net": {ID: "example.com", Methods: []msgauth.Method{
			{Name: "spf", Result: "pass", Props: []msgauth.Property{{"smtp.mailfrom", "example.net"}}}}},
		"example.com; auth=pass (cram-md5) smtp.auth=sender@example.net; SPF=Pass smtp.mailfrom=example.net": {ID: "example.com", Methods: []msgauth.Method{
			{Name: "auth", Result: "pass", Props: []msgauth.Property{{"smtp.auth", "sender@example.net"}}},
			{Name: "spf", Result: "pass", Props: []msgauth.Property{{"smtp.mailfrom", "example.net"}}}}},
		`foo.example.net (foobar) 1 (baz); dkim (Because I like it) / 1 (One yay) = (wait for it) fail policy (A dot can go here) . (like that) expired (this surprised me) = (as I wasn't expecting it) 1362471462`: {ID: "foo.example.net", Methods: []msgauth.Method{
			{Name: "dkim", Result: "fail", Props: []msgauth.Property{{"policy.expired", "1362471462"}}}}},
		`example.com; dkim=pass (good signature) reason="good (really)" header.d=mail-router.example.net header.i=@newyork.example.com header.b=oINEO8hg;`: {ID: "example.com", Methods: []msgauth.Method{
			{Name: "dkim", Result: "pass", Reason: "good (really)", Props: []msgauth.Property{
				{"header.d", "mail-router.example.net"}, {"header.i", "@newyork.example.com"}, {"header.b", "oINEO8hg"}}}}},
		"mx.google.com; spf=pass (google.com: domain of a@b.example designates 2001:db8::1 as permitted sender) smtp.mailfrom=a@b.example; iprev=pass policy.iprev=2001:db8::1": {ID: "mx.google.com", Methods: []msgauth.Method{
			{Name: "spf", Result: "pass", Props: []msgauth.Property{{"smtp.mailfrom", "a@b.example"}}},
			{Name: "iprev", Result: "pass", Props: []msgauth.Property{{"policy.iprev", "2001:db8::1"}}}}},
	} {
		f, err := msgauth.ParseField(value)
		if err != nil || !reflect.DeepEqual(f, want) {
			t.Errorf("%q:\ngot  %+v, %v\nwant %+v", value, f, err, want)
		}
	}
}

// RFC 8601, section 5: nobody outside speaks in our name, however it is written.
func TestForgedFieldsAreFound(t *testing.T) {
	const id = "mx.postern.test"
	for _, value := range []string{
		"mx.postern.test; dkim=pass", "MX.Postern.TEST; dkim=pass", " mx.postern.test 1; none", "mx.postern.test. ; spf=pass",
		`"mx.postern.test"; dkim=pass`, `"mx\.postern.test"; dkim=pass`, "(a (b) c) mx.postern.test (d); dkim=pass",
		"mx.postern.test", "mx.postern.test; dkim", "evil.example\r\n mx.postern.test; dkim=pass", "mx.postern.test/x; dkim=pass",
		"mx.postern.test\x00; dkim=pass", "=?utf-8?q?mx=2Epostern=2Etest?=; dkim=pass", "evil.example (=?utf-8?q?=0D=0A?=); none",
		"; mx.postern.test; dkim=pass", "", "spf=pass smtp.mailfrom=x", strings.Repeat("a", 1<<15),
		"mx.postern.test\t1\t; dkim=pass", "mx.postern.test(a)1(b);dkim=pass", "mx(a).postern.test; dkim=pass", "mx. postern.test; dkim=pass",
		`"mx." "postern.test"; dkim=pass`, `(\) mx.postern.test; dkim=fail) mx.postern.test; dkim=pass`, "\"mx.postern.test\"x; dkim=pass",
		"[mx.postern.test]; dkim=pass", "mx.postern.test:25; dkim=pass", "<mx.postern.test>; dkim=pass", "mx.postern.test, evil.example; dkim=pass",
		"mx.postern.test 2; dkim=pass", "mx.postern.test 1 1; dkim=pass", "\xa0mx.postern.test; dkim=pass", "mx.postern.test\xa0; dkim=pass",
		"\u200bmx.postern.test; dkim=pass", "mx.post\u00adern.test; dkim=pass", "\uff4d\uff58.postern.test; dkim=pass", "mx\u3002postern\u3002test; dkim=pass",
		"\r\n mx.postern.test; dkim=pass", "mx.postern.test\r\n\t; dkim=pass", "evil.example mx.postern.test; dkim=pass",
		"evil.example (unclosed; mx.postern.test; dkim=pass", `"unclosed mx.postern.test; dkim=pass`,
	} {
		if !msgauth.Claims(value, id) {
			t.Errorf("%q is not seen as a forgery", value)
		}
	}
	for _, value := range []string{
		"mx.google.com; dkim=pass header.d=example.com", "postern.test; none", "mx.example.org 1; spf=fail smtp.mailfrom=a@mx.postern.test",
	} {
		if msgauth.Claims(value, id) {
			t.Errorf("%q is taken for a forgery", value)
		}
	}
	if !msgauth.Claims("bücher.example; none", "xn--bcher-kva.example") {
		t.Error("our name in U-labels")
	}
}

func TestStoredForm(t *testing.T) {
	for _, r := range []msgauth.Results{{}, full, {ARC: msgauth.ARC{Value: msgauth.Pass, Sealers: []string{"a.example", "b.example"}, DMARC: msgauth.Fail}}, {IPRev: msgauth.IPRev{Addr: netip.MustParseAddr("192.0.2.1")}}} {
		b := r.AppendBinary(nil)
		again, err := msgauth.DecodeResults(b)
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	}
	if b := (msgauth.Results{}).AppendBinary(nil); len(b) != 0 {
		t.Errorf("nothing takes %d octets", len(b))
	}
}

// What was stored by the first version, and what of it there was.
func TestFirstStoredForm(t *testing.T) {
	const stored = "0101000b6578616d706c652e636f6d03010b6578616d706c652e636f6d02106c6973742e6578616d706c652e6f7267060001020b" +
		"6578616d706c652e636f6d02011020010db80000000000000000000000010e6d782e6578616d706c652e636f6d"
	b, err := hex.DecodeString(stored)
	if err != nil {
		t.Fatal(err)
	}
	want := full
	want.DKIM = slices.Clone(full.DKIM)
	want.DKIM[0].Selector = ""
	want.ARC.Value = msgauth.Fail
	if got, err := msgauth.DecodeResults(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzParseField(f *testing.F) {
	f.Add("mx.postern.test; dkim=pass header.d=example.com", "mx.postern.test")
	f.Add(`"a\"b" 1 (c(d)\)); spf/1=pass (x) reason="y" smtp.mailfrom="a b"@example.com;`, "a")
	f.Add("x; none", "x")
	f.Fuzz(func(t *testing.T, value, id string) {
		field, err := msgauth.ParseField(value)
		if err != nil {
			if !msgauth.Claims(value, id) {
				t.Error("unreadable, and shown")
			}
			return
		}
		if strings.EqualFold(field.ID, id) && !msgauth.Claims(value, id) {
			t.Error("a forgery is shown")
		}
		if len(field.Methods) > 64 {
			t.Errorf("%d methods", len(field.Methods))
		}
		for _, m := range field.Methods {
			if m.Name == "" || m.Result == "" || len(m.Props) > 32 {
				t.Errorf("%+v", m)
			}
		}
	})
}

func FuzzDecodeResults(f *testing.F) {
	f.Add(full.AppendBinary(nil))
	f.Add([]byte{1, 1, 0, 0, 1, 1, 1, 'a', 0, 0, 0, 2, 0, 0, 0})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := msgauth.DecodeResults(b)
		if err != nil {
			return
		}
		again, err := msgauth.DecodeResults(r.AppendBinary(nil))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v, then %+v, %v", r, again, err)
		}
	})
}
