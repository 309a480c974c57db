package message

import (
	"net/mail"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
		{"Tue, 1 Jul 2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"},
		{"Thu, 13 Feb 1969 23:32 -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
		{"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"},
		{"21 Nov 101 09:55:06 EST", "2001-11-21T09:55:06-05:00"},
		{"1 Jan 25 00:00:00 pdt", "2025-01-01T00:00:00-07:00"},
		{"Monday, 2 June 2025 10:11:12 +0000", "2025-06-02T10:11:12Z"},
		{"Mon Jun  2 10:11:12 2025", "2025-06-02T10:11:12Z"},
		{"Mon Jun  2 10:11:12 CEST 2025", "2025-06-02T10:11:12Z"},
		{"02-Jun-2025 10:11:12 +0100", "2025-06-02T10:11:12+01:00"},
		{"Mon, 2 Jun 2025 10:11:12.345 +0100", "2025-06-02T10:11:12+01:00"},
		{"Mon, 2 Jun 2025 10:11:60 +01:00", "2025-06-02T10:11:59+01:00"},
		{"Mon,2 Jun 2025 10:11:12 -0000", "2025-06-02T10:11:12Z"},
		{"", ""}, {"nonsense", ""}, {"31 Feb 2025 10:00:00 +0000", ""}, {"2 Jun 2025", ""}, {"2 Jun 2025 25:00:00 +0000", ""},
		{"2 Jun 1025 10:00:00 +0000", ""}, {"2 Jun 20250 10:00:00 +0000", ""}, {"99999999999999999999", ""}, {"2 Jun 2025 1:2:3:4 +0", ""},
	} {
		got, ok := ParseDate(c.in)
		text := ""
		if ok {
			text = got.Format(time.RFC3339)
		}
		if text != c.want {
			t.Errorf("ParseDate(%q) = %q, want %q", c.in, text, c.want)
		}
	}
}

// FuzzParseDate: what net/mail reads without a zone's name, we read alike.
func FuzzParseDate(f *testing.F) {
	f.Add("Fri, 21 Nov 1997 09:55:06 -0600")
	f.Add("13 Feb 1969 23:32 -0330 (Newfoundland Time)")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseDate(s)
		if ok && (got.Year() < 1900 || got.Year() > 9999) {
			t.Fatalf("%q: %v", s, got)
		}
		want, err := mail.ParseDate(s)
		if err != nil || want.Year() < 1900 || want.Second() == 60 {
			return
		}
		if name, _ := want.Zone(); name == "" && ok && !got.Equal(want) {
			t.Fatalf("%q: %v, net/mail %v", s, got, want)
		}
	})
}
