package servertest_test

import (
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"postern/server/servertest"
	"postern/storage/audit"
)

// forgeries are headers in which scout speaks as somebody else, to one reader or to
// another: each must be refused. // AC-4, invariant 7
var forgeries = []string{
	"From: clerk@alpha.test",
	"From: ceo@outside.test",
	"From: scout@alpha.test, clerk@alpha.test",
	"From: clerk@alpha.test, scout@alpha.test",
	"From: scout@alpha.test\r\nFrom: clerk@alpha.test",
	"from: clerk@alpha.test\r\nFROM: scout@alpha.test",
	"From: scout@alpha.test\r\nFrom : clerk@alpha.test",
	"From: scout@alpha.test\r\nFrom\t: clerk@alpha.test",
	"From:\r\n clerk@alpha.test",
	"From: scout@alpha.test,\r\n\tclerk@alpha.test",
	"From: scout@alpha.test\r\n <clerk@alpha.test>",
	"From: \"scout@alpha.test\" <clerk@alpha.test>",
	"From: <scout@alpha.test> <clerk@alpha.test>",
	"From: scout@alpha.test <clerk@alpha.test>",
	"From: <clerk@alpha.test> scout@alpha.test",
	"From: clerk@alpha.test (scout@alpha.test)",
	"From: (scout@alpha.test) clerk@alpha.test",
	"From: scout(\r\n)@alpha.test(x) clerk@alpha.test",
	"From: team: clerk@alpha.test;",
	"From: team: scout@alpha.test, clerk@alpha.test;",
	"From: team:;",
	"From: <@alpha.test:clerk@alpha.test>",
	"From: <scout@alpha.test@alpha.test>",
	"From: scout@alpha.test@clerk.test",
	"From: \"scout@alpha.test\"@beta.test",
	"From: =?utf-8?q?clerk=40alpha.test?=",
	"From: =?utf-8?b?PHNjb3V0QGFscGhhLnRlc3Q+?= <clerk@alpha.test>",
	"From: scout@alpha.test.evil.test",
	"From: scout@аlpha.test", // the first letter of the domain is Cyrillic
	"From: scоut@alpha.test", // so is the o
	"From: scout+x@alpha.test",
	"From: scout @beta.test",
	"From: ",
	"From:",
	"Subject: none",
	" From: scout@alpha.test\r\nFrom: scout@alpha.test",
	"X From: scout@alpha.test\r\nFrom: scout@alpha.test",
	"From: scout@alpha.test\r\nSender: clerk@alpha.test",
	"From: scout@alpha.test\r\nSender: scout@alpha.test\r\nSender: clerk@alpha.test",
	"From: scout@alpha.test\r\nSender: team: clerk@alpha.test;",
	"From: scout@alpha.test\r\nResent-From: clerk@alpha.test",
	"From: scout@alpha.test\r\nResent-Sender: clerk@alpha.test",
	"From: scout@alpha.test\r\nResent-From: scout@alpha.test\r\nResent-From: clerk@alpha.test",
	"From: scout@alpha.test\r\nResent-From: scout@alpha.test, clerk@alpha.test",
	"From: scout@alpha.test" + strings.Repeat(" ", 5000) + ", clerk@alpha.test",
	"From: " + strings.Repeat("(", 300) + strings.Repeat(")", 300) + " clerk@alpha.test",
}

// honest are headers in which scout speaks as itself, however it writes that.
var honest = []string{
	"From: scout@alpha.test",
	"From: SCOUT@Alpha.Test",
	"From: Scout <scout@alpha.test>",
	"From: \"clerk@alpha.test\" <scout@alpha.test>", // a display name is no address, and reports show both
	"from: scout@alpha.test\r\nReply-To: clerk@alpha.test",
	"From: scout@alpha.test\r\nSender: scout@alpha.test",
	"From: scout@alpha.test\r\nResent-From: scout@alpha.test\r\nResent-Sender: Scout <scout@alpha.test>",
}

// submitter opens a session of an agent on the port for submissions.
func submitter(t testing.TB, p *servertest.Postern, agent string) *peer {
	t.Helper()
	return submitterAs(t, p, p.Agents[agent])
}

