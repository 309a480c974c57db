package main_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/server"
)

// sockets plays the service manager: it opens the ports of a company's server, and keeps
// them while the server comes and goes.
type sockets struct {
	files []*os.File
	names []string
}

func (c *company) sockets(names ...string) *sockets {
	c.t.Helper()
	s := &sockets{names: names}
	for _, addr := range []string{c.SMTP, c.Submission, c.Submissions, c.IMAPS}[:len(names)] {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			c.t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			c.t.Fatal(err)
		}
		l.Close() // the file is a copy
		c.t.Cleanup(func() { f.Close() })
		s.files = append(s.files, f)
	}
	return s
}

// command is the server with the sockets. A shell puts its own number into LISTEN_PID,
// which the server then has.
func (s *sockets) command(c *company) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, c.bin, "serve", "--config", c.config)
	cmd.ExtraFiles = s.files
	cmd.Env = append(os.Environ(), fmt.Sprintf("LISTEN_FDS=%d", len(s.files)), "LISTEN_FDNAMES="+strings.Join(s.names, ":"))
	return cmd
}

// startWith runs a command that becomes the server.
func (c *company) startWith(cmd *exec.Cmd) {
	c.t.Helper()
	c.log, c.done, c.cmd = new(bytes.Buffer), make(chan error, 1), cmd
	if cmd.Stdout == nil {
		cmd.Stdout, cmd.Stderr = c.log, c.log
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.PID = c.cmd.Process.Pid
	go func() { c.done <- c.cmd.Wait() }()
	c.t.Cleanup(func() { syscall.Kill(c.PID, syscall.SIGKILL) })
}

// healthy reports whether the server can be talked to, and is well.
func (c *company) healthy() bool {
	return exec.Command(c.bin, "--control", c.Control, "healthz").Run() == nil
}

// session is a conversation on port 25.
type session struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Reader
}

