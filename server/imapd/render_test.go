package imapd

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// safe gives an agent another token, with the safe view, in place of the one that it has.
func (h *home) safe(t testing.TB, name string) {
	t.Helper()
	var err error
	h.creds[name], h.tokens[name], err = h.directory.CreateCredential(t.Context(), storage.System, h.org.ID, directory.CredentialSpec{
		Agent: h.creds[name].Agent, Scopes: h.creds[name].Scopes, View: storage.ViewSafe})
	check(t, err)
}

// TestCO6_FirstAccessIsOneRendition: sessions that ask for the same old mail at once are shown the
// same, and the log has each message once.
func TestCO6_FirstAccessIsOneRendition(t *testing.T) {
	const messages, sessions = 40, 4
	h := newHome(t, nil)
	h.fill(t, messages, 600)
	h.safe(t, "scout")
	shown := make([]string, sessions)
	var all sync.WaitGroup
	for i := range sessions {
		c := h.login(t, "scout")
		c.run("SELECT INBOX")
		all.Go(func() {
			c.write("x FETCH 1:* (RFC822.SIZE BODY.PEEK[])\r\n")
			for line := ""; !strings.HasPrefix(line, "x "); {
				line = c.line()
				shown[i] += line + "\n"
			}
		})
	}
	all.Wait()
	for i := range shown {
		if shown[i] != shown[0] || strings.Count(shown[i], " FETCH (") != messages {
			t.Fatalf("session %d is shown %.300s", i, shown[i])
		}
	}
	count := int64(0)
	for _, e := range h.events(t, audit.MessageRendered) {
		n, _ := e.Fields.Int(audit.KeyCount)
		count += n
	}
	if count != messages {
		t.Errorf("%d renditions are on record", count)
	}
}

// TestCO6_DamagedMessageIsLeftOut: what cannot be rendered is not shown as it came, and does not hide
// the others.
func TestCO6_DamagedMessageIsLeftOut(t *testing.T) {
	h := newHome(t, nil)
	h.fill(t, 1, 600)
	h.depositDamaged(t)
	h.fill(t, 1, 600)
	h.safe(t, "scout")
	c := h.login(t, "scout")
	c.run("SELECT INBOX")
	c.write("x FETCH 1:* (RFC822.SIZE)\r\n")
	got := ""
	for line := ""; !strings.HasPrefix(line, "x "); {
		line = c.line()
		got += line + "\n"
	}
	if strings.Count(got, "FETCH (RFC822.SIZE ") != 2 || strings.Contains(got, "* 2 FETCH") || strings.Contains(got, "x OK") {
		t.Errorf("%s", got)
	}
}

// depositDamaged stores a message whose structure cannot be read.
func (h *home) depositDamaged(t testing.TB) {
	t.Helper()
	in, stage := h.door(t), h.stage(t, letter(1, 600))
	defer stage.Discard()
	box, err := in.MailboxByRole(t.Context(), storage.RoleInbox)
	check(t, err)
	check(t, h.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		body, err := tx.AddBody(stage)
		if err != nil {
			return err
		}
		_, err = tx.Deposit(tx.Record(audit.Event{Verb: audit.MessageReceived}), in, box.ID, storage.Deposit{ID: storage.NewID(), Size: stage.Size(),
			Content: storage.Content{Body: body, Structure: []byte("none"), Overlay: message.Overlay{}.AppendBinary(nil), SHA256: stage.SHA256()}})
		return err
	}))
}

// BenchmarkViews compares what is asked most in both views, of 2,000 messages of 4 KB. "first" is the
// first access, where every rendition is made.
func BenchmarkViews(b *testing.B) {
	const messages = 2000
	for _, view := range []storage.View{storage.ViewOriginal, storage.ViewSafe} {
		h := newHome(b, nil)
		h.fill(b, messages, 4000)
		if view == storage.ViewSafe {
			h.safe(b, "scout")
		}
		c := h.login(b, "scout")
		c.run("SELECT INBOX")
		b.Run(fmt.Sprint(view, "/first"), func(b *testing.B) {
			done := cpu(b)
			c.run("FETCH 1:* (RFC822.SIZE)")
			done(messages)
		})
		for name, command := range map[string]string{"envelope": "FETCH 1:* (ENVELOPE)", "body": "FETCH 1:* (BODY.PEEK[])", "search": `SEARCH TEXT "nobody wrote this"`, "size": "FETCH 1:* (RFC822.SIZE)"} {
			b.Run(fmt.Sprint(view, "/", name), func(b *testing.B) {
				n, done := 0, cpu(b)
				for b.Loop() {
					c.run(command)
					n += messages
				}
				done(n)
			})
		}
	}
}