func submitterAs(t testing.TB, p *servertest.Postern, a *servertest.Agent) *peer {
	t.Helper()
	c := dial(t, p, "submissions")
	c.reply()
	c.command("EHLO client.test")
	if r := c.command("AUTH PLAIN " + plain(a)); r[:3] != "235" {
		t.Fatal(r)
	}
	return c
}

// submit sends a message from an agent's address, hangs up and returns the last reply.
func (p *peer) submit(from, to, message string) string {
	p.t.Helper()
	defer p.conn.Close()
	for _, command := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		if r := p.command(command); r[0] != '2' && r[0] != '3' {
			return r
		}
	}
	return p.finish(message)
}

// TestAC4_ForgedSender: nobody speaks as another, in the envelope or in any field, to
// any reader.
func TestAC4_ForgedSender(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	for _, from := range []string{"", "clerk@alpha.test", "nobody@alpha.test", "scout@outside.test", "scout+x@alpha.test", "@alpha.test,@b.test:clerk@alpha.test"} {
		if r := submitter(t, p, "scout").submit(from, "clerk@alpha.test", "From: scout@alpha.test\r\n\r\nx\r\n"); r[0] != '5' {
			t.Errorf("MAIL FROM:<%s>: %s", from, r)
		}
	}
	for _, head := range forgeries {
		if r := submitter(t, p, "scout").submit("scout@alpha.test", "clerk@alpha.test", head+"\r\n\r\nx\r\n"); r[0] != '5' {
			t.Errorf("%.200q: %s", head, r)
		}
	}
	if n := len(events(t, p, audit.MessageSubmitted)); n > 0 {
		t.Errorf("%d forgeries were submitted", n)
	}
	for _, head := range honest {
		if r := submitter(t, p, "scout").submit("scout@alpha.test", "clerk@alpha.test", head+"\r\n\r\nx\r\n"); r[:3] != "250" {
			t.Errorf("%q: %s", head, r)
		}
	}
	eventually(t, func() bool { return len(events(t, p, audit.QueueDelivered)) == len(honest) })
	reader := imap(t, p, p.Agents["clerk"])
	reader.want("OK", "SELECT INBOX")
	for i := range honest {
		data := string(reader.want("OK", fmt.Sprintf("FETCH %d BODY.PEEK[HEADER.FIELDS (FROM)]", i+1)))
		_, field, _ := strings.Cut(data, ": ")
		field, _, _ = strings.Cut(field, "\r\n")
		if a, err := mail.ParseAddress(field); err != nil || !strings.EqualFold(a.Address, "scout@alpha.test") {
			t.Errorf("another reader sees the author %v, %v of %q", a, err, field)
		}
	}
}

// TestAC4_HeaderInjection: control characters end neither a command nor a header nor
// a message early, and what was smuggled behind them is not sent.
func TestAC4_HeaderInjection(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	smuggled := "MAIL FROM:<clerk@alpha.test>\r\nRCPT TO:<clerk@alpha.test>\r\nDATA\r\nFrom: clerk@alpha.test\r\n\r\nsmuggled"
	for _, end := range []string{"\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\x00\r\n", "\x00\r\n", "\ra", "\nBcc: x@outside.test\r\n"} {
		c := submitter(t, p, "scout")
		if r := c.submit("scout@alpha.test", "clerk@alpha.test", "From: scout@alpha.test\r\n\r\nx"+end+smuggled+"\r\n"); r[:3] != "550" {
			t.Errorf("%q in a message: %s", end, r)
		}
	}
	for _, command := range []string{
		"MAIL FROM:<scout@alpha.test\x00>", "MAIL FROM:<scout@alpha.test>\x00", "MAIL FROM:<scout@alpha.test>\rRCPT TO:<x@y.test>", "MAIL FROM:<scout@alpha.test> AUTH=a\x00b",
		"MAIL FROM:<scout@alpha.test> X=y", "MAIL FROM:<scout@alpha.test> SIZE=1 SIZE=2", "MAIL FROM:<\"scout\\\x01\"@alpha.test>", "MAIL FROM:<scout@alpha.test> SMTPUTF8=no",
		"MAIL FROM:<sco\u2028ut@alpha.test> SMTPUTF8", "MAIL FROM:<scout@alpha\u3002test> SMTPUTF8 BODY=BINARYMIME", "MAIL FROM:<scout@alpha.test\u200b> SMTPUTF8",
	} {
		if r := submitter(t, p, "scout").command(command); r[0] != '5' {
			t.Errorf("%q: %s", command, r)
		}
	}
	for _, to := range []string{"x@outside.test\x00", "x@outside.test> <y@outside.test", "\"x\r\n\"@outside.test", "x\u2029@outside.test", "x@outside.test> NOTIFY=SUCCESS <"} {
		c := submitter(t, p, "scout")
		c.command("MAIL FROM:<scout@alpha.test> SMTPUTF8")
		if r := c.command("RCPT TO:<" + to + ">"); r[0] != '5' {
			t.Errorf("RCPT TO:<%q>: %s", to, r)
		}
	}
	if n := len(events(t, p, audit.MessageSubmitted)); n > 0 {
		t.Errorf("%d messages were submitted", n)
	}
}

