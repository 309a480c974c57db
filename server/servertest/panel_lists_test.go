package servertest_test

import (
	"html"
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
		for _, list := range []string{"/agents", "/inboxes", "/queue", "/approvals", "/alerts", "/quarantine", "/captured", "/agents/scout", "/glass", "/domains", "/people"} {
			if a := b.get(list + "?after=" + after); a.status != 200 {
				t.Errorf("%s after %.40s: %d", list, after, a.status)
			}
		}
	}
}
