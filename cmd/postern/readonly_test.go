package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/server"
)

// TestReadOnlyDirectory: a data directory that cannot be written is named at the
// start, new or not, and systemd is told not to try again.
func TestReadOnlyDirectory(t *testing.T) {
	bin, dir := installed(t)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o500); err != nil {
		t.Fatal(err)
	}
	user := ordinary(t, bin, dir)
	serve := func() *exec.Cmd {
		cmd := exec.Command(bin, "serve", "--config", filepath.Join(dir, "postern.toml"))
		cmd.SysProcAttr = user
		return cmd
	}
	refused := func(when string) {
		t.Helper()
		out, err := serve().CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 78 || !strings.Contains(string(out), data) {
			t.Errorf("%s: %v, want status 78 and the directory's name\n%s", when, err, out)
		}
	}
	refused("a new directory")
	os.Chmod(data, 0o700)
	running := serve()
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer running.Process.Kill()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "c.sock")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the server does not start")
		}
	}
	running.Process.Signal(syscall.SIGTERM)
	if err := running.Wait(); err != nil {
		t.Fatalf("the server stopped with %v", err)
	}
	os.Chmod(data, 0o500)
	refused("one with data")
}

// installed is a folder with a configuration, a certificate and a root key, as a
// package leaves them, and no data yet.
func installed(t *testing.T) (bin, dir string) {
	t.Helper()
	bin, dir = binary(t, ""), t.TempDir()
	data := filepath.Join(dir, "data")
	a, err := server.NewAuthority(time.Now(), "mail.alpha.test")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("host = \"mail.alpha.test\"\ndata = %q\ncontrol = %q\n[keys]\nroot = %q\n[tls]\ncert = %q\nkey = %q\n[listen]\n"+
		"smtp = \"127.0.0.1:0\"\nsubmission = \"127.0.0.1:0\"\nsubmissions = \"127.0.0.1:0\"\nimaps = \"127.0.0.1:0\"\n",
		data, filepath.Join(dir, "c.sock"), filepath.Join(dir, "root.key"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	for name, text := range map[string]string{"cert.pem": string(a.Cert), "key.pem": string(a.Key), "postern.toml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(bin, "key", "init", "--config", filepath.Join(dir, "postern.toml"), "--data", "none").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin, dir
}

// ordinary makes everything belong to a user for whom permissions count, which they
// do not for root.
func ordinary(t *testing.T, bin, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	const nobody = 65534
	for _, path := range []string{filepath.Dir(bin), filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
