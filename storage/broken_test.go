package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// readOnly puts a descriptor that cannot be written in the place of every one
// that this process has open on a file, as a disk that fails would.
func readOnly(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	for _, e := range fds {
		var fd int
		fmt.Sscan(e.Name(), &fd)
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == path && fd != int(f.Fd()) {
			if err := unix.Dup3(int(f.Fd()), fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestInvariant1_DiskFails: when the disk fails under a commit nobody is told yes,
// every later write is refused, though the disk may work again, and the next start
// shows what was acknowledged.
func TestInvariant1_DiskFails(t *testing.T) {
	ts := newTestStore(t)
	note := func(name string) error {
		return ts.Write(context.Background(), System, func(tx *Tx) error {
			beat(tx)
			return tx.exec("INSERT INTO meta (name, value) VALUES ($1, $2)", name, []byte{1})
		})
	}
	if err := note("n1"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ts.Broken():
		t.Fatal("broken from the start")
	default:
	}
	readOnly(t, filepath.Join(ts.cfg.Dir, databaseFile+"-wal"))
	for _, name := range []string{"n2", "n3"} {
		if err := note(name); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
	select {
	case <-ts.Broken():
	default:
		t.Error("the store does not say that it is broken")
	}
	ts.Abandon()
	ts.open(t)
	if got := ts.count(t, "meta WHERE name LIKE 'n_'"); got != 1 {
		t.Errorf("%d rows, want the one that was acknowledged", got)
	}
	if err := note("n4"); err != nil {
		t.Errorf("after a new start: %v", err)
	}
}
