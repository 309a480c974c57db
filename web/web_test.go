package web_test

import (
	"context"
	"crypto/tls"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/web"
)

var update = flag.Bool("update", false, "write the golden files anew")

// handler answers for example.com, at mail.example.net.
func handler(t testing.TB, secure bool) http.Handler {
	t.Helper()
	return web.New(web.Config{
		Host: "mail.example.net", TLS: &tls.Config{},
		Challenge: func(host, token string) (string, bool) {
			return token + ".thumbprint", host == "mail.example.net" && token == "abc"
		},
		Domain: func(_ context.Context, name string) (web.Domain, error) {
			switch name {
			case "example.com":
				return web.Domain{Name: name, Policy: "version: STSv1\r\nmode: testing\r\nmx: mail.example.net\r\nmax_age: 604800\r\n"}, nil
			case "broken.example":
				return web.Domain{}, io.ErrUnexpectedEOF
			}
			return web.Domain{}, web.ErrUnknown
		},
		Ports: func() web.Ports { return web.Ports{IMAPS: 993, Submissions: 465, Submission: 587} },
	}).Handler(secure)
}

// ask sends a request and returns the answer with what a person would look at.
func ask(t testing.TB, secure bool, method, url, body string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	w := httptest.NewRecorder()
	handler(t, secure).ServeHTTP(w, r)
	answer := w.Result()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

const outlook = `<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request>
    <EMailAddress>%s</EMailAddress>
    <AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
  </Request>
</Autodiscover>`

func outlookAsks(address string) string { return strings.Replace(outlook, "%s", address, 1) }

// TestWellKnownFiles holds each file against its golden copy: type and text.
func TestWellKnownFiles(t *testing.T) {
	for _, c := range []struct{ golden, method, url, body string }{
		{"mta-sts.txt", "GET", "https://mta-sts.example.com/.well-known/mta-sts.txt", ""},
		{"config-v1.1.xml", "GET", "https://autoconfig.example.com/mail/config-v1.1.xml?emailaddress=ada@example.com", ""},
		{"config-v1.1.xml", "GET", "https://example.com/.well-known/autoconfig/mail/config-v1.1.xml", ""},
		{"config-v1.1.xml", "GET", "https://mail.example.net/mail/config-v1.1.xml?emailaddress=nobody%40example.com", ""},
		{"autodiscover.xml", "POST", "https://autodiscover.example.com/autodiscover/autodiscover.xml", outlookAsks("ada@example.com")},
		{"autodiscover.xml", "POST", "https://example.com/Autodiscover/Autodiscover.xml", outlookAsks(" ada@EXAMPLE.com\n")},
		{"autodiscover-escaped.xml", "POST", "https://mail.example.net/autodiscover/autodiscover.xml", outlookAsks("a&amp;'b@example.com")},
		{"autodiscover-invalid.xml", "POST", "https://autodiscover.example.com/autodiscover/autodiscover.xml", outlookAsks("nobody")},
		{"autodiscover-schema.xml", "POST", "https://autodiscover.example.com/autodiscover/autodiscover.xml", strings.Replace(outlookAsks("ada@example.com"), "2006a", "2010", 1)},
		{"profile.mobileconfig", "GET", "https://mail.example.net/profile.mobileconfig?email=ada@example.com", ""},
		{"profile-escaped.mobileconfig", "GET", "https://mail.example.net/profile.mobileconfig?email=%22%3C%2Fstring%3E%26%22@example.com", ""},
	} {
		answer, text := ask(t, true, c.method, c.url, c.body)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", c.url, answer.Status)
			continue
		}
		got := "Content-Type: " + answer.Header.Get("Content-Type") + "\n\n" + text
		path := filepath.Join("testdata", c.golden)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", c.url, got, want)
		}
	}
}

