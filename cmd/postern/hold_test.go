package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// holdAll has a stopped laboratory hold every message, as people could have said
// in a policy of the organization.
func holdAll(t *testing.T, dir string, persons int) {
	t.Helper()
	root, err := seal.LoadRootKey(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(t.Context(), storage.Config{Dir: filepath.Join(dir, "data"), Root: root, Witness: filepath.Join(dir, "witness")})
	if err != nil {
		t.Fatal(err)
	}
	orgs, err := store.Organizations(t.Context())
	if err != nil || len(orgs) == 0 {
		t.Fatal(orgs, err)
	}
	err = store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.PolicySet}), &storage.Policy{
			Head: storage.Head{Org: orgs[0].ID}, Level: storage.LevelOrganization, Target: orgs[0].ID,
			Values: map[string]string{"hold-always": "yes", "hold-persons": fmt.Sprint(persons)}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPI6_KillBetweenHoldAndRelease kills the server while messages are held: each
// that was acknowledged waits, once, and goes out whole when people say so.
func TestPI6_KillBetweenHoldAndRelease(t *testing.T) {
	bin := binary(t, "")
	dir := filepath.Join(t.TempDir(), "dev")
	t.Setenv("POSTERN_SESSION_FILE", filepath.Join(dir, "session")) // the laboratory's admin
	startDev(t, bin, dir).stop()
	holdAll(t, dir, 1)
	l := &ledger{acked: map[string]string{}, maybe: map[string]string{}}
	d := startDev(t, bin, dir)
	killed := make(chan struct{})
	time.AfterFunc(time.Duration(200+rand.IntN(300))*time.Millisecond, func() { d.kill(); close(killed) })
	for n := 0; len(l.maybe) == 0 && n < 50; n++ {
		l.load(d, 0, fmt.Sprintf("held%d", n)) // until the connection breaks
	}
	if len(l.acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	<-killed // a connection breaks before the process is gone, and its lock with it
	d = startDev(t, bin, dir)
	var waiting []struct {
		ID, Agent string
		Rules     []string
		SHA256    string
	}
	if err := json.Unmarshal([]byte(d.postern("approval", "list", "-o", "json")), &waiting); err != nil {
		t.Fatal(err)
	}
	if n := len(waiting); n < len(l.acked) || n > len(l.acked)+len(l.maybe) {
		t.Errorf("%d wait, %d were acknowledged", n, len(l.acked))
	}
	c := d.imap(1)
	if found := d.bodies(c, "INBOX"); len(found) != 0 {
		t.Errorf("%d arrived that nobody released", len(found))
	}
	c.Logout().Wait()
	for i, w := range waiting {
		if shown := d.postern("approval", "show", w.ID); !strings.Contains(shown, "hold-always") || !strings.Contains(shown, "| begin held") || !strings.Contains(shown, w.SHA256) {
			t.Errorf("shown: %s", shown)
		}
		if out := d.postern("approval", "release", w.ID, "--reason", "fine"); !strings.Contains(out, "released") {
			t.Errorf("released: %s", out)
		}
		if i < 3 { // killed between two decisions
			d.kill()
			d = startDev(t, bin, dir)
		}
	}
	var found map[string][]string
	for deadline := time.Now().Add(time.Minute); len(found) < len(waiting) && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		c := d.imap(1)
		found = d.bodies(c, "INBOX")
		c.Logout().Wait()
	}
	for subject, text := range l.acked {
		if got := found[subject]; len(got) != 1 || got[0] != text {
			t.Errorf("%s arrived %d times", subject, len(got))
		}
	}
	if out := d.postern("approval", "list", "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("still waiting: %s", out)
	}
	d.stop()
	verifyData(t, bin, dir)
}
