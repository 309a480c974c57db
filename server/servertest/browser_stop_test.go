package servertest_test

import (
	"testing"

	"postern/server/servertest"
	"postern/storage/audit"
)

// TestBrowser_KillSwitch cuts an agent off while it waits for mail: its session ends, it cannot come back, and it can when
// a person lifts the freeze.
func TestBrowser_KillSwitch(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
		c := imap(t, p, p.Agents["scout"])
		c.want("OK", "SELECT INBOX")
		c.say("i IDLE")
		c.line()
		b := visits(t, p, o, "Agents")
		b.Follow("scout")
		b.See("Sessions open 1", "admin@alpha.test froze agent scout.")
		b.Fill("#fr", "drill")
		b.Fill("#fz", "scout")
		b.Follow("Freeze scout")
		farewell(t, "IMAP in IDLE", c, "* BYE ")
		b.See("Agent scout is frozen: 1 session ended", "State Frozen", "Sessions open 0")
		again := dial(t, p, "imaps")
		again.line()
		again.want("NO", "LOGIN "+p.Agents["scout"].Address+" "+p.Agents["scout"].Token)
		b.See("Reason: drill", "lifted the freeze of agent scout.")
		b.Fill("#fr", "drill is over")
		b.Follow("Lift the freeze")
		b.See("State Active")
		imap(t, p, p.Agents["scout"]).want("OK", "SELECT INBOX")
		for _, e := range byAdmin(t, p, audit.FreezeSet) {
			if n, _ := e.Fields.Int(audit.KeyCount); n != 1 {
				t.Errorf("the event says that %d sessions ended", n)
			}
		}
		byAdmin(t, p, audit.FreezeLift)
	})
}

// TestBrowser_KillSwitches stops a credential, a domain and all of the server, each with its name typed, and holds that the
// agent's page says what stops it.
func TestBrowser_KillSwitches(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	credential := p.Agents["scout"].Credential.PublicID
	refused := func() {
		t.Helper()
		c := dial(t, p, "imaps")
		c.line()
		c.want("NO", "LOGIN "+p.Agents["scout"].Address+" "+p.Agents["scout"].Token)
	}
	for _, place := range []struct{ path, name string }{{"/credentials/" + credential, credential}, {"/domains/alpha.test", "alpha.test"}} {
		b.Go(place.path)
		b.Fill("#fr", "drill")
		b.Fill("#fz", "another")
		b.Follow("Freeze " + place.name)
		b.See("Type " + place.name + " to go on.")
		imap(t, p, p.Agents["scout"])
		b.Fill("#fr", "drill")
		b.Fill("#fz", place.name)
		b.Follow("Freeze " + place.name)
		b.See("is frozen")
		refused()
		b.Fill("#fr", "over")
		b.Follow("Lift the freeze")
		imap(t, p, p.Agents["scout"])
	}
	b.Go("/freezes")
	b.Choose("#width", "All of this server")
	b.Fill("#allsure", "all")
	b.Fill("#allreason", "drill")
	b.Follow("Freeze all")
	refused()
	b.Go("/agents/scout")
	b.See("It is frozen with everything on this server.", "State Frozen")
	b.Go("/freezes")
	b.Fill("Reason", "over")
	b.Follow("Lift")
	imap(t, p, p.Agents["scout"])
	byAdmin(t, p, audit.FreezeSet)
}
