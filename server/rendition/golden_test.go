package rendition_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"postern/server/message"
	"postern/server/rendition"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds renditions as a whole. A change of what is written here asks for another
// rendition.Version.
func TestGolden(t *testing.T) {
	for name, eml := range files(t, "testdata/*.eml") {
		t.Run(name, func(t *testing.T) {
			got, err := rendition.Render(source(eml))
			if err != nil {
				t.Fatal(err)
			}
			file := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// Git may change line ends; those of the rendition are CRLF, without exception.
			lf := bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))
			if !bytes.Equal(lf, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
				t.Errorf("rendered anew:\n%s", got)
			}
			if bytes.ContainsAny(lf, "\r") || bytes.Count(got, []byte("\n")) != bytes.Count(got, []byte("\r\n")) {
				t.Error("a line does not end in CRLF")
			}
			for line := range bytes.Lines(got) {
				if len(line) > 1000 { // RFC 5322, section 2.1.1
					t.Errorf("a line of %d bytes", len(line))
				}
			}
		})
	}
}

// TestRenderKeepsTheBlock: what stands in front is ours, and stays as it is, but for what it says of
// the peer's own name.
func TestRenderKeepsTheBlock(t *testing.T) {
	received := "Received: from PLANTED ([192.0.2.1])\r\n by mx.example.org; Mon, 1 Jun 2026 10:00:00 +0000\r\n"
	block := "Return-Path: <ann@example.com>\r\nAuthentication-Results: mx.example.org; spf=pass\r\nPostern-Verdict: v=1; verdict=clean\r\n"
	mail := received + block + "From: ann@example.com\r\nAuthentication-Results: mx.example.org; dkim=pass\r\nSubject: x\r\n\r\nHello.\r\n"
	r := strings.NewReader(mail)
	got, err := rendition.Render(rendition.Source{View: r, Structure: message.Parse(r, r.Size()), Block: int64(len(received + block))})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(got), block+"From: <ann@example.com>\r\nSubject: x\r\nMIME-Version: 1.0\r\n") || strings.Contains(string(got), "dkim=pass") {
		t.Errorf("%s", got)
	}
}
