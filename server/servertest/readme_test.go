package servertest_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// TestREADME runs the agent of the README against a server: what people paste
// first works.
func TestREADME(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```python\n")
	snippet, _, ended := strings.Cut(rest, "```")
	if !ok || !ended {
		t.Fatal("the README has no example in Python")
	}
	p := servertest.New(t, servertest.Options{Agents: []string{"support", "you"}})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, p.Authority.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	// The certificate names the host and 127.0.0.1; the server listens elsewhere
	// in 127/8.
	program := "import ssl\ncontext = ssl.create_default_context(cafile=" + strconv.Quote(ca) + ")\ncontext.check_hostname = False\n" + snippet
	for _, change := range [][2]string{
		{`"mail.example.com"`, strconv.Quote(host(p, "imaps"))},
		{`"support@example.com"`, strconv.Quote(p.Agents["support"].Address)},
		{`"pst_live_…"`, strconv.Quote(p.Agents["support"].Token)},
		{`"you@example.net"`, strconv.Quote(p.Agents["you"].Address)},
		{`IMAP4_SSL(HOST)`, `IMAP4_SSL(HOST, ` + port(p, "imaps") + `, ssl_context=context)`},
		{`SMTP_SSL(HOST, 465)`, `SMTP_SSL(HOST, ` + port(p, "submissions") + `, context=context)`},
	} {
		if !strings.Contains(program, change[0]) {
			t.Fatalf("the example has no %s", change[0])
		}
		program = strings.ReplaceAll(program, change[0], change[1])
	}
	cmd := exec.Command(python, "-c", program)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sent, err := p.Server().Store().Events(t.Context(), storage.EventQuery{Verbs: []audit.Verb{audit.MessageSubmitted}})
	if err != nil || len(sent) != 1 {
		t.Errorf("%d messages were submitted, %v", len(sent), err)
	}
}

func host(p *servertest.Postern, door string) string {
	h, _, _ := net.SplitHostPort(p.Addr(door).String())
	return h
}

func port(p *servertest.Postern, door string) string {
	_, port, _ := net.SplitHostPort(p.Addr(door).String())
	return port
}
