package relay_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"postern/dkim"
	"postern/dns"
	"postern/dns/nameserver"
	"postern/server/message"
	"postern/server/relay"
)

var plain = manners{extensions: []string{"SIZE 1000000", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"}}

func TestDelivered(t *testing.T) {
	l := newLab(t)
	h := l.host("mx.test", "127.0.0.2", plain.script)
	l.record("to.test", nameserver.MX, "10 mx.test")
	m := mailTo(t, "a@to.test", `"b c"@To.test`)
	m.EightBit = true
	got := l.relay().Send(t.Context(), m)
	want(t, got, "delivered accepted 250 2.0.0 @mx.test; delivered accepted 250 2.0.0 @mx.test")
	said := []string{"connect", "EHLO out.test", "MAIL FROM:<agent@from.test> SIZE=58 BODY=8BITMIME",
		"RCPT TO:<a@to.test>", `RCPT TO:<"b c"@to.test>`, "DATA", "QUIT"}
	if !slices.Equal(h.said(), said) {
		t.Errorf("said %q", h.said())
	}
	if !slices.Equal(h.mails(), []string{letter}) {
		t.Errorf("mail %q", h.mails())
	}
	r := got[1]
	if r.BytesSent != int64(len(letter)) || r.SHA256 != sha256.Sum256([]byte(letter)) || r.TLS != (relay.TLS{}) ||
		r.IP != h.addr.Addr() || r.Text != "queued as 4711" || r.Address.Local != "b c" {
		t.Errorf("result %+v", r)
	}
}

func TestNullSenderAndHelo(t *testing.T) {
	l := newLab(t)
	h := l.host("to.test", "127.0.0.2", manners{replies: map[string]string{"EHLO": "502 5.5.1 what?"}}.script)
	m := mailTo(t, "a@to.test")
	m.From = message.Path{}
	want(t, l.relay().Send(t.Context(), m), "delivered accepted 250 2.0.0 @to.test") // no MX: the address itself
	if said := strings.Join(h.said(), "|"); said != "connect|EHLO out.test|HELO out.test|MAIL FROM:<>|RCPT TO:<a@to.test>|DATA|QUIT" {
		t.Error(said)
	}
}

// RFC 5321, section 5.1: by preference, and the next one when one is away,
// refuses to talk, or hangs up before it took responsibility.
func TestRFC5321_NextHost(t *testing.T) {
	for what, script := range map[string]func(*conv){
		"greets 554":     func(c *conv) { c.say("554 5.7.1 not you"); c.hear() },
		"greets 421":     func(c *conv) { c.say("421 4.3.2 later"); c.hear() },
		"hangs up":       func(c *conv) {},
		"refuses EHLO":   manners{replies: map[string]string{"EHLO": "451 4.3.0 no", "HELO": "451 no"}}.script,
		"defers MAIL":    manners{replies: map[string]string{"MAIL": "452 4.3.1 full"}}.script,
		"closes at RCPT": manners{replies: map[string]string{"RCPT": "hang up"}}.script,
		"closes at DATA": manners{replies: map[string]string{"DATA": "hang up"}}.script,
		"no SMTP":        func(c *conv) { c.say("HTTP/1.1 400 Bad Request", ""); c.hear() },
		"says nothing":   func(c *conv) { c.hear() },
		"stalls at MAIL": func(c *conv) { c.say("220 x"); c.hear(); c.say("250 x"); c.hear(); c.hear() },
	} {
		t.Run(what, func(t *testing.T) {
			l := newLab(t)
			first := l.host("mx1.test", "127.0.0.2", script)
			second := l.host("mx2.test", "127.0.0.3", plain.script)
			third := l.host("mx3.test", "127.0.0.4", plain.script)
			l.record("gone.test", nameserver.A, "127.0.0.9") // nobody listens
			l.record("to.test", nameserver.MX, "5 gone.test", "20 mx2.test", "10 mx1.test", "30 mx3.test", "1 absent.test")
			want(t, l.relay().Send(t.Context(), mailTo(t, "a@to.test")), "delivered accepted 250 2.0.0 @mx2.test")
			if first.heard("connect") != 1 || len(second.mails()) != 1 || third.heard("connect") != 0 {
				t.Errorf("first %q, third %q", first.said(), third.said())
			}
		})
	}
}

func TestEqualsAreShuffled(t *testing.T) {
	l := newLab(t)
	a := l.host("mx1.test", "127.0.0.2", plain.script)
	b := l.host("mx2.test", "127.0.0.3", plain.script)
	l.record("to.test", nameserver.MX, "10 mx1.test", "10 mx2.test")
	r := l.relay()
	for range 40 {
		r.Send(t.Context(), mailTo(t, "a@to.test"))
	}
	if a.heard("DATA") == 0 || b.heard("DATA") == 0 || a.heard("DATA")+b.heard("DATA") != 40 {
		t.Errorf("%d and %d", a.heard("DATA"), b.heard("DATA"))
	}
}

func TestNoHost(t *testing.T) {
	l := newLab(t)
	l.record("null.test", nameserver.MX, "0 .")
	l.record("void.test", nameserver.MX, "10 nowhere.test")
	l.record("self.test", nameserver.MX, "10 other.test", "10 OUT.test", "20 more.test")
	l.record("dead.test", nameserver.A, "127.0.0.9")
	l.record("text.test", nameserver.TXT, "neither mail nor address")
	l.host("rude1.test", "127.0.0.5", func(c *conv) { c.say("554 5.7.1 no"); c.hear() })
	l.host("rude2.test", "127.0.0.6", func(c *conv) { c.say("521 we take no mail"); c.hear() })
	l.record("rude.test", nameserver.MX, "10 rude1.test", "20 rude2.test")
	l.record("half.test", nameserver.MX, "10 rude1.test", "20 dead.test")
	r := l.relay()
	for to, text := range map[string]string{
		"a@null.test":      "permanent null-mx 556 5.1.10",
		"a@absent.test":    "permanent no-domain 0 5.1.2",
		"a@void.test":      "permanent no-address 0 5.4.4 @nowhere.test",
		"a@text.test":      "permanent no-address 0 5.4.4 @text.test",
		"a@self.test":      "permanent loop 0 5.4.6",
		"a@dead.test":      "temporary unreachable 0 4.4.1 @dead.test",
		"a@refused.nozone": "temporary dns-failed 0 4.4.3",
		"a@rude.test":      "permanent refused 521 5.0.0 @rude2.test",
		"a@half.test":      "temporary away 0 4.4.1 @dead.test",
	} {
		if to == "a@half.test" { // after dead.test, whatever the order of the map
			r.Forget()
			r.Send(t.Context(), mailTo(t, "a@dead.test"))
		}
		got := r.Send(t.Context(), mailTo(t, to))
		if to == "a@dead.test" && got[0].Reason == relay.Away {
			continue
		}
		want(t, got, text)
	}
}

func TestPerRecipient(t *testing.T) {
	for what, extensions := range map[string][]string{"pipelined": {"PIPELINING"}, "one by one": nil} {
		t.Run(what, func(t *testing.T) {
			l := newLab(t)
			h := l.host("to.test", "127.0.0.2", manners{extensions: extensions, replies: map[string]string{
				"RCPT TO:<grey":  "451 4.7.1 greylisted",
				"RCPT TO:<no":    "550-5.1.1 no such\r\n550 5.1.1 user here",
				"RCPT TO:<many":  "552 too many recipients",
				"RCPT TO:<full":  "552 5.2.2 over quota",
				"RCPT TO:<odd":   "354 go on",
				"RCPT TO:<other": "251 2.1.5 will forward",
			}}.script)
			got := l.relay().Send(t.Context(), mailTo(t, "a@to.test", "grey@to.test", "no@to.test", "many@to.test", "full@to.test", "odd@to.test", "other@to.test"))
			want(t, got, "delivered accepted 250 2.0.0 @to.test; temporary refused 451 4.7.1 @to.test; permanent refused 550 5.1.1 @to.test; "+
				"temporary refused 552 4.5.3 @to.test; permanent refused 552 5.2.2 @to.test; temporary protocol 354 4.5.0 @to.test; delivered accepted 250 2.0.0 @to.test")
			if len(h.mails()) != 1 || got[1].BytesSent != 0 || got[0].BytesSent == 0 {
				t.Errorf("%d mails; %+v", len(h.mails()), got[1])
			}
			if got[2].Text != "no such user here" {
				t.Errorf("text %q", got[2].Text)
			}
		})
	}
}

func TestNobodyAccepted(t *testing.T) {
	l := newLab(t)
	h := l.host("to.test", "127.0.0.2", manners{extensions: []string{"PIPELINING"}, replies: map[string]string{"RCPT": "550 5.1.1 no"}}.script)
	want(t, l.relay().Send(t.Context(), mailTo(t, "a@to.test")), "permanent refused 550 5.1.1 @to.test")
	if h.heard("DATA") != 0 || h.heard("QUIT") != 1 {
		t.Errorf("said %q", h.said())
	}
}

func TestAnswersToTheMessage(t *testing.T) {
	for _, test := range []struct{ command, reply, text string }{
		{"MAIL", "550 5.7.1 no", "permanent refused 550 5.7.1 @to.test"},
		{"DATA", "451 4.3.0 later", "temporary refused 451 4.3.0 @to.test"},
		{"DATA", "554 5.0.0 no", "permanent refused 554 5.0.0 @to.test"},
		{"DATA", "250 sure", "temporary protocol 250 4.5.0 @to.test"},
		{".", "451 4.6.0 later", "temporary refused 451 4.6.0 @to.test"},
		{".", "550 5.7.1 spam", "permanent refused 550 5.7.1 @to.test"},
		{".", "550 4.7.1 the code's class rules", "permanent refused 550 5.0.0 @to.test"},
		{".", "354 again", "temporary protocol 354 4.5.0 uncertain @to.test"},
	} {
		l := newLab(t)
		l.host("to.test", "127.0.0.2", manners{replies: map[string]string{test.command: test.reply}}.script)
		want(t, l.relay().Send(t.Context(), mailTo(t, "a@to.test")), test.text)
	}
}

// The reply to the final dot is lost: the message may have been accepted, so
// nobody else is asked.
func TestUncertain(t *testing.T) {
	for what, test := range map[string]struct {
		after func(*conv)
		text  string
	}{
		"hangs up":  {func(*conv) {}, "temporary connection-lost 0 4.4.2 uncertain @mx1.test"},
		"stalls":    {func(c *conv) { c.hear() }, "temporary timed-out 0 4.4.2 uncertain @mx1.test"},
		"half":      {func(c *conv) { io.WriteString(c.conn, "250 2.0") }, "temporary connection-lost 0 4.4.2 uncertain @mx1.test"},
		"talks on":  {func(c *conv) { flood(c, "250-more") }, "temporary protocol 0 4.5.0 uncertain @mx1.test"},
		"gibberish": {func(c *conv) { c.say("ok then") }, "temporary protocol 0 4.5.0 uncertain @mx1.test"},
	} {
		t.Run(what, func(t *testing.T) {
			l := newLab(t)
			l.host("mx1.test", "127.0.0.2", func(c *conv) {
				c.say("220 x")
				for line := c.hear(); line != "DATA" && line != ""; line = c.hear() {
					c.say("250 x")
				}
				c.say("354 x")
				c.data()
				test.after(c)
			})
			second := l.host("mx2.test", "127.0.0.3", plain.script)
			l.record("to.test", nameserver.MX, "10 mx1.test", "20 mx2.test")
			got := l.relay().Send(t.Context(), mailTo(t, "a@to.test"))
			want(t, got, test.text)
			if second.heard("connect") != 0 || got[0].SHA256 != sha256.Sum256([]byte(letter)) {
				t.Errorf("second host %q, result %+v", second.said(), got[0])
			}
		})
	}
}

func flood(c *conv, line string) {
	for range 100000 {
		if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
			return
		}
	}
}

// A line that is cut in the middle of the message is certain: without the final
// dot nothing was accepted, and the next host is asked.
func TestLostBeforeTheDotIsCertain(t *testing.T) {
	l := newLab(t)
	l.host("mx1.test", "127.0.0.2", func(c *conv) {
		c.say("220 x")
		for line := c.hear(); line != "DATA" && line != ""; line = c.hear() {
			c.say("250 x")
		}
		c.say("354 x")
		io.CopyN(io.Discard, c.conn, 1000)
	})
	second := l.host("mx2.test", "127.0.0.3", manners{}.script)
	l.record("to.test", nameserver.MX, "10 mx1.test", "20 mx2.test")
	m := mailTo(t, "a@to.test")
	big := letter + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 20000)
	m.Data, m.Size = strings.NewReader(big), int64(len(big))
	got := l.relay(func(c *relay.Config) { c.Timeouts.DataEnd = 10 * time.Second }).Send(t.Context(), m)
	want(t, got, "delivered accepted 250 2.0.0 @mx2.test")
	if mails := second.mails(); len(mails) != 1 || mails[0] != big {
		t.Errorf("second host heard %q", second.said())
	}
}

