package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSocketMode holds that group and owner may connect and nobody else,
// whatever the umask.
func TestSocketMode(t *testing.T) {
	for _, umask := range []int{0o000, 0o022, 0o077} {
		path := filepath.Join(t.TempDir(), "c.sock")
		was := unix.Umask(umask)
		l, err := Listen(path)
		unix.Umask(was)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode(); got != fs.ModeSocket|socketMode {
			t.Errorf("umask %03o: mode %v", umask, got)
		}
		l.Close()
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket stays after a stop: %v", err)
		}
	}
}

// TestStaleSocket holds that a socket of a killed server is replaced, and that
// nothing else is.
func TestStaleSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrServing) {
		t.Errorf("beside a living server: %v, want ErrServing", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as a kill leaves it
	l.Close()
	if l, err = Listen(path); err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	l.Close()

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("over a file: %v", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("the file was touched")
	}
	long := filepath.Join(dir, strings.Repeat("x", 108))
	if _, err := Listen(long); err == nil || !strings.Contains(err.Error(), "is the limit") {
		t.Errorf("a long path: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, "none", "c.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
}
