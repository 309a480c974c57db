package relay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestRFC8461_Policy: section 3.2.
func TestRFC8461_Policy(t *testing.T) {
	const rest = "version: STSv1\nmode: enforce\nmx: mx.example.com\n"
	for text, want := range map[string]string{
		"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmx: backupmx.example.com\nmax_age: 604800\n": "enforce mail.example.com,*.example.net,backupmx.example.com 604800",
		"version: STSv1\r\nmode: testing\r\nmx: MX.Example.com.\r\nmax_age: 0":                                                "testing mx.example.com 0",
		"max_age:1\nmode:none\nversion:STSv1":                                                                                 "none  1",
		rest + "max_age: 5 \t\nx-new.field_1: gr\u00fc\u00dfe und mehr\n\n":                                                   "enforce mx.example.com 5",
		rest + "max_age: 7\nmode: none\nmax_age: 9\nversion: STSv2\n":                                                         "enforce mx.example.com 7", // the first counts
		rest + "max_age: 9999999999\n":                                                                                        "enforce mx.example.com 31557600",
		"version: STSv1\nmode: testing\nmx: *.b\u00fccher.example\nmax_age: 60\n":                                             "testing *.xn--bcher-kva.example 60",

		"":                                             "",
		rest:                                           "", // no max_age
		"<html></html>":                                "",
		rest + "max_age: ":                             "",
		rest + "max_age: -1\n":                         "",
		rest + "max_age: +1\n":                         "",
		rest + "max_age: 12345678901\n":                "",
		rest + "max_age: 1\n mx: a.example\n":          "",
		rest + "max_age: 1\nmx: a.*.example\n":         "",
		rest + "max_age: 1\nmx: *\n":                   "",
		rest + "max_age: 1\nmx: a b\n":                 "",
		rest + "max_age: 1\nnote: a\x00b\n":            "",
		rest + "max_age: 1\nnote\n":                    "",
		rest + "max_age: 1\n\xff: x\n":                 "",
		"version: STSv1\nmode: enforce\nmax_age: 60\n": "", // mx is missing
		"version: STSv2\nmode: none\nmax_age: 60\n":    "",
		"version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 60\n":       "",
		rest + "max_age: 1\n" + strings.Repeat("mx: a.example\n", 1024):     "",
		rest + "max_age: 1\n" + strings.Repeat("note: gar nichts\n", 1<<12): "", // over 64 KiB
	} {
		p, err := parseSTS(text)
		got := ""
		if err == nil {
			got = fmt.Sprintf("%s %s %d", p.mode, strings.Join(p.mx, ","), p.maxAge/time.Second)
		}
		if got != want {
			t.Errorf("%.80q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// TestRFC8461_Match: section 4.1.
func TestRFC8461_Match(t *testing.T) {
	p := stsPolicy{mx: []string{"mx.example.com", "*.example.net"}}
	for host, want := range map[string]bool{
		"mx.example.com": true, "MX.example.com.": true, "a.example.net": true, "xmx.example.com": false, "mx.example.com.evil.test": false,
		"example.net": false, "a.b.example.net": false, "": false, ".example.net": false, "net": false, "a.example.net\x00": false,
		`a\.b.example.net`: false,
	} {
		if got := p.lists(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// TestRFC8461_Record: section 3.1.
func TestRFC8461_Record(t *testing.T) {
	for text, want := range map[string]string{
		"v=STSv1; id=20160831085700Z;":                 "20160831085700Z",
		"v=STSv1;id=1":                                 "1",
		"v=STSv1 ; new=x y ; id=1 ; id=2 ;":            "1",
		"unrelated|v=STSv1; id=9;|v=STSv10; id=8;":     "9",
		"v=STSv1; id=1;|v=STSv1; id=1;":                "", // two
		"v=STSv1;":                                     "",
		"v=STSv1":                                      "",
		"v=stsv1; id=1":                                "",
		"id=1; v=STSv1":                                "",
		"v=STSv1; id=a-b;":                             "",
		"v=STSv1; id=;":                                "",
		"v=STSv1; id=1; broken;":                       "",
		"v=STSv1; id=1; x=\x01;":                       "",
		"v=STSv1; id=" + strings.Repeat("1", 33) + ";": "",
		"": "",
	} {
		if got, err := parseSTSRecord(strings.Split(text, "|")); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// FuzzSTSPolicy: what is taken is within its bounds, and says the same again.
func FuzzSTSPolicy(f *testing.F) {
	for _, s := range []string{
		"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n",
		"version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n", "version:STSv1\nmode:testing\nmx:*.b\u00fccher.example\nmax_age:9999999999", ":\n", "mx: *.\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseSTS(text)
		if err != nil {
			return
		}
		if p.maxAge < 0 || p.maxAge > maxPolicyAge || len(p.mx) > maxPolicyMX || p.mode != modeNone && len(p.mx) == 0 {
			t.Errorf("%+v", p)
		}
		for _, mx := range p.mx {
			if strings.ContainsFunc(mx, func(r rune) bool { return r <= ' ' || r > '~' }) || !utf8.ValidString(mx) {
				t.Errorf("mx %q", mx)
			}
		}
		again, err := parseSTS(strings.Join(p.lines(), "\r\n"))
		if err != nil || again.mode != p.mode || again.maxAge != p.maxAge || !slices.Equal(again.mx, p.mx) {
			t.Errorf("%+v became %+v, %v", p, again, err)
		}
	})
}

func FuzzSTSRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;")
	f.Add("v=STSv1 ;id=1; x=y;")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := parseSTSRecord([]string{text}); err == nil && (id == "" || len(id) > 32 || !strings.Contains(text, id)) {
			t.Errorf("%q: %q", text, id)
		}
	})
}
