package servertest_test

import (
	"encoding/base64"
	"strings"
	"testing"
)

// An smtpRow is a dialogue on the port for submissions, behind EHLO and AUTH unless
// it is said in their place. What is between two of its lines are replies.
type smtpRow struct {
	verb string // in the server's own list
	say  []string
	sasl []string // answers to 334, which are to be put into base64
	door bool     // said before a login, in place of it
}

// smtpRows are all commands of SMTP that the server knows, with every address that
// a client could try.
func smtpRows() (rows []smtpRow) {
	add := func(verb string, dialogues ...string) {
		for _, d := range dialogues {
			rows = append(rows, smtpRow{verb: verb, say: strings.Split(d, " | ")})
		}
	}
	for _, c := range saslCases() {
		rows = append(rows, smtpRow{verb: "AUTH", say: []string{"AUTH " + c[0]}, sasl: c[1:], door: true})
	}
	for _, d := range []string{"EHLO client.test", "HELO client.test", "MAIL FROM:<SELF>", "RCPT TO:<known@OWN>", "DATA", "STARTTLS"} {
		verb, _, _ := strings.Cut(d, " ")
		rows = append(rows, smtpRow{verb: verb, say: []string{d}, door: true})
	}
	add("EHLO", "EHLO client.test", "MAIL FROM:<SELF> | EHLO client.test | RCPT TO:<known@OWN>")
	add("AUTH", "AUTH PLAIN")
	add("STARTTLS", "STARTTLS")
	add("MAIL", "MAIL FROM:<SELF>", "MAIL FROM:<SELF> SIZE=99999999999 BODY=8BITMIME", "MAIL FROM:<SELF> AUTH=<known@OWN>", "MAIL FROM:<SELF> RET=FULL", "MAIL FROM:<>",
		"MAIL FROM:<known@OWN>", "MAIL FROM:<nobody@OWN>", "MAIL FROM:<known@OTHER>", "MAIL FROM:<ada@sender.test>", "MAIL FROM:<SELF> | MAIL FROM:<SELF>")
	for _, to := range everybody {
		add("RCPT", "MAIL FROM:<SELF> | RCPT TO:<"+to+">")
		add("DATA", "MAIL FROM:<SELF> | RCPT TO:<"+to+"> | DATA | From: SELF\r\nSubject: x\r\n\r\nx\r\n.")
	}
	add("RCPT", "RCPT TO:<known@OWN>", "MAIL FROM:<SELF> | RCPT TO:<SELF> NOTIFY=NEVER", "MAIL FROM:<SELF> | RCPT TO:<>")
	for _, head := range []string{"From: known@OWN", "From: SELF\r\nSender: known@OWN", "From: SELF, known@OWN", "From: SELF\r\nFrom: SELF", "Subject: none", "From SELF: x"} {
		add("DATA", "MAIL FROM:<SELF> | RCPT TO:<known@OWN> | DATA | "+head+"\r\n\r\nx\r\n.")
	}
	add("DATA", "DATA", "MAIL FROM:<SELF> | DATA")
	add("BDAT", "BDAT 4 LAST\r\nxx", "MAIL FROM:<SELF> | RCPT TO:<known@OWN> | BDAT 12\r\nSubject: x | BDAT 5 LAST\r\n\r\nx") // each chunk ends with its line
	add("RSET", "RSET", "MAIL FROM:<SELF> | RSET | RCPT TO:<known@OWN>")
	add("VRFY", "VRFY SELF", "VRFY known@OWN", "VRFY nobody@OWN", "VRFY known@OTHER")
	add("EXPN", "EXPN known@OWN", "EXPN nobody@OWN")
	add("NOOP", "NOOP")
	add("HELP", "HELP")
	add("QUIT", "QUIT")
	add("XYZZY", "XYZZY")
	return rows
}

// everybody are recipients of every kind: of the player's own organization and of
// the other, live, test and not there, postmasters, and outside.
var everybody = []string{"SELF", "known@OWN", "trial@OWN", "nobody@OWN", "known@OTHER", "trial@OTHER", "nobody@OTHER", "postmaster@OWN", "postmaster", "ada@sender.test"}

// TestAC4_EveryVerbOfSubmission is TestAC4_EveryVerbOfIMAP for SMTP.
func TestAC4_EveryVerbOfSubmission(t *testing.T) {
	m, rows := newMatrix(t), smtpRows()
	said := map[string]bool{}
	for i := range rows {
		said[rows[i].verb] = true
		m.row(rows[i].name())
	}
	allSaid(t, keys(t, "../smtpd/verb.go", "verbs"), said)
	m.play(t, func(t *testing.T, x *player) {
		s := &smtpPlay{player: x, t: t}
		for i := range rows {
			s.play(&rows[i])
		}
	})
	m.indistinct(t)
	m.golden(t, "submission.golden", "Every command of SMTP on the port for submissions, for every set of rights.")
}

// name is the row in the table.
func (r *smtpRow) name() string {
	name := strings.Join(append(r.say, r.sasl...), " | ")
	return strings.NewReplacer("\r\n", "⏎", "\x00", "␀", "\x01", "␁").Replace(name)
}

// smtpPlay is a player at the rows of SMTP.
type smtpPlay struct {
	*player
	t    *testing.T
	own  *peer // nil: none is open
	rows int   // that were played on it
}

// play plays a row. A session that is refused often is ended, so they are changed
// now and then.
func (s *smtpPlay) play(r *smtpRow) {
	c := s.own
	if c == nil || r.door || s.verbs == 0 || s.rows > 5 || r.verb == "QUIT" {
		c = s.dial()
		if !r.door {
			c.command("AUTH PLAIN " + s.encode("\x00SELF\x00TOKEN"))
			s.own, s.rows = c, 0
		}
	}
	s.rows++
	s.player.events(s.t)
	s.note(s.t, r.name(), s.talk(c, r))
	if c != s.own || s.verbs == 0 || r.verb == "QUIT" {
		c.conn.Close()
		s.own = nil
		return
	}
	c.command("RSET")
}

// dial opens a session on the port for submissions.
func (s *smtpPlay) dial() *peer {
	c := s.player.dial(s.t, "submissions")
	c.reply()
	c.command("EHLO client.test")
	return c
}

func (s *smtpPlay) encode(text string) string {
	return base64.StdEncoding.EncodeToString([]byte(s.fill(text)))
}

// talk says the dialogue and returns all replies. A message is kept to itself by a
// client that was not asked for it.
func (s *smtpPlay) talk(c *peer, r *smtpRow) (heard []string) {
	asked := true
	for _, text := range r.say {
		if !asked {
			return heard
		}
		c.say(s.fill(text))
		heard = append(heard, c.replies()...)
		asked = text != "DATA" || strings.HasPrefix(heard[len(heard)-1], "354")
	}
	for _, text := range r.sasl {
		if !strings.HasPrefix(heard[len(heard)-1], "334") {
			return heard
		}
		c.say(s.encode(text))
		heard = append(heard, c.replies()...)
	}
	if strings.HasPrefix(heard[len(heard)-1], "334 ey") { // RFC 7628, section 3.2.3: an error to acknowledge
		c.say("AQ==")
		heard = append(heard, c.replies()...)
	}
	return heard
}

// replies reads one reply and returns all its lines.
func (p *peer) replies() (all []string) {
	p.t.Helper()
	for {
		text := p.line()
		if all = append(all, text); len(text) < 4 || text[3] != '-' {
			return all
		}
	}
}