// TestWellKnownRefuses: nothing else exists, whatever is asked, and an answer never depends on the part before the @.
func TestWellKnownRefuses(t *testing.T) {
	for _, c := range []struct {
		secure       bool
		method, url  string
		body         string
		status       int
		where, about string
	}{
		{true, "GET", "https://mail.example.net/", "", 404, "", "no front page"},
		{true, "GET", "https://mail.example.net/.well-known/", "", 404, "", ""},
		{true, "GET", "https://mail.example.net/.well-known/security.txt", "", 404, "", ""},
		{true, "GET", "https://mta-sts.example.org/.well-known/mta-sts.txt", "", 404, "", "a domain of somebody else"},
		{true, "GET", "https://example.com/.well-known/mta-sts.txt", "", 404, "", "RFC 8461, section 3.3: under one name alone"},
		{true, "POST", "https://mta-sts.example.com/.well-known/mta-sts.txt", "", 405, "", ""},
		{true, "GET", "https://mta-sts.broken.example/.well-known/mta-sts.txt", "", 503, "", "not known is not no"},
		{true, "GET", "https://mail.example.net/mail/config-v1.1.xml", "", 404, "", "of which domain?"},
		{true, "GET", "https://mail.example.net/mail/config-v1.1.xml?emailaddress=ada@example.org", "", 404, "", ""},
		{true, "GET", "https://autodiscover.example.com/autodiscover/autodiscover.xml", "", 405, "", ""},
		{true, "POST", "https://autodiscover.example.com/autodiscover/autodiscover.xml", outlookAsks("ada@example.org"), 404, "", ""},
		{true, "POST", "https://autodiscover.example.com/autodiscover/autodiscover.xml", strings.Repeat(" ", 65<<10), 413, "", ""},
		{true, "GET", "https://mail.example.net/profile.mobileconfig", "", 400, "", ""},
		{true, "GET", "https://mail.example.net/profile.mobileconfig?email=ada@example.org", "", 404, "", ""},
		{true, "GET", "https://mail.example.net/.well-known/acme-challenge/other", "", 404, "", ""},
		{true, "GET", "https://mail.example.net/../../etc/passwd", "", 404, "", ""},

		{false, "GET", "http://mail.example.net/.well-known/acme-challenge/abc", "", 200, "", "RFC 8555, section 8.3: in clear"},
		{false, "GET", "http://mail.example.net:80/.well-known/acme-challenge/abc", "", 200, "", ""},
		{false, "GET", "http://other.example.net/.well-known/acme-challenge/abc", "", 404, "", "the token of another name"},
		{false, "GET", "http://mail.example.net/", "", 404, "", "no redirect for what does not exist"},
		{false, "GET", "http://mta-sts.example.com/.well-known/mta-sts.txt", "", 302, "https://mta-sts.example.com/.well-known/mta-sts.txt", ""},
		{false, "GET", "http://autoconfig.example.com/mail/config-v1.1.xml?emailaddress=a@example.com", "", 302, "https://autoconfig.example.com/mail/config-v1.1.xml?emailaddress=a@example.com", ""},
		{false, "GET", "http://autodiscover.example.com/autodiscover/autodiscover.xml", "", 302, "https://autodiscover.example.com/autodiscover/autodiscover.xml", ""},
		{false, "GET", "http://evil.example.org/mail/config-v1.1.xml", "", 404, "", "no redirect to names of others"},
		{false, "GET", "http://mail.example.net/mail/config-v1.1.xml?emailaddress=a@example.org", "", 404, "", ""},
		{false, "POST", "http://autodiscover.example.com/autodiscover/autodiscover.xml", outlookAsks("ada@example.com"), 405, "", "not in clear"},
	} {
		answer, _ := ask(t, c.secure, c.method, c.url, c.body)
		if answer.StatusCode != c.status || answer.Header.Get("Location") != c.where {
			t.Errorf("%s %s: %s to %q, want %d to %q (%s)", c.method, c.url, answer.Status, answer.Header.Get("Location"), c.status, c.where, c.about)
		}
		for _, h := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy", "Cache-Control"} {
			if answer.Header.Get(h) == "" {
				t.Errorf("%s has no %s", c.url, h)
			}
		}
	}
}
