package servertest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// again sends a form that a browser sent, with the cookies that it sent or others, as a page of ours would.
func again(t *testing.T, p *servertest.Postern, f servertest.SentForm, cookie string) page {
	t.Helper()
	b, site := atSite(t, p, "")
	form, err := url.ParseQuery(f.Body)
	fatal(t, err)
	return b.do(http.MethodPost, f.Path, form, "Cookie", cookie, "Sec-Fetch-Site", "same-origin", "Origin", site)
}

// refusals are the rules by which people were refused.
func refusals(t *testing.T, p *servertest.Postern) (rules []string) {
	t.Helper()
	for _, e := range events(t, p, audit.PersonRefused) {
		rules = append(rules, e.Fields.Text(audit.KeyRule))
	}
	return rules
}

// TestBrowser_Passkey adds a passkey, signs in by it alone and lifts a freeze by it when the session is no longer fresh,
// with the mouse and with the keyboard; and holds that what the browser sent for it does nothing when it is sent again,
// even with the browser's own cookies.
func TestBrowser_Passkey(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]servertest.TabOptions{"mouse": {}, "keyboard": {Keyboard: true, Dark: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
			ann, err := p.AddPerson(t.Context(), "ann@alpha.test", storage.PersonAdmin)
			fatal(t, err)
			o.Session = ann.Session
			b := servertest.OpenTab(t, p, o)
			device := b.Fingerprint()
			addsPasskey(b)
			login := signsInByPasskey(b, device)
			if a := again(t, p, login, login.Cookie); a.status != http.StatusForbidden || strings.Contains(strings.Join(a.header.Values("Set-Cookie"), " "), "__Host-postern=") {
				t.Errorf("the same answer at the door: %d %s", a.status, words(a.text))
			}
			lift := liftsByPasskey(t, p, b)
			b.Go("/agents/scout")
			b.Fill("#fr", "drill")
			b.Fill("#fz", "scout")
			b.Follow("Freeze scout")
			session := b.Cookie("__Host-postern")
			if a := again(t, p, lift, "__Host-postern="+session); a.status != http.StatusForbidden {
				t.Errorf("the same answer to lift a freeze: %d %s", a.status, words(a.text))
			}
			b.Go("/agents/scout")
			b.See("State Frozen")
			if rules := refusals(t, p); !slices.Equal(rules, []string{"challenge-used", "proof", "challenge-used"}) {
				t.Errorf("people were refused by %q", rules)
			}
			for verb, n := range map[audit.Verb]int{audit.PasskeyAdd: 1, audit.PersonLogin: 1, audit.PersonRenew: 1, audit.FreezeLift: 1, audit.PersonLogout: 1} {
				all := slices.DeleteFunc(events(t, p, verb), func(e audit.Event) bool { return e.Actor.ID != ann.ID || !e.Actor.Network.IsLoopback() })
				if len(all) != n {
					t.Errorf("%d events %s of ann, not %d", len(all), verb, n)
				}
			}
		})
	}
}

// addsPasskey adds a passkey, and leaves. A device that has one is not asked for another.
func addsPasskey(b *servertest.Tab) {
	b.Go("/me")
	b.Fill("Name of the new passkey", "laptop")
	b.Follow("Add a passkey")
	b.See("The passkey laptop is added.", "Works")
	b.Fill("Name of the new passkey", "laptop again")
	b.Click("Add a passkey")
	b.See("This device has a passkey of yours already.")
	b.Click("Signed in as ann@alpha.test")
	b.Follow("Sign out")
}

// signsInByPasskey signs in with neither an address nor a password, once the device knows its person.
func signsInByPasskey(b *servertest.Tab, device *servertest.Fingerprint) servertest.SentForm {
	b.Go("/agents")
	device.Knows(false)
	b.Click("Sign in with a passkey")
	b.See("No passkey was used")
	device.Knows(true)
	b.Follow("Sign in with a passkey")
	b.See("scout")
	return b.LastForm()
}

// liftsByPasskey freezes an agent, and lifts that when so much time has gone by that the page asks again who it is.
func liftsByPasskey(t *testing.T, p *servertest.Postern, b *servertest.Tab) servertest.SentForm {
	t.Helper()
	b.Go("/agents/scout")
	b.Fill("#fr", "drill")
	b.Fill("#fz", "scout")
	b.Follow("Freeze scout")
	p.World.Clock.Advance(31 * time.Minute)
	b.Go("/agents/scout")
	b.Fill("#fr", "drill is over")
	b.Follow("Lift the freeze")
	b.See("Is it still you?")
	if n := len(events(t, p, audit.FreezeLift)); n != 0 {
		t.Errorf("%d freezes were lifted before", n)
	}
	b.Follow("Use a passkey")
	b.See("State Active")
	return b.LastForm()
}

// TestBrowser_PasskeyNeedsScripts: where no script runs there is no button that does nothing.
func TestBrowser_PasskeyNeedsScripts(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{})
	b := servertest.OpenTab(t, p, servertest.TabOptions{NoScripts: true})
	b.Go("/login")
	b.See("Password")
	b.NotSee("Sign in with a passkey", "or with a password")
}
