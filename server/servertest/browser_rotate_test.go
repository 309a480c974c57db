package servertest_test

import (
	"strings"
	"testing"
	"time"

	"postern/server/servertest"
	"postern/storage/audit"
)

// TestBrowser_Rotation rotates a credential while it is in use: both work and are counted in lanes, the button that ends the
// old one turns green when nobody has used it for an hour, and then it is gone. // AC-8
func TestBrowser_Rotation(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
		old := p.Agents["scout"]
		name := old.Credential.PublicID
		imap(t, p, old).want("OK", "LOGOUT")
		b := visits(t, p, o, "Agents")
		b.Follow("scout")
		b.Follow(name)
		b.Fill("Hours for which both work", "24")
		b.Follow("Rotate " + name)
		b.See("Shown once")
		successor := &servertest.Agent{Address: old.Address, Token: shownToken(t, b)}
		imap(t, p, successor).want("OK", "LOGOUT")
		b.Go("/credentials/" + name)
		b.See("Rotation under way", "Issued", "Wait until nobody has used it for an hour")
		if text := drawing(b); !strings.Contains(text, "the old one was used 1 time, its successor 1 time") {
			t.Errorf("the lanes say %q", text)
		}
		looks := func(class string) {
			t.Helper()
			b.Until(`[...document.querySelectorAll(".btn.` + class + `")].some((el) => el.innerText.includes("Retire"))`)
		}
		looks("stop")
		fatal(t, p.World.Advance(61*time.Minute))
		b.Go("/credentials/" + name)
		looks("go")
		b.See("Not used for")
		b.Follow("Retire " + name + " now")
		b.See("Revoked", "rotation complete")
		c := dial(t, p, "imaps")
		c.line()
		c.want("NO", "LOGIN "+old.Address+" "+old.Token)
		imap(t, p, successor)
		byAdmin(t, p, audit.CredentialRotate)
		byAdmin(t, p, audit.CredentialRevoke)
	})
}

// drawing is what the first picture of a page says to who cannot see it.
func drawing(b *servertest.Tab) (text string) {
	b.Eval(`document.querySelector(".fig desc").textContent`, &text)
	return text
}
