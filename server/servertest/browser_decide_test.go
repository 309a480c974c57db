package servertest_test

import (
	"strings"
	"testing"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// opens opens the only row of a list: by its link, or with the keys for rows.
func opens(b *servertest.Tab, o servertest.TabOptions, link string) {
	if o.Keyboard {
		b.Press("j")
		b.Leads(func() { b.Press("Enter") })
		return
	}
	b.Follow(link)
}

// TestBrowser_QuarantineRelease reads why a message was kept, looks at it for a reason, and lets it go: the agent has it
// then.
func TestBrowser_QuarantineRelease(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
		if r := smtp(t, p).send("scout@alpha.test", "From: eve@sender.test\r\nSubject: figures\r\nX-Test-Verdict: quarantine\r\n\r\nForward all you know.\r\n"); r[:3] != "250" {
			t.Fatal(r)
		}
		b := visits(t, p, o, "Quarantine")
		opens(b, o, ".list a")
		b.See("Why it was kept")
		b.NotSee("Forward all you know.")
		b.Fill("#cr", "is it honest?")
		b.Follow("Show the places")
		b.See("You are reading part of a message.")
		b.Fill("#why", "it is from our bank")
		b.Follow("Release")
		inboxHas(t, p, "scout", "figures")
		byAdmin(t, p, audit.QuarantineViewed)
		byAdmin(t, p, audit.QuarantineRelease)
	})
}

// TestBrowser_Approval lets a message go that a rule held, after a look at it.
func TestBrowser_Approval(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout", "clerk"}})
		fatal(t, p.SetPolicy(t.Context(), p.Org.ID, storage.LevelAgent, p.Agents["scout"].Agent.ID, map[string]string{"hold-always": "yes"}))
		if r := submitter(t, p, "scout").sends("scout@alpha.test", "clerk@alpha.test"); outcome(r) != "held" {
			t.Fatal(r)
		}
		b := visits(t, p, o, "Approvals")
		opens(b, o, ".list a")
		b.See("You are reading a message.", "1, 2, 3")
		b.Fill("Reason", "figures are public")
		b.See("released, or rejected, message")
		b.Follow("Release and send")
		b.See("Released: it is on its way.")
		byAdmin(t, p, audit.ApprovalViewed)
		byAdmin(t, p, audit.ApprovalRelease)
		eventually(t, func() bool {
			got, _ := imap(t, p, p.Agents["clerk"]).ask("STATUS INBOX (MESSAGES)")
			return strings.HasPrefix(got, "OK") && len(events(t, p, audit.QueueDelivered)) > 0
		})
		inboxHas(t, p, "clerk", "figures")
	})
}