// Every bound on what a peer may say, at each place where it may say it.
func TestHostileReplies(t *testing.T) {
	bad := map[string]func(*conv){
		"endless lines":   func(c *conv) { flood(c, "250-and on") },
		"endless line":    func(c *conv) { io.WriteString(c.conn, strings.Repeat("2", 1<<20)) },
		"two codes":       func(c *conv) { c.say("250-one", "251 two") },
		"no code":         func(c *conv) { c.say("hello") },
		"code 199":        func(c *conv) { c.say("199 x") },
		"code 600":        func(c *conv) { c.say("600 x") },
		"letters in code": func(c *conv) { c.say("2x0 x") },
		"no space":        func(c *conv) { c.say("250x") },
		"NULs":            func(c *conv) { c.say("\x00\x00\x00\x00") },
		"slow drip": func(c *conv) {
			for range 40 {
				io.WriteString(c.conn, "250-x\r\n")
				time.Sleep(50 * time.Millisecond)
			}
		},
	}
	for what, misbehave := range bad {
		for _, at := range []string{"greeting", "EHLO", "MAIL", "RCPT", "DATA"} {
			t.Run(what+" at "+at, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				l.host("to.test", "127.0.0.2", func(c *conv) {
					if at == "greeting" {
						misbehave(c)
						c.hear()
						return
					}
					c.say("220 x")
					for line := c.hear(); line != ""; line = c.hear() {
						if strings.HasPrefix(line, at) {
							misbehave(c)
							continue
						}
						c.say("250 x")
					}
				})
				got := l.relay().Send(t.Context(), mailTo(t, "a@to.test"))[0]
				if got.Outcome != relay.Temporary || got.Uncertain || len(got.Text) > 512 {
					t.Errorf("%s", brief(got))
				}
			})
		}
	}
}

