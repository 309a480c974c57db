package dns_test

import (
	"errors"
	"strings"
	"testing"

	"postern/dns"
)

// RFC 7208, section 7.3: macros make names that are none of a host's.
func TestNamesOfAnyPrintableOctet(t *testing.T) {
	const odd = `user+tag=x\@b\;\(c\)\ \"\'.spf.example.`
	p := newPeer(t, odd+" 300 IN A 192.0.2.1\n"+odd+` 300 IN TXT "x"`+"\n"+
		"odd.example. 300 IN MX 10 foo:bar/baz.example.\nodd.example. 300 IN MX 20 a\\@b.example.\n")
	c := p.client(t)
	const asked = `User+tag=x@b;(c) "'.spf.example`
	if a, err := c.LookupIP(t.Context(), asked); err != nil || len(a.Records) != 1 {
		t.Errorf("A: %+v, %v", a, err)
	}
	if a, err := c.LookupTXT(t.Context(), asked+"."); err != nil || len(a.Records) != 1 {
		t.Errorf("TXT: %+v, %v", a, err)
	}
	if a, err := c.LookupMX(t.Context(), "odd.example"); err != nil || len(a.Records) != 1 || a.Records[0].Host != "foo:bar/baz.example" {
		t.Errorf("MX: %+v, %v", a, err)
	}
	if a, err := c.LookupTXT(t.Context(), `b\a.example`); !errors.Is(err, dns.ErrNoDomain) {
		t.Errorf("backslash: %+v, %v", a, err)
	}
	for _, name := range []string{"a\x00b.example", "a\nb.example", "!.." + "example", "!.example..", strings.Repeat("!", 64) + ".example",
		strings.Repeat("!.", 127) + "ab", "!", "\x7f.example"} {
		if _, err := c.LookupIP(t.Context(), name); !errors.Is(err, dns.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
