package dkim_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"postern/dkim"
)

// keys are made once: RSA generation takes a while.
var keys = sync.OnceValue(func() (k struct{ rsa, ed *dkim.Key }) {
	var err1, err2 error
	k.rsa, err1 = dkim.GenerateKey(dkim.RSA)
	k.ed, err2 = dkim.GenerateKey(dkim.Ed25519)
	if err := errors.Join(err1, err2); err != nil {
		panic(err)
	}
	return k
})

func bothKeys() []dkim.Selected {
	return []dkim.Selected{{Selector: "r1", Key: keys().rsa}, {Selector: "e1", Key: keys().ed}}
}

func signer(t testing.TB, selected ...dkim.Selected) *dkim.Signer {
	t.Helper()
	s, err := dkim.NewSigner("example.com", selected...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func records() map[string]string {
	return map[string]string{
		dkim.RecordName("r1", "example.com"): keys().rsa.Record(),
		dkim.RecordName("e1", "example.com"): keys().ed.Record(),
	}
}

// verify judges with go-msgauth and returns one error per signature.
func verify(t testing.TB, mail string) []error {
	t.Helper()
	verdicts, err := msgauth.VerifyWithOptions(strings.NewReader(mail), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if r, ok := records()[name]; ok {
				return []string{r}, nil
			}
			return nil, fmt.Errorf("no record %s", name)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []error
	for _, v := range verdicts {
		out = append(out, v.Err)
	}
	return out
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

var letter = crlf(`Received: from somewhere
From: Agent <agent@example.com>
To: a@example.org,
	b@example.org
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Date: Sat, 03 Jan 2026 10:00:00 +0000
Message-ID: <1@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Hello,   white	space  
.a line with a dot

Grüße


`)

func sign(t testing.TB, mail string) string {
	t.Helper()
	fields, err := signer(t, bothKeys()...).Sign(strings.NewReader(mail), int64(len(mail)))
	if err != nil {
		t.Fatal(err)
	}
	return string(fields) + mail
}

func TestTwoSignaturesVerify(t *testing.T) {
	for name, mail := range map[string]string{
		"letter":            letter,
		"no body":           crlf("From: a@example.com\n\n"),
		"body without end":  crlf("From: a@example.com\n\nno line end"),
		"large":             crlf("From: a@example.com\n\n") + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 20000),
		"dots and eight":    crlf("From: a@example.com\n\n.\n..\n") + "\xff\xfe\r\n",
		"signed before":     "DKIM-Signature: v=1; a=rsa-sha256; d=other.example; s=x; h=From; bh=; b=\r\n" + letter,
		"many of each":      crlf("From: a@example.com\n" + strings.Repeat("Auto-Submitted: no\nList-Id: x\nTo: a\nCc: b\nSubject: c\nDate: d\nSender: e\nContent-Transfer-Encoding: x\nContent-Disposition: y\nMIME-Version: 1\nContent-Type: a\nIn-Reply-To: b\nReferences: c\nMessage-ID: d\nReply-To: e\nList-Unsubscribe-Post: f\nList-Unsubscribe: g\n", 4) + "\nx\n"),
		"fields not spaced": crlf("From:a@example.com\nSubject:x\nX-A :y\n\nbody\n"),
	} {
		mail := sign(t, mail)
		got := verify(t, mail)
		if len(got) < 2 || got[0] != nil || got[1] != nil {
			t.Errorf("%s: %v", name, got)
		}
		for _, line := range strings.Split(mail, "\r\n") {
			if len(line) > 998 {
				t.Errorf("%s: a line of %d octets in the signatures", name, len(line))
			}
		}
	}
}

// RFC 6376, section 8.15: adding any field that people see, or that decides how
// the body is shown, breaks both signatures. So does changing one.
func TestOversigning(t *testing.T) {
	mail := sign(t, letter)
	for _, field := range []string{
		"From: evil@example.net", "Subject: other", "To: c@example.org", "Cc: c@example.org", "Reply-To: evil@example.net",
		"Date: Sun, 04 Jan 2026 10:00:00 +0000", "Message-ID: <2@example.com>", "In-Reply-To: <3@example.com>",
		"References: <3@example.com>", "MIME-Version: 1.0", "Content-Type: text/html", "Content-Transfer-Encoding: base64",
		"Content-Disposition: attachment",
	} {
		for where, changed := range map[string]string{
			"above": field + "\r\n" + mail, "below": strings.Replace(mail, "\r\n\r\n", "\r\n"+field+"\r\n\r\n", 1),
		} {
			for i, err := range verify(t, changed) {
				if err == nil {
					t.Errorf("signature %d survives %q %s", i, field, where)
				}
			}
		}
	}
	for _, err := range verify(t, strings.Replace(mail, "Grüße\r\n\r\n", "Gruesse\r\n\r\n", 1)) {
		if err == nil {
			t.Error("a signature survives a changed body")
		}
	}
	for _, err := range verify(t, mail+"appended\r\n") {
		if err == nil {
			t.Error("a signature survives an appended line")
		}
	}
	// What relays do must not break it.
	relayed := "Received: from r\r\nX-Spam: no\r\n" + strings.Replace(mail, "To: a@example.org,\r\n\tb", "To:  a@example.org, b", 1)
	for _, err := range verify(t, relayed) {
		if err != nil {
			t.Errorf("after a relay: %v", err)
		}
	}
}

func TestIndependentVerifier(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, where python3-dkim lives
	if err := exec.Command(python, "-c", "import dkim, nacl").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-dkim and python3-nacl are not installed")
		}
		t.Skip("python3-dkim and python3-nacl are not installed: dkimpy does not verify our signatures here")
	}
	run := func(mail string) string {
		args := []string{"testdata/verify.py"}
		for name, text := range records() {
			args = append(args, name+"="+text)
		}
		cmd := exec.Command(python, args...)
		cmd.Stdin = strings.NewReader(mail)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		return string(out)
	}
	mail := sign(t, letter)
	if got, want := run(mail), "rsa-sha256 pass\ned25519-sha256 pass\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := run("Subject: other\r\n"+mail), "rsa-sha256 fail\ned25519-sha256 fail\n"; got != want {
		t.Errorf("with a second subject: got %q, want %q", got, want)
	}
}

