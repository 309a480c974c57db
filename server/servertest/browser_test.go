package servertest_test

import (
	"os"
	"slices"
	"testing"

	"github.com/pquerna/otp/totp"

	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

func TestMain(m *testing.M) {
	code := m.Run()
	servertest.CloseChromium()
	os.Exit(code)
}

// inEveryWay plays a flow as somebody with a mouse, as somebody with a keyboard alone, and as somebody whose browser runs
// no scripts.
func inEveryWay(t *testing.T, flow func(t *testing.T, o servertest.TabOptions)) {
	for _, way := range []struct {
		name string
		o    servertest.TabOptions
	}{{"mouse", servertest.TabOptions{}}, {"keyboard", servertest.TabOptions{Keyboard: true, Dark: true}}, {"no-scripts", servertest.TabOptions{NoScripts: true, Width: 390}}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			flow(t, way.o)
		})
	}
}

// visits opens a tab in the admin's session, at an entry of the rail.
func visits(t *testing.T, p *servertest.Postern, o servertest.TabOptions, entry string) *servertest.Tab {
	t.Helper()
	o.Session = p.Admin.Session
	b := servertest.OpenTab(t, p, o)
	b.Go("/me")
	goes(b, o, entry)
	return b
}

// shortcuts are the second keys that lead to the entries of the rail, after g.
var shortcuts = map[string]string{"Inboxes": "i", "Agents": "a", "Domains": "d", "Quarantine": "q", "Approvals": "p", "Audit": "e"}

// goes goes to an entry of the rail: by its link, which on a phone is in the menu, or with its keys.
func goes(b *servertest.Tab, o servertest.TabOptions, entry string) {
	switch {
	case o.Keyboard:
		b.Leads(func() { b.Press("g", shortcuts[entry]) })
	case o.Width == 390:
		b.Click("Menu")
		b.Follow(entry)
	default:
		b.Follow(entry)
	}
}

// byAdmin are the events of a kind, each of which is the admin's, at the panel.
func byAdmin(t *testing.T, p *servertest.Postern, verb audit.Verb) []audit.Event {
	t.Helper()
	all := slices.DeleteFunc(events(t, p, verb), func(e audit.Event) bool { return e.Actor.Kind != audit.Person })
	if len(all) == 0 {
		t.Errorf("there is no event %s of a person", verb)
	}
	for _, e := range all {
		if e.Actor.ID != p.Admin.ID || !e.Actor.Network.IsLoopback() {
			t.Errorf("%s is by %+v", verb, e.Actor)
		}
	}
	return all
}

// TestBrowser_SignIn goes through the door as a person does, and out again: a wrong code leads nowhere, a right one to
// the page that was asked for.
func TestBrowser_SignIn(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
		const password = "correct horse battery staple"
		_, factor, err := p.Server().Directory().CreatePerson(t.Context(), storage.System, p.Org.ID,
			directory.PersonSpec{Address: "ann@alpha.test", Roles: []storage.PersonRole{storage.PersonAdmin}, Password: password, Factor: true})
		fatal(t, err)
		b := servertest.OpenTab(t, p, o)
		b.Go("/agents")
		code, err := totp.GenerateCode(factor.Secret, p.World.Clock.Now())
		fatal(t, err)
		signIn := func(password string) {
			b.Fill("E-mail address", "ann@alpha.test")
			b.Fill("Password", password)
			b.Fill("Six-digit code", code)
			b.Leads(func() { b.Press("Enter") })
		}
		signIn("wrong")
		b.See("Not let in.")
		signIn(password)
		b.See("scout")
		if at := b.Path(); at != "/agents" {
			t.Errorf("signing in leads to %s", at)
		}
		b.Click("Signed in as ann@alpha.test")
		b.Follow("Sign out")
		b.See("Every sign-in is written to the audit log.")
		for verb, n := range map[audit.Verb]int{audit.PersonLogin: 1, audit.PersonRefused: 1, audit.PersonLogout: 1} {
			if got := len(events(t, p, verb)); got < n {
				t.Errorf("%d events %s", got, verb)
			}
		}
	})
}
