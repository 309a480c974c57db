package servertest_test

import (
	"testing"

	"postern/server/servertest"
	"postern/storage/audit"
)

// TestBrowser_DomainToGreen shows a domain with its records missing, publishes them in the world's DNS, and sees the page
// turn green: by itself where it may run scripts, else when asked to look again.
func TestBrowser_DomainToGreen(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{})
		b := visits(t, p, o, "Domains")
		b.Follow(p.Domain)
		if o.NoScripts {
			b.Follow("Check now")
		}
		b.See("Missing")
		domain, err := p.Server().Directory().Domain(t.Context(), p.Org.ID, p.Domain)
		fatal(t, err)
		plan, err := p.Server().Directory().DomainRecords(t.Context(), domain)
		fatal(t, err)
		fatal(t, p.World.Publish(plan...))
		switch {
		case o.NoScripts, o.Keyboard:
			b.Follow("Check now")
		default:
			b.Until(`document.querySelector("#plan").innerText.includes("Looked at once a day")`)
		}
		b.See("Looked at once a day")
		b.NotSee("Missing", "Wrong")
		if len(events(t, p, audit.DomainRecord)) == 0 {
			t.Error("the log does not say that the records changed")
		}
	})
}
