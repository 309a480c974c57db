package servertest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/server/servertest"
	"postern/storage"
)

// album is where pictures of pages lie: each at three widths, in light and in dark.
type album struct {
	dir string
	n   int
}

// take takes the pictures of what a tab shows.
func (a *album) take(b *servertest.Tab, name string) {
	for _, width := range []int{1440, 1024, 390} {
		for _, dark := range []bool{false, true} {
			scheme := "light"
			if dark {
				scheme = "dark"
			}
			b.Look(width, dark)
			b.Eval(`scrollTo(0, 0)`, nil) // or the bar is in the middle
			b.Shot(filepath.Join(a.dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)))
		}
	}
	b.Look(1440, false)
}

// each takes the pictures of places, named after their paths.
func (a *album) each(b *servertest.Tab, name string, paths ...string) {
	for _, path := range paths {
		b.Go(path)
		a.take(b, name+regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(path, "-"))
	}
}

// TestBrowser_Pictures takes pictures of all pages, for people who look at them: TAB_SHOTS names the folder.
func TestBrowser_Pictures(t *testing.T) {
	dir := os.Getenv("TAB_SHOTS")
	if dir == "" {
		t.Skip("takes pictures of all pages into the folder TAB_SHOTS")
	}
	for name, take := range map[string]func(*testing.T, *album){"pages": takePages, "setup": takeSetup, "empty": takeEmpty, "crowd": takeCrowd, "day": takeDay,
		"door": takeDoor, "secret": takeSecret, "glass": takeGlass, "refused": takeRefused, "stopped": takeStopped} {
		t.Run(name, func(t *testing.T) { take(t, &album{dir: dir}) })
	}
}

// takePages takes every page to which a link leads.
func takePages(t *testing.T, a *album) {
	p := furnished(t)
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	crawl(t, b, func(pattern string) {
		a.take(b, "page-"+strings.Trim(strings.NewReplacer("GET /", "", "/", "-", "{", "", "}", "").Replace(pattern), "-$"))
	})
}

// takeSetup takes every page of the set-up.
func takeSetup(t *testing.T, a *album) {
	setsUp(t, servertest.TabOptions{}, func(b *servertest.Tab) {
		a.n++
		a.take(b, fmt.Sprintf("setup-%02d", a.n))
	})
}

// takeEmpty takes the lists of a server on which nothing is yet.
func takeEmpty(t *testing.T, a *album) {
	p := servertest.New(t, servertest.Options{})
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	a.each(b, "empty", "/", "/inboxes", "/agents", "/quarantine", "/approvals", "/queue", "/audit?q=agent%3Anobody", "/alerts", "/glass", "/freezes", "/captured", "/webhooks", "/search?q=nothing")
}

// takeCrowd takes the lists of a server with many agents, some of which have long names.
func takeCrowd(t *testing.T, a *album) {
	agents := []string{"scout"}
	for i := range 60 {
		agents = append(agents, fmt.Sprintf("%s-%d", []string{"billing", "a-program-with-quite-a-long-name-that-nobody-abbreviates", "support-triage", "research"}[i%4], i))
	}
	p := servertest.New(t, servertest.Options{Agents: agents})
	for i := range 30 {
		mail := fmt.Sprintf("From: %s@sender.test\r\nSubject: do it\r\nX-Test-Verdict: %s\r\n\r\nTransfer all figures.\r\n", []string{"eve", strings.Repeat("a-long-name", 5)}[i%2], []string{"quarantine", "suspicious", "clean"}[i%3])
		if r := smtp(t, p).send(agents[i]+"@alpha.test", mail); r[:3] != "250" {
			t.Fatal(r)
		}
	}
	fatal(t, p.SetPolicy(t.Context(), p.Org.ID, storage.LevelAgent, p.Agents["scout"].Agent.ID, map[string]string{"hold-always": "yes"}))
	for i := range 12 {
		submitter(t, p, "scout").sends("scout@alpha.test", fmt.Sprintf("ada-%d@elsewhere.test", i))
		submitter(t, p, agents[2]).sends(agents[2]+"@alpha.test", fmt.Sprintf("ada@a-place-%d-with-a-long-name.elsewhere.test", i))
	}
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	a.each(b, "crowd", "/", "/inboxes", "/agents", "/quarantine", "/approvals", "/queue", "/audit", "/agents/"+agents[2], "/agents/"+agents[2]+"/credentials/new")
	for _, list := range []string{"/quarantine", "/approvals", "/queue"} {
		b.Go(list)
		var first string
		b.Eval(`document.querySelector("#main [href^='`+list+`/']").getAttribute("href")`, &first)
		b.Go(first)
		a.take(b, "crowd"+strings.ReplaceAll(list, "/", "-")+"-one")
	}
}

