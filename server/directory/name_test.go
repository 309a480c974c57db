package directory

import (
	"errors"
	"strings"
	"testing"
)

// TestNameError holds that a person learns what is wrong with a domain name, in words about what they typed.
func TestNameError(t *testing.T) {
	for name, want := range map[string]string{
		"not a domain":                       "it has a space in it",
		"ann@example.com":                    "what follows the @",
		"https://example.com/":               "of a web address",
		"example.com:25":                     "of a web address",
		"a..example.com":                     "nothing between two of its dots",
		".example.com":                       "nothing between two of its dots",
		strings.Repeat("a", 64) + ".test":    "longer than 63 letters",
		"-a.example.com":                     "begins or ends with a hyphen",
		"a_b.example.com":                    "no domain name may have '_' in it",
		"exam!ple.com":                       "no domain name may have '!' in it",
		"a\x00b.example.com":                 "no domain name may have '\\x00' in it",
		"\xff.example.com":                   "no domain name may have '\ufffd' in it",
		"example":                            "is not a fully qualified domain name",
		"192.0.2.1":                          "looks like an address",
		"a\u0301\u0627.example.com":          "do not allow these letters together",
		strings.Repeat("abcdefg.", 32) + "a": "is not a fully qualified domain name",
	} {
		_, err := domainName(name)
		var no *NameError
		if !errors.As(err, &no) || !errors.Is(err, ErrInvalid) || no.Name != name || !strings.Contains(no.Error(), want) || strings.Contains(no.Error(), "idna") {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	for name, want := range map[string]string{"Example.COM.": "example.com", "m\u00fcnchen.example": "xn--mnchen-3ya.example"} {
		if got, err := domainName(name); got != want || err != nil {
			t.Errorf("%q is %q, %v", name, got, err)
		}
	}
}
