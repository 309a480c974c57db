package servertest_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"postern/dns/nameserver"
	"postern/server/servertest"
)

// packedMail is a message with a report in an attachment.
func packedMail(mediaType string, packed []byte) string {
	var lines strings.Builder
	for text := base64.StdEncoding.EncodeToString(packed); text != ""; {
		n := min(76, len(text))
		lines.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return "From: ada@sender.test\r\nMIME-Version: 1.0\r\nContent-Type: " + mediaType + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines.String()
}

// TestHostileReports: what costs more to open than to send is refused for good, over
// the wire, and the next one is taken. RFC 5321, section 4.2.2: 550 says not to try
// again.
func TestHostileReports(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	fatal(t, p.World.Names.Replace("sender.test", nameserver.TXT, 0, "v=spf1 ip4:127.0.0.1 -all"))
	var zipped, gzipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	f, err := z.Create("report.xml")
	fatal(t, err)
	bomb := bytes.Repeat([]byte("<a>"), 8<<20)
	f.Write(bomb)
	fatal(t, z.Close())
	g := gzip.NewWriter(&gzipped)
	g.Write(bomb)
	fatal(t, g.Close())
	laughs := `<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><feedback>&b;</feedback>`
	report := `<feedback><report_metadata><org_name>s</org_name><report_id>1</report_id><date_range><begin>1767225600</begin><end>1767311999</end></date_range></report_metadata><policy_published><domain>alpha.test</domain><p>none</p></policy_published></feedback>`
	c := smtp(t, p)
	for _, test := range []struct{ what, mail, want string }{
		{"a zip bomb", packedMail("application/zip", zipped.Bytes()), "550 5.6.0 "},
		{"a gzip bomb", packedMail("application/gzip", gzipped.Bytes()), "550 5.6.0 "},
		{"billion laughs", packedMail("text/xml", []byte(laughs)), "550 5.6.0 "},
		{"a bomb as a TLS report", packedMail("application/tlsrpt+gzip", gzipped.Bytes()), "550 5.6.0 "},
		{"lists without end", packedMail("application/tlsrpt+json", bytes.Repeat([]byte("["), 1<<20)), "550 5.6.0 "},
		{"a report", packedMail("text/xml", []byte(report)), "250 2.0.0 "},
	} {
		if got := c.send("postern-reports@alpha.test", test.mail); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s", test.what, got)
		}
	}
}

var dkimResult = regexp.MustCompile(`dkim=`)

// TestHostileSenders: signatures and records without end cost a few lookups each, and
// mail goes on. RFC 6376, section 6.1; RFC 7208, section 4.6.4.
func TestHostileSenders(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	for i := range 200 { // the sender's own, then each includes the next
		name := "sender.test"
		if i > 0 {
			name = fmt.Sprintf("i%d.sender.test", i)
		}
		fatal(t, p.World.Names.Replace(name, nameserver.TXT, 0, fmt.Sprintf("v=spf1 include:i%d.sender.test -all", i+1)))
	}
	signature := "DKIM-Signature: v=1; a=rsa-sha256; d=sender.test; s=s%d; h=From; bh=" + strings.Repeat("A", 43) + "=; b=AAAA\r\n"
	var head strings.Builder
	for i := range 500 {
		fmt.Fprintf(&head, signature, i)
	}
	if got := smtp(t, p).send("scout@alpha.test", head.String()+"From: ada@sender.test\r\nSubject: x\r\n\r\nx\r\n"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	c := imap(t, p, p.Agents["scout"])
	c.want("OK", "SELECT INBOX")
	results := string(c.want("OK", "FETCH 1 BODY.PEEK[HEADER.FIELDS (AUTHENTICATION-RESULTS)]"))
	if n := len(dkimResult.FindAllString(results, -1)); n != 5 || !strings.Contains(results, "spf=permerror") {
		t.Errorf("%d signatures were judged: %s", n, results)
	}
}