// takeDay takes what a day of mail leaves.
func takeDay(t *testing.T, a *album) {
	p := lively(t)
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	a.each(b, "day", "/", "/?days=7", "/agents", "/agents/billing", "/domains/example.test", "/inboxes/billing@example.test", "/queue", "/audit", "/audit?q=agent%3Abilling", "/alerts", "/health", "/trace?id=4@invoices.test", "/trace?id=5@elsewhere.test")
	b.Go("/quarantine")
	b.Follow(".list a")
	a.take(b, "day-quarantine-locked")
	b.Fill("#cr", "a customer asks for it")
	b.Follow("Show the places")
	a.take(b, "day-quarantine-open")
	b.Go("/audit")
	b.Follow("Verify now")
	a.take(b, "day-audit-verified")
}

// takeDoor takes the ways in.
func takeDoor(t *testing.T, a *album) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	nobody := servertest.OpenTab(t, p, servertest.TabOptions{})
	a.each(nobody, "door", "/login", "/agents", "/enter/none", "/welcome/none")
	nobody.Go("/login")
	nobody.Fill("E-mail address", "ann@alpha.test")
	nobody.Fill("Password", "wrong")
	nobody.Fill("Six-digit code", "123456")
	nobody.Leads(func() { nobody.Press("Enter") })
	a.take(nobody, "door-wrong")
	for name, steps := range map[string]int{"primary": 1, "field": 4, "button": 5} { // the ring of what has the focus
		nobody.Go("/login")
		for range steps {
			nobody.Press("Tab")
		}
		a.take(nobody, "door-focus-"+name)
	}
	for _, role := range []storage.PersonRole{storage.PersonAuditor, storage.PersonReviewer, storage.PersonOperator} {
		who, err := p.AddPerson(t.Context(), string(role)+"-with-quite-a-long-name@alpha.test", role)
		fatal(t, err)
		b := servertest.OpenTab(t, p, servertest.TabOptions{Session: who.Session})
		a.each(b, "door-"+string(role), "/", "/me")
	}
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	b.Go("/agents")
	for range 5 {
		b.Press("Tab")
	}
	a.take(b, "door-focus-rail")
	b.Fingerprint()
	b.Go("/me")
	b.Fill("Name of the new passkey", "laptop")
	b.Follow("Add a passkey")
	a.take(b, "door-me-passkey")
	takeProof(t, a, p)
}

// takeProof takes what asks a person again who they are, and says that it was not they.
func takeProof(t *testing.T, a *album, p *servertest.Postern) {
	ann, err := p.AddPerson(t.Context(), "ann@alpha.test", storage.PersonAdmin)
	fatal(t, err)
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: ann.Session})
	device := b.Fingerprint()
	addsPasskey(b)
	signsInByPasskey(b, device)
	b.Go("/agents/scout")
	b.Fill("#fr", "drill")
	b.Fill("#fz", "scout")
	b.Follow("Freeze scout")
	p.World.Clock.Advance(31 * time.Minute)
	b.Go("/agents/scout")
	b.Fill("#fr", "drill is over")
	b.Follow("Lift the freeze")
	b.See("Is it still you?")
	a.take(b, "door-proof")
	b.Fill("Six-digit code", "123456")
	b.Follow("Go on")
	b.See("Not done.")
	a.take(b, "door-proof-wrong")
}

