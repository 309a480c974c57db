package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killSoon runs a command and kills it at a random moment, unless it ends before.
func killSoon(t *testing.T, within time.Duration, bin string, args ...string) (ended bool) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(rand.N(within))
	cmd.Process.Kill()
	return cmd.Wait() == nil
}

// backUp makes a backup. One whose command was killed is noticed by the server when it
// has something to send.
func (d *dev) backUp(to string) {
	d.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command(d.bin, "--control", d.Control, "backup", "create", "--to", to).CombinedOutput()
		if err == nil {
			return
		}
		if !strings.Contains(string(out), "is being made already") || time.Now().After(deadline) {
			d.t.Fatalf("%v\n%s", err, out)
		}
	}
}

// backups lists those in a folder that have a name.
func backups(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "2*Z"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// verifyBackup tries a backup with no server running.
func verifyBackup(t *testing.T, bin, home, backup string) {
	t.Helper()
	out, err := exec.Command(bin, "--control", filepath.Join(home, "none"), "backup", "verify", backup, "--root-key", filepath.Join(home, "root.key")).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", backup, err, out)
	}
}

// A backup that is killed, at either end, leaves nothing that passes for a backup, and
// the server unharmed; those that were finished under load restore. AV-4
func TestAV4_KilledBackup(t *testing.T) {
	bin, home := binary(t, ""), filepath.Join(t.TempDir(), "dev")
	to := filepath.Join(t.TempDir(), "backups")
	t.Setenv("POSTERN_SESSION_FILE", filepath.Join(home, "session"))
	l := &ledger{acked: map[string]string{}, maybe: map[string]string{}}
	for round := range crashRounds(t) {
		d, wg := l.loads(t, bin, home, round, -1, -1)
		if round%2 == 0 {
			killSoon(t, 500*time.Millisecond, bin, "--control", d.Control, "backup", "create", "--to", to)
			d.backUp(to)
			d.kill()
		} else {
			wg.Go(func() {
				exec.Command(bin, "--control", d.Control, "backup", "create", "--to", to).Run() // its server dies
			})
			time.Sleep(rand.N(300 * time.Millisecond))
			d.kill()
		}
		wg.Wait()
	}
	d := startDev(t, bin, home)
	l.check(t, d)
	d.stop()
	verifyData(t, bin, home)
	if _, err := os.Stat(filepath.Join(home, "data", "backup.tmp")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a snapshot was left behind: %v", err)
	}
	all := backups(t, to)
	if len(all) == 0 {
		t.Fatal("no backup was finished")
	}
	for _, b := range all {
		verifyBackup(t, bin, home, b)
	}
}

// A restore that is killed leaves the old data or the new, and the same command
// finishes it. AV-4
func TestAV4_KilledRestore(t *testing.T) {
	bin, home := binary(t, ""), filepath.Join(t.TempDir(), "dev")
	to := filepath.Join(t.TempDir(), "backups")
	t.Setenv("POSTERN_SESSION_FILE", filepath.Join(home, "session"))
	d := startDev(t, bin, home)
	d.postern("backup", "create", "--to", to)
	d.stop()
	restore := []string{"restore", backups(t, to)[0], "--data", filepath.Join(home, "data"), "--root-key", filepath.Join(home, "root.key"),
		"--witness", filepath.Join(home, "witness"), "--replace"}
	begun := time.Now()
	if out, err := exec.Command(bin, restore...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole := time.Since(begun)
	for range crashRounds(t) {
		if !killSoon(t, whole+whole/4, bin, restore...) {
			if out, err := exec.Command(bin, restore...).CombinedOutput(); err != nil {
				t.Fatalf("again: %v\n%s", err, out)
			}
		}
		verifyData(t, bin, home)
		aside, err := filepath.Glob(filepath.Join(home, "data.before-*"))
		if err != nil || len(aside) == 0 {
			t.Errorf("nothing is aside: %v", err)
		}
	}
	d = startDev(t, bin, home)
	if text := d.postern("audit", "list", "--verb", "backup.restore"); !strings.Contains(text, "restored from the backup") {
		t.Errorf("the log says %q", text)
	}
	d.stop()
}

// A migration that is killed is done by the next start. AV-4
func TestAV4_KilledMigration(t *testing.T) {
	bin := binary(t, "")
	archive, err := filepath.Abs("../../storage/testdata/schema-16.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	for range crashRounds(t) {
		home := filepath.Join(t.TempDir(), "dev")
		if err := os.MkdirAll(home, 0o700); err != nil {
			t.Fatal(err)
		}
		mustTool(t, nil, "tar", "-xzf", archive, "-C", home)
		killSoon(t, 250*time.Millisecond, bin, "dev", "--data", home, "--no-samples", "--port-base", fmt.Sprint(freeBase(t)))
		startDev(t, bin, home).stop()
		verifyData(t, bin, home)
		if old, err := filepath.Glob(filepath.Join(home, "data", "postern.db.schema-*")); err != nil || len(old) != 1 {
			t.Errorf("copies of the old database: %v, %v", old, err)
		}
	}
}
