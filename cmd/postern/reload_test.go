package main_test

import (
	"context"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hangUp writes another configuration and has the server read it.
func (c *company) hangUp(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(c.PID, syscall.SIGHUP)
}

// offers says whether a new session is told of this limit (RFC 1870).
func (c *company) offers(text string) bool {
	s, err := smtp.Dial(c.SMTP)
	if err != nil {
		return false
	}
	defer s.Close()
	_, size := s.Extension("SIZE")
	return size == text
}

// TestHangup: HUP takes over another configuration within the process. Nobody is
// refused meanwhile, data and log go on, and what cannot be used changes nothing.
func TestHangup(t *testing.T) {
	n := newInternet(t)
	c := n.company("here.test", "127.0.0.1")
	b, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	before := string(b)
	said := &output{} // read while it is written
	logged := func(text string) int { return strings.Count(said.String(), text) }
	cmd := exec.Command(c.bin, "serve", "--config", c.config)
	cmd.Stdout, cmd.Stderr = said, said
	c.startWith(cmd)
	until(t, "the server starts", c.healthy)
	c.addDomain()
	scout := c.account("scout@here.test")

	// Somebody connects all the time.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var refused atomic.Pointer[error]
	knocked := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			conn, err := net.Dial("tcp", c.SMTP)
			if err != nil {
				refused.Store(&err)
				break
			}
			conn.Close()
			n++
			time.Sleep(2 * time.Millisecond)
		}
		knocked <- n
	}()

	pid := c.PID
	c.hangUp(t, before+"[limits]\nmessage_size = 77777\nconnections = 1000\nper_network = 1000\n")
	until(t, "the new limit is told", func() bool { return c.offers("77777") })
	c.hangUp(t, before+"[limits]\nmessage_size = \"many\"\n")
	until(t, "the fault is logged", func() bool { return logged("the old one stays in service") == 1 })
	c.hangUp(t, strings.Replace(before, `data = "`, `data = "/nowhere`, 1))
	until(t, "the fault is logged", func() bool { return logged("counts after a restart only") == 1 })
	c.hangUp(t, strings.Replace(before, c.Submission, c.SMTP, 1)) // a port that somebody has
	until(t, "the fault is logged", func() bool { return logged("cannot be used; the old one stays") == 1 })
	c.hangUp(t, strings.Replace(before, `dns = { servers = ["`, `dns = { servers = ["nowhere `, 1)) // seen when it is used
	until(t, "the fault is logged", func() bool { return logged("the one before is in service") == 1 })
	until(t, "the control socket answers", c.healthy)
	if !c.offers("77777") {
		t.Error("a configuration that cannot be used changed something")
	}
	moved := strings.Replace(c.IMAPS, "127.0.0.1", "127.0.0.5", 1)
	c.hangUp(t, strings.Replace(before, c.IMAPS, moved, 1)+"[limits]\nmessage_size = 88888\nconnections = 1000\nper_network = 1000\n")
	until(t, "the new limit is told", func() bool { return c.offers("88888") })
	until(t, "the control socket answers", c.healthy)
	if conn, err := net.Dial("tcp", c.IMAPS); err == nil {
		conn.Close()
		t.Error("a door is still open where it was")
	}
	c.IMAPS = moved
	if got := c.mailbox(scout, "INBOX"); len(got) != 0 {
		t.Errorf("%d messages", len(got))
	}
	cancel()
	t.Logf("%d connections", <-knocked)
	if err := refused.Load(); err != nil {
		t.Errorf("somebody was refused: %v", *err)
	}
	if c.PID != pid {
		t.Error("it is another process")
	}
	c.stop()
	verifyData(t, c.bin, c.dir)
}