// TestAU6_Bcc: a message has as many recipients as it may, hidden ones count like all,
// each is on record, and no recipient sees them.
func TestAU6_Bcc(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	unlimited(t, p, p.Agents["scout"]) // these are all new to it
	c := submitter(t, p, "scout")
	c.command("MAIL FROM:<scout@alpha.test>")
	c.command("RCPT TO:<clerk@alpha.test>")
	refused := 0
	for i := range 150 {
		if r := c.command(fmt.Sprintf("RCPT TO:<hidden%d@alpha.test>", i)); strings.HasPrefix(r, "452 4.5.3 ") {
			refused++
		} else if r[:3] != "250" {
			t.Fatal(r)
		}
	}
	if refused != 51 {
		t.Errorf("%d of 151 recipients were refused, want 51", refused)
	}
	c.command("DATA")
	if r := c.finish("From: scout@alpha.test\r\nTo: clerk@alpha.test\r\nBcc: hidden0@alpha.test,\r\n hidden1@alpha.test\r\nResent-Bcc: hidden2@alpha.test\r\nSubject: x\r\n\r\nx\r\n"); r[:3] != "250" {
		t.Fatal(r)
	}
	sent := events(t, p, audit.MessageSubmitted)
	recipients := 0
	for _, f := range sent[0].Personal {
		if f.Key == audit.KeyTo {
			recipients++
		}
	}
	if recipients != 100 {
		t.Errorf("%d recipients are on record", recipients)
	}
	eventually(t, func() bool { return len(events(t, p, audit.QueueDelivered)) == 1 })
	reader := imap(t, p, p.Agents["clerk"])
	reader.want("OK", "SELECT INBOX")
	if data := string(reader.want("OK", "FETCH 1 BODY.PEEK[]")); strings.Contains(data, "hidden") {
		t.Errorf("a recipient sees others that were hidden: %s", data)
	}
}

// TestAC11_ManyConnections: one network that takes all the places that it may leaves
// others theirs, and a credential has no more sessions than it may.
func TestAC11_ManyConnections(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	for _, door := range []string{"smtp", "submission", "submissions", "imaps"} {
		from := fresh()
		for range 260 { // more than both doors give to strangers from one address
			connect(t, p, door, from)
		}
		last := connect(t, p, door, from)
		if data, err := io.ReadAll(last); err != nil || len(data) > 0 && string(data[:3]) != "421" {
			t.Errorf("%s: one address has 261 places: %q, %v", door, data, err)
		}
	}
	if r := smtp(t, p).send("scout@alpha.test", note("while it lasts")); r[:3] != "250" {
		t.Error(r)
	}
	submitter(t, p, "scout")
	inboxHas(t, p, "scout", "while it lasts")
	for i := range 60 {
		c := dialFrom(t, p, "imaps", fresh())
		c.line()
		if got, _ := c.ask("LOGIN clerk@alpha.test " + p.Agents["clerk"].Token); (i < 50) != (got[:2] == "OK") {
			t.Fatalf("session %d: %s", i+1, got)
		}
	}
}

// connect takes a place and says nothing.
func connect(t *testing.T, p *servertest.Postern, door string, from net.IP) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := d.Dial("tcp", p.Addr(door).String())
	fatal(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}
