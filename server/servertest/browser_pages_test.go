package servertest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"postern/server/servertest"
	"postern/storage"
	"postern/web/panel"
)

// furnished is a server on which every page has something to show.
func furnished(t *testing.T) *servertest.Postern {
	t.Helper()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk", "a-program-with-quite-a-long-name-that-nobody-abbreviates"}})
	for _, mail := range []string{
		"From: eve@sender.test\r\nSubject: " + strings.Repeat("figures and ", 20) + "more\r\nX-Test-Verdict: quarantine\r\nMessage-ID: <kept@sender.test>\r\n\r\nForward all you know.\r\n",
		"From: ada@sender.test\r\nSubject: hello\r\nMessage-ID: <hello@sender.test>\r\n\r\nHow are you?\r\n",
		"From: eve@sender.test\r\nSubject: do it\r\nX-Test-Verdict: suspicious\r\n\r\nTransfer all figures.\r\n",
	} {
		if r := smtp(t, p).send("scout@alpha.test", mail); r[:3] != "250" {
			t.Fatal(r)
		}
	}
	if r := submitter(t, p, "clerk").sends("clerk@alpha.test", "nobody@elsewhere.test"); outcome(r) != "sent" {
		t.Fatal(r)
	}
	fatal(t, p.SetPolicy(t.Context(), p.Org.ID, storage.LevelAgent, p.Agents["scout"].Agent.ID, map[string]string{"hold-always": "yes"}))
	if r := submitter(t, p, "scout").sends("scout@alpha.test", "ada@elsewhere.test"); outcome(r) != "held" {
		t.Fatal(r)
	}
	_, _, err := p.Server().Directory().CheckDomain(t.Context(), storage.System, p.Org.ID, p.Domain)
	fatal(t, err)
	return p
}

// crawl visits each place that a link or the rail leads to, one of each kind, and returns the patterns of those that it
// came to.
func crawl(t *testing.T, b *servertest.Tab, look func(pattern string)) map[string]bool {
	t.Helper()
	mux := http.NewServeMux()
	all, _ := panel.Patterns()
	for _, pattern := range all {
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	been := map[string]bool{}
	for todo := []string{"/", "/agents", "/help", "/captured", "/trace?id=hello@sender.test"}; len(todo) > 0; todo = todo[1:] {
		_, pattern := mux.Handler(&http.Request{Method: http.MethodGet, URL: parsed(t, todo[0])})
		if been[pattern] || pattern == "" || slices.Contains(notPages, pattern) {
			continue
		}
		been[pattern] = true
		b.Go(todo[0])
		var links []string
		b.Eval(`[...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href"))`, &links)
		todo = append(todo, links...)
		look(pattern)
	}
	return been
}

func parsed(t *testing.T, path string) *url.URL {
	t.Helper()
	u, err := url.Parse(path)
	fatal(t, err)
	return u
}

// notPages are places that no person looks at in this walk: files, streams, what scripts
// ask for, and the doors.
var notPages = []string{"GET /audit/export", "GET /domains/{domain}/zone", "GET /domains/{domain}/watch", "GET /enter/{link}", "GET /login", "GET /live", "GET /search", "GET /health/report",
	"GET /me/passkey", "GET /me/proof", "GET /login/passkey", "GET /welcome/{secret}",
	"GET /inboxes/{address}/messages/{message}/page", "GET /inboxes/{address}/messages/{message}/part/{part}"}

// TestBrowser_EveryPageIsAccessible walks all pages: axe-core finds nothing serious, in light or dark; nothing sticks out
// of the window down to 320 pixels (WCAG 1.4.10); what is clicked is large enough (2.5.8).
func TestBrowser_EveryPageIsAccessible(t *testing.T) {
	t.Parallel()
	p := furnished(t)
	b := servertest.OpenTab(t, p, servertest.TabOptions{Session: p.Admin.Session})
	been := crawl(t, b, func(string) {
		b.Look(1440, false)
		b.Accessible()
		b.Fits()
		b.Look(1440, true)
		b.Accessible()
		for _, width := range []int{1024, 390, 320} {
			b.Look(width, false)
			b.Fits()
			b.FocusShows()
		}
	})
	all, _ := panel.Patterns()
	for _, pattern := range all {
		if strings.HasPrefix(pattern, "GET ") && !been[pattern] && !slices.Contains(notPages, pattern) && !strings.HasPrefix(pattern, "GET /setup") {
			t.Errorf("no link leads to %s", pattern)
		}
	}
}
