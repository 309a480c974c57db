package servertest_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// An imapRow is one command. FOLDER in it is a mailbox with two messages, which the
// player's owner made for this row alone unless the row only looks.
type imapRow struct {
	verb string   // in the server's own list
	say  string   // without the tag
	then []string // what is said after each "+"
	in   string   // FOLDER or another mailbox to select before; empty: none
	door bool     // said before a login, in place of it
	last bool     // on a connection of its own, which it ends or changes
}

// imapRows are all commands of IMAP that the server knows, and some that it does not.
func imapRows() (rows []imapRow) {
	add := func(in string, commands ...string) {
		for _, c := range commands {
			rows = append(rows, imapRow{verb: imapVerb(c), say: c, in: in})
		}
	}
	rows = append(rows, loginRows()...)
	add("", "CAPABILITY", "NOOP", "CHECK", "STARTTLS", `ID ("name" "probe")`, "NAMESPACE", "UNAUTHENTICATE", "COMPRESS DEFLATE", "XYZZY", "LOGIN SELF TOKEN",
		`LIST "" ""`, `LIST "" *`, `LIST "" * RETURN (STATUS (MESSAGES UNSEEN))`, `LIST (SUBSCRIBED) "" *`, `LSUB "" *`,
		"SELECT INBOX", "SELECT Outbox", "SELECT Quarantine", "SELECT nowhere", "SELECT known@OWN", "SELECT known@OTHER",
		"EXAMINE INBOX", "EXAMINE Quarantine", "EXAMINE nowhere", "STATUS FOLDER (MESSAGES UIDNEXT UNSEEN DELETED SIZE)", "STATUS Quarantine (MESSAGES)", "STATUS nowhere (MESSAGES)", "STATUS known@OTHER (MESSAGES)",
		"CREATE new", "CREATE new", "DELETE FOLDER", "DELETE INBOX", "DELETE Quarantine", "DELETE nowhere", "RENAME FOLDER renamed", "RENAME Outbox other", "RENAME Quarantine other", "RENAME nowhere other",
		"SUBSCRIBE FOLDER", "UNSUBSCRIBE Sent", "SUBSCRIBE nowhere", "SUBSCRIBE Quarantine", "SUBSCRIBE known@OWN",
		"APPEND FOLDER {14+}\r\nSubject: x\r\n\r\n", "APPEND Outbox {14+}\r\nSubject: x\r\n\r\n", "APPEND Quarantine {14+}\r\nSubject: x\r\n\r\n",
		"APPEND nowhere {14+}\r\nSubject: x\r\n\r\n", "APPEND FOLDER (\\Seen $Held $SenderVerified) {14+}\r\nSubject: x\r\n\r\n")
	add("FOLDER", "SEARCH ALL", "SEARCH UNSEEN", "UID SEARCH UID 1:*", "SEARCH RETURN (COUNT) LARGER 1", "SEARCH SUBJECT order", "SEARCH FROM ada", "SEARCH TEXT order",
		"UID SEARCH BODY order", "SEARCH HEADER Message-ID x", "SEARCH SENTSINCE 1-Jan-2020", "SEARCH SINCE 1-Jan-2020", "SEARCH NOT (OR KEYWORD $Held BODY nothing)")
	for _, item := range []string{"FLAGS", "UID", "INTERNALDATE", "RFC822.SIZE", "FAST", "ENVELOPE", "BODY", "BODYSTRUCTURE", "ALL", "FULL", "RFC822.HEADER",
		"BODY.PEEK[]", "BODY.PEEK[]<0.10>", "BODY.PEEK[HEADER]", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]", "BODY.PEEK[TEXT]",
		"BODY.PEEK[1]", "BODY.PEEK[1.MIME]", "BINARY.PEEK[2]", "BINARY.SIZE[2]", "MODSEQ"} {
		add("FOLDER", "FETCH 1 "+item)
	}
	add("FOLDER", "FETCH 1 BODY[]", "FETCH 1 RFC822", "FETCH 1 RFC822.TEXT", "FETCH 1 BINARY[2]", "UID FETCH 1 BODY[TEXT]",
		`STORE 1 +FLAGS (\Flagged)`, `STORE 1 +FLAGS ($Held)`, `STORE 1 -FLAGS ($InjectionSuspected)`, `UID STORE 1:2 FLAGS (\Seen $SenderVerified)`,
		"COPY 1 FOLDER", "UID COPY 1 FOLDER", "COPY 1 Outbox", "COPY 1 Quarantine", "COPY 1 known@OWN", "COPY 1 nowhere", "MOVE 1 Quarantine", "MOVE 1 nowhere", "MOVE 1 Archive", "UID MOVE 1 Archive", "MOVE 1 Outbox",
		"EXPUNGE", "UID EXPUNGE 2", "CLOSE", "UNSELECT")
	add("", "CREATE Quarantine", "STATUS Quarantine (MESSAGES)", "DELETE Quarantine") // its name is free, like any other
	rows = append(rows, imapRow{verb: "IDLE", say: "IDLE", then: []string{"DONE"}, in: "FOLDER"},
		imapRow{verb: "ENABLE", say: "ENABLE IMAP4rev2", last: true}, imapRow{verb: "LOGOUT", say: "LOGOUT", last: true})
	return rows
}

