package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// The tests of stock clients drive the real binary with programs that people
// use, as Debian packages them. This file has what they share: accounts,
// letters, and how what came back is compared with what was sent.

// toolTime is how long a program may run.
const toolTime = 30 * time.Second

// tool runs a program with something on its standard input, and returns what it
// printed on both outputs.
func tool(t testing.TB, stdin []byte, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	// Configuration of whoever runs the tests has no say.
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8", "TERM=xterm")
	cmd.WaitDelay = time.Second // grandchildren may hold the outputs open
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("%s ran for over %v: %w", name, toolTime, err)
	}
	return string(out), err
}

// mustTool runs a program that has to succeed.
func mustTool(t testing.TB, stdin []byte, name string, args ...string) string {
	t.Helper()
	out, err := tool(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, ending(out))
	}
	return out
}

// ending is the part of an output that tells why.
func ending(out string) string { return out[max(0, len(out)-4000):] }

// python runs a script of testdata with a job, and decodes what it answers into
// the result, which may be nil.
func python(t testing.TB, script string, job, result any) {
	t.Helper()
	b, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	out := mustTool(t, b, needs(t, "python3"), filepath.Join("testdata", script))
	if result == nil {
		return
	}
	if err := json.Unmarshal([]byte(out), result); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, ending(out))
	}
}

// file writes a file of the test's own that only its owner may read.
func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// until waits for what happens a moment after an answer.
func until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(toolTime); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, toolTime)
		}
	}
}

