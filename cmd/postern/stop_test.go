package main_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestStopDuringStart: TERM at any moment of a start ends the server with status 0,
// or by the signal where the process does not yet listen for it, and never with a
// failure that systemd would report.
func TestStopDuringStart(t *testing.T) {
	bin, dir := installed(t)
	for wait := time.Duration(0); wait < 80*time.Millisecond; wait += 2 * time.Millisecond {
		cmd := exec.Command(bin, "serve", "--config", filepath.Join(dir, "postern.toml"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait)
		cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
			continue
		}
		if err != nil {
			t.Errorf("TERM %v after the start: %v", wait, err)
		}
	}
}
