package servertest_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// TestBrowser_BreakGlass reads one message of an agent: locked at first, open once a reason is given, and recorded each
// time.
func TestBrowser_BreakGlass(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
		if r := smtp(t, p).send("scout@alpha.test", "From: ada@sender.test\r\nSubject: figures\r\n\r\nThey are 1, 2 and 3.\r\n"); r[:3] != "250" {
			t.Fatal(r)
		}
		b := visits(t, p, o, "Inboxes")
		b.Follow("scout@alpha.test")
		b.Follow("[href*='/messages/']")
		b.See("Locked", "you are recorded")
		b.NotSee("They are 1, 2 and 3.")
		b.Fill("In your words", "ada asks what became of it")
		b.Follow("Read this message")
		b.See("You are being recorded.", "They are 1, 2 and 3.")
		b.Follow("As it looks")
		b.Until(`document.querySelector("iframe.mail").sandbox.length === 0`)
		b.Follow("Close it")
		b.See("Locked")
		b.NotSee("They are 1, 2 and 3.")
		for _, verb := range []audit.Verb{audit.GlassOpen, audit.GlassViewed, audit.GlassEnd} {
			byAdmin(t, p, verb)
		}
	})
}

// TestBrowser_HostileMail shows mail that was written to run, load or break something in the places that show mail: no
// script runs, nothing is asked for, no report of the policy comes, and no page grows wider than a phone.
func TestBrowser_HostileMail(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	fatal(t, p.SetPolicy(t.Context(), p.Org.ID, storage.LevelAgent, p.Agents["scout"].Agent.ID, map[string]string{"hold-always": "yes", "messages-per-hour": "500"}))
	stranger, agent := smtp(t, p), submitter(t, p, "scout")
	kept := hostileFiles(t, "X-Test-Verdict: quarantine\r\n")
	for name, mail := range hostileFiles(t, "") {
		for _, mail := range []string{mail, kept[name]} {
			if r := stranger.send("scout@alpha.test", mail); r[:3] != "250" {
				t.Fatalf("%s: %s", name, r)
			}
		}
		if r := agent.opens("scout@alpha.test", "x@elsewhere.test"); r[:3] != "354" {
			t.Fatalf("%s: %s", name, r)
		}
		agent.finish(strings.Replace(mail, "Mallory <mallory@sender.test>", "scout@alpha.test", 1)) // some are refused
	}
	quiet, b := browse(t, p, p.Admin.Session), servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session, Width: 390})
	look := func(path string) {
		t.Helper()
		b.Go(path)
		b.Until(`typeof window.PWNED === "undefined"`)
		b.Fits()
	}
	for _, list := range []string{"/inboxes/scout@alpha.test", "/quarantine", "/approvals", "/audit", "/audit?q=" + url.QueryEscape(`<img src=x onerror=window.PWNED=1>`)} {
		look(list)
		var to []string
		b.Eval(`[...document.querySelectorAll("a[href*='/messages/'], a[href^='/quarantine/'], a[href^='/approvals/']")].map((a) => a.getAttribute("href"))`, &to)
		for _, path := range slices.Sorted(maps.Keys(setOf(to))) {
			if strings.Contains(path, "/messages/") {
				quiet.send(path+"/open", "why", "verdict", "reason", `<script>window.PWNED=1</script>`)
				look(path + "?as=page")
			}
			look(path)
		}
	}
	look("/glass")
}

func setOf(all []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range all {
		set[s] = true
	}
	return set
}
