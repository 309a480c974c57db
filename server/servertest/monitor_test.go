package servertest_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// happens waits for an event, and returns the first from a number on.
func happens(t *testing.T, p *servertest.Postern, from uint64, verb audit.Verb, fits func(*audit.Event) bool) audit.Event {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		events, err := p.Server().Store().Events(t.Context(), storage.EventQuery{From: from, Verbs: []audit.Verb{verb}})
		fatal(t, err)
		for i := range events {
			if fits(&events[i]) {
				return events[i]
			}
		}
	}
	t.Fatalf("no event %s", verb)
	return audit.Event{}
}

func kindIs(kind storage.AlertKind) func(*audit.Event) bool {
	return func(e *audit.Event) bool { return e.Fields.Text(audit.KeyKind) == string(kind) }
}

// imapFrom logs in from an address.
func imapFrom(t *testing.T, p *servertest.Postern, a *servertest.Agent, from net.IP) *peer {
	t.Helper()
	c := dialFrom(t, p, "imaps", from)
	c.line()
	c.want("OK", "LOGIN "+a.Address+" "+a.Token)
	return c
}

// AC-1: one token in two networks at once is an alert and an event; one after the other, or in one network, is not.
func TestAC1_OneTokenInTwoNetworks(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	scout, clerk := p.Agents["scout"], p.Agents["clerk"]
	imapFrom(t, p, clerk, net.IPv4(127, 0, 0, 1)).want("OK", "LOGOUT")
	imapFrom(t, p, clerk, net.IPv4(127, 9, 9, 1)).want("OK", "LOGOUT")
	imapFrom(t, p, clerk, net.IPv4(127, 0, 0, 9))
	imapFrom(t, p, clerk, net.IPv4(127, 0, 0, 7))
	imapFrom(t, p, scout, net.IPv4(127, 0, 0, 1))
	imapFrom(t, p, scout, net.IPv4(127, 9, 9, 1))
	e := happens(t, p, 0, audit.AlertRaise, kindIs(storage.AlertTwoNetworks))
	if e.Agent != scout.Agent.ID || e.Credential != scout.Credential.ID {
		t.Errorf("%+v", e)
	}
	all, err := p.Server().Store().Alerts(t.Context(), p.Org.ID, uuid.Nil, 10, true)
	if err != nil || len(all) != 1 || !strings.Contains(all[0].Detail, "127.0.0.0/24 and 127.9.9.0/24") {
		t.Errorf("%+v, %v", all, err)
	}
}

// PI-7: policy freezes at once at a kind of alert: live sessions are cut, and the people it names are told, here and
// elsewhere, by mail that the server signs.
func TestPI7_FreezesAtOnce(t *testing.T) {
	w, err := servertest.NewWorld()
	fatal(t, err)
	defer w.Close()
	p := servertest.New(t, servertest.Options{World: w, Agents: []string{"scout", "clerk"}})
	outside := servertest.New(t, servertest.Options{World: w, Domain: "beta.test", Agents: []string{"berta"}})
	scout := p.Agents["scout"]
	setPolicy(t, p, scout, map[policy.Key]string{policy.KeyAlertFreeze: string(storage.AlertTwoNetworks),
		policy.KeyAlertMail: "berta@beta.test,clerk@alpha.test"})
	one, two := imapFrom(t, p, scout, net.IPv4(127, 0, 0, 1)), imapFrom(t, p, scout, net.IPv4(127, 9, 9, 1))
	alert := happens(t, p, 0, audit.AlertRaise, kindIs(storage.AlertTwoNetworks))
	frozen := happens(t, p, alert.Seq, audit.FreezeSet, func(e *audit.Event) bool { return e.Agent == scout.Agent.ID })
	if n, _ := frozen.Fields.Int(audit.KeyCount); n != 2 || frozen.Actor.Kind != audit.System ||
		!strings.Contains(frozen.Personal.Text(audit.KeyNote), "two-networks "+alert.Object.String()) {
		t.Errorf("%+v", frozen)
	}
	for _, c := range []*peer{one, two} {
		if text := c.line(); !strings.HasPrefix(text, "* BYE") {
			t.Errorf("a session of a frozen agent: %s", text)
		}
	}
	happens(t, p, alert.Seq, audit.NoticeQueued, func(e *audit.Event) bool { return e.Personal.Text(audit.KeyTo) == "berta@beta.test" })
	happens(t, p, alert.Seq, audit.NoticeDelivered, func(e *audit.Event) bool { return e.Inbox == p.Agents["clerk"].Inbox.ID })
	got := happens(t, outside, 0, audit.MessageReceived, func(e *audit.Event) bool { return e.Inbox == outside.Agents["berta"].Inbox.ID })
	if got.Fields.Text(audit.KeyDKIM) != "pass" || got.Fields.Text(audit.KeyDMARC) != "pass" {
		t.Errorf("what came to berta: %v", got.Fields)
	}
	c := imapFrom(t, outside, outside.Agents["berta"], net.IPv4(127, 0, 0, 1))
	c.want("OK", "SELECT INBOX")
	letter := string(c.want("OK", "FETCH 1 BODY[]"))
	for _, want := range []string{"From: Postern <postmaster@alpha.test>", "Subject: Alert: two-networks", "Auto-Submitted: auto-generated",
		"Agent:  scout", "postern alert acknowledge " + alert.Object.String(), "The agent was frozen at once"} {
		if !strings.Contains(letter, want) {
			t.Errorf("the letter does not say %q:\n%s", want, letter)
		}
	}
}
