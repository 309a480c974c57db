package servertest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// mxRows are all commands of SMTP on port 25, where nobody logs in.
func mxRows() (rows []smtpRow) {
	add := func(verb string, dialogues ...string) {
		for _, d := range dialogues {
			rows = append(rows, smtpRow{verb: verb, say: strings.Split(d, " | ")})
		}
	}
	add("EHLO", "EHLO client.test", "EHLO")
	add("HELO", "HELO client.test")
	add("AUTH", "AUTH PLAIN AHgAeQ==")
	add("STARTTLS", "STARTTLS now")
	add("MAIL", "MAIL FROM:<ada@sender.test>", "MAIL FROM:<>", "MAIL FROM:<known@alpha.test>", "MAIL FROM:<ada@sender.test> AUTH=<>")
	for _, to := range []string{"known@alpha.test", "trial@alpha.test", "nobody@alpha.test", "known@beta.test", "nobody@beta.test", "postmaster@beta.test", "postmaster", "ada@elsewhere.test", "Known@Alpha.TEST", "known+x@alpha.test"} {
		add("RCPT", "MAIL FROM:<ada@sender.test> | RCPT TO:<"+to+">", "MAIL FROM:<> | RCPT TO:<"+to+">")
	}
	for _, from := range []string{"ada@sender.test", "known@alpha.test"} {
		add("DATA", "MAIL FROM:<"+from+"> | RCPT TO:<known@alpha.test> | RCPT TO:<known@beta.test> | DATA | From: "+from+"\r\nSubject: x\r\n\r\nx\r\n.")
	}
	add("DATA", "DATA", "MAIL FROM:<ada@sender.test> | RCPT TO:<known@alpha.test> | DATA | From: known@beta.test\r\nSubject: x\r\n\r\nx\r\n.")
	add("BDAT", "MAIL FROM:<ada@sender.test> | RCPT TO:<known@alpha.test> | BDAT 12\r\nSubject: y | BDAT 5 LAST\r\n\r\nx")
	add("RSET", "MAIL FROM:<ada@sender.test> | RSET | RCPT TO:<known@alpha.test>")
	add("VRFY", "VRFY known@alpha.test", "VRFY nobody@alpha.test")
	add("EXPN", "EXPN known@alpha.test")
	add("NOOP", "NOOP")
	add("HELP", "HELP")
	add("QUIT", "QUIT")
	return rows
}

// TestAC5_EveryVerbOfMX is the table of port 25: it says which addresses there are,
// of live and test inboxes and both organizations, takes mail for them and for nobody
// else, and lists no one.
func TestAC5_EveryVerbOfMX(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"known"}})
	second, m := neighbour(t, p), &matrix{p: p}
	m.inbox(t, p.Org.ID, "trial@alpha.test", storage.Test)
	m.inbox(t, second.ID, "known@beta.test", storage.Live)
	said, seen := map[string]bool{}, uint64(0)
	var b strings.Builder
	b.WriteString("# Every command of SMTP on port 25, and behind \"!\" the events of mail that this leaves.\n")
	for _, r := range mxRows() {
		said[r.verb] = true
		c := dialFrom(t, p, "smtp", fresh())
		c.reply()
		c.command("EHLO sender.test")
		fmt.Fprintf(&b, "\n%s\n", r.name())
		s := &smtpPlay{player: &player{m: m}, t: t}
		news(t, p, &seen)
		for _, line := range append(s.talk(c, &r), news(t, p, &seen)...) {
			fmt.Fprintf(&b, "\t%s\n", withoutTraces(line))
		}
		c.conn.Close()
	}
	allSaid(t, keys(t, "../smtpd/verb.go", "verbs"), said)
	compareGolden(t, filepath.Join("testdata", "matrix", "mx.golden"), b.String())
}

// news are the events of mail since the last look.
func news(t *testing.T, p *servertest.Postern, seen *uint64) (all []string) {
	t.Helper()
	found, err := p.Server().Store().Events(t.Context(), storage.EventQuery{From: *seen, Verbs: []audit.Verb{audit.MessageReceived, audit.MessageRefused, audit.MessageDuplicate, audit.NoticeDelivered}})
	fatal(t, err)
	for i := range found {
		*seen = found[i].Seq + 1
		all = append(all, "! "+describe(&found[i]))
	}
	return all
}

// withoutTraces is a line without what differs from run to run.
func withoutTraces(line string) string {
	for _, d := range differing {
		line = d.pattern.ReplaceAllString(line, d.plain)
	}
	return line
}

// compareGolden holds a text against a file, or writes the file.
func compareGolden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		fatal(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	fatal(t, err)
	if text != string(want) {
		t.Errorf("%s: run with -update and look at the difference. First: %s", path, firstDifference(string(want), text))
	}
}
