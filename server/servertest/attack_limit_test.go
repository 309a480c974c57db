package servertest_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/server/policy"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// rush sends from many sessions of an agent at once, half of them by a second
// credential, each a number of messages with a number of recipients, and returns how
// many messages and recipients were taken.
func rush(t *testing.T, p *servertest.Postern, agent string, sessions, messages, recipients int) (taken, reached int64) {
	t.Helper()
	first := *p.Agents[agent]
	second := first // the limit is the agent's, whichever credential it shows
	second.Token = restricted(t, p, agent, storage.Send)
	clients := make([]*peer, sessions)
	for i := range clients {
		clients[i] = submitterAs(t, p, []*servertest.Agent{&first, &second}[i%2])
	}
	var all sync.WaitGroup
	var sent, to atomic.Int64
	start := make(chan bool)
	for i, c := range clients {
		all.Go(func() {
			<-start
			for n := range messages {
				if got := c.attempt(first.Address, fmt.Sprintf("%d-%d", i, n), recipients); got > 0 {
					sent.Add(1)
					to.Add(int64(got))
				}
			}
		})
	}
	close(start)
	all.Wait()
	for _, c := range clients {
		c.command("QUIT")
		c.conn.Close()
	}
	eventually(t, func() bool { return len(p.Server().Directory().Sessions()) == 0 })
	return sent.Load(), to.Load()
}

// attempt sends one message to clerks and returns how many recipients it was taken
// for: none when it was refused.
func (p *peer) attempt(from, name string, recipients int) (taken int) {
	if !p.limited(p.command("MAIL FROM:<" + from + ">")) {
		return 0
	}
	for i := range recipients {
		if p.limited(p.command(fmt.Sprintf("RCPT TO:<clerk%d@alpha.test>", i))) {
			taken++
		}
	}
	if taken == 0 {
		p.command("RSET")
		return 0
	}
	if r := p.command("DATA"); r[:3] != "354" {
		p.t.Errorf("DATA: %s", r)
		return 0
	}
	if !p.limited(p.finish("From: " + from + "\r\nSubject: " + name + "\r\n\r\nx\r\n")) {
		return 0
	}
	return taken
}

// limited reports whether a reply assents; any other must be that of a limit.
func (p *peer) limited(reply string) bool {
	if reply[0] == '2' {
		return true
	}
	if !strings.HasPrefix(reply, "451 4.7.1 ") && !strings.HasPrefix(reply, "452 4.5.3 ") {
		p.t.Errorf("not the reply of a limit: %s", reply)
	}
	return false
}

// TestAV1_Exact: 64 sessions at once get exactly as many messages through as there
// may be: before and after a restart, with the clock set back, and again when the
// window is over.
func TestAV1_Exact(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk0"}})
	setPolicy(t, p, p.Agents["scout"], map[policy.Key]string{policy.KeyMessagesPerHour: "37", policy.KeyMessagesPerDay: "60"})
	if n, _ := rush(t, p, "scout", 64, 2, 1); n != 37 {
		t.Errorf("64 sessions at once sent %d messages, want 37", n)
	}
	fatal(t, p.Down())
	fatal(t, p.Up())
	if n, _ := rush(t, p, "scout", 4, 2, 1); n != 0 {
		t.Errorf("after a restart, %d more", n)
	}
	fatal(t, p.World.Advance(-2*time.Hour))
	if n, _ := rush(t, p, "scout", 4, 1, 1); n != 0 {
		t.Errorf("with the clock set back, %d more", n)
	}
	fatal(t, p.World.Advance(2*time.Hour+66*time.Minute))
	if n, _ := rush(t, p, "scout", 64, 1, 1); n != 23 {
		t.Errorf("in the next hour of a day of 60, %d messages, want 23", n)
	}
	if n := len(events(t, p, audit.MessageSubmitted)); n != 60 {
		t.Errorf("%d messages are on record", n)
	}
}

// TestAV1_ExactRecipients is TestAV1_Exact for recipients, of which a message may
// have several and is taken or refused with all that RCPT let through, and for those
// that are written to for the first time.
func TestAV1_ExactRecipients(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk0", "clerk1", "clerk2"}})
	setPolicy(t, p, p.Agents["scout"], map[policy.Key]string{
		policy.KeyRecipientsPerHour: "100", policy.KeyMessagesPerHour: "1000", policy.KeyFirstTimePerDay: "3"})
	if _, n := rush(t, p, "scout", 64, 2, 3); n > 100 || n < 98 {
		t.Errorf("64 sessions at once reached %d recipients, want 98 to 100", n)
	}
	var counted int64
	for _, e := range events(t, p, audit.MessageSubmitted) {
		n, _ := e.Fields.Int(audit.KeyFirstTime)
		counted += n
	}
	if counted != 3 {
		t.Errorf("%d recipients are on record as new, want 3", counted)
	}
}
