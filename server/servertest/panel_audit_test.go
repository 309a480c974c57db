package servertest_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// TestAU10_PanelExplorer narrows the log down, goes on and back, and takes it along as files.
func TestAU10_PanelExplorer(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	who, err := p.AddPerson(t.Context(), "eve@alpha.test", storage.PersonAuditor)
	if err != nil {
		t.Fatal(err)
	}
	b := browse(t, p, who.Session)
	all := b.see("/audit", "in an unbroken sequence", "Verify now", "agent.create", "Who acted", "postern audit list --limit 50", "As a file")
	if strings.Contains(all.text, "--not") {
		t.Error("a filter that nobody asked for")
	}
	one := b.see("/audit?q=verb:agent.create+agent:scout", "created the agent scout", "Event as JSON", "Leaf", "postern audit list --agent scout --verb agent.create")
	if strings.Contains(words(one.text), "created the agent clerk") {
		t.Error("the filter left another agent")
	}
	b.see("/audit?q=-verb:agent.create,audit+result:ok", "--not verb:agent.create,audit --result ok")
	b.see("/audit?q=network:192.0.2.0/24", "There is no such event")
	b.see("/audit?q=scout", "--agent scout")
	if a := b.get("/audit?with=agent:scout&q=result:ok"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/audit?q=agent%3Ascout+result%3Aok" {
		t.Errorf("%d, %s", a.status, a.header.Get("Location"))
	}
	if a := b.get("/audit?q=colour:red"); a.status != http.StatusUnprocessableEntity || !strings.Contains(words(a.text), "it may be agent:, credential:") {
		t.Errorf("%d: %s", a.status, words(a.text))
	}
	b.see("/audit?from=1", "Older")

	file := b.get("/audit?q=verb:agent.create&as=csv")
	rows, err := csv.NewReader(strings.NewReader(file.text)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][0] != "seq" || !strings.HasPrefix(file.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%q, %v", file.text, err)
	}
	for line := range strings.Lines(b.get("/audit?q=verb:agent.create&as=jsonl").text) {
		var e struct{ Verb string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Verb != "agent.create" {
			t.Errorf("%s: %v", line, err)
		}
	}
	if a := b.get("/audit?as=xlsx"); a.status != http.StatusNotFound {
		t.Errorf("a file of another kind: %d", a.status)
	}
	found := false
	for _, e := range events(t, p, audit.AuditListed) {
		found = found || e.Personal.Text(audit.KeyTerms) == "agent:scout verb:agent.create"
	}
	if !found {
		t.Error("no event says what was looked for")
	}
}

// TestAU7_PanelVerifiesNow: the auditor has the log verified, and the page says what was found.
func TestAU7_PanelVerifiesNow(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	who, err := p.AddPerson(t.Context(), "eve@alpha.test", storage.PersonAuditor)
	if err != nil {
		t.Fatal(err)
	}
	a := browse(t, p, who.Session).send("/audit/verify", "q", "agent:scout")
	if !strings.Contains(words(a.text), "Verified at") || !strings.Contains(words(a.text), "--agent scout") {
		t.Errorf("%d: %s", a.status, words(a.text))
	}
	if all := events(t, p, audit.AuditVerified); len(all) != 1 || all[0].Outcome != audit.OK || all[0].Actor.ID != who.ID {
		t.Errorf("%+v", all)
	}
}

// TestPanel_HostileFilters: whatever stands in a filter is answered as text, and nothing fails.
func TestPanel_HostileFilters(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	who, err := p.AddPerson(t.Context(), "ann@alpha.test", storage.PersonAdmin)
	if err != nil {
		t.Fatal(err)
	}
	b := browse(t, p, who.Session)
	for _, q := range []string{
		`"><script>alert(1)</script>`, `agent:"><script>alert(1)</script>`, `actor:"<img src=x onerror=alert(1)>"`, `agent:' OR 1=1 --`, `network:0.0.0.0/0`, `network:::/0`, `network:fe80::1%eth0`,
		`object:nothing`, `message:<a`, `trigger:` + strings.Repeat("x", 3000), strings.Repeat("agent:scout ", 40), strings.Repeat("x", 10_000), "agent:\x00", "agent:\xff\xfe", `since:-1h`, `since:9999999999999h`,
		`until:1970-01-01`, "actor:\u202eevil", `verb:` + strings.Repeat("a,", 100) + "b", `-since:1h`, `credential:../../etc`, `inbox:x@`, `result:OK`, `:`, `-`, `"`, `a:"`,
	} {
		for _, path := range []string{"/audit?q=" + url.QueryEscape(q), "/audit?with=" + url.QueryEscape(q), "/audit?q=" + url.QueryEscape(q) + "&as=csv", "/audit/export?q=" + url.QueryEscape(q), "/audit?since=" + url.QueryEscape(q)} {
			a := b.get(path)
			page := strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
			if a.status >= 500 || page && (strings.Contains(a.text, "<script>alert") || strings.Contains(a.text, "<img src=x")) {
				t.Errorf("%.80s: %d %.200s", path, a.status, words(a.text))
			}
		}
	}
	for _, page := range []string{"before=x", "before=-1", "before=18446744073709551615", "from=99999999999999", "from=0", "before=1", "from=1&before=1"} {
		if a := b.get("/audit?" + page); a.status != http.StatusOK {
			t.Errorf("%s: %d", page, a.status)
		}
	}
}

// TestPanel_ListsAsFiles fetches each list as a file, in the roles that see it.
func TestPanel_ListsAsFiles(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	for _, role := range []storage.PersonRole{storage.PersonAdmin, storage.PersonAuditor} {
		who, err := p.AddPerson(t.Context(), string(role)+".files@alpha.test", role)
		if err != nil {
			t.Fatal(err)
		}
		b := browse(t, p, who.Session)
		for _, path := range []string{"/audit", "/agents", "/inboxes", "/domains", "/queue", "/approvals", "/quarantine", "/alerts", "/people", "/captured", "/freezes"} {
			b.see(path, "As a file CSV JSON Lines")
			a := b.get(path + "?as=csv")
			if rows, err := csv.NewReader(strings.NewReader(a.text)).ReadAll(); err != nil || len(rows) == 0 || a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
				t.Errorf("%s %s: %d %q, %v", role, path, a.status, a.text, err)
			}
			if a := b.get(path + "?as=jsonl"); a.status != http.StatusOK || strings.HasPrefix(a.text, "<") {
				t.Errorf("%s %s: %d %q", role, path, a.status, a.text)
			}
		}
	}
	nobody := browse(t, p, "")
	if a := nobody.get("/agents?as=csv"); a.status != http.StatusSeeOther || strings.Contains(a.text, "scout") {
		t.Errorf("to nobody: %d %q", a.status, a.text)
	}
}
