package servertest_test

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	commands "postern/server/control"
	"postern/server/servertest"
	"postern/storage"
)

// TestPanel_ListsByKey holds that a long list stands on pages of a hundred rows, each of which leads to the next, and that
// every row stands on one of them, once.
func TestPanel_ListsByKey(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	client := commands.NewClient(p.ControlSocket())
	t.Cleanup(client.Close)
	want := []string{p.Agents["scout"].Credential.PublicID}
	for range 210 {
		issued, err := client.CreateCredential(t.Context(), commands.CredentialCreate{Agent: "scout", View: storage.ViewOriginal,
			Scopes: []commands.Scope{{Inbox: p.Agents["scout"].Address, Verbs: "read"}}})
		fatal(t, err)
		want = append(want, issued.PublicID)
	}
	b := browse(t, p, p.Admin.Session)
	row := regexp.MustCompile(`<tr data-row><th scope="row"[^>]*><a href="/credentials/([^"]+)"`)
	more := regexp.MustCompile(`<a class="btn" href="([^"]+)" rel="next">Show more</a>`)
	var got []string
	var sizes []int
	for path := "/agents/scout"; path != ""; {
		page := b.see(path, "Credentials of scout")
		rows := row.FindAllStringSubmatch(page.text, -1)
		for _, r := range rows {
			got = append(got, r[1])
		}
		sizes = append(sizes, len(rows))
		path = ""
		if next := more.FindStringSubmatch(page.text); next != nil && len(sizes) < 9 {
			path = html.UnescapeString(next[1])
		}
	}
	if !slices.Equal(got, want) || !slices.Equal(sizes, []int{100, 100, 11}) {
		t.Errorf("pages of %v rows have %d of %d credentials", sizes, len(got), len(want))
	}
	// A key that is no id, or of nothing, is no error and no way out of the list.
	for _, after := range []string{"x", "%00", "0198c0de-0000-7000-8000-000000000001", strings.Repeat("9", 5000)} {
		for _, list := range []string{"/agents", "/inboxes", "/queue", "/approvals", "/alerts", "/quarantine", "/captured", "/agents/scout", "/glass", "/domains", "/people", "/freezes", "/webhooks", "/agents/scout/credentials/new"} {
			if a := b.get(list + "?after=" + after); a.status != 200 {
				t.Errorf("%s after %.40s: %d", list, after, a.status)
			}
		}
	}
}

// TestPanel_ChoosesInboxes gives a credential inboxes out of many, with forms alone: the form shows some, finds others by
// a part of their address, and keeps what is ticked while somebody looks.
func TestPanel_ChoosesInboxes(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	client := commands.NewClient(p.ControlSocket())
	t.Cleanup(client.Close)
	for i := range 60 {
		_, err := client.CreateInbox(t.Context(), commands.InboxCreate{Address: fmt.Sprintf("box%02d@alpha.test", i)})
		fatal(t, err)
	}
	b := browse(t, p, p.Admin.Session)
	boxes := func(page page) int { return strings.Count(page.text, `value="read"`) }
	const form = "/agents/scout/credentials/new"
	first := b.see(form, "box00@alpha.test", "There are more. What is ticked stays.", "Look for inboxes")
	if got := boxes(first); got != 25 {
		t.Errorf("%d inboxes at first", got)
	}
	ticked := url.Values{"scope:box00@alpha.test": {"read", "send"}, "days": {"7"}, "env": {"live"}}
	after := regexp.MustCompile(`name="after" value="([^"]+)"`).FindStringSubmatch(first.text)
	next := b.see(form+"?after="+after[1]+"&"+ticked.Encode(), "box00@alpha.test", "box30@alpha.test")
	if got := boxes(next); got != 26 || strings.Contains(next.text, "box01@") {
		t.Errorf("%d inboxes on the next page", got)
	}
	ticked.Set("q", "BOX5")
	ticked.Set("after", after[1]) // other words begin anew
	ticked.Set("look", "yes")
	found := b.see(form+"?"+ticked.Encode(), "box50@alpha.test", "box59@alpha.test")
	for _, want := range []string{`name="scope:box00@alpha.test" value="send" aria-label="Send on box00@alpha.test" checked`, `name="days" type="text" value="7"`} {
		if !strings.Contains(found.text, want) {
			t.Errorf("what was filled in is lost: no %s", want)
		}
	}
	strange := b.do("GET", form+"?"+ticked.Encode(), nil, "Sec-Fetch-Site", "cross-site")
	if strange.status != 200 || strings.Contains(strange.text, " checked") || strings.Contains(strange.text, `value="7"`) {
		t.Errorf("a link from elsewhere fills the form in: %d", strange.status)
	}
	if got := boxes(found); got != 11 {
		t.Errorf("%d inboxes are found", got)
	}
	b.see(form+"?q=nothing", "No other inbox has that in its address.")
	made := b.send("/agents/scout/credentials", "scope:box00@alpha.test", "read", "scope:box00@alpha.test", "send", "scope:box55@alpha.test", "read", "days", "7", "env", "live", "q", "box5")
	if made.status != 200 || !strings.Contains(words(made.text), "box00@alpha.test read, send box55@alpha.test read") {
		t.Errorf("%d %s", made.status, words(made.text))
	}
	refused := b.send("/agents/scout/credentials", "scope:box00@alpha.test", "read", "days", "none", "env", "test")
	if refused.status != 422 || !strings.Contains(refused.text, `value="read" aria-label="Read on box00@alpha.test" checked`) || !strings.Contains(refused.text, `value="test" selected`) {
		t.Errorf("a refused form is empty: %d", refused.status)
	}
}
