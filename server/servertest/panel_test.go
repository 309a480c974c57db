package servertest_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
	"postern/web/panel"
)

// browser is somebody with a browser that runs no scripts.
type browser struct {
	t    *testing.T
	p    *servertest.Postern
	http *http.Client
	base string
}

// browse opens the panel, in a person's session if there is one.
func browse(t *testing.T, p *servertest.Postern, session string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, p: p, base: "https://" + p.Addr("panel").String(), http: &http.Client{
		Jar: jar, Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.Pool(), ServerName: p.Host}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(b.http.CloseIdleConnections)
	if session != "" {
		at, err := url.Parse(b.base)
		if err != nil {
			t.Fatal(err)
		}
		jar.SetCookies(at, []*http.Cookie{{Name: "__Host-postern", Value: session, Path: "/", Secure: true}})
	}
	return b
}

// page is an answer.
type page struct {
	status int
	header http.Header
	text   string
}

func (b *browser) do(method, path string, form url.Values, header ...string) page {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	a, err := b.http.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{a.StatusCode, a.Header, string(text)}
}

func (b *browser) get(path string) page { b.t.Helper(); return b.do(http.MethodGet, path, nil) }

// see gets a page that must be there and have all of the texts.
func (b *browser) see(path string, texts ...string) page {
	b.t.Helper()
	a := b.get(path)
	if a.status != http.StatusOK {
		b.t.Fatalf("GET %s: %d %s", path, a.status, words(a.text))
	}
	for _, text := range texts {
		if !strings.Contains(words(a.text), text) {
			b.t.Errorf("GET %s does not say %q: %s", path, text, words(a.text))
		}
	}
	return a
}

// send sends a form as a page of ours does, and follows to what is shown then.
func (b *browser) send(path string, form ...string) page {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	a := b.do(http.MethodPost, path, values, "Sec-Fetch-Site", "same-origin", "Origin", b.base)
	if a.status == http.StatusSeeOther {
		return b.get(a.header.Get("Location"))
	}
	return a
}

var tags = regexp.MustCompile(`<[^>]*>`)

// words is what a page says.
func words(text string) string {
	_, body, _ := strings.Cut(text, "<body>")
	return strings.Join(strings.Fields(strings.NewReplacer("&#39;", "'", "&amp;", "&", "&#34;", `"`, "&lt;", "<", "&gt;", ">").Replace(tags.ReplaceAllString(body, " "))), " ")
}

// place puts names into the pattern of a route.
func place(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	for name, value := range map[string]string{"{$}": "", "{agent}": "scout", "{domain}": "alpha.test", "{address}": "scout@alpha.test"} {
		path = strings.ReplaceAll(path, name, value)
	}
	return method, regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(path, "00000000-0000-0000-0000-000000000000")
}

// TestPanel_NobodyGetsIn walks all places without a session, and with one that has ended: each leads to the door, says
// nothing, and does nothing.
func TestPanel_NobodyGetsIn(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	who, err := p.AddPerson(t.Context(), "ann@alpha.test", storage.PersonAdmin)
	if err != nil {
		t.Fatal(err)
	}
	stolen := browse(t, p, who.Session)
	stolen.see("/agents", "scout")
	if err := p.Server().Directory().EndPersonSession(t.Context(), who.Actor(), who.Person, who.Actor().Session, "logout"); err != nil {
		t.Fatal(err)
	}
	all, open := panel.Patterns()
	for name, b := range map[string]*browser{"nobody": browse(t, p, ""), "a stolen session": stolen} {
		for _, pattern := range all {
			if slices.Contains(open, pattern) {
				continue
			}
			method, path := place(pattern)
			a := b.do(method, path, nil, "Sec-Fetch-Site", "same-origin", "Origin", b.base)
			if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/login") || strings.Contains(a.text, "<main") {
				t.Errorf("%s: %s: %d to %q", name, pattern, a.status, a.header.Get("Location"))
			}
		}
	}
}

// sayings are what every answer says to the browser.
var sayings = map[string]string{
	"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store", "Strict-Transport-Security": "max-age=31536000",
}

