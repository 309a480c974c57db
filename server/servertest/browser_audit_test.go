package servertest_test

import (
	"os"
	"testing"

	"postern/server/servertest"
	"postern/storage/audit"
)

// TestBrowser_AuditExport searches the log, exports what it found and the whole, and verifies the file that came down with
// the public key alone.
func TestBrowser_AuditExport(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
		b := visits(t, p, o, "Audit")
		b.Fill("Filter", "verb:agent.create")
		b.Leads(func() { b.Press("Enter") })
		b.See("agent.create", "postern audit list --verb agent.create")
		b.NotSee("inbox.create")
		file := b.Download(func() { b.Click("Export") })
		f, err := os.Open(file)
		fatal(t, err)
		defer f.Close()
		report, err := audit.VerifyBundle(f, audit.VerifyOptions{PublicKey: p.Server().Store().PublicKey()})
		if err != nil || !report.OK() || report.Events != 1 || !report.Filtered {
			t.Errorf("%+v, %v", report, err)
		}
		byAdmin(t, p, audit.AuditListed)
		byAdmin(t, p, audit.AuditExported)
	})
}