func TestTextIsForPeopleAndPlain(t *testing.T) {
	l := newLab(t)
	l.host("to.test", "127.0.0.2", manners{replies: map[string]string{
		"RCPT": "550-5.1.1 \x1b[31mred\x07 \xff ä \u202eover\r\n550 5.1.1 " + strings.Repeat("long ä ", 300),
	}}.script)
	got := l.relay().Send(t.Context(), mailTo(t, "a@to.test"))[0]
	if !strings.HasPrefix(got.Text, "?[31mred? ? ä ?over long ä long") || len(got.Text) > 512 {
		t.Errorf("%d octets: %q", len(got.Text), got.Text)
	}
}

func TestNeeds(t *testing.T) {
	modern := manners{extensions: []string{"SIZE 100", "8BITMIME", "SMTPUTF8"}}
	old := manners{extensions: []string{"SIZE 0"}}
	small := manners{extensions: []string{"SIZE 20", "8BITMIME"}}
	for _, test := range []struct {
		what   string
		host   manners
		change func(*relay.Message)
		text   string
		mail   string
	}{
		{"too large", small, func(*relay.Message) {}, "permanent too-large 552 5.3.4 @to.test", ""},
		{"no limit", old, func(*relay.Message) {}, "delivered accepted 250 2.0.0 @to.test", "MAIL FROM:<agent@from.test> SIZE=58"},
		// RFC 6152, section 3: what was signed and recorded is not rewritten.
		{"8bit to 7bit", old, func(m *relay.Message) { m.EightBit = true }, "permanent no-8bitmime 0 5.6.3 @to.test", ""},
		// RFC 6531, section 3.5.
		{"UTF-8 header", old, func(m *relay.Message) { m.UTF8 = true }, "permanent no-smtputf8 553 5.6.7 @to.test", ""},
		{"UTF-8 sender", old, func(m *relay.Message) { m.From = path(t, "jürgen@from.test") }, "permanent no-smtputf8 553 5.6.7 @to.test", ""},
		{"UTF-8 domain", old, func(m *relay.Message) { m.From = path(t, "j@bücher.test") }, "delivered accepted 250 2.0.0 @to.test",
			"MAIL FROM:<j@xn--bcher-kva.test> SIZE=58"},
		{"one UTF-8 recipient", old, func(m *relay.Message) { m.To = append(m.To, path(t, "jürgen@to.test")) },
			"delivered accepted 250 2.0.0 @to.test; permanent no-smtputf8 553 5.6.7 @to.test", "MAIL FROM:<agent@from.test> SIZE=58"},
		{"all of it", modern, func(m *relay.Message) { m.To[0] = path(t, "jürgen@to.test"); m.EightBit = true },
			"delivered accepted 250 2.0.0 @to.test", "MAIL FROM:<agent@from.test> SIZE=58 BODY=8BITMIME SMTPUTF8"},
	} {
		t.Run(test.what, func(t *testing.T) {
			l := newLab(t)
			h := l.host("to.test", "127.0.0.2", test.host.script)
			m := mailTo(t, "a@to.test")
			test.change(&m)
			want(t, l.relay().Send(t.Context(), m), test.text)
			if test.mail == "" && h.heard("MAIL") != 0 || test.mail != "" && !slices.Contains(h.said(), test.mail) {
				t.Errorf("said %q", h.said())
			}
		})
	}
}

