package imapd

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
)

// A peer is a client as a net.Conn: next gives its bytes when the server reads, and is shown all that it has been sent.
type peer struct {
	mu     sync.Mutex
	next   func(sent []byte) []byte // nil: the client goes away
	chunk  int                      // how much of it comes at a time
	rest   []byte
	sent   []byte
	closed bool
}

func (p *peer) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, net.ErrClosed
	}
	if len(p.rest) == 0 {
		if p.rest = p.next(p.sent); len(p.rest) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(b[:min(len(b), p.chunk)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, net.ErrClosed
	}
	p.sent = append(p.sent, b...)
	return len(b), nil
}

func (p *peer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}
func (p *peer) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (p *peer) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (p *peer) SetDeadline(time.Time) error      { return nil }
func (p *peer) SetReadDeadline(time.Time) error  { return nil }
func (p *peer) SetWriteDeadline(time.Time) error { return nil }

// A witness stands between a guard and the library and compares what the two take for a command: the library's tagged
// replies must be for the line that the guard gave it last, one for each, and a session must be asked for what that
// line says.
type witness struct {
	*guard
	session recorder
	t       *testing.T
	said    []byte // by the library, not yet looked at
	line    []byte // the command that the library is in
	tag     string
	done    bool // … and has answered
}

func (w *witness) Read(p []byte) (int, error) {
	w.look()
	fresh := w.tag == "" || w.done
	n, err := w.guard.Read(p)
	if n > 0 && fresh {
		tag, _, ok := bytes.Cut(p[:n], []byte(" "))
		if !ok {
			w.t.Errorf("the library was given %q for a command", p[:n])
		}
		w.tag, w.done, w.line = string(tag), false, bytes.Clone(p[:n])
	}
	return n, err
}

func (w *witness) Write(p []byte) (int, error) {
	w.said = append(w.said, p...)
	return w.guard.Write(p)
}

// SetReadDeadline: the guard answers a command that went on after its message in the library's stead.
func (w *witness) SetReadDeadline(t time.Time) error {
	if w.look(); w.guard.phase == phaseAbandoned {
		w.done = true
	}
	return w.guard.SetReadDeadline(t)
}

// look goes through the responses that the library has written.
func (w *witness) look() {
	for _, r := range responses(w.said) {
		tag, _, _ := strings.Cut(r, " ")
		switch {
		case tag == "*" || tag == "+":
		case tag != w.tag:
			w.t.Errorf("the library replied %q while the guard had given it %q", r, w.line)
		case w.done:
			w.t.Errorf("the library replied twice to %q", w.line)
		default:
			w.done = true
		}
	}
	w.said = nil
}

// responses splits what a server has sent; a response with literals is one.
func responses(b []byte) (all []string) {
	for start, from := 0, 0; ; {
		i := bytes.Index(b[from:], []byte("\r\n"))
		if i < 0 {
			return all
		}
		end := from + i + 2
		line := b[from : end-2]
		if open := bytes.LastIndexByte(line, '{'); open >= 0 && bytes.HasSuffix(line, []byte("}")) {
			if n, err := strconv.Atoi(string(line[open+1 : len(line)-1])); err == nil {
				from = min(end+n, len(b))
				continue
			}
		}
		all = append(all, string(b[start:end]))
		start, from = end, end
	}
}

// A court serves witnesses with the library.
type court struct {
	conns chan net.Conn
	done  chan struct{}
}

func (c *court) Accept() (net.Conn, error) {
	select {
	case conn := <-c.conns:
		return conn, nil
	case <-c.done:
		return nil, net.ErrClosed
	}
}
func (c *court) Close() error   { return nil }
func (c *court) Addr() net.Addr { return &net.TCPAddr{} }

func newCourt(t testing.TB) *court {
	c := &court{conns: make(chan net.Conn), done: make(chan struct{})}
	options := libraryOptions(discardLog)
	options.NewSession = func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return &conn.NetConn().(*witness).session, nil, nil
	}
	go imapserver.New(options).Serve(c)
	t.Cleanup(func() { close(c.done) })
	return c
}

