package servertest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// talk is a connection that a script speaks on.
type talk interface {
	io.Closer
	say(line string) error
	hear(pattern string) error
	on() *wire
}

// wire is a connection that carries lines.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	tls  *tls.Config
}

func newWire(conn net.Conn, config *tls.Config) *wire {
	return &wire{conn: conn, in: bufio.NewReader(conn), tls: config}
}

// Close hangs up.
func (w *wire) Close() error { return w.conn.Close() }

func (w *wire) on() *wire { return w }

func (w *wire) say(text string) error {
	w.conn.SetDeadline(time.Now().Add(patience))
	_, err := io.WriteString(w.conn, text+"\r\n")
	return err
}

// read reads one line without its end.
func (w *wire) read() (string, error) {
	w.conn.SetDeadline(time.Now().Add(patience))
	text, err := w.in.ReadString('\n')
	if err != nil {
		return text, fmt.Errorf("the other end: %w", err)
	}
	if !strings.HasSuffix(text, "\r\n") {
		return text, fmt.Errorf("a line that does not end with CRLF: %q", text)
	}
	return strings.TrimSuffix(text, "\r\n"), nil
}

// secure makes the handshake.
func (w *wire) secure() error {
	c := tls.Client(w.conn, w.tls)
	c.SetDeadline(time.Now().Add(patience))
	if err := c.Handshake(); err != nil {
		return err
	}
	w.conn, w.in = c, bufio.NewReader(c)
	return nil
}

// closed waits until the other end hangs up, and passes over what it still says.
func (w *wire) closed() error {
	w.conn.SetDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, w.in)
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		return errors.New("the other end stays")
	}
	return nil // an end or a reset: it is gone
}

// matches says whether a text is what a pattern says, in which * stands for any
// text, also none.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) || !strings.HasSuffix(text[len(first):], last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, p := range parts[1 : len(parts)-1] {
		_, rest, ok := strings.Cut(text, p)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}

// open adds a connection, under a name when it has one, and speaks on it.
func (s *script) open(t talk, names []string) {
	s.unnamed++
	name := fmt.Sprintf("connection %d", s.unnamed)
	if len(names) > 0 {
		name = names[0]
	}
	if old := s.talks[name]; old != nil {
		old.Close()
	}
	s.talks[name], s.current = t, t
}

// talking is the connection that the script is on.
func (s *script) talking(ts *testscript.TestScript) talk {
	if s.current == nil {
		ts.Fatalf("no connection is open")
	}
	return s.current
}

// use NAME
func (s *script) use(ts *testscript.TestScript, args []string) error {
	if s.current = s.talks[args[0]]; s.current == nil {
		return fmt.Errorf("there is no connection %q", args[0])
	}
	return nil
}

// > LINE
func (s *script) say(ts *testscript.TestScript, args []string) error {
	return s.talking(ts).say(strings.Join(args, " "))
}

// < PATTERN
func (s *script) hear(ts *testscript.TestScript, args []string) error {
	return s.talking(ts).hear(strings.Join(args, " "))
}

// starttls
func (s *script) startTLS(ts *testscript.TestScript, _ []string) error {
	t := s.talking(ts)
	if err := t.say("STARTTLS"); err != nil {
		return err
	}
	if err := t.hear("220 *"); err != nil {
		return err
	}
	return t.on().secure()
}

// closed
func (s *script) closed(ts *testscript.TestScript, _ []string) error {
	return s.talking(ts).on().closed()
}

// login AGENT [SECRET], login ADDRESS SECRET
func (s *script) login(ts *testscript.TestScript, args []string) error {
	name, secret := args[0], ""
	if !strings.Contains(name, "@") {
		a := s.agent(ts, name)
		name, secret = a.Address, a.Token
	}
	if len(args) > 1 {
		secret = args[1]
	}
	switch t := s.talking(ts).(type) {
	case *smtpTalk:
		return t.login(name, secret)
	case *imapTalk:
		return t.say(fmt.Sprintf("login LOGIN %s %s", name, secret))
	}
	return errors.New("nobody to log in with")
}
