package servertest_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// TestPanel_QuoteIsHeldAgainstTheOriginal holds that a person who decides about an answer sees what it claims to quote and
// does not, as text, and that the log says which other message was looked into. // AC-15
func TestPanel_QuoteIsHeldAgainstTheOriginal(t *testing.T) {
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
	a := p.Agents["scout"]
	fatal(t, p.SetPolicy(t.Context(), p.Org.ID, storage.LevelAgent, a.Agent.ID, map[string]string{"hold-always": "yes"}))
	deliver(t, p, a, []string{"From: ann@sender.test\r\nTo: " + a.Address + "\r\nSubject: invoice\r\nMessage-ID: <invoice@sender.test>\r\n\r\n" +
		"Please pay 120 euro to the account on file,\r\nbefore Friday.\r\n"})
	c := imap(t, p, a)
	c.want("OK", "SELECT INBOX")
	c.want("OK", "FETCH 1 BODY[]")
	answer := "From: " + a.Address + "\r\nTo: bob@sender.test\r\nSubject: Re: invoice\r\nIn-Reply-To: <invoice@sender.test>\r\nMessage-ID: <answer@alpha.test>\r\n\r\n" +
		"See below.\r\n\r\n> Please pay 9,120 euro to the account on file,\r\n> before Friday.\r\n> <script>alert(1)</script>\r\n"
	if r := submitter(t, p, "scout").submit(a.Address, "bob@sender.test", answer); r[0] != '2' {
		t.Fatal(r)
	}
	waiting, err := p.Server().Store().Approvals(t.Context(), p.Org.ID, uuid.Nil, 2)
	if err != nil || len(waiting) != 1 {
		t.Fatal(waiting, err)
	}
	path := "/approvals/" + waiting[0].ID.String()
	page := browse(t, p, p.Admin.Session).see(path, "It quotes what was not said.", "2 of 3 lines that are marked as quoted do not stand like this", "See below.", "before Friday.")
	for _, text := range []string{`<ins class="d">9,120</ins>`, `<ins class="d">&lt;script&gt;alert(1)&lt;/script&gt;</ins>`} {
		if !strings.Contains(page.text, text) {
			t.Errorf("the page has no %s", text)
		}
	}
	if n := strings.Count(page.text, `class="quote forged"`); n != 2 {
		t.Errorf("%d lines stand out", n)
	}
	seen := byAdmin(t, p, audit.ApprovalViewed)
	arrived := events(t, p, audit.MessageReceived)
	if id, ok := seen[0].Fields.ID(audit.KeyAnswers); !ok || len(arrived) == 0 || id != arrived[0].Object {
		t.Errorf("the event of the sight has %v", seen[0].Fields)
	}
	auditor, err := p.AddPerson(t.Context(), "auditor@alpha.test", storage.PersonAuditor)
	fatal(t, err)
	if a := browse(t, p, auditor.Session).get(path); strings.Contains(a.text, "9,120") || a.status < 400 {
		t.Errorf("an auditor sees it: %d", a.status)
	}
}
