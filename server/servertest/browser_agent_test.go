package servertest_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// sink keeps what a server logs.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestBrowser_FirstAgent goes from nothing to an agent that reads its mail. Its secret is shown once: not after that, not
// when somebody goes back, and it is in no address, no log and no event.
func TestBrowser_FirstAgent(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		var logged sink
		p := servertest.New(t, servertest.Options{Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		b := visits(t, p, o, "Domains")
		b.Follow("Add a domain")
		b.Fill("Domain", "bots.test")
		b.Follow("Add the domain")
		b.See("bots.test is added", "Record plan")
		goes(b, o, "Inboxes")
		b.See("No inbox yet")
		b.Follow("Create an inbox")
		b.Fill("Address", "billing@bots.test")
		b.Follow("Create the inbox")
		b.See("billing@bots.test")
		goes(b, o, "Agents")
		b.See("No agent yet")
		b.Follow("Create an agent")
		b.Fill("Name", "billing-bot")
		b.Fill("Purpose", "Answers questions about invoices")
		b.See("admin@alpha.test created an agent.")
		b.Follow("Create the agent")
		b.See("billing-bot", "None yet: the agent cannot connect.")
		b.Follow("New credential")
		b.Click("Read on billing@bots.test")
		b.Click("Send on billing@bots.test")
		b.Follow("Create the credential")
		b.See("Shown once")
		token := shownToken(t, b)
		b.Click("Go")
		b.See(`"billing@bots.test"`)
		b.NotSee(token) // snippets do not hold it
		b.Follow("I have stored it")
		b.See("billing@bots.test")
		agent := &servertest.Agent{Address: "billing@bots.test", Token: token}
		imap(t, p, agent).want("OK", "SELECT INBOX")
		isGone(t, b, token)
		for _, verb := range []audit.Verb{audit.DomainAdd, audit.InboxCreate, audit.AgentCreate, audit.CredentialCreate} {
			byAdmin(t, p, verb)
		}
		all, err := p.Server().Store().Events(t.Context(), storage.EventQuery{Limit: 10_000})
		fatal(t, err)
		text, err := json.Marshal(all)
		fatal(t, err)
		if secret := token[len("pst_live_")+8:]; strings.Contains(logged.String(), secret) || bytes.Contains(text, []byte(secret)) {
			t.Error("the secret is in a log")
		}
	})
}

// shownToken is the token that a page shows once, after it was asked to.
func shownToken(t *testing.T, b *servertest.Tab) string {
	t.Helper()
	return shownOnce(t, b, `^pst_live_[0-9A-Za-z]{38}$`)
}

// isGone holds that a secret does not come back.
func isGone(t *testing.T, b *servertest.Tab, token string) {
	t.Helper()
	if slices.ContainsFunc(b.History(), func(u string) bool { return strings.Contains(u, token) }) {
		t.Error("the secret is in the history")
	}
	b.Back()
	var page string
	b.Eval(`document.documentElement.outerHTML`, &page)
	if strings.Contains(page, token) {
		t.Error("the secret is shown to who goes back")
	}
}