// knock connects to port 25, whether anybody answers or not.
func (c *company) knock(t *testing.T) *session {
	t.Helper()
	conn, err := net.Dial("tcp", c.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	return &session{t, conn, bufio.NewReader(conn)}
}

// hears reads one reply and insists on its code.
func (s *session) hears(code string) {
	s.t.Helper()
	for {
		text, err := s.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(text, code) {
			s.t.Fatalf("%q (%v), want %s", text, err, code)
		}
		if len(text) < 4 || text[3] != '-' {
			return
		}
	}
}

func (s *session) says(text, code string) {
	s.t.Helper()
	if _, err := io.WriteString(s.c, text+"\r\n"); err != nil {
		s.t.Fatal(err)
	}
	s.hears(code)
}

// TestSocketActivation: a server that is handed its sockets refuses nobody while it
// stops, is down, was killed or starts; what is under way at a stop is finished, and the
// stop is in order. sd_listen_fds(3)
func TestSocketActivation(t *testing.T) {
	n := newInternet(t)
	c := n.company("here.test", "127.0.0.1")
	s := c.sockets("smtp", "submission", "submissions", "imaps")
	early := c.knock(t) // before there is any server
	c.startWith(s.command(c))
	early.hears("220")
	until(t, "the control socket answers", c.healthy)
	c.addDomain()
	scout := c.account("scout@here.test")

	// Stopped in the middle of a message.
	writer := c.knock(t)
	writer.hears("220")
	writer.says("EHLO elsewhere.test", "250")
	writer.says("MAIL FROM:<a@elsewhere.test>", "250")
	writer.says("RCPT TO:<scout@here.test>", "250")
	writer.says("DATA", "354")
	io.WriteString(writer.c, "Subject: first half\r\n\r\n")
	syscall.Kill(c.PID, syscall.SIGTERM)
	early.hears("421") // it is stopping
	late := c.knock(t)
	writer.says("second half\r\n.", "250")
	if err := <-c.done; err != nil {
		t.Fatalf("the stop was not in order: %v\n%s", err, c.log)
	}
	later := c.knock(t)
	c.startWith(s.command(c))
	late.hears("220")
	later.hears("220")

	// Killed.
	c.kill()
	last := c.knock(t)
	c.startWith(s.command(c))
	last.hears("220")
	until(t, "the control socket answers", c.healthy)
	if got := c.mailbox(scout, "INBOX"); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
	c.stop()
}

// TestSocketActivation_ByPort: one .socket unit has one name for all its sockets; these
// are told apart by their ports then, which systemd itself shows.
func TestSocketActivation_ByPort(t *testing.T) {
	n := newInternet(t)
	c := n.company("here.test", "127.0.0.1")
	s := c.sockets("postern.socket", "postern.socket", "postern.socket", "postern.socket")
	c.startWith(s.command(c))
	c.knock(t).hears("220")
	c.stop()
	for _, f := range s.files {
		f.Close()
	}

	tool := needs(t, "systemd-socket-activate")
	args := []string{"--fdname=smtp:submission:submissions:imaps"}
	for _, addr := range []string{c.SMTP, c.Submission, c.Submissions, c.IMAPS} {
		args = append(args, "--listen="+addr)
	}
	c.startWith(exec.Command(tool, append(args, c.bin, "serve", "--config", c.config)...))
	until(t, "systemd listens", func() bool { // it starts the server at the first connection
		conn, err := net.Dial("tcp", c.SMTP)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	c.knock(t).hears("220")
	c.stop()
}

// TestSocketUnit: the example opens what a server opens that nobody has set up yet.
func TestSocketUnit(t *testing.T) {
	unit, err := os.ReadFile("../../packaging/postern.socket")
	if err != nil {
		t.Fatal(err)
	}
	var opens, wants []string
	for line := range strings.Lines(string(unit)) {
		if port, ok := strings.CutPrefix(line, "ListenStream="); ok {
			opens = append(opens, strings.TrimSpace(port))
		}
	}
	c := server.DefaultConfig()
	for _, s := range c.Settings() {
		if _, port, err := net.SplitHostPort(s.Value); err == nil && strings.HasPrefix(s.Key, "listen.") {
			wants = append(wants, port)
		}
	}
	slices.Sort(opens)
	slices.Sort(wants)
	if !slices.Equal(opens, wants) {
		t.Errorf("it opens %v, and a new server %v", opens, wants)
	}
}

// TestSocketActivation_Refusals: what does not fit is told, and not guessed at.
func TestSocketActivation_Refusals(t *testing.T) {
	n := newInternet(t)
	c := n.company("here.test", "127.0.0.1")
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	odd, err := unix.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer odd.Close()
	all := c.sockets("smtp", "submission", "submissions", "imaps")
	for name, x := range map[string]struct {
		files int
		odd   bool
		names string
		want  string
	}{
		"an unknown name":       {4, false, "smtp:submission:submissions:pop3", `"pop3"`},
		"a name twice":          {4, false, "smtp:submission:submissions:smtp", "listen.smtp"},
		"one is missing":        {3, false, "smtp:submission:submissions", "listen.imaps"},
		"one is not configured": {4, false, "smtp:submission:submissions:panel", "listen.panel"},
		"a port of nobody's":    {4, true, "smtp:submission:submissions:imaps:control", "control"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sockets{files: all.files[:x.files], names: strings.Split(x.names, ":")}
			if x.odd {
				s.files = append(s.files[:len(s.files):len(s.files)], odd)
			}
			out, err := s.command(c).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 78 || !bytes.Contains(out, []byte(x.want)) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	// Sockets for another process are none of ours: the server opens its own, which
	// somebody has.
	cmd := exec.Command(c.bin, "serve", "--config", c.config)
	cmd.Env = append(os.Environ(), "LISTEN_PID=1", "LISTEN_FDS=4", "LISTEN_FDNAMES=smtp")
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("address already in use")) {
		t.Errorf("%v: %s", err, out)
	}
}