// Addresses are checked again at the last door, where a line end in one would
// be a command.
func TestBadAddresses(t *testing.T) {
	l := newLab(t)
	h := l.host("to.test", "127.0.0.2", plain.script)
	for _, p := range []message.Path{
		{Local: "a>\r\nRSET\r\nMAIL FROM:<b", Domain: "to.test"}, {Local: "a", Domain: "to.test>\r\nRSET"}, {Local: "a", Domain: ""},
		{Local: "", Domain: "to.test"}, {Local: strings.Repeat("x", 65), Domain: "to.test"}, {Local: "a", Domain: "to..test"},
	} {
		m := mailTo(t, "ok@to.test")
		m.To = append(m.To, p)
		want(t, l.relay().Send(t.Context(), m), "delivered accepted 250 2.0.0 @to.test; permanent bad-address 0 5.1.3")
		m = mailTo(t, "ok@to.test")
		m.From = p
		want(t, l.relay().Send(t.Context(), m), "permanent bad-address 0 5.1.7")
	}
	if h.heard("RSET") != 0 {
		t.Errorf("said %q", h.said())
	}
	m := mailTo(t, "a@to.test", "b@elsewhere.test")
	want(t, l.relay().Send(t.Context(), m), "temporary too-many 0 4.3.5; temporary too-many 0 4.3.5")
	m = mailTo(t, slices.Repeat([]string{"a@to.test"}, relay.MaxRecipients+1)...)
	if got := l.relay().Send(t.Context(), m); len(got) != 101 || got[100].Reason != relay.TooMany {
		t.Errorf("%d results", len(got))
	}
}