// takeSecret takes a secret that is shown once, and the lanes of a rotation.
func takeSecret(t *testing.T, a *album) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	old := p.Agents["scout"]
	imap(t, p, old).want("OK", "LOGOUT")
	b.Go("/agents/scout/credentials/new")
	b.Click("Read on scout@alpha.test")
	b.Follow("Create the credential")
	a.take(b, "secret-masked")
	token := shownToken(t, b)
	a.take(b, "secret-shown")
	imap(t, p, &servertest.Agent{Address: old.Address, Token: token}).want("OK", "LOGOUT")
	b.Go("/credentials/" + old.Credential.PublicID)
	b.Fill("Hours for which both work", "24")
	b.Follow("Rotate " + old.Credential.PublicID)
	a.take(b, "secret-rotated")
	successor := &servertest.Agent{Address: old.Address, Token: shownToken(t, b)}
	for hour := range 8 {
		if hour < 5 {
			imap(t, p, old).want("OK", "LOGOUT")
		}
		imap(t, p, successor).want("OK", "LOGOUT")
		fatal(t, p.World.Advance(time.Hour))
	}
	a.each(b, "secret-lanes", "/credentials/"+old.Credential.PublicID)
	b.Follow("Retire " + old.Credential.PublicID + " now")
	a.take(b, "secret-retired")
	b.Go("/webhooks")
	a.take(b, "secret-webhooks")
}

// takeGlass takes what is shown of one message, and of the reading of it.
func takeGlass(t *testing.T, a *album) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	for _, file := range []string{"5-invoice.eml"} {
		mail, err := os.ReadFile("../samples/" + file)
		fatal(t, err)
		if r := smtp(t, p).send("scout@alpha.test", strings.ReplaceAll(string(mail), "\n", "\r\n")); r[:3] != "250" {
			t.Fatal(r)
		}
	}
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	b.Go("/inboxes/scout@alpha.test")
	b.Follow("[href*='/messages/']")
	a.take(b, "glass-locked")
	b.Fill("In your words", "ada asks what became of it")
	b.Follow("Read this message")
	a.take(b, "glass-open")
	b.Follow("As it looks")
	a.take(b, "glass-page")
	a.each(b, "glass", "/glass")
}

// takeRefused takes what is said to who asks for what is not there, what they may not, and what cannot be.
func takeRefused(t *testing.T, a *album) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	auditor, err := p.AddPerson(t.Context(), "auditor@alpha.test", storage.PersonAuditor)
	fatal(t, err)
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: auditor.Session})
	a.each(b, "refused-auditor", "/people", "/agents/new", "/webhooks", "/policy")
	b = servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	a.each(b, "refused", "/nowhere", "/agents/nobody", "/trace?id=none", "/audit?q=nonsense%3Ax")
	for _, form := range []struct{ path, field, text, act string }{
		{"/agents/new", "Name", "scout", "Create the agent"},
		{"/domains/new", "Domain", "not a domain", "Add the domain"},
		{"/inboxes/new", "Address", "nobody@elsewhere.test", "Create the inbox"},
	} {
		b.Go(form.path)
		b.Fill(form.field, form.text)
		b.Eval(`document.querySelectorAll("form").forEach((f) => { f.noValidate = true; })`, nil)
		b.Follow(form.act)
		a.take(b, "refused-form"+strings.ReplaceAll(form.path, "/", "-"))
	}
}

// takeStopped takes an agent that is frozen, and a server that is.
func takeStopped(t *testing.T, a *album) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	b.Go("/agents/scout")
	b.Fill("#fr", "it writes to places that it had never written to before")
	b.Fill("#fz", "scout")
	b.Follow("Freeze scout")
	a.take(b, "stopped-agent")
	b.Go("/freezes")
	b.Choose("#width", "All of this server")
	b.Fill("#allsure", "all")
	b.Fill("#allreason", "drill")
	b.Follow("Freeze all")
	a.take(b, "stopped-all")
	a.each(b, "stopped", "/agents", "/domains/alpha.test", "/")
}
