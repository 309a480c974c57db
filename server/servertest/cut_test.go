package servertest_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// way is how the sessions of an agent come to their end.
type way struct {
	name string
	rule string     // that the end of each session names
	verb audit.Verb // whose event has the counts; zero: it comes by itself, and nobody counts
	wide bool       // another agent is hit too
	end  func(t *testing.T, p *servertest.Postern, a *servertest.Agent)
}

// frozen is a freeze of something.
func frozen(kind storage.FreezeKind, wide bool) way {
	return way{"freeze " + string(kind), "frozen", audit.FreezeSet, wide, func(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
		target := directory.Target{Kind: kind}
		switch kind {
		case storage.FreezeCredential:
			target.ID = a.Credential.ID
		case storage.FreezeAgent:
			target.ID = a.Agent.ID
		case storage.FreezeDomain:
			target.ID = a.Inbox.Domain
		case storage.FreezeOrganization:
			target.ID = p.Org.ID
		}
		_, err := p.Server().Directory().Freeze(t.Context(), storage.System, p.Org.ID, target, "fire")
		fatal(t, err)
	}}
}

// rotated is a rotation whose overlap is over.
func rotated(overlap time.Duration) func(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
	return func(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
		_, err := p.Server().Directory().RotateCredential(t.Context(), storage.System, p.Org.ID, a.Credential.ID, directory.Rotation{Overlap: overlap})
		fatal(t, err)
		if overlap > 0 {
			fatal(t, p.World.Advance(overlap))
		}
	}
}

var ways = []way{
	{"revoke", "revoked", audit.CredentialRevoke, false, func(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
		_, err := p.Server().Directory().RevokeCredential(t.Context(), storage.System, p.Org.ID, a.Credential.ID, "leaked")
		fatal(t, err)
	}},
	{"suspend", "agent-suspended", audit.AgentSuspend, false, func(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
		_, err := p.Server().Directory().SuspendAgent(t.Context(), storage.System, p.Org.ID, a.Agent.ID, "odd")
		fatal(t, err)
	}},
	{"decommission", "agent-decommissioned", audit.AgentDecommission, false, func(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
		_, err := p.Server().Directory().DecommissionAgent(t.Context(), storage.System, p.Org.ID, a.Agent.ID, "done")
		fatal(t, err)
	}},
	frozen(storage.FreezeCredential, false), frozen(storage.FreezeAgent, false), frozen(storage.FreezeDomain, true),
	frozen(storage.FreezeOrganization, true), frozen(storage.FreezeAll, true),
	{"expiry", "expired", audit.CredentialEnd, true, func(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
		fatal(t, p.World.Advance(directory.DefaultMaxAge))
	}},
	{"end of a rotation", "rotated", audit.CredentialEnd, false, rotated(2 * time.Hour)},
	{"rotation without overlap", "rotated", audit.CredentialEnd, false, rotated(0)},
	{"removal of the inbox", "inbox-removed", 0, false, func(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
		_, _, err := p.Server().Directory().RemoveInbox(t.Context(), storage.System, p.Org.ID, a.Address, "", true)
		fatal(t, err)
	}},
}

// open are a scout's sessions in every state that is hard to leave.
type open struct {
	idle, stalled, appending, waiting, data *peer // logged in
	asked, secured                          *peer // not yet
	other                                   *peer // of another agent, in IDLE
	hurry                                   chan struct{}
	drained                                 chan int64
}

// logged is how many of them are logged in.
const logged = 5

// large is the message that nobody reads to its end: more than all buffers hold.
var large = "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef\r\n", 120<<10)

func openAll(t *testing.T, p *servertest.Postern) *open {
	t.Helper()
	a := p.Agents["scout"]
	if r := smtp(t, p).send(a.Address, large); r[0] != '2' {
		t.Fatal(r)
	}
	o := &open{
		idle: imap(t, p, a), stalled: imap(t, p, a), appending: imap(t, p, a),
		waiting: submitter(t, p, "scout"), data: submitter(t, p, "scout"),
		asked: dial(t, p, "submissions"), secured: dial(t, p, "submission"), other: imap(t, p, p.Agents["clerk"]),
		hurry: make(chan struct{}), drained: make(chan int64, 1),
	}
	for _, c := range []*peer{o.idle, o.other} {
		c.want("OK", "SELECT INBOX")
		c.say("i IDLE")
		c.line()
	}
	fatal(t, o.stalled.conn.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(32<<10))
	o.stalled.want("OK", "SELECT INBOX")
	o.stalled.say("f FETCH 1 BODY[]")
	o.stalled.line() // the literal has begun
	go func() { o.drained <- o.drain() }()
	o.appending.say("a APPEND INBOX {500}")
	o.appending.line()
	o.appending.say("Subject: half of one")
	for _, step := range []string{"MAIL FROM:<" + a.Address + ">", "RCPT TO:<" + a.Address + ">", "DATA"} {
		if r := o.data.command(step); r[0] > '3' {
			t.Fatal(step, r)
		}
	}
	o.data.say("From: " + a.Address + "\r\nSubject: half of another\r\n\r\nThe first half")
	o.asked.reply()
	o.asked.command("EHLO client.test")
	if r := o.asked.command("AUTH PLAIN"); !strings.HasPrefix(r, "334") {
		t.Fatal(r)
	}
	o.secured.reply()
	o.secured.command("EHLO client.test")
	o.secured.command("STARTTLS")
	o.secured.secure(p)
	return o
}

