package web

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bomb is a document type whose entities would grow to gigabytes.
const bomb = `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<Autodiscover><Request><EMailAddress>&b;@example.com</EMailAddress></Request></Autodiscover>`

// TestQuestionIsBounded: what would grow, nest or not end is refused before it costs anything.
func TestQuestionIsBounded(t *testing.T) {
	wrap := func(s string) string {
		return "<Autodiscover><Request><EMailAddress>" + s + "</EMailAddress></Request></Autodiscover>"
	}
	for name, text := range map[string]string{
		"entities of its own":  bomb,
		"a file":               strings.Replace(bomb, `<!ENTITY a "aaaaaaaaaa">`, `<!ENTITY a SYSTEM "file:///etc/passwd">`, 1),
		"an unknown entity":    wrap("&nbsp;@example.com"),
		"deep":                 strings.Repeat("<a>", 10000),
		"many":                 "<Autodiscover>" + strings.Repeat("<a/>", 10000) + "</Autodiscover>",
		"long":                 wrap(strings.Repeat("a", maxQuestion)),
		"another encoding":     `<?xml version="1.0" encoding="UTF-16"?>` + wrap("ada@example.com"),
		"no end":               "<Autodiscover><Request><EMailAddress>ada@example.com",
		"no address":           "<Autodiscover/>",
		"an address elsewhere": "<Other><EMailAddress>ada@example.com</EMailAddress></Other>",
		"nothing":              "",
		"no XML":               "{}",
	} {
		if q, err := parseQuestion(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %+v", name, q)
		}
	}
	q, err := parseQuestion(strings.NewReader(wrap(" ada@example.com ")))
	if err != nil || q.Address != "ada@example.com" {
		t.Errorf("%+v, %v", q, err)
	}
}

// FuzzQuestion: whatever is sent, what was taken for an address goes into answers as text and never as markup.
func FuzzQuestion(f *testing.F) {
	f.Add([]byte(bomb))
	f.Add([]byte(`<Autodiscover><Request><EMailAddress>a&amp;&lt;b@example.com</EMailAddress></Request></Autodiscover>`))
	f.Add([]byte(`<Autodiscover><Request><EMailAddress><![CDATA["<x>"@example.com]]></EMailAddress></Request></Autodiscover>`))
	if golden, err := filepath.Glob("testdata/*.xml"); err == nil {
		for _, path := range golden {
			b, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	s := &Server{c: Config{Host: "mail.example.net", Ports: func() Ports { return Ports{993, 465, 587} }}}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseQuestion(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(q.Address) > maxQuestion {
			t.Fatalf("an address of %d bytes", len(q.Address))
		}
		p, ok := parseAddress(q.Address)
		if !ok {
			return
		}
		profile := s.plist(p.String(), "example.com", s.c.Ports())
		answer, err := xml.Marshal(&account{"email", "settings", s.protocols(p.String())})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{profile, string(answer)} {
			if !said(t, text, p.String()) {
				t.Errorf("%q is not what %q says", p.String(), text)
			}
		}
	})
}

// said reports whether a document is well formed and has a text as a whole element.
func said(t *testing.T, document, text string) (found bool) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatalf("%v in %q", err, document)
		}
		if c, ok := token.(xml.CharData); ok && string(c) == text {
			found = true
		}
	}
}