// hear plays one client until its connection ends.
func (c *court) hear(t *testing.T, p *peer) *witness {
	limits := DefaultLimits()
	limits.Message = 10_000
	limits.Mistakes = 1 << 30
	w := &witness{t: t, session: recorder{news: make(chan uint32), body: "body"}}
	ended := make(chan struct{})
	w.guard = guardConn(p, &limits, hooks{
		refused: func(r Refusal) {
			if r == RefusedConfused {
				t.Errorf("the library has not answered %q", w.line)
			}
		},
		closed: func() { close(ended) },
	})
	c.conns <- w
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the connection does not end")
	}
	return w
}

// FuzzGuardBoundaries: for any bytes from a client, the guard and the library agree on where commands begin and end.
func FuzzGuardBoundaries(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed), byte(255), true)
		f.Add([]byte(seed), byte(1), false)
	}
	c := newCourt(f)
	f.Fuzz(func(t *testing.T, in []byte, chunk byte, login bool) {
		if login {
			in = append([]byte("l LOGIN u right\r\n"), in...)
		}
		given := false
		p := &peer{chunk: int(chunk) + 1, next: func([]byte) []byte {
			if given {
				return nil
			}
			given = true
			return in
		}}
		w := c.hear(t, p)
		w.look()
		for _, r := range responses(p.sent) {
			if !wellFormed(r) {
				t.Errorf("the client got %q", r)
			}
		}
	})
}

// wellFormed checks the start of a response.
func wellFormed(r string) bool {
	tag, rest, ok := strings.Cut(r, " ")
	if tag == "*" || tag == "+" {
		return ok
	}
	return validTag([]byte(tag)) &&
		(strings.HasPrefix(rest, "OK ") || strings.HasPrefix(rest, "NO ") || strings.HasPrefix(rest, "BAD "))
}

var seeds = []string{
	"a1 SELECT {5000+}\r\nb LIST \"\" *\r\n",
	"a1 SELECT {5}\r\nINBOX\r\na2 FETCH 1:* (FLAGS BODY[HEADER.FIELDS (\"x\" {1+}\r\ny)])\r\na3 IDLE\r\nDONE\r\n",
	"a1 APPEND {5}\r\nINBOX (\\Seen) \"01-Jan-2024 00:00:00 +0000\" UTF8 (~{3+}\r\nabc)\r\n",
	"a1 APPEND INBOX {3+}\r\nabc {3}\r\nabc\r\na2 NOOP\r\n",
	"a1 AUTHENTICATE PLAIN\r\nAHUAcmlnaHQ=\r\na2 ID (\"a\" NIL)\r\na3 LOGOUT\r\n",
	"a1 AUTHENTICATE PLAIN =\r\n*\r\n",
	"a1 SEARCH RETURN (MIN) CHARSET UTF-8 OR (TEXT \"a\\\"b\") NOT $\r\na2 UID STORE 1:2,* +FLAGS (\\Seen)\r\n",
	"a1 IDLE\r\na2 LIST (SUBSCRIBED) \"\" (a b) RETURN (STATUS (MESSAGES))\r\n",
	"a1 DELETE {3+}\r\n&&& b LIST \"\" *\r\n",
	"a1 NOOP\x00\r\na2 NOOP\n\r\n\"\r\n{{{5}\r\n",
	"a1 ENABLE IMAP4rev2\r\na2 CREATE x (USE (\\Sent))\r\na3 MOVE 1 x\r\na4 CLOSE\r\n",
}

