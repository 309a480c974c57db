package message

import (
	"errors"
	"net/mail"
	"strings"
	"testing"
)

// TestTrap2_PathSyntax holds ParsePath against RFC 5321, section 4.1.2, and
// what go-smtp lets through.
func TestTrap2_PathSyntax(t *testing.T) {
	long := strings.Repeat("a", 64)
	label := strings.Repeat("b", 63)
	ok := func(local, domain string) Path { return Path{local, domain} }
	for _, c := range []struct {
		in   string
		utf8 bool
		want Path
		rule PathRule
	}{
		{"", false, Path{}, 0},
		{"<>", false, Path{}, 0},
		{"<a@b.example>", false, ok("a", "b.example"), 0},
		{"a@b.example", false, ok("a", "b.example"), 0},
		{"<a.b+c=d!#$%&'*/?^_`{|}~-@B.Example>", false, ok("a.b+c=d!#$%&'*/?^_`{|}~-", "B.Example"), 0},
		{`<"a b"@d.example>`, false, ok("a b", "d.example"), 0},
		{`<"a\"b\\c"@d.example>`, false, ok(`a"b\c`, "d.example"), 0},
		{`<"abc"@d.example>`, false, ok("abc", "d.example"), 0},
		{`<"a@b"@d.example>`, false, ok("a@b", "d.example"), 0},
		{`<"a>b"@d.example>`, false, ok("a>b", "d.example"), 0},
		{"<postmaster>", false, ok("postmaster", ""), 0},
		{"<PostMaster>", false, ok("PostMaster", ""), 0},
		{"<@a.example,@b.example:u@d.example>", false, ok("u", "d.example"), 0},
		{"<u@[192.0.2.1]>", false, ok("u", "[192.0.2.1]"), 0},
		{"<u@[IPv6:2001:db8::1]>", false, ok("u", "[IPv6:2001:db8::1]"), 0},
		{"<u@localhost>", false, ok("u", "localhost"), 0},
		{"<u@1.2.3.example>", false, ok("u", "1.2.3.example"), 0},
		{"<" + long + "@d.example>", false, ok(long, "d.example"), 0},
		{"<jörg@bücher.example>", true, ok("jörg", "bücher.example"), 0},
		{`<"jörg x"@d.example>`, true, ok("jörg x", "d.example"), 0},

		{"<a@b.example", false, Path{}, RuleBrackets},
		{"a@b.example>", false, Path{}, RuleBrackets},
		{"@a.example:u@d.example", false, Path{}, RuleBrackets},
		{"<@a.example>", false, Path{}, RuleBrackets},
		{"<@a.example,b.example:u@d.example>", false, Path{}, RuleBrackets},
		{"<@a..example:u@d.example>", false, Path{}, RuleDomain},
		{"<a>", false, Path{}, RuleDomainless},
		{"<a@>", false, Path{}, RuleDomainless},
		{`<"a"b@d.example>`, false, Path{}, RuleDomainless},
		{"<a@x..invalid>", false, Path{}, RuleDomain},
		{"<a@.invalid>", false, Path{}, RuleDomain},
		{"<a@invalid.>", false, Path{}, RuleDomain},
		{"<a@-x.invalid>", false, Path{}, RuleDomain},
		{"<a@x-.invalid>", false, Path{}, RuleDomain},
		{"<a@x_y.invalid>", false, Path{}, RuleDomain},
		{"<a@x y.invalid>", false, Path{}, RuleDomain},
		{"<a@b@c.example>", false, Path{}, RuleDomain},
		{"<a@b.example> SIZE=1", false, Path{}, RuleBrackets},
		{"<a@192.0.2.1>", false, Path{}, RuleLiteral},
		{"<a@1>", false, Path{}, RuleLiteral},
		{"<a@[192.0.2]>", false, Path{}, RuleLiteral},
		{"<a@[192.0.2.1>", false, Path{}, RuleLiteral},
		{"<a@[2001:db8::1]>", false, Path{}, RuleLiteral},
		{"<a@[IPv6:192.0.2.1]>", false, Path{}, RuleLiteral},
		{"<a@[IPv6:fe80::1%eth0]>", false, Path{}, RuleLiteral},
		{"<a@[x:y]>", false, Path{}, RuleLiteral},
		{"<.a@b.example>", false, Path{}, RuleLocal},
		{"<a.@b.example>", false, Path{}, RuleLocal},
		{"<a..b@b.example>", false, Path{}, RuleLocal},
		{"<a b@b.example>", false, Path{}, RuleLocal},
		{"<a,b@b.example>", false, Path{}, RuleLocal},
		{`<""@b.example>`, false, Path{}, RuleLocal},
		{`<"a@b.example>`, false, Path{}, RuleLocal},
		{`<"a\`, false, Path{}, RuleBrackets},
		{`"a\`, false, Path{}, RuleLocal},
		{"<<a@b.example>>", false, Path{}, RuleLocal},
		{"<" + long + "a@d.example>", false, Path{}, RuleLocalLong},
		{"<a@" + label + "b.example>", false, Path{}, RuleDomainLong},
		{"<a@" + strings.Repeat(label+".", 4) + "example>", false, Path{}, RuleDomainLong},
		{"<a\x00@b.example>", false, Path{}, RuleControl},
		{"<a\r\n@b.example>", false, Path{}, RuleControl},
		{"<a@b.example\r>", false, Path{}, RuleControl},
		{"<\"a\tb\"@b.example>", false, Path{}, RuleControl},
		{"<a\x7f@b.example>", false, Path{}, RuleControl},
		{"<jörg@d.example>", false, Path{}, RuleUTF8},
		{"<a@bücher.example>", false, Path{}, RuleUTF8},
		{"<j\xf6rg@d.example>", true, Path{}, RuleUTF8},
		{"<a\u202eb@d.example>", true, Path{}, RuleControl},
		{"<a\u200bb@d.example>", true, Path{}, RuleControl},
		{"<a\u0085b@d.example>", true, Path{}, RuleControl},
		{"<a\u2028b@d.example>", true, Path{}, RuleControl},
		{"<a@b\u3002example>", true, ok("a", "b\u3002example"), 0},
		{"<a@-ü.example>", true, Path{}, RuleDomain},
		{"<" + strings.Repeat("ü", 33) + "@d.example>", true, Path{}, RuleLocalLong},
	} {
		got, err := ParsePath(c.in, c.utf8)
		var rule PathRule
		var pathErr *PathError
		if errors.As(err, &pathErr) {
			rule = pathErr.Rule
			if strings.Contains(err.Error()+pathErr.Public(), "example") {
				t.Errorf("%q: an error repeats the address: %v", c.in, err)
			}
		}
		if got != c.want || rule != c.rule || (err != nil) != (rule != 0) {
			t.Errorf("ParsePath(%q) = %+v, %v; want %+v, rule %d", c.in, got, err, c.want, c.rule)
		}
	}
}

func TestPathForms(t *testing.T) {
	for _, c := range []struct{ local, domain, text, canonical string }{
		{"a", "b.example", "a@b.example", "a@b.example"},
		{"a b", "d.example", `"a b"@d.example`, `"a b"@d.example`},
		{`a"\`, "d.example", `"a\"\\"@d.example`, `"a\"\\"@d.example`},
		{".a", "d.example", `".a"@d.example`, `".a"@d.example`},
		{"Jo", "Bücher.Example", "Jo@Bücher.Example", "jo@xn--bcher-kva.example"},
		{"JO\u0308RG", "D.example", "JO\u0308RG@D.example", "jörg@d.example"},
		{"a", "[IPv6:2001:DB8::1]", "a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]"},
	} {
		p, err := NewPath(c.local, c.domain, true)
		if err != nil {
			t.Errorf("%q@%q: %v", c.local, c.domain, err)
			continue
		}
		if p.String() != c.text || p.Canonical().String() != c.canonical {
			t.Errorf("%q, canonical %q; want %q, %q", p, p.Canonical(), c.text, c.canonical)
		}
	}
	if !(Path{}).IsNull() || (Path{}).String() != "" || (Path{Local: "a"}).IsNull() {
		t.Error("null path")
	}
	if !(Path{Local: "Postmaster"}).IsPostmaster() || (Path{Local: "postmaster", Domain: "a.example"}).IsPostmaster() {
		t.Error("postmaster")
	}
}

func TestNewPathRefuses(t *testing.T) {
	for _, c := range [][2]string{{"", "a.example"}, {"a", ""}, {"a\n", "a.example"}, {"a", "a.\nexample"}, {strings.Repeat("a", 65), "a.example"},
		{strings.Repeat(`"`, 33), "a.example"}, {"a", "a@b.example"}, {"a", "[1.2.3.4"}} {
		if p, err := NewPath(c[0], c[1], true); err == nil {
			t.Errorf("NewPath(%q, %q) = %v", c[0], c[1], p)
		}
	}
}

func TestParseAddress(t *testing.T) {
	if p, err := ParseAddress("Support@Example.com"); err != nil || p != (Path{"Support", "Example.com"}) {
		t.Errorf("%v, %v", p, err)
	}
	for _, s := range []string{"", "postmaster", "<a@b.example>", "a@b.example ", "a@b.example,c@d.example", "Jo <a@b.example>"} {
		if p, err := ParseAddress(s); err == nil {
			t.Errorf("ParseAddress(%q) = %v", s, p)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"<a@b.example>", `<"a b\""@[IPv6:::1]>`, "<@a,@b:c@d>", "<postmaster>", "<ü@ü.example>", "<>"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, utf8 bool) {
		p, err := ParsePath(s, utf8)
		if err != nil {
			var e *PathError
			if !errors.As(err, &e) || e.Error() == "" || e.Public() == "" || p != (Path{}) {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		if p.IsNull() || p.IsPostmaster() {
			return
		}
		for _, r := range p.String() {
			if r < ' ' || r == 0x7f || !utf8 && r > 0x7f {
				t.Fatalf("%q has %U", p, r)
			}
		}
		again, err := ParsePath("<"+p.String()+">", utf8)
		if err != nil || again != p {
			t.Fatalf("%q: %q, %v", p, again, err)
		}
		if made, err := NewPath(p.Local, p.Domain, utf8); err != nil || made != p {
			t.Fatalf("%q: %q, %v", p, made, err)
		}
		c := p.Canonical()
		if c.Canonical() != c {
			t.Fatalf("canonical %q, then %q", c, c.Canonical())
		}
	})
}

// FuzzAddressList holds the list parser against its promises, and against
// net/mail for the addresses that both read.
func FuzzAddressList(f *testing.F) {
	for _, s := range []string{"Jo <a@b.example>", "g: a@b, c@d;, e@f", `"a, b" <c@d> (e)`, "a@b (c (d))", "<@r:a@b>", "a@[1.2.3.4]", "(((", "[[["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		group := false
		list := ParseAddressList(s)
		if len(list) > MaxAddresses {
			t.Fatalf("%d addresses", len(list))
		}
		for _, a := range list {
			switch {
			case a.IsGroupEnd():
				if !group || a.Name != "" {
					t.Fatalf("%q: an end without a group", s)
				}
				group = false
			case a.IsGroupStart():
				if group {
					t.Fatalf("%q: a group in a group", s)
				}
				group = true
			case a.Mailbox == "" || a.Host == "":
				t.Fatalf("%q: %+v", s, a)
			}
		}
		if group {
			t.Fatalf("%q: a group without its end", s)
		}
		if one, err := mail.ParseAddress(s); err == nil && isASCII(s) && !strings.ContainsAny(s, "()\"\\=[") {
			i := strings.LastIndexByte(one.Address, '@')
			if len(list) != 1 || list[0].Mailbox != one.Address[:i] || list[0].Host != one.Address[i+1:] || list[0].Name != one.Name {
				t.Fatalf("%q: %+v, net/mail %+v", s, list, one)
			}
		}
	})
}
