package servertest_test

import (
	"testing"

	"postern/server/servertest"
	"postern/storage/audit"
)

// TestBrowser_KillSwitch cuts an agent off while it waits for mail: its session ends, it cannot come back, and it can when
// a person lifts the freeze.
func TestBrowser_KillSwitch(t *testing.T) {
	t.Parallel()
	inEveryWay(t, func(t *testing.T, o servertest.TabOptions) {
		p := servertest.New(t, servertest.Options{Agents: []string{"scout"}})
		c := imap(t, p, p.Agents["scout"])
		c.want("OK", "SELECT INBOX")
		c.say("i IDLE")
		c.line()
		b := visits(t, p, o, "Agents")
		b.Follow("scout")
		b.See("Sessions open 1", "admin@alpha.test froze agent scout.")
		b.Fill("#fr", "drill")
		b.Fill("#fz", "scout")
		b.Follow("Freeze scout")
		farewell(t, "IMAP in IDLE", c, "* BYE ")
		b.See("Scout is frozen: 1 session ended", "Sessions open 0")
		again := dial(t, p, "imaps")
		again.line()
		again.want("NO", "LOGIN "+p.Agents["scout"].Address+" "+p.Agents["scout"].Token)
		b.Go("/freezes")
		b.Fill("Reason", "drill is over")
		b.Follow("Lift")
		b.See("Nothing is frozen.")
		imap(t, p, p.Agents["scout"]).want("OK", "SELECT INBOX")
		for _, e := range byAdmin(t, p, audit.FreezeSet) {
			if n, _ := e.Fields.Int(audit.KeyCount); n != 1 {
				t.Errorf("the event says that %d sessions ended", n)
			}
		}
		byAdmin(t, p, audit.FreezeLift)
	})
}