// port is the port of an address; programs get the name localhost beside it,
// which all of them can check a certificate for.
func port(t testing.TB, addr string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// in is the server for a subtest.
func (d *dev) in(t testing.TB) *dev {
	sub := *d
	sub.t = t
	return &sub
}

// account is an inbox with a credential that opens it alone, so that tests on
// one server do not meet.
type account struct{ inbox, token string }

// account makes an agent, its inbox and its credential.
func (d *dev) account(address string) account {
	d.t.Helper()
	a := account{inbox: address}
	name, _, _ := strings.Cut(address, "@")
	d.postern("inbox", "create", a.inbox)
	d.postern("agent", "create", name, "--owner", "owner@dev.test")
	var made struct{ Secret string }
	out := d.postern("credential", "create", name, "--scope", "read,flag,append,delete,send:"+a.inbox, "-o", "json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Secret == "" {
		d.t.Fatalf("credential create: no secret in the answer (%v)", err)
	}
	a.token = made.Secret
	return a
}

// open logs an account in; the session ends with the test.
func (d *dev) open(a account) *imapclient.Client {
	d.t.Helper()
	c, err := imapclient.DialTLS(d.IMAPS, &imapclient.Options{TLSConfig: d.tls()})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	if err := c.Login(a.inbox, a.token).Wait(); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// stored is a message as IMAP shows it.
type stored struct {
	flags string // sorted, without \Recent
	size  int64
	view  []byte
}

// mailbox reads a mailbox whole, without changing it.
func (d *dev) mailbox(a account, name string) map[imap.UID]stored {
	d.t.Helper()
	c := d.open(a)
	defer c.Close()
	return d.read(c, name)
}

// read reads a mailbox whole in a session that exists.
func (d *dev) read(c *imapclient.Client, name string) map[imap.UID]stored {
	d.t.Helper()
	data, err := c.Select(name, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		d.t.Fatal(err)
	}
	found := map[imap.UID]stored{}
	if data.NumMessages == 0 {
		return found
	}
	var all imap.SeqSet
	all.AddRange(1, data.NumMessages)
	whole := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range msgs {
		found[m.UID] = stored{flags: flagList(m.Flags), size: m.RFC822Size, view: m.FindBodySection(whole)}
	}
	return found
}

// flagList writes flags so that two lists can be compared: without \Recent, which each
// session sees otherwise, and without what the server alone says of a message, which
// is nothing that a replica keeps.
func flagList(flags []imap.Flag) string {
	var list []string
	for _, f := range flags {
		if !strings.EqualFold(string(f), `\Recent`) && f != "$InjectionSuspected" {
			list = append(list, string(f))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// letter is a message, and what it proves.
type letter struct {
	name string
	data []byte
}

// header is a complete header, to which a submission server adds nothing but in
// front.
func header(from, to, name string) string {
	return fmt.Sprintf("From: Ada <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%s.%08x@elsewhere.test>\r\nDate: Fri, 02 Jan 2026 15:04:05 +0000\r\n",
		from, to, name, strings.ReplaceAll(name, " ", "."), rand.Uint32())
}

const eightBit = "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"

// letters are messages whose octets are easily lost on the way.
func letters(from, to string) []letter {
	head := func(name string) string { return header(from, to, name) }
	return []letter{
		{"plain", []byte(head("plain") + "\r\nHello.\r\n")},
		{"dots", []byte(head("dots") + "\r\n.\r\n..\r\n.one\r\n...three\r\n.\r\nend\r\n")},
		{"spaces", []byte(head("spaces") + "\r\n\r\n \t\r\ntrailing   \r\n\tand leading\r\n\r\n\r\n")},
		{"utf-8", []byte(head("utf-8") + eightBit + "Content-Type: text/plain; charset=utf-8\r\n\r\nGrüße, 你好, \U0001f980\r\n")},
		{"latin-1", []byte(head("latin-1") + eightBit + "Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe \x80\xff\r\n")},
		{"long lines", []byte(head("long lines") + "\r\n" + strings.Repeat("x", 998) + "\r\n" + strings.Repeat("long ", 3_000) + "\r\n.\r\nend\r\n")},
		{"attachment", attachment(head("attachment"), 40_000)},
		{"five megabytes", attachment(head("five megabytes"), 5<<20*3/4)},
	}
}

// attachment is a multipart with some random octets in base64.
func attachment(head string, octets int) []byte {
	raw := make([]byte, octets)
	r := rand.NewChaCha8([32]byte{byte(octets)})
	r.Read(raw)
	var b bytes.Buffer
	b.WriteString(head)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_border\"\r\n\r\npreamble\r\n--=_border\r\nContent-Type: text/plain\r\n\r\nsee attachment\r\n")
	b.WriteString("--=_border\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for line := range slices.Chunk(raw, 57) {
		b.WriteString(base64.StdEncoding.EncodeToString(line))
		b.WriteString("\r\n")
	}
	b.WriteString("--=_border--\r\nepilogue\r\n")
	return b.Bytes()
}

// checkView holds what a client read against what was sent: the octets of the
// letter, below a header block of ours.
func checkView(t testing.TB, l letter, view []byte) {
	t.Helper()
	block, ok := bytes.CutSuffix(view, l.data)
	if !ok {
		t.Errorf("%s: what came back does not end with what was sent (%d octets, %d sent): %q", l.name, len(view), len(l.data), firstDifference(l.data, view))
		return
	}
	for line := range bytes.Lines(block) {
		if !bytes.HasSuffix(line, []byte("\r\n")) || len(line) <= 2 {
			t.Errorf("%s: the header block in front has the line %q", l.name, line)
		}
	}
}

// firstDifference is where two messages that should end alike part, from behind.
func firstDifference(want, got []byte) []byte {
	i := 1
	for i <= len(want) && i <= len(got) && want[len(want)-i] == got[len(got)-i] {
		i++
	}
	end := max(0, len(got)-i)
	return got[max(0, end-60):min(len(got), end+20)]
}

// unix is a message with the line ends that programs keep in files.
func unix(message []byte) []byte { return bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n")) }

// checkAll holds a mailbox against the letters that it must have, each once.
func checkAll(t testing.TB, want []letter, got map[imap.UID]stored) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d messages, want %d", len(got), len(want))
	}
	for _, l := range want {
		id := messageID(l.data)
		seen := 0
		for _, m := range got {
			if messageID(m.view) != id {
				continue
			}
			seen++
			checkView(t, l, m.view)
			if m.size != int64(len(m.view)) {
				t.Errorf("%s: RFC822.SIZE is %d of %d octets", l.name, m.size, len(m.view))
			}
		}
		if seen != 1 {
			t.Errorf("%s is there %d times", l.name, seen)
		}
	}
}

// messageID finds the Message-ID of a letter.
func messageID(message []byte) string {
	head, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	_, rest, _ := bytes.Cut(head, []byte("\r\nMessage-ID: "))
	id, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(id)
}

// fill delivers letters to an inbox over port 25 and returns them.
func (d *dev) fill(a account, only ...string) []letter {
	d.t.Helper()
	const from = "ada@elsewhere.test"
	c, err := d.dialSMTP(-1)
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Quit()
	var sent []letter
	for _, l := range letters(from, a.inbox) {
		if len(only) > 0 && !slices.Contains(only, l.name) {
			continue
		}
		if err := send(c, from, a.inbox, l.data); err != nil {
			d.t.Fatalf("%s: %v", l.name, err)
		}
		sent = append(sent, l)
	}
	return sent
}