// loginRows are the ways in: with the player's own token, as every name that it
// could try. // AC-1, AC-5
func loginRows() (rows []imapRow) {
	for _, name := range []string{"SELF", "AGENT", "known@OWN", "trial@OWN", "nobody@OWN", "known@OTHER", "nobody@OTHER", "nobody@elsewhere.test"} {
		rows = append(rows, imapRow{verb: "LOGIN", say: "LOGIN " + name + " TOKEN", door: true})
	}
	rows = append(rows, imapRow{verb: "LOGIN", say: "LOGIN SELF pst_live_notatoken", door: true})
	for _, c := range saslCases() {
		rows = append(rows, imapRow{verb: "AUTHENTICATE", say: "AUTHENTICATE " + c[0], then: c[1:], door: true})
	}
	return rows
}

// saslCases are exchanges: mechanism and the responses, which are to be put into base64.
func saslCases() [][]string {
	return [][]string{
		{"PLAIN", "\x00SELF\x00TOKEN"},
		{"PLAIN", "SELF\x00SELF\x00TOKEN"},
		{"PLAIN", "known@OWN\x00SELF\x00TOKEN"},
		{"PLAIN", "nobody@OWN\x00SELF\x00TOKEN"},
		{"PLAIN", "SELF\x00known@OWN\x00TOKEN"},
		{"PLAIN", "\x00known@OTHER\x00TOKEN"},
		{"PLAIN", "\x00nobody@OTHER\x00TOKEN"},
		{"PLAIN", "\x00nobody@elsewhere.test\x00TOKEN"},
		{"LOGIN", "SELF", "TOKEN"},
		{"LOGIN", "known@OWN", "TOKEN"},
		{"LOGIN", "nobody@OWN", "TOKEN"},
		{"OAUTHBEARER", "n,a=SELF,\x01auth=Bearer TOKEN\x01\x01"},
		{"OAUTHBEARER", "n,a=known@OWN,\x01auth=Bearer TOKEN\x01\x01"},
		{"OAUTHBEARER", "n,a=nobody@OTHER,\x01auth=Bearer TOKEN\x01\x01"},
		{"XOAUTH2", "user=SELF\x01auth=Bearer TOKEN\x01\x01"},
		{"XOAUTH2", "user=known@OTHER\x01auth=Bearer TOKEN\x01\x01"},
		{"XOAUTH2", "user=nobody@OTHER\x01auth=Bearer TOKEN\x01\x01"},
		{"CRAM-MD5"},
	}
}

// imapVerb is the name of a command in the server's list.
func imapVerb(command string) string {
	first, rest, _ := strings.Cut(command, " ")
	if first == "UID" {
		second, _, _ := strings.Cut(rest, " ")
		first += " " + second
	}
	return first
}

// looks says that a command leaves the mailbox as it is, so that rows may share it.
func (r *imapRow) looks() bool {
	peek := !strings.Contains(r.say, "BODY[") && !strings.Contains(r.say, "BINARY[") && !strings.Contains(r.say, "RFC822")
	return r.verb == "SEARCH" || r.verb == "UID SEARCH" || r.verb == "FETCH" && (peek || strings.Contains(r.say, "HEADER") || strings.Contains(r.say, "SIZE")) ||
		r.verb == "STATUS" || r.verb == "IDLE" || r.verb == "UNSELECT"
}