func TestAddressLiteral(t *testing.T) {
	l := newLab(t)
	h := l.host("lit.test", "127.0.0.2", plain.script)
	want(t, l.relay().Send(t.Context(), mailTo(t, "a@[127.0.0.2]")), "delivered accepted 250 2.0.0 @[127.0.0.2]")
	if h.heard("RCPT TO:<a@[127.0.0.2]>") != 1 {
		t.Errorf("said %q", h.said())
	}
}

// A domain must not point us at our own machine or network.
func TestPrivateAddressesAreRefused(t *testing.T) {
	l := newLab(t)
	h := l.host("mx.test", "127.0.0.2", plain.script)
	l.record("to.test", nameserver.MX, "10 mx.test")
	r := l.relay(func(c *relay.Config) { c.AllowPrivate = false })
	want(t, r.Send(t.Context(), mailTo(t, "a@to.test")), "permanent private-address 0 5.4.4 @mx.test")
	want(t, r.Send(t.Context(), mailTo(t, "a@[127.0.0.2]")), "permanent private-address 0 5.4.4 @[127.0.0.2]")
	want(t, r.Send(t.Context(), mailTo(t, "a@[IPv6:::ffff:127.0.0.2]")), "permanent private-address 0 5.4.4 @[ipv6:::ffff:127.0.0.2]")
	if h.heard("connect") != 0 {
		t.Error("connected")
	}
}