// guarded holds what every answer says to the browser, and what the cookies are that come with it.
func guarded(t *testing.T, at string, a page) {
	t.Helper()
	policy := a.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("%s: no %q in the policy", at, part)
		}
	}
	for name, want := range sayings {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %s: %q", at, name, got)
		}
	}
	if strings.Contains(policy, "unsafe") || regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=`).MatchString(a.text) {
		t.Errorf("%s: something inline", at)
	}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode {
			t.Errorf("%s: the cookie %s", at, c.Raw)
		}
	}
}

// inEveryRole is a browser of nobody, and one of somebody in each role.
func inEveryRole(t *testing.T, p *servertest.Postern) map[string]*browser {
	t.Helper()
	all := map[string]*browser{"nobody": browse(t, p, "")}
	for _, role := range []storage.PersonRole{storage.PersonAdmin, storage.PersonOperator, storage.PersonReviewer, storage.PersonAuditor} {
		who, err := p.AddPerson(t.Context(), string(role)+".person@alpha.test", role)
		if err != nil {
			t.Fatal(err)
		}
		all[string(role)] = browse(t, p, who.Session)
	}
	return all
}

// TestAC15_HeadersEverywhere walks all places as nobody and in every role, and last the way out: what every answer says to
// the browser, and what every cookie is, does not hang on who asks.
func TestAC15_HeadersEverywhere(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	all, _ := panel.Patterns()
	all = append(slices.DeleteFunc(all, func(pattern string) bool { return pattern == "POST /logout" }), "GET /nowhere", "GET /static/nowhere.js", "POST /logout")
	for name, b := range inEveryRole(t, p) {
		for _, pattern := range all {
			method, path := place(pattern)
			at := name + ": " + pattern
			if name != "nobody" && strings.HasSuffix(path, "/watch") {
				continue // it begins when there is something to tell
			}
			a := b.do(method, path, nil, "Sec-Fetch-Site", "same-origin", "Origin", b.base)
			guarded(t, at, a)
			if (path == "/logout" && name != "nobody" || path == "/login/passkey") && a.header.Get("Set-Cookie") == "" {
				t.Errorf("%s: there is no cookie to look at", at)
			}
		}
	}
}

// TestAC15_SessionCookie holds what the cookie is that a sign-in gives.
func TestAC15_SessionCookie(t *testing.T) {
	p := servertest.New(t, servertest.Options{})
	const password = "correct horse battery staple"
	_, factor, err := p.Server().Directory().CreatePerson(t.Context(), storage.System, p.Org.ID,
		directory.PersonSpec{Address: "ann@alpha.test", Roles: []storage.PersonRole{storage.PersonAdmin}, Password: password, Factor: true})
	fatal(t, err)
	code, err := totp.GenerateCode(factor.Secret, p.World.Clock.Now())
	fatal(t, err)
	b := browse(t, p, "")
	a := b.do(http.MethodPost, "/login", url.Values{"username": {"ann@alpha.test"}, "password": {password}, "code": {code}}, "Sec-Fetch-Site", "same-origin", "Origin", b.base)
	guarded(t, "signed in", a)
	if got := a.header.Get("Set-Cookie"); a.status != http.StatusSeeOther || !regexp.MustCompile(`^__Host-postern=[^;]+; Path=/; HttpOnly; Secure; SameSite=Lax$`).MatchString(got) {
		t.Errorf("%d, and the cookie %q", a.status, got)
	}
}

// TestPanel_ForgedForms: a form that is not sent from a page of ours is refused at every place, whoever's browser sends it,
// and leaves nothing in the log.
func TestPanel_ForgedForms(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	all, _ := panel.Patterns()
	people := inEveryRole(t, p)
	acts := func() (n int) {
		all, err := p.Server().Store().Events(t.Context(), storage.EventQuery{})
		fatal(t, err)
		for _, e := range all {
			if e.Actor.Network.IsValid() { // by somebody who came over the network
				n++
			}
		}
		return n
	}
	before, posts := acts(), 0
	for name, b := range people {
		for _, pattern := range all {
			method, path := place(pattern)
			if method != http.MethodPost {
				continue
			}
			posts++
			for _, header := range [][]string{
				{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.test"}, {"Origin", "null"},
				{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, {"Origin", b.base, "Sec-Fetch-Site", "cross-site"},
			} {
				a := b.do(http.MethodPost, path, url.Values{"name": {"scout"}, "reason": {"forged"}}, header...)
				if a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
					t.Errorf("%s: %s: %v: %d", name, pattern, header, a.status)
				}
				guarded(t, name+": forged: "+pattern, a)
			}
		}
	}
	if n := acts(); n != before || posts == 0 {
		t.Errorf("%d forged forms left %d events", posts, n-before)
	}
	b := people["admin"]
	b.see("/agents/scout", "Active")
	if a := b.send("/agents/scout/suspend", "sure", "scout", "reason", "drill"); !strings.Contains(words(a.text), "Suspended") {
		t.Errorf("an honest form: %d %s", a.status, words(a.text))
	}
}

// TestPanel_NamesTyped holds that no act that ends something is done with a click: each wants the name of what it ends, typed.
func TestPanel_NamesTyped(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	b := browse(t, p, p.Admin.Session)
	credential := p.Agents["scout"].Credential.PublicID
	for _, act := range []struct{ page, path, name, after string }{
		{"/agents/scout", "/agents/scout/suspend", "scout", "Suspended"},
		{"/credentials/" + credential, "/credentials/" + credential + "/revoke", credential, "Revoked"},
		{"/agents/scout", "/agents/scout/decommission", "scout", "Decommissioned"},
		{"/inboxes/scout@alpha.test", "/inboxes/scout@alpha.test/remove", "scout@alpha.test", "is removed"},
		{"/domains/alpha.test", "/domains/alpha.test/remove", "alpha.test", "is removed"},
	} {
		b.see(act.page, "Type "+act.name+" to go on", "The audit log will hold")
		for _, typed := range []string{"", "another", strings.ToUpper(act.name)} {
			if a := b.send(act.path, "sure", typed, "reason", "drill"); a.status != http.StatusUnprocessableEntity || !strings.Contains(words(a.text), "Type "+act.name+" to go on.") {
				t.Errorf("%s with %q: %d", act.path, typed, a.status)
			}
		}
		if a := b.send(act.path, "sure", act.name, "reason", "drill"); !strings.Contains(words(a.text), act.after) {
			t.Errorf("%s: %d %s", act.path, a.status, words(a.text))
		}
	}
}

// TestAC15_PanelByRole walks what each role may see and do. An auditor reaches evidence and never content; nobody
// without the role changes anything, whatever form they send.
func TestAC15_PanelByRole(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	for role, may := range map[storage.PersonRole]struct{ operate, policy, people bool }{
		storage.PersonAdmin: {true, true, true}, storage.PersonOperator: {operate: true}, storage.PersonReviewer: {}, storage.PersonAuditor: {},
	} {
		who, err := p.AddPerson(t.Context(), string(role)+".person@alpha.test", role)
		if err != nil {
			t.Fatal(err)
		}
		b := browse(t, p, who.Session)
		all, open := panel.Patterns()
		for _, pattern := range all {
			method, path := place(pattern)
			if method != http.MethodGet || slices.Contains(open, pattern) || strings.HasSuffix(path, "/watch") || path == "/" {
				continue
			}
			if a := b.get(path); a.status >= http.StatusInternalServerError {
				t.Errorf("%s: %s: %d %s", role, path, a.status, words(a.text))
			}
		}
		for _, form := range []struct {
			may    bool
			path   string
			values []string
		}{
			{may.operate, "/inboxes", []string{"address", string(role) + ".inbox@alpha.test"}},
			{may.operate, "/agents", []string{"name", string(role) + "-bot", "owner", who.Address}},
			{may.policy, "/policy", []string{"scope", "org", "key", "messages-per-hour", "value", "50"}},
			{may.people, "/people", []string{"address", string(role) + ".friend@alpha.test", "password", "correct horse battery staple", "role", "auditor"}},
		} {
			a := b.send(form.path, form.values...)
			if got := a.status == http.StatusOK; got != form.may {
				t.Errorf("%s: POST %s: %d %s", role, form.path, a.status, words(a.text))
			}
		}
	}
}

// TestPanel_FirstAgent goes from nothing to a credential with forms alone, and holds what the log says of it: the
// person, at the panel's door.
func TestPanel_FirstAgent(t *testing.T) {
	p := servertest.New(t, servertest.Options{})
	who, err := p.AddPerson(t.Context(), "ann@alpha.test", storage.PersonAdmin)
	if err != nil {
		t.Fatal(err)
	}
	b := browse(t, p, who.Session)
	b.see("/agents", "No agent yet")
	b.send("/inboxes", "address", "billing@alpha.test")
	b.send("/agents", "name", "billing-bot", "owner", "ann@alpha.test", "purpose", "answers")
	b.see("/agents/billing-bot/credentials/new", "billing@alpha.test", "Append")
	a := b.send("/agents/billing-bot/credentials", "scope:billing@alpha.test", "read", "scope:billing@alpha.test", "send")
	token := regexp.MustCompile(`pst_live_[0-9A-Za-z]{38}`).FindString(a.text)
	if a.status != http.StatusOK || token == "" {
		t.Fatalf("no token: %d %s", a.status, words(a.text))
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a page with a secret may be kept: %q", a.header.Get("Cache-Control"))
	}
	if text := b.see("/agents/billing-bot", "billing@alpha.test").text; strings.Contains(text, token) {
		t.Error("the token is shown again")
	}
	if _, err := p.Server().Directory().Authenticate(t.Context(), directory.Attempt{Login: "billing@alpha.test", Secret: token, Door: "imap"}); err != nil {
		t.Errorf("the token does not open the inbox: %v", err)
	}
	made := events(t, p, audit.CredentialCreate)
	if len(made) != 1 || made[0].Actor.Kind != audit.Person || made[0].Actor.ID != who.ID || !made[0].Actor.Network.IsLoopback() {
		t.Errorf("%+v", made)
	}
}
