package servertest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/server/policy"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// A peer is the other end of a connection, for tests that a script cannot tell:
// with generated messages, or with several connections at once.
type peer struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, p *servertest.Postern, door string) *peer {
	t.Helper()
	return dialFrom(t, p, door, net.IPv4(127, 0, 0, 1))
}

// dialFrom connects from an address in 127/8: what is counted by network is
// counted for that one.
func dialFrom(t testing.TB, p *servertest.Postern, door string, from net.IP) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := d.Dial("tcp", p.Addr(door).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if door == "imaps" || door == "submissions" {
		conn = tls.Client(conn, &tls.Config{RootCAs: p.Pool(), ServerName: p.Host})
	}
	return &peer{t, conn, bufio.NewReaderSize(conn, 64<<10)}
}

func (p *peer) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text+"\r\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) line() string {
	p.t.Helper()
	text, err := p.in.ReadString('\n')
	if err != nil {
		p.t.Fatalf("after %q: %v", text, err)
	}
	return strings.TrimRight(text, "\r\n")
}

// smtp opens a session of SMTP on port 25.
func smtp(t *testing.T, p *servertest.Postern) *peer {
	t.Helper()
	c := dial(t, p, "smtp")
	c.reply()
	c.command("EHLO sender.test")
	return c
}

// reply reads one reply and returns its last line.
func (p *peer) reply() string {
	p.t.Helper()
	for {
		if text := p.line(); len(text) < 4 || text[3] == ' ' {
			return text
		}
	}
}

func (p *peer) command(text string) string {
	p.t.Helper()
	p.say(text)
	return p.reply()
}

// begin goes as far as DATA, and returns the reply that ended it.
func (p *peer) begin(to string) string {
	p.t.Helper()
	for _, command := range []string{"MAIL FROM:<ada@sender.test>", "RCPT TO:<" + to + ">"} {
		if r := p.command(command); r[0] != '2' {
			p.command("RSET")
			return r
		}
	}
	return p.command("DATA")
}

// send sends a whole message, which ends with CRLF or is empty, and returns the
// last reply.
func (p *peer) send(to, message string) string {
	p.t.Helper()
	if r := p.begin(to); r[0] != '3' {
		return r
	}
	return p.finish(message)
}

func (p *peer) finish(message string) string {
	p.t.Helper()
	p.say(dotted(message))
	return p.reply()
}

// dotted is a message as DATA wants it, with its end (RFC 5321, section 4.5.2).
func dotted(message string) string {
	return strings.TrimPrefix(strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n.."), "\r\n") + "."
}

// imap opens a session of IMAP and logs in.
func imap(t *testing.T, p *servertest.Postern, a *servertest.Agent) *peer {
	t.Helper()
	c := dial(t, p, "imaps")
	c.line()
	c.want("OK", "LOGIN "+a.Address+" "+a.Token)
	return c
}

// plain is the answer of an agent to AUTH PLAIN.
func plain(a *servertest.Agent) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + a.Address + "\x00" + a.Token))
}

var literal = regexp.MustCompile(`\{(\d+)\}$`)

// ask says a command and returns the first word of its result, with a response
// code if there is one, and everything before it.
func (p *peer) ask(command string) (result string, data []byte) {
	p.t.Helper()
	p.say("t " + command)
	return p.answer()
}

func (p *peer) answer() (result string, data []byte) {
	p.t.Helper()
	var all bytes.Buffer
	for {
		text := p.line()
		if rest, ok := strings.CutPrefix(text, "t "); ok {
			if words := strings.Fields(rest); len(words) > 1 && words[1][0] == '[' {
				return words[0] + " " + strings.TrimSuffix(words[1], "]"), all.Bytes()
			}
			result, _, _ = strings.Cut(rest, " ")
			return result, all.Bytes()
		}
		fmt.Fprintf(&all, "%s\r\n", text)
		if m := literal.FindStringSubmatch(text); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			if _, err := io.CopyN(&all, p.in, n); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// want asks and insists on the result.
func (p *peer) want(result, command string) []byte {
	p.t.Helper()
	got, data := p.ask(command)
	if got != result && !strings.HasPrefix(got, result+" ") {
		p.t.Errorf("%.100s: %s, want %s", command, got, result)
	}
	return data
}

// unlimited lifts the limits of an agent, which are low by default, for tests that
// send much. // AV-1
func unlimited(t testing.TB, p *servertest.Postern, a *servertest.Agent) {
	t.Helper()
	setPolicy(t, p, a, map[policy.Key]string{policy.KeyMessagesPerHour: "1000000", policy.KeyMessagesPerDay: "1000000", policy.KeyFirstTimePerDay: "1000000"})
}

// setPolicy gives an agent a policy, which has none.
func setPolicy(t testing.TB, p *servertest.Postern, a *servertest.Agent, values map[policy.Key]string) {
	t.Helper()
	own := &storage.Policy{Head: storage.Head{Org: p.Org.ID}, Level: storage.LevelAgent, Target: a.Agent.ID, Values: map[string]string{}}
	for key, value := range values {
		own.Values[string(key)] = value
	}
	fatal(t, p.Server().Store().Write(context.Background(), storage.System, func(tx *storage.Tx) error {
		row := *own // this may run twice
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.AgentResume, Outcome: audit.OK}), &row)
	}))
}