// Mail with a bare CR or LF could hide commands from one of two servers.
func TestSmugglingIsStopped(t *testing.T) {
	for _, data := range []string{
		"From: a@from.test\r\n\r\nx\n.\nMAIL FROM:<evil@from.test>\r\n", "x\r\n\n", "x\ry\r\n", "\nx", "x\r\r\n", "x\r", "\n.\r\n",
	} {
		l := newLab(t)
		h := l.host("to.test", "127.0.0.2", plain.script)
		m := mailTo(t, "a@to.test")
		m.Data, m.Size = strings.NewReader(data), int64(len(data))
		want(t, l.relay().Send(t.Context(), m), "permanent bad-message 0 5.6.0 @to.test")
		if len(h.mails()) != 0 {
			t.Errorf("%q was accepted as %q", data, h.mails())
		}
	}
}

func TestMessageWithoutLastLineEnd(t *testing.T) {
	l := newLab(t)
	h := l.host("to.test", "127.0.0.2", plain.script)
	m := mailTo(t, "a@to.test")
	m.Data, m.Size = strings.NewReader("A: b\r\n\r\n.end"), 12
	want(t, l.relay().Send(t.Context(), m), "delivered accepted 250 2.0.0 @to.test")
	if !slices.Equal(h.mails(), []string{"A: b\r\n\r\n.end\r\n"}) {
		t.Errorf("%q", h.mails())
	}
}

type brokenReader struct{}

func (brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		return 0, errors.New("sealed record does not open")
	}
	return copy(p[:8], "From: a\r"), nil
}

