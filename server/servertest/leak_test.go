package servertest_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	commands "postern/server/control"
	"postern/server/servertest"
)

// TestAC18_LeakedTokenDrill plays the drill: a thief has used a token for a while and is connected when somebody notices.
// One action ends it, and tells whom it wrote to, what it read and where it came from. The log of the test says how long
// the action took, from the decision to the whole answer.
func TestAC18_LeakedTokenDrill(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	a := p.Agents["scout"]
	unlimited(t, p, a)
	for n := range 20 {
		if r := smtp(t, p).send(a.Address, fmt.Sprintf("Subject: secret\r\n\r\nplan %d\r\n", n)); r[0] != '2' {
			t.Fatal(r)
		}
	}
	fatal(t, p.World.Advance(day))
	since := p.World.Clock.Now()

	thief := net.IPv4(127, 0, 9, 9)
	reading := dialFrom(t, p, "imaps", thief)
	reading.line()
	reading.want("OK", "LOGIN "+a.Address+" "+a.Token)
	reading.want("OK", "SELECT INBOX")
	reading.want("OK", "FETCH 2:15 BODY[]")
	reading.want("OK", "FETCH 10:18 (ENVELOPE)")
	login := func() *peer {
		c := dialFrom(t, p, "submissions", thief)
		c.reply()
		c.command("EHLO thief.test")
		c.command("AUTH PLAIN " + plain(a))
		return c
	}
	sending := login()
	for _, to := range []string{"drop@elsewhere.test", "drop@elsewhere.test", a.Address} {
		if r := login().submit(a.Address, to, "From: "+a.Address+"\r\nSubject: here\r\n\r\nplans\r\n"); r[0] != '2' {
			t.Fatal(r)
		}
	}

	client := commands.NewClient(p.ControlSocket())
	t.Cleanup(client.Close)
	began := time.Now()
	done, err := client.RevokeCredential(t.Context(), commands.CredentialRevoke{Credential: a.Credential.PublicID, Reason: "stood in a public repository", Since: since})
	took := time.Since(began)
	fatal(t, err)
	t.Logf("%d sessions ended and %d messages read, %d sent were told in %v", done.Sessions, done.Activity.Shown, done.Activity.Submitted, took)
	farewell(t, "the thief's IMAP", reading, "* BYE ")
	farewell(t, "the thief's SMTP", sending, "421 ")

	did := done.Activity
	if done.Sessions < 2 || did.Submitted != 3 || did.Shown != 17 || did.Truncated {
		t.Errorf("%d sessions, %d submitted, %d read", done.Sessions, did.Submitted, did.Shown)
	}
	if len(did.Recipients) != 2 || did.Recipients[0].What != "drop@elsewhere.test" || did.Recipients[0].Count != 2 || did.Recipients[1].What != a.Address {
		t.Errorf("recipients %+v", did.Recipients)
	}
	if len(did.Networks) != 1 || did.Networks[0].What != thief.String() || did.Networks[0].Count != 5 {
		t.Errorf("networks %+v", did.Networks)
	}
	if len(did.Read) != 1 || did.Read[0].Inbox != a.Address || did.Read[0].Mailbox != "INBOX" || did.Read[0].UIDs != "2:18" {
		t.Errorf("read %+v", did.Read)
	}
	if len(did.Events) == 0 || did.Since.Before(since.Add(-time.Second)) {
		t.Errorf("events %+v since %v", did.Events, did.Since)
	}
	var verbs []string
	for _, d := range did.Events {
		verbs = append(verbs, d.What)
	}
	if all := strings.Join(verbs, " "); !strings.Contains(all, "message.submitted") || !strings.Contains(all, "session.login") || strings.Contains(all, "credential.") {
		t.Errorf("verbs %s", all)
	}
}
