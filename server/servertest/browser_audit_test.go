package servertest_test

import (
	"os"
	"regexp"
	"strconv"
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

// TestBrowser_AuditVerify has the log verified from its page, which then says of how many events the tree is.
func TestBrowser_AuditVerify(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
		b := visits(t, p, o, "Audit")
		b.Follow("Verify now")
		b.See("Verified at")
		said := regexp.MustCompile(`the tree of ([0-9]+) events has root`).FindStringSubmatch(b.Text(".note.ok"))
		if said == nil {
			t.Fatalf("it says in green: %q", b.Text(".note.ok"))
		}
		verified := byAdmin(t, p, audit.AuditVerified)
		if len(verified) != 1 || verified[0].Outcome != audit.OK {
			t.Errorf("%+v", verified)
		}
		if size, err := strconv.ParseUint(said[1], 10, 64); err != nil || size == 0 || len(verified) > 0 && size > verified[0].Seq {
			t.Errorf("the tree of %s events was verified by event %+v: %v", said[1], verified, err)
		}
	})
}
