package storage

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"postern/storage/audit"
)

// smallDisk mounts a file system of that many bytes for the time of a test.
func smallDisk(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs the right to mount a small file system, so that it can be full: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestInvariant1_DiskFull fills a real disk under eight senders of small and large
// messages. What was acknowledged is there, what was refused is not, the log fits
// the rows, and when there is room again everything goes on by itself.
func TestInvariant1_DiskFull(t *testing.T) {
	disk := smallDisk(t, "12m")
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ts := newTestStoreIn(t, filepath.Join(disk, "data"))
	_, _, rec := ts.addOrg(t, "example.com", "support")
	in := ts.openInbox(t, rec)
	inbox := ts.role(t, in, RoleInbox).ID

	var mu sync.Mutex
	acknowledged := map[uuid.UUID]bool{}
	send := func(size int) error {
		g := ts.Stage()
		defer g.Discard()
		if _, err := g.Write(randomBytes(size)); err != nil {
			return err
		}
		if err := g.Finish(); err != nil {
			return err
		}
		d := letter(1)
		err := ts.Write(context.Background(), System, func(tx *Tx) (err error) {
			if d.Body, err = tx.AddBody(g); err != nil {
				return err
			}
			_, err = tx.Deposit(tx.Record(audit.Event{Verb: audit.MessageReceived, Object: d.ID}), in, inbox, d)
			return err
		})
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			acknowledged[d.ID] = true
		}
		return err
	}
	var senders sync.WaitGroup
	for i := range 8 {
		senders.Go(func() {
			size := []int{2 << 10, inlineLimit - 1, 3 * inlineLimit, 300 << 10}[i%4]
			for refused := 0; refused < 5; {
				err := send(size)
				if err != nil {
					refused++
				}
				if err != nil && !errors.Is(err, ErrFull) {
					t.Errorf("%d bytes: %v, want ErrFull", size, err)
				}
			}
		})
	}
	senders.Wait()
	if err := ts.Room(); !errors.Is(err, ErrFull) {
		t.Errorf("Room: %v", err)
	}
	os.Remove(ballast)
	if err := send(300 << 10); err != nil {
		t.Errorf("with room again: %v", err)
	}
	check := func(when string) {
		t.Helper()
		there := map[uuid.UUID]bool{}
		for _, m := range scanAll(t, in, inbox) {
			there[m.ID] = true
			readBody(t, in, &m)
		}
		if !maps.Equal(there, acknowledged) {
			t.Errorf("%s: %d messages are there and %d were acknowledged", when, len(there), len(acknowledged))
		}
	}
	check("before a new start")
	ts.reopen(t)
	in = ts.openInbox(t, rec)
	check("after it")
	if err := ts.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := VerifyData(t.Context(), ts.cfg)
	if err != nil || !report.OK() {
		t.Errorf("the log against the rows: %v, %v", report, err)
	}
}
