package imapd

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPatternMatches holds LIST's wildcards against regular expressions (RFC 9051, section 6.3.9).
func TestPatternMatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	draw := func(letters string, n int) string {
		var sb strings.Builder
		for range rng.IntN(n) {
			sb.WriteByte(letters[rng.IntN(len(letters))])
		}
		return sb.String()
	}
	matched := 0
	for range 20_000 {
		p, name := draw("ab/*%%", 8), draw("aab/", 8)
		re := "^" + strings.NewReplacer("*", ".*", "%", "[^/]*").Replace(p) + "$"
		want := regexp.MustCompile(re).MatchString(name)
		if got := pattern(p).matches(name); got != want {
			t.Fatalf("%q matches %q: %v", p, name, got)
		}
		if want {
			matched++
		}
	}
	if matched < 500 {
		t.Error("the test hardly tests: ", matched)
	}
	for _, p := range []string{"inbox", "InBoX", "in%", "*b*x"} {
		if !newPattern("", p).matches("INBOX") {
			t.Errorf("%s does not match INBOX", p)
		}
	}
	// Another way of matching would not come back from this one.
	if pattern(strings.Repeat("*a", 400) + "b").matches(strings.Repeat("a", 1000)) {
		t.Error("matches")
	}
}

// TestFetchWords: the items of a FETCH, whatever their strings look like.
func TestFetchWords(t *testing.T) {
	for args, want := range map[string][]string{
		"1 FLAGS":                   {"FLAGS"},
		"1:* (flags Rfc822.Header)": {"FLAGS", "RFC822.HEADER"},
		"1(UID)":                    {"UID"},
		`1 (BODY.PEEK[HEADER.FIELDS (RFC822 "a]) RFC822 (" "\"]")]<0.9> RFC822 BODY BODY[])`: {"BODY.PEEK[", "RFC822", "BODY", "BODY["},
		"$ (BODY[1.2.MIME]BODYSTRUCTURE)": {"BODY["},
		"1":                               nil,
		"":                                nil,
		"1 BODY[":                         {"BODY["},
		`1 BODY[HEADER.FIELDS ("`:         {"BODY["},
	} {
		if got := fetchWords([]byte(args)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

// TestStrings: what a string is written as, for clients with and without UTF-8 (RFC 9051, section 4.3; RFC 6855).
func TestStrings(t *testing.T) {
	for _, c := range []struct{ s, plain, utf8 string }{
		{"", `""`, `""`},
		{"abc", `"abc"`, `"abc"`},
		{`a"b\c`, `"a\"b\\c"`, `"a\"b\\c"`},
		{"tab\t", "{4}\r\ntab\t", "{4}\r\ntab\t"},
		{"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
		{"a\x00b", "{2}\r\nab", "{2}\r\nab"},
		{"é", "{2}\r\n\xc3\xa9", `"é"`},
		{"\xe9", "{1}\r\n\xe9", "{1}\r\n\xe9"},
		{`é"`, "{3}\r\né\"", `"é\""`},
		{strings.Repeat("x", 2000), "{2000}\r\n" + strings.Repeat("x", 2000), "{2000}\r\n" + strings.Repeat("x", 2000)},
	} {
		for utf8, want := range map[bool]string{false: c.plain, true: c.utf8} {
			r := &response{utf8: utf8}
			if r.str(c.s); string(r.b) != want {
				t.Errorf("%q with UTF-8 %v: %q, want %q", c.s, utf8, r.b, want)
			}
		}
	}
}
