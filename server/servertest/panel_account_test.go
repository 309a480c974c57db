package servertest_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// atSite is somebody at the name by which passkeys know the server.
func atSite(t *testing.T, p *servertest.Postern, session string) (b *browser, site string) {
	b = browse(t, p, session)
	_, port, _ := strings.Cut(p.Addr("panel").String(), ":")
	b.base = "https://" + p.Host + ":" + port
	b.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", p.Addr("panel").String())
	}
	return b, b.base
}

// visits sends a request as a browser at the site does.
func (b *browser) visits(method, path, site string, form url.Values) page {
	b.t.Helper()
	return b.do(method, path, form, "Sec-Fetch-Site", "same-origin", "Origin", site)
}

// TestAC15_PanelPasskey goes from a link to a passkey, signs in by it, and holds that the same answer works once, in the
// browser that was asked.
func TestAC15_PanelPasskey(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	admin := browse(t, p, p.Admin.Session)
	a := admin.send("/people", "address", "rita@example.com", "role", "admin")
	_, link, ok := strings.Cut(a.text, "/welcome/")
	if link, _, _ = strings.Cut(link, `"`); !ok || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("no link: %d %s", a.status, words(a.text))
	}
	rita, site := atSite(t, p, "")
	rita.see("/welcome/"+link, "Sign in")
	rita.see("/welcome/"+link, "Sign in") // looking uses nothing up
	if a := rita.send("/welcome/" + link); !strings.Contains(words(a.text), "Set up how you sign in") {
		t.Fatalf("%d %s", a.status, words(a.text))
	}
	if a := browse(t, p, "").send("/welcome/" + link); a.status != http.StatusForbidden {
		t.Errorf("the link again: %d", a.status)
	}
	if a := rita.get("/agents"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/me" {
		t.Errorf("before anything is set up: %d %s", a.status, a.header.Get("Location"))
	}
	key := &servertest.Authenticator{Counter: 1}
	answer := func(ask page) string {
		t.Helper()
		text, err := key.Answer([]byte(ask.text), site)
		if err != nil {
			t.Fatalf("%d %s: %v", ask.status, ask.text, err)
		}
		return string(text)
	}
	added := rita.visits(http.MethodPost, "/me/passkeys", site, url.Values{"name": {"phone"}, "passkey": {answer(rita.visits(http.MethodGet, "/me/passkey", site, nil))}})
	if added.status != http.StatusSeeOther {
		t.Fatalf("%d %s", added.status, words(added.text))
	}
	rita.see("/me", "The passkey phone is added", "phone", "Works")
	rita.see("/agents", "scout")

	again, _ := atSite(t, p, "")
	login := url.Values{"passkey": {answer(again.visits(http.MethodGet, "/login/passkey", site, nil))}}
	other, _ := atSite(t, p, "")
	if a := other.visits(http.MethodPost, "/login", site, login); a.status != http.StatusForbidden {
		t.Errorf("an answer that another browser was asked for: %d", a.status)
	}
	login = url.Values{"passkey": {answer(again.visits(http.MethodGet, "/login/passkey", site, nil))}}
	if a := again.visits(http.MethodPost, "/login", site, login); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, words(a.text))
	}
	again.see("/agents", "scout")
	if a := again.visits(http.MethodPost, "/login", site, login); a.status != http.StatusForbidden {
		t.Errorf("the same answer again: %d", a.status)
	}
	if got := len(events(t, p, audit.PasskeyAdd)); got != 1 {
		t.Errorf("%d passkeys were added", got)
	}

	old := tokenOf(again)
	p.World.Clock.Advance(31 * time.Minute)
	form := url.Values{"reason": {"left"}}
	asked := again.visits(http.MethodPost, "/people/"+p.Second.Address+"/disable", site, form)
	if asked.status != http.StatusForbidden || !strings.Contains(asked.text, `name="reason" value="left"`) {
		t.Fatalf("an act that does harm, after half an hour: %d %s", asked.status, words(asked.text))
	}
	form.Set("proof-passkey", answer(again.visits(http.MethodGet, "/me/proof", site, nil)))
	if a := again.visits(http.MethodPost, "/people/"+p.Second.Address+"/disable", site, form); a.status != http.StatusSeeOther {
		t.Errorf("with the passkey: %d %s", a.status, words(a.text))
	}
	if now := tokenOf(again); now == old || now == "" {
		t.Error("the session goes on under the same token")
	}
	if a := browse(t, p, old).get("/agents"); a.status != http.StatusSeeOther {
		t.Errorf("the token before: %d", a.status)
	}
	again.send("/logout")
	if a := browse(t, p, tokenOf(again)).get("/agents"); a.status != http.StatusSeeOther {
		t.Errorf("after logout: %d", a.status)
	}
}

// tokenOf is the token that a browser has.
func tokenOf(b *browser) string {
	at, _ := url.Parse(b.base)
	for _, c := range b.http.Jar.Cookies(at) {
		if c.Name == "__Host-postern" {
			return c.Value
		}
	}
	return ""
}

// TestAC9_StreamEndsWithItsSession: a page that is open is cut when its session is revoked, and keeps no session alive.
func TestAC9_StreamEndsWithItsSession(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	who, err := p.AddPerson(t.Context(), "ann@alpha.test", storage.PersonAdmin)
	if err != nil {
		t.Fatal(err)
	}
	b := browse(t, p, who.Session)
	lines := b.follow("/domains/alpha.test/watch")
	for line := range lines {
		if line == "" {
			break // it has begun: that was the end of the first event
		}
	}
	if err := p.Server().Directory().EndPersonSession(t.Context(), who.Actor(), who.Person, who.Actor().Session, "revoked"); err != nil {
		t.Fatal(err)
	}
	for range lines { // follow says when it goes on
	}
}

// TestPanel_LargeForm: a form that is too large changes nothing.
func TestPanel_LargeForm(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	b := browse(t, p, p.Admin.Session)
	a := b.send("/agents/scout/suspend", "sure", "scout", "reason", strings.Repeat("x", 1<<17))
	if a.status < 400 {
		t.Errorf("%d %s", a.status, words(a.text))
	}
	b.see("/agents/scout", "Active")
}