// drain reads slowly until it is told to hurry, as one does who wants to keep a
// session, and says how much there was.
func (o *open) drain() (n int64) {
	some := make([]byte, 4<<10)
	for {
		got, err := o.stalled.in.Read(some)
		n += int64(got)
		if err != nil {
			return n
		}
		select {
		case <-o.hurry:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// farewell passes over what else is said until the words of the end, and wants
// nothing after them.
func farewell(t *testing.T, name string, c *peer, words string) {
	t.Helper()
	rest, _ := io.ReadAll(c.in) // an end or a reset
	lines := strings.Split(strings.TrimRight(string(rest), "\r\n"), "\r\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, words) {
		t.Errorf("%s ended with %q, want %s", name, last, words)
	}
}

// TestAC9_EveryWayEndsEverySession holds that whatever ends a credential ends all its sessions, whatever they are in the
// middle of, within the second that its event would name as exceeded; that nothing half said is stored or sent; that who
// was about to log in does not; and that nobody else is disturbed. // AC-9, EV-4, invariant 8
func TestAC9_EveryWayEndsEverySession(t *testing.T) {
	for _, w := range ways {
		t.Run(strings.ReplaceAll(w.name, " ", "-"), func(t *testing.T) {
			p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
			o := openAll(t, p)
			a := p.Agents["scout"]
			w.end(t, p, a)
			farewell(t, "IMAP in IDLE", o.idle, "* BYE ")
			farewell(t, "IMAP in APPEND", o.appending, "* BYE ")
			farewell(t, "SMTP before MAIL", o.waiting, "421 ")
			farewell(t, "SMTP in DATA", o.data, "421 ")
			for p.Server().Directory().SessionsOf(a.Credential.ID) > 0 {
				time.Sleep(10 * time.Millisecond)
			}
			close(o.hurry)
			if n := <-o.drained; n >= int64(len(large)) {
				t.Errorf("a FETCH went on for %d bytes", n)
			}
			w.another(t, o.other)
			w.refused(t, o, p, a)
			w.recorded(t, p, a)
		})
	}
}

// another holds what becomes of the session of somebody else.
func (w way) another(t *testing.T, c *peer) {
	t.Helper()
	if w.wide {
		farewell(t, "the other agent", c, "* BYE ")
		return
	}
	c.say("DONE")
	for {
		if line := c.line(); strings.HasPrefix(line, "i ") {
			break
		}
	}
	c.want("OK", "NOOP")
}

// refused holds that nobody gets in who was on the way.
func (w way) refused(t *testing.T, o *open, p *servertest.Postern, a *servertest.Agent) {
	t.Helper()
	if r := o.asked.command(plain(a)); !strings.HasPrefix(r, "535 ") {
		t.Errorf("in the middle of AUTH: %s", r)
	}
	o.secured.command("EHLO client.test")
	if r := o.secured.command("AUTH PLAIN " + plain(a)); !strings.HasPrefix(r, "535 ") {
		t.Errorf("after STARTTLS: %s", r)
	}
	c := dial(t, p, "imaps")
	c.line()
	c.want("NO", "LOGIN "+a.Address+" "+a.Token)
}

// recorded holds what the log says, and what it does not.
func (w way) recorded(t *testing.T, p *servertest.Postern, a *servertest.Agent) {
	t.Helper()
	fatal(t, p.Server().Directory().Flush(t.Context()))
	events, err := p.Server().Store().Events(t.Context(), storage.EventQuery{Limit: 10_000})
	fatal(t, err)
	ends, counted := 0, false
	for _, e := range events {
		switch {
		case e.Verb == audit.SessionEnd && e.Agent == a.Agent.ID:
			if ends++; e.Fields.Text(audit.KeyRule) != w.rule {
				t.Errorf("a session ended by %q, want %q", e.Fields.Text(audit.KeyRule), w.rule)
			}
		case e.Verb == audit.SessionRefused && e.Agent == a.Agent.ID:
			if rule := e.Fields.Text(audit.KeyRule); rule != w.rule && w.verb != 0 && w.rule != "agent-decommissioned" {
				t.Errorf("a login was refused by %q, want %q", rule, w.rule)
			}
		case e.Verb == w.verb && !counted && e.Agent != p.Agents["clerk"].Agent.ID:
			counted = true
			want := int64(logged)
			if w.wide && e.Verb == audit.FreezeSet {
				want++
			}
			n, _ := e.Fields.Int(audit.KeyCount)
			if _, timed := e.Fields.Int(audit.KeyMillis); n != want || !timed {
				t.Errorf("the event says %d sessions, want %d, with a time: %v", n, want, timed)
			}
			if left, some := e.Fields.Int(audit.KeyOpen); some {
				t.Errorf("%d sessions were open after a second", left)
			}
		case e.Verb == audit.MessageSubmitted, e.Verb == audit.MessageAppended:
			t.Errorf("half a message became one: %s", e.Verb)
		}
	}
	if ends != logged || counted != (w.verb != 0) {
		t.Errorf("%d sessions ended, want %d; counted %v", ends, logged, counted)
	}
}
