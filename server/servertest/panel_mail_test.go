package servertest_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"postern/server/rendition"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// hostileFiles are the messages of testdata/hostile, each with a field in front of it.
func hostileFiles(t *testing.T, field string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/*.eml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d messages, %v", len(files), err)
	}
	all := map[string]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = field + strings.ReplaceAll(string(raw), "\n", "\r\n")
	}
	return all
}

// TestPanel_HostileMail sends what was written to run, load or break something, and
// shows it in every place that shows mail: no page has markup but ours, and nothing in
// one leads anywhere else.
func TestPanel_HostileMail(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
	scout := p.Agents["scout"]
	if err := p.SetPolicy(t.Context(), p.Org.ID, storage.LevelAgent, scout.Agent.ID, map[string]string{"hold-always": "yes", "messages-per-hour": "500"}); err != nil {
		t.Fatal(err)
	}
	stranger, agent := smtp(t, p), submitter(t, p, "scout")
	for _, field := range []string{"", "X-Test-Verdict: quarantine\r\n"} {
		for name, mail := range hostileFiles(t, field) {
			if r := stranger.send("scout@alpha.test", mail); r[:3] != "250" {
				t.Fatalf("%s: %s", name, r)
			}
		}
	}
	for name, mail := range hostileFiles(t, "") {
		mail = strings.Replace(mail, "Mallory <mallory@sender.test>", "scout@alpha.test", 1)
		for i, command := range []string{"MAIL FROM:<scout@alpha.test> SMTPUTF8", "RCPT TO:<x@elsewhere.test>", "DATA"} {
			if r := agent.command(command); r[0] != "223"[i] && r[0] != '3' {
				t.Fatalf("%s: %s: %s", name, command, r)
			}
		}
		if r := agent.finish(mail); r[:3] != "250" {
			t.Logf("%s as sent by an agent: %s", name, r)
		}
	}
	b := browse(t, p, p.Admin.Session)
	places := []string{"/", "/inboxes", "/glass", "/queue", "/alerts", "/agents/scout", "/audit", "/audit?q=verb:message.received", "/trace?id=" + url.QueryEscape("<\"><script>window.PWNED=1</script>&\"'@sender.test>"),
		"/audit?q=" + url.QueryEscape(`<script>window.PWNED=1</script>`), "/inboxes?q=" + url.QueryEscape(`"><img src=x onerror=window.PWNED=1>`),
		"/inboxes/scout@alpha.test?q=" + url.QueryEscape(`from:"><svg/onload=window.PWNED=1>`)}
	for _, list := range []string{"/inboxes/scout@alpha.test", "/inboxes/scout@alpha.test?box=Quarantine", "/inboxes/scout@alpha.test?box=Outbox", "/quarantine", "/approvals"} {
		a := b.see(list)
		innocent(t, list, a.text)
		for _, to := range links(a.text) {
			if !slices.Contains(places, to) && strings.Count(to, "/") > 1 && !strings.HasPrefix(to, "/static/") {
				places = append(places, to)
			}
		}
	}
	opened := 0
	for _, to := range places {
		a := b.get(to)
		if a.status != http.StatusOK && a.status != http.StatusNotFound && a.status != http.StatusSeeOther && a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", to, a.status, words(a.text))
		}
		innocent(t, to, a.text)
		switch {
		case strings.Contains(to, "/messages/"):
			opened++
			innocent(t, to+" open", b.send(to+"/open", "why", "verdict", "reason", `<script>window.PWNED=1</script>"'>`).text)
			a = b.see(to+"?as=page", "You are being recorded")
			innocent(t, to+" page", a.text)
			framed(t, b, to+"/page")
			for _, part := range links(a.text) {
				if strings.Contains(part, "/part/") {
					saved(t, b, part)
				}
			}
		case regexp.MustCompile("^/quarantine/").MatchString(to):
			innocent(t, to+" content", b.send(to+"/content", "reason", "see").text)
		}
	}
	if want := 3 * len(hostileFiles(t, "")); opened < want-10 {
		t.Errorf("%d messages were opened, want about %d", opened, want)
	}
}

// links are the addresses on a page.
func links(text string) (all []string) {
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return nil
	}
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			if n.Data == "a" && a.Key == "href" && strings.HasPrefix(a.Val, "/") {
				all = append(all, a.Val)
			}
		}
	}
	return all
}

// innocent holds that a page of the panel has nothing but what the panel writes: no
// script but ours, no handler, no style, no address outside.
func innocent(t *testing.T, place, text string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "script":
			if !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "src" && strings.HasPrefix(a.Val, "/static/") }) || n.FirstChild != nil {
				t.Errorf("%s: a script that is not ours", place)
			}
		case "style", "object", "embed", "base", "math", "img", "video", "audio", "template", "noscript", "frame", "frameset", "marquee", "font", "center":
			t.Errorf("%s: an element %s", place, n.Data)
		}
		for _, a := range n.Attr {
			switch a.Key {
			case "href", "src", "action", "formaction":
				if !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") && !strings.HasPrefix(a.Val, "?") && !strings.HasPrefix(a.Val, "data:image/svg+xml,") || strings.HasPrefix(a.Val, "//") {
					t.Errorf("%s: %s %s=%q leads out", place, n.Data, a.Key, a.Val)
				}
			case "style", "srcdoc", "srcset", "ping", "background":
				t.Errorf("%s: %s has %s", place, n.Data, a.Key)
			}
			if strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Key, "hx-on") {
				t.Errorf("%s: %s has a handler %s", place, n.Data, a.Key)
			}
		}
	}
}

// framed holds what the page of a message is allowed to do: nothing.
func framed(t *testing.T, b *browser, to string) {
	t.Helper()
	a := b.get(to)
	if a.status != http.StatusOK || a.header.Get("Content-Security-Policy") != rendition.PagePolicy || a.header.Get("X-Frame-Options") != "SAMEORIGIN" ||
		a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %v", to, a.status, a.header)
	}
	root, err := html.Parse(strings.NewReader(a.text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		for _, attr := range n.Attr {
			if attr.Key == "href" || attr.Key == "src" && !strings.HasPrefix(attr.Val, "data:") || strings.HasPrefix(attr.Key, "on") {
				t.Errorf("%s: %s %s=%q", to, n.Data, attr.Key, attr.Val)
			}
		}
		if n.Data == "script" || n.Data == "svg" || n.Data == "iframe" || n.Data == "form" {
			t.Errorf("%s: an element %s", to, n.Data)
		}
	}
}

// saved holds that a browser saves a part and shows it in no case.
func saved(t *testing.T, b *browser, to string) {
	t.Helper()
	a := b.get(to)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/octet-stream" || a.header.Get("X-Content-Type-Options") != "nosniff" ||
		!regexp.MustCompile(`^attachment; filename=[A-Za-z0-9._"-]+$`).MatchString(a.header.Get("Content-Disposition")) {
		t.Errorf("%s: %d %v", to, a.status, a.header)
	}
}

// TestAC17_Glass opens a message as a person does: locked at first, then for a reason and
// for a while, under a bar that says so; an auditor sees that it is there and no more; and
// where two are needed, the other one agrees.
func TestAC17_Glass(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	if r := smtp(t, p).send("scout@alpha.test", "From: Ada <ada@sender.test>\r\nTo: scout@alpha.test\r\nSubject: figures\r\n\r\nForty-two.\r\n"); r[:3] != "250" {
		t.Fatal(r)
	}
	b := browse(t, p, p.Admin.Session)
	list := b.see("/inboxes/scout@alpha.test", "ada@sender.test", "Hidden")
	i := slices.IndexFunc(links(list.text), func(to string) bool { return strings.Contains(to, "/messages/") })
	if i < 0 || strings.Contains(list.text, "figures") {
		t.Fatalf("the list: %s", words(list.text))
	}
	to := links(list.text)[i]
	locked := b.see(to, "Locked", "Read this message", "the owners of the agents that have the inbox are told")
	for _, place := range []string{to + "/page", to + "/part/1"} {
		if a := b.get(place); a.status != http.StatusForbidden {
			t.Errorf("%s before it is open: %d", place, a.status)
		}
	}
	if strings.Contains(locked.text, "figures") || strings.Contains(locked.text, "Forty-two") {
		t.Errorf("locked, it says %s", words(locked.text))
	}
	if a := b.send(to+"/open", "why", "complaint"); a.status != http.StatusUnprocessableEntity || !strings.Contains(words(a.text), "needs a reason") {
		t.Errorf("without a reason: %d %s", a.status, words(a.text))
	}
	open := b.send(to+"/open", "why", "complaint", "reason", "Ada asks")
	for _, text := range []string{"You are being recorded", "figures", "Forty-two."} {
		if !strings.Contains(words(open.text), text) {
			t.Errorf("open, it does not say %q: %s", text, words(open.text))
		}
	}
	if !regexp.MustCompile(`data-until="20`).MatchString(open.text) {
		t.Error("no countdown")
	}
	frame := b.see(to + "?as=page")
	if !strings.Contains(frame.text, `sandbox=""`) || strings.Contains(words(frame.text), "Forty-two") {
		t.Errorf("the frame: %s", frame.text)
	}
	if a := b.get(to + "/page"); !strings.Contains(a.text, "Forty-two.") {
		t.Errorf("in the frame: %s", a.text)
	}

	auditor, err := p.AddPerson(t.Context(), "otto@alpha.test", storage.PersonAuditor)
	if err != nil {
		t.Fatal(err)
	}
	seen := browse(t, p, auditor.Session)
	if a := seen.see(to, "Your role sees evidence and no content"); strings.Contains(a.text, "figures") {
		t.Error("an auditor sees the subject")
	}
	if a := seen.send(to+"/open", "why", "complaint", "reason", "curious"); a.status != http.StatusForbidden {
		t.Errorf("an auditor opens it: %d", a.status)
	}
	seen.see("/glass", "Ada asks", "Open")

	b.send("/glass/"+regexp.MustCompile(`/glass/([0-9a-f-]+)/end`).FindStringSubmatch(open.text)[1]+"/end", "from", "message")
	b.see(to, "Locked")
	agreeGlass(t, p, b, to)
	byAdmin(t, p, audit.GlassViewed)
	byAdmin(t, p, audit.GlassEnd)
}

// agreeGlass opens a message where it takes two.
func agreeGlass(t *testing.T, p *servertest.Postern, b *browser, to string) {
	t.Helper()
	if err := p.SetPolicy(t.Context(), p.Org.ID, storage.LevelOrganization, p.Org.ID, map[string]string{"break-glass-persons": "2"}); err != nil {
		t.Fatal(err)
	}
	b.see(to, "It takes two people")
	b.send(to+"/open", "why", "incident", "reason", "it went on")
	asked := b.see(to, "Another person must agree")
	id := regexp.MustCompile(`/glass/([0-9a-f-]+)/end`).FindStringSubmatch(asked.text)[1]
	if a := b.send("/glass/" + id + "/agree"); a.status != http.StatusForbidden {
		t.Errorf("who asks agrees: %d", a.status)
	}
	second := browse(t, p, p.Second.Session)
	if a := second.send("/glass/" + id + "/agree"); !bytes.Contains([]byte(words(a.text)), []byte("Agreed")) {
		t.Errorf("the second: %s", words(a.text))
	}
	b.see(to, "Forty-two.")
}

// TestPI2_SideBySide shows what a person would see of a message in quarantine beside what
// an agent would be given, the hidden text hatched; says that it was wrong; and rejects
// what one rule put away at once.
func TestPI2_SideBySide(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}, Judge: servertest.Shipped()})
	stranger := smtp(t, p)
	for _, id := range []string{"<one@", "<two@", "<three@"} {
		if r := stranger.send("scout@alpha.test", strings.Replace(hostileFiles(t, "")["hidden.eml"], "<hidden@", id, 1)); r[:3] != "250" {
			t.Fatal(r)
		}
	}
	b := browse(t, p, p.Admin.Session)
	list := b.see("/quarantine", "3 messages", "Where the lines are", "It would have quarantined", "All that one rule put away")
	items := regexp.MustCompile(`/quarantine/[0-9a-f-]{36}`).FindAllString(list.text, -1)
	b.see("/quarantine?at=0", "of the newest 3")
	shown := b.see(items[0], "Similar")
	if strings.Contains(shown.text, "ignore all previous") || !strings.Contains(shown.text, items[1]) {
		t.Errorf("before it is asked for: %s", words(shown.text))
	}
	content := b.send(items[0]+"/content", "reason", "look")
	seen, given, ok := strings.Cut(content.text[strings.Index(content.text, "What a person sees</p>")+1:], "What the agent would get</p>")
	if !ok || !strings.Contains(words("<body>"+seen), "the meeting is at ten") || strings.Contains(seen, "ignore all previous") ||
		!regexp.MustCompile(`<span class="hatch">[^<]*ignore all previous`).MatchString(given) {
		t.Errorf("side by side: %s", words(content.text))
	}
	if a := b.send(items[0]+"/wrong", "reason", "a drill"); !strings.Contains(words(a.text), "Somebody noted it as harmless") {
		t.Errorf("noted: %s", words(a.text))
	}
	rule := regexp.MustCompile(`/quarantine-rules/[a-z-]+`).FindString(list.text)
	if a := b.send(rule, "reason", ""); !strings.Contains(words(a.text), "needs a reason") {
		t.Errorf("without a reason: %s", words(a.text))
	}
	if a := b.send(rule, "reason", "a wave"); !strings.Contains(words(a.text), "Rejected: 3 messages deleted") {
		t.Errorf("all of a rule: %s", words(a.text))
	}
	if n := len(byAdmin(t, p, audit.QuarantineReject)); n != 3 {
		t.Errorf("%d were rejected", n)
	}
}
