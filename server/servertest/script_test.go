package servertest_test

import (
	"flag"
	"strings"
	"testing"

	"postern/server/servertest"
	"postern/storage/audit"
)

// notYet are the verbs that nothing writes yet, or that no conversation can
// bring about, and why.
var notYet = map[audit.Verb]string{
	audit.LogRollback:    "needs an operator who starts a server on older data: TestAcceptRollback in server",
	audit.DomainDisplace: "needs two organizations: TestFirstProofWins",
	audit.SetupLink:      "needs a server without a configured name: TestSetup in cmd/postern",
	audit.SetupEnter:     "as setup.link",
	audit.SetupChange:    "as setup.link",
	audit.SetupFinish:    "as setup.link",
	audit.KeyRecovery:    "as setup.link",
	audit.BackupVerify:   "needs folders of its own: the script backup of the command line",
	audit.BackupRestore:  "as backup.verify",
	audit.StorageSwept:   "needs a crash between file and commit: the sweep's tests in storage",
}

// TestConversations plays the scripts, and holds that between them they leave an
// event of each kind: a verb that no script brings about is one that nobody has
// seen in a whole server.
func TestConversations(t *testing.T) {
	seen := servertest.Run(t, "testdata")
	if t.Failed() || strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // not all were played
	}
	for _, v := range audit.Verbs() {
		switch why, excused := notYet[v]; {
		case !seen[v] && !excused:
			t.Errorf("no script leaves an event %s", v)
		case seen[v] && excused:
			t.Errorf("a script leaves an event %s, of which notYet says: %s", v, why)
		}
	}
}