// TestAC4_EveryVerbOfIMAP has agents with every set of rights, live and test, of two
// organizations, say every command, and compares answers and events with a table.
func TestAC4_EveryVerbOfIMAP(t *testing.T) {
	m, rows := newMatrix(t), imapRows()
	said := map[string]bool{}
	for i := range rows {
		said[rows[i].verb] = true
	}
	allSaid(t, keys(t, "../imapd/verb.go", "grants"), said)
	for _, r := range rows {
		m.row(r.name())
	}
	m.play(t, func(t *testing.T, x *player) {
		s := &imapPlay{player: x, t: t}
		s.begin()
		for i := range rows {
			s.play(i, &rows[i])
		}
	})
	m.indistinct(t)
	m.golden(t, "imap.golden", "Every command of IMAP, for every set of rights.")
}

// name is the row in the table.
func (r *imapRow) name() string {
	name := strconv.Quote(strings.Join(append([]string{r.say}, r.then...), " + "))
	if r.in != "" {
		name += " in " + r.in
	}
	return name[1:strings.LastIndexByte(name, '"')] + name[strings.LastIndexByte(name, '"')+1:]
}

// imapPlay is a player at the rows of IMAP.
type imapPlay struct {
	*player
	t      *testing.T
	owners *peer // with every right, to prepare
	own    *peer // nil: none is open
	box    string
}

// play plays a row.
func (s *imapPlay) play(i int, r *imapRow) {
	s.prepare(i, r)
	c := s.own
	if c == nil || r.door || r.last || s.verbs == 0 {
		c = s.player.dial(s.t, "imaps")
		c.line()
	}
	if !r.door && (c != s.own || s.own == nil) {
		c.ask(s.fill("LOGIN SELF TOKEN"))
		if s.verbs != 0 && !r.last {
			s.own = c
		}
	}
	if r.in != "" {
		c.ask(s.fill("SELECT " + r.in))
	}
	s.player.events(s.t)
	s.note(s.t, r.name(), s.talk(c, r))
	if c != s.own {
		c.conn.Close()
		return
	}
	c.ask("UNSELECT")
	c.ask("NOOP") // fifty mistakes in a row would end the connection
}

// prepare makes the mailbox of a row: a copy of the one that rows share.
func (s *imapPlay) prepare(i int, r *imapRow) {
	switch {
	case !strings.Contains(r.say+r.in, "FOLDER"):
	case r.looks():
		s.box = "looks"
	default:
		s.box = "row" + strconv.Itoa(i)
		s.owners.want("OK", "CREATE "+s.box)
		s.owners.want("OK", "COPY 1:2 "+s.box)
	}
}

// begin makes the mailbox that rows share.
func (s *imapPlay) begin() {
	s.owners = s.player.dial(s.t, "imaps")
	s.owners.line()
	s.owners.want("OK", "LOGIN "+s.address+" "+s.owner)
	s.owners.want("OK", "CREATE looks")
	for _, flags := range []string{"", `\Deleted`} {
		s.owners.want("OK", fmt.Sprintf("APPEND looks (%s) \" 5-Jan-2026 10:00:00 +0000\" {%d+}\r\n%s", flags, len(matrixMail), matrixMail))
	}
	s.owners.want("OK", "SELECT looks")
}

const matrixMail = "From: Ada <ada@sender.test>\r\nTo: desk@alpha.example\r\nSubject: Order 7\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <7@sender.test>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nThe order.\r\n" +
	"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nMTIzNA==\r\n--b--\r\n"

// fill puts the names of player and row into a command.
func (s *imapPlay) fill(text string) string {
	return strings.ReplaceAll(s.player.fill(text), "FOLDER", s.box)
}

// talk says the command and whatever it is asked for, and returns what was heard up
// to the end of it.
func (s *imapPlay) talk(c *peer, r *imapRow) (heard []string) {
	c.say("q " + s.fill(r.say))
	then := r.then
	for {
		text := c.response()
		heard = append(heard, text)
		if strings.HasPrefix(text, "q ") {
			return heard
		}
		if strings.HasPrefix(text, "+") {
			answer := "\x01" // RFC 7628, section 3.2.3: to an error
			if len(then) > 0 {
				answer, then = s.fill(then[0]), then[1:]
			}
			if r.verb == "AUTHENTICATE" {
				answer = base64.StdEncoding.EncodeToString([]byte(answer))
			}
			c.say(answer)
		}
	}
}

// response reads one response of IMAP; its literals stand as {n} and are left out.
func (p *peer) response() string {
	p.t.Helper()
	var all strings.Builder
	for {
		text := p.line()
		all.WriteString(text)
		m := literal.FindStringSubmatch(text)
		if m == nil {
			return all.String()
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		if _, err := io.CopyN(io.Discard, p.in, n); err != nil {
			p.t.Fatal(err)
		}
	}
}