func TestMessagesThatCannotBeSigned(t *testing.T) {
	s := signer(t, bothKeys()...)
	for name, mail := range map[string]string{
		"two From":     crlf("From: a@example.com\nFrom: b@example.com\n\nx\n"),
		"hidden From":  crlf("From: a@example.com\nfrom : b@example.com\n\nx\n"),
		"no From":      crlf("To: a@example.com\n\nx\n"),
		"no header":    "",
		"no end":       "From: a@example.com\r\n",
		"folded start": " x\r\nFrom: a@example.com\r\n\r\nx\r\n",
		"many To":      crlf("From: a@example.com\n" + strings.Repeat("To: a@example.com\n", 5) + "\nx\n"),
		"huge line":    crlf("From: a@example.com\nX: " + strings.Repeat("x", 1<<17) + "\n\nx\n"),
		"many folds":   "From: a@example.com\r\nX: x\r\n" + strings.Repeat(" \r\n", 50_000) + "\r\nx\r\n",
		"blank lines":  crlf("From: a@example.com\n\nx\n" + strings.Repeat("\n", 1<<20)),
		"huge header":  crlf("From: a@example.com\n" + strings.Repeat("X: "+strings.Repeat("x", 900)+"\n", 1200) + "\nx\n"),
	} {
		if out, err := s.Sign(strings.NewReader(mail), int64(len(mail))); !errors.Is(err, dkim.ErrMessage) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

type failingReader struct {
	io.ReaderAt
	after int64
}

func (f failingReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.after {
		return 0, io.ErrUnexpectedEOF
	}
	return f.ReaderAt.ReadAt(p[:min(int64(len(p)), f.after-off)], off)
}

// An error of the reader is neither a signature nor the message's fault.
func TestReaderFails(t *testing.T) {
	mail := crlf("From: a@example.com\n\n") + strings.Repeat("x\r\n", 100000)
	_, err := signer(t, bothKeys()...).Sign(failingReader{strings.NewReader(mail), 100000}, int64(len(mail)))
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, dkim.ErrMessage) {
		t.Errorf("got %v", err)
	}
}

func TestKeysSurviveStorage(t *testing.T) {
	for _, k := range []*dkim.Key{keys().rsa, keys().ed} {
		again, err := dkim.ParseKey(k.PKCS8())
		if err != nil || again.Record() != k.Record() || again.Algorithm() != k.Algorithm() {
			t.Errorf("%s: %v", k.Algorithm(), err)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	small.E = 3 // stays parseable; its size is what counts below
	for _, b := range [][]byte{nil, []byte("x"), x509.MarshalPKCS1PrivateKey(small)} {
		if _, err := dkim.ParseKey(b); err == nil {
			t.Errorf("%d bytes were taken for a key", len(b))
		}
	}
}

// RFC 8463, appendix A: the key pair and its record.
func TestRFC8463_KeyRecord(t *testing.T) {
	seed, _ := base64.StdEncoding.DecodeString("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	k, err := dkim.ParseKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	if want := "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="; k.Record() != want {
		t.Errorf("got %s", k.Record())
	}
}

func TestNewSignerRefuses(t *testing.T) {
	k := keys().ed
	for _, bad := range []string{"", "a;b", "a b", "ä.example", ".example", "example.", "x\r\ny", strings.Repeat("a", 254)} {
		if _, err := dkim.NewSigner(bad, dkim.Selected{Selector: "s", Key: k}); err == nil {
			t.Errorf("domain %q", bad)
		}
		if _, err := dkim.NewSigner("example.com", dkim.Selected{Selector: bad, Key: k}); err == nil {
			t.Errorf("selector %q", bad)
		}
	}
	if _, err := dkim.NewSigner("example.com"); err == nil {
		t.Error("no keys")
	}
	if _, err := dkim.GenerateKey("dsa"); err == nil {
		t.Error("algorithm dsa")
	}
}

// Memory does not grow with the body: the signer sees parts, never the whole.
func TestSignStreams(t *testing.T) {
	head := crlf("From: a@example.com\n\n")
	const size = 64 << 20
	s := signer(t, dkim.Selected{Selector: "e1", Key: keys().ed})
	largest := 0
	r := readerAt(func(p []byte, off int64) (int, error) {
		largest = max(largest, len(p))
		n := copy(p, head[min(off, int64(len(head))):])
		for i := n; i < len(p); i++ {
			p[i] = "0123456789\r\n"[(off+int64(i)-int64(len(head)))%12]
		}
		return len(p), nil
	})
	if _, err := s.Sign(r, size); err != nil {
		t.Fatal(err)
	}
	if largest > 1<<20 {
		t.Errorf("asked for %d bytes at once", largest)
	}
}

type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

func ExampleNewSelector() {
	made := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	first, _ := dkim.NewSelector(dkim.Ed25519, made, nil)
	second, _ := dkim.NewSelector(dkim.Ed25519, made, []string{first})
	fmt.Println(dkim.RecordName(first, "example.com"))
	fmt.Println(dkim.RecordName(second, "example.com"))
	// Output:
	// e20260103._domainkey.example.com
	// e20260103b._domainkey.example.com
}

func ExampleSigner_Sign() {
	key, err := dkim.GenerateKey(dkim.Ed25519)
	if err != nil {
		panic(err)
	}
	s, err := dkim.NewSigner("example.com", dkim.Selected{Selector: "e20260103", Key: key})
	if err != nil {
		panic(err)
	}
	mail := "From: agent@example.com\r\nTo: a@example.org\r\n\r\nHello\r\n"
	fields, err := s.Sign(strings.NewReader(mail), int64(len(mail)))
	if err != nil {
		panic(err)
	}
	for _, tag := range strings.Split(string(fields), ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(tag), "="); slices.Contains([]string{"c", "d", "h", "s"}, name) {
			fmt.Println(name, value)
		}
	}
	// Output:
	// c relaxed/relaxed
	// d example.com
	// h From:From:Reply-To:To:To:Cc:Subject:Date:Message-ID:In-Reply-To:References:MIME-Version:Content-Type:Content-Transfer-Encoding:Content-Disposition
	// s e20260103
}

func benchmarkSign(b *testing.B, selected ...dkim.Selected) {
	mail := crlf("From: a@example.com\nTo: b@example.org\nSubject: s\nDate: Sat, 03 Jan 2026 10:00:00 +0000\nMessage-ID: <1@example.com>\n\n")
	mail += strings.Repeat("A line of text as people write it, not too long.\r\n", (4096-len(mail))/50)
	s := signer(b, selected...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(strings.NewReader(mail), int64(len(mail))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign4KB_Ed25519(b *testing.B) {
	benchmarkSign(b, dkim.Selected{Selector: "e1", Key: keys().ed})
}
func BenchmarkSign4KB_RSA(b *testing.B) {
	benchmarkSign(b, dkim.Selected{Selector: "r1", Key: keys().rsa})
}
func BenchmarkSign4KB_Both(b *testing.B) { benchmarkSign(b, bothKeys()...) }

func FuzzSign(f *testing.F) {
	f.Add(letter)
	f.Add("From: a@example.com\r\n\r\n")
	f.Add("From:a\nfrom :b\n\n")
	f.Add(" x\r\nFrom:a\r\n\r\n")
	f.Add("From\r\n\tx\r\n\r\n")
	s := signer(f, dkim.Selected{Selector: "e1", Key: keys().ed})
	f.Fuzz(func(t *testing.T, mail string) {
		fields, err := s.Sign(strings.NewReader(mail), int64(len(mail)))
		if err != nil {
			return
		}
		if got := verify(t, string(fields)+mail); len(got) == 0 || got[0] != nil {
			t.Errorf("our own signature does not verify: %v", got)
		}
		for _, err := range verify(t, "From: evil@example.net\r\n"+string(fields)+mail) {
			if err == nil {
				t.Error("a second From was added unnoticed")
			}
		}
	})
}