// FuzzGuardLiterals: for any commands with literals that a client makes up and sends as the protocol says, waiting where
// it must wait, each gets one tagged reply, in order, and nothing that is in a literal is ever run.
func FuzzGuardLiterals(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, byte(200))
	f.Add(bytes.Repeat([]byte{3, 50, 120, 255, 7, 77}, 10), byte(3))
	c := newCourt(f)
	f.Fuzz(func(t *testing.T, dice []byte, chunk byte) {
		commands := compose(dice)
		s := &speaker{commands: commands}
		w := c.hear(t, &peer{chunk: int(chunk) + 1, next: s.next})
		i := 0
		for _, r := range responses(s.sent) {
			tag, _, _ := strings.Cut(r, " ")
			if tag == "*" || tag == "+" {
				continue
			}
			if want := fmt.Sprint("c", i); tag != want {
				t.Fatalf("got %q, want the reply to %s", r, want)
			}
			i++
		}
		if i != len(commands) {
			t.Errorf("%d replies to %d commands", i, len(commands))
		}
		for _, call := range w.session.noted() {
			if strings.HasPrefix(call, "DELETE") {
				t.Error("a literal was run")
			}
		}
	})
}

// A part of a command is text, or a literal to be waited for.
type part struct {
	text string
	wait bool // send it after "+", and the rest not at all after anything else
}

// A speaker is a client that keeps to the protocol.
type speaker struct {
	commands [][]part
	at       int
	asked    int // length of sent when the literal was announced
	waiting  bool
	sent     []byte
}

func (s *speaker) next(sent []byte) []byte {
	s.sent = bytes.Clone(sent)
	for s.at < len(s.commands) {
		c := s.commands[s.at]
		if len(c) == 0 {
			s.at++
			continue
		}
		if c[0].wait && s.waiting {
			s.waiting = false
			lines := responses(sent[s.asked:])
			if n := len(lines); n == 0 || !strings.HasPrefix(lines[n-1], "+ ") {
				s.at++
				continue
			}
		}
		s.commands[s.at] = c[1:]
		if len(c) > 1 && c[1].wait {
			s.waiting, s.asked = true, len(sent)
		}
		if c[0].text != "" {
			return []byte(c[0].text)
		}
	}
	return nil
}

// compose makes commands from dice. All but the first may be anything.
func compose(dice []byte) [][]part {
	commands := [][]part{{{text: "c0 LOGIN u right\r\n"}}}
	for len(dice) >= 2 && len(commands) < 30 {
		tag := fmt.Sprint("c", len(commands))
		verb, n := dice[0], int(dice[1])
		dice = dice[2:]
		c := []part{{text: tag + " " + openings[int(verb)%len(openings)]}}
		for range n % 4 {
			if len(dice) < 2 {
				break
			}
			c = literal(c, dice[0], dice[1])
			dice = dice[2:]
		}
		c = append(c, part{text: endings[n%len(endings)] + "\r\n"})
		if strings.HasPrefix(c[0].text, tag+" IDLE") {
			c = []part{{text: tag + " IDLE\r\n"}, {text: "DONE\r\n", wait: true}}
		}
		commands = append(commands, c)
	}
	return commands
}

var openings = []string{
	"SELECT", "SELECT ", "APPEND INBOX ", "APPEND INBOX (\\Seen) ", "APPEND ", "APPEND full ", "SEARCH TEXT ", "FROB ",
	"ID (\"a\" ", "LOGIN ", "AUTHENTICATE ", "RENAME ", "IDLE", "UID FETCH 1 BODY[HEADER.FIELDS (", "LIST \"\" \x01",
	"APPEND INBOX UTF8 (~", "CREATE &&", "SEARCH CHARSET ", "NOOP", "APPEND INBOX \"never\" ", "STARTTLS ",
}

var endings = []string{"", ")", " x", " \"q\"", " b", ")]"}

// literal adds one of any size, full of lines that look like commands.
func literal(c []part, kind, size byte) []part {
	n := int(size)
	if kind&4 != 0 {
		n *= 41 // over 4096, over 10,000
	}
	data := strings.Repeat("\r\nc1 DELETE INBOX\r\n", n/19+1)[:n]
	if kind&8 != 0 {
		data = strings.Repeat("c", n)
	}
	plus := ""
	if kind&1 != 0 {
		plus = "+"
	}
	space := ""
	if kind&2 != 0 {
		space = " "
	}
	c = append(c[:len(c)-1], part{text: c[len(c)-1].text + space + fmt.Sprintf("{%d%s}\r\n", n, plus), wait: c[len(c)-1].wait})
	return append(c, part{text: data, wait: plus == ""})
}