// A message that cannot be read to its end never gets its final dot.
func TestUnreadableMessage(t *testing.T) {
	l := newLab(t)
	h := l.host("to.test", "127.0.0.2", plain.script)
	m := mailTo(t, "a@to.test")
	m.Data, m.Size = brokenReader{}, 100
	want(t, l.relay().Send(t.Context(), m), "temporary local-failure 0 4.3.0 @to.test")
	m.Data, m.Size = strings.NewReader("short\r\n"), 100
	want(t, l.relay().Send(t.Context(), m), "temporary local-failure 0 4.3.0 @to.test")
	if len(h.mails()) != 0 {
		t.Errorf("accepted %q", h.mails())
	}
}

func TestSignedOnceAndInFront(t *testing.T) {
	l := newLab(t)
	l.host("mx1.test", "127.0.0.2", manners{replies: map[string]string{"MAIL": "451 4.3.0 later"}}.script)
	h := l.host("mx2.test", "127.0.0.3", plain.script)
	l.record("to.test", nameserver.MX, "10 mx1.test", "20 mx2.test")
	key, err := dkim.GenerateKey(dkim.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := dkim.NewSigner("from.test", dkim.Selected{Selector: "e1", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	m := mailTo(t, "a@to.test")
	calls := 0
	m.Sign = func() ([]byte, error) {
		calls++
		return signer.Sign(m.Data, m.Size)
	}
	got := l.relay().Send(t.Context(), m)
	want(t, got, "delivered accepted 250 2.0.0 @mx2.test")
	mail := h.mails()[0]
	if calls != 1 || !strings.HasSuffix(mail, letter) || got[0].BytesSent != int64(len(mail)) || got[0].SHA256 != sha256.Sum256([]byte(mail)) {
		t.Errorf("%d calls, %+v, mail %q", calls, got[0], mail)
	}
	verdicts, err := msgauth.VerifyWithOptions(strings.NewReader(mail), &msgauth.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return []string{key.Record()}, nil },
	})
	if err != nil || len(verdicts) != 1 || verdicts[0].Err != nil {
		t.Errorf("the signature does not verify at the other end: %v, %v", verdicts, err)
	}
	for _, test := range []struct {
		prefix string
		err    error
		text   string
	}{
		{"", errors.New("the key does not open"), "temporary local-failure 0 4.3.0 @mx1.test"},
		{"", dkim.ErrMessage, "permanent bad-message 0 5.6.0 @mx1.test"},
		{"A: b", nil, "temporary local-failure 0 4.3.0 @mx1.test"},
	} {
		m.Sign = func() ([]byte, error) { return []byte(test.prefix), test.err }
		want(t, l.relay().Send(t.Context(), m), test.text)
	}
}

func TestBusyAndAway(t *testing.T) {
	l := newLab(t)
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	l.host("to.test", "127.0.0.2", func(c *conv) {
		entered <- struct{}{}
		<-leave
		plain.script(c)
	})
	limited := func(domain, host int) *relay.Relay {
		return l.relay(func(c *relay.Config) {
			c.PerDomain, c.PerHost, c.Patience, c.Timeouts.Greeting = domain, host, 50*time.Millisecond, 10*time.Second
		})
	}
	for what, r := range map[string]*relay.Relay{"temporary busy 0 4.4.5": limited(1, 5), "temporary busy 0 4.4.5 @to.test": limited(5, 1)} {
		done := make(chan []relay.Result)
		go func() { done <- r.Send(t.Context(), mailTo(t, "a@to.test")) }()
		<-entered
		want(t, r.Send(t.Context(), mailTo(t, "a@to.test")), what)
		leave <- struct{}{}
		want(t, <-done, "delivered accepted 250 2.0.0 @to.test")
		go func() { leave <- struct{}{} }()
		want(t, r.Send(t.Context(), mailTo(t, "a@to.test")), "delivered accepted 250 2.0.0 @to.test")
		<-entered
	}

	var now atomic.Int64
	r := l.relay(func(c *relay.Config) { c.Now = func() time.Time { return time.Unix(now.Load(), 0) } })
	l.record("late.test", nameserver.A, "127.0.0.8")
	attempt := func(text string) {
		t.Helper()
		want(t, r.Send(t.Context(), mailTo(t, "a@late.test")), text)
	}
	attempt("temporary unreachable 0 4.4.1 @late.test")
	late := l.host("late.test", "127.0.0.8", plain.script)
	attempt("temporary away 0 4.4.1 @late.test")
	now.Add(29)
	attempt("temporary away 0 4.4.1 @late.test")
	if late.heard("connect") != 0 {
		t.Error("asked a host that was away")
	}
	now.Add(2)
	attempt("delivered accepted 250 2.0.0 @late.test")
	attempt("delivered accepted 250 2.0.0 @late.test")

	l.record("later.test", nameserver.A, "127.0.0.7")
	want(t, r.Send(t.Context(), mailTo(t, "a@later.test")), "temporary unreachable 0 4.4.1 @later.test")
	now.Add(31)
	want(t, r.Send(t.Context(), mailTo(t, "a@later.test")), "temporary unreachable 0 4.4.1 @later.test")
	now.Add(31) // the second absence is twice as long
	want(t, r.Send(t.Context(), mailTo(t, "a@later.test")), "temporary away 0 4.4.1 @later.test")
	r.Forget()
	want(t, r.Send(t.Context(), mailTo(t, "a@later.test")), "temporary unreachable 0 4.4.1 @later.test")
}

// The caller gives up: at once, wherever the attempt stands, and honest about
// what may have happened.
func TestCancel(t *testing.T) {
	for at, text := range map[string]string{
		"connect": "temporary cancelled 0 4.3.2 @to.test", "EHLO": "temporary cancelled 0 4.3.2 @to.test",
		"DATA": "temporary cancelled 0 4.3.2 @to.test", ".": "temporary cancelled 0 4.3.2 uncertain @to.test",
	} {
		t.Run(at, func(t *testing.T) {
			l := newLab(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l.host("to.test", "127.0.0.2", func(c *conv) {
				stall := func() {
					cancel()
					c.hear()
				}
				if at == "connect" {
					stall()
					return
				}
				c.say("220 x")
				for line := c.hear(); line != ""; line = c.hear() {
					switch {
					case strings.HasPrefix(line, at):
						stall()
						return
					case line == "DATA":
						c.say("354 x")
						c.data()
						stall()
						return
					}
					c.say("250 x")
				}
			})
			r := l.relay(func(c *relay.Config) {
				c.Timeouts = relay.Timeouts{} // those of the RFC: minutes
			})
			want(t, r.Send(ctx, mailTo(t, "a@to.test")), text)
		})
	}
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := l.relay().Send(ctx, mailTo(t, "a@to.test"))[0]; got.Reason != relay.Cancelled {
		t.Error(brief(got))
	}
}

func TestTotalTime(t *testing.T) {
	l := newLab(t)
	l.host("to.test", "127.0.0.2", func(c *conv) { c.hear() })
	r := l.relay(func(c *relay.Config) { c.Timeouts = relay.Timeouts{Total: 300 * time.Millisecond} })
	want(t, r.Send(t.Context(), mailTo(t, "a@to.test")), "temporary timed-out 0 4.4.7 @to.test")
}

func BenchmarkSend4KB(b *testing.B) {
	l := newLab(b)
	l.host("mx.test", "127.0.0.2", plain.script)
	l.record("to.test", nameserver.MX, "10 mx.test")
	body := "From: a@from.test\r\n\r\n" + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 50)
	m := mailTo(b, "a@to.test")
	m.Data, m.Size = strings.NewReader(body), int64(len(body))
	r := l.relay(func(c *relay.Config) { c.Resolver = dns.NewCache(c.Resolver, nil) })
	b.ReportAllocs()
	for b.Loop() {
		if got := r.Send(b.Context(), m); got[0].Outcome != relay.Delivered {
			b.Fatal(brief(got[0]))
		}
	}
}
