package imapd

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A guard is the connection that the library gets instead of the client's. See the package comment.
//
// Read is called by one goroutine of the library, the one that parses; Write by that one and, in IDLE, by others. All
// other methods may be called from anywhere.
type guard struct {
	conn   net.Conn
	limits *Limits
	hooks  hooks
	in     input
	out    output
	opened time.Time
	gone   sync.Once
	read   atomic.Int64  // bytes from the client
	reason atomic.Uint32 // the Refusal that ended it

	// The fields below belong to the library's reading goroutine.
	phase    phase
	over     error // what Read returns from now on: bytes that are buffered still are not for the library
	lex      lexer
	lent     *[]byte // where lex.line came from
	pending  []byte  // what the library gets next
	message  *upload
	idling   *idling // the last IDLE
	why      *fault  // why a message was abandoned
	tail     [3]byte // the last byte of a message, and the end of its command
	deadline time.Time
	floor    time.Time // a message must have arrived by then
	member   bool      // authenticated
	failures int
	mistakes int
}

// hooks is how a guard tells of what happened. Each is called at most once per connection, from the library's goroutine
// or the one that closes.
type hooks struct {
	authenticated func()
	refused       func(Refusal)
	closed        func() // the library and its session have let go
}

// A phase is what the library's next call of Read means.
type phase uint8

const (
	phaseReady     phase = iota // it wants a command
	phaseRunning                // it has one, and wants more or is done
	phaseMessage                // it reads the message of an APPEND
	phaseAbandoned              // … which was refused while it was coming in
	phaseIdle                   // it waits for DONE
	phaseSASL                   // it waits for a line of a SASL exchange
)

var linePool = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// newGuard returns the library's end of conn. TLS has been negotiated: the library is told to allow LOGIN on whatever
// it gets (see newLibrary), so a guard must be made of nothing else.
func newGuard(conn *tls.Conn, limits *Limits, h hooks) *guard { return guardConn(conn, limits, h) }

func guardConn(conn net.Conn, limits *Limits, h hooks) *guard {
	g := &guard{conn: conn, limits: limits, hooks: h, opened: time.Now()}
	g.in.receive, g.in.prompt = g.receive, g.prompt
	g.out.conn, g.out.stall = conn, limits.Stall
	return g
}

// Read gives the library its next piece: of the command that it is in, or of a new one.
func (g *guard) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(g.pending) > 0 {
			n := copy(p, g.pending)
			g.pending = g.pending[n:]
			return n, nil
		}
		if g.over != nil {
			return 0, g.over
		}
		var n int
		var err error
		switch g.phase {
		case phaseAbandoned:
			return 0, errRefused
		case phaseMessage:
			n, err = g.readMessage(p)
		default:
			err = g.advance()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// advance is called when the library has had all that it was given and wants more. It does one step.
func (g *guard) advance() error {
	switch g.phase {
	case phaseRunning:
		return g.settle()
	case phaseIdle:
		return g.readDone()
	case phaseSASL:
		return g.readSASL()
	default:
		return g.readCommand()
	}
}

// settle finds out why the library wants more: because the command is done, or because it asked with "+".
func (g *guard) settle() error {
	t := g.out.state()
	m := g.message
	switch {
	case t.answered:
		g.message, g.phase = nil, phaseReady
		if m != nil && !m.sync && m.left > 0 {
			// The library refused the command before its message, which is on its way all the same.
			if err := g.skipMessage(m); err != nil {
				return err
			}
		}
		return g.count(t)
	case t.plus && m != nil:
		g.phase = phaseMessage
		g.floor = time.Now().Add(literalGrace + time.Duration(m.left/minRate)*time.Second)
	case t.plus && t.verb == verbIdle:
		g.phase = phaseIdle
	case t.plus && t.verb == verbAuthenticate:
		g.phase = phaseSASL
	default:
		// It wants more and has not replied: it sees no end where we see one.
		return g.end(RefusedConfused, "Internal error", false)
	}
	return nil
}

// count keeps the score of logins and mistakes.
func (g *guard) count(t turn) error {
	login := !g.member && (t.verb == verbLogin || t.verb == verbAuthenticate)
	switch t.completed {
	case 'O':
		if login {
			g.member = true
			if g.hooks.authenticated != nil {
				g.hooks.authenticated()
			}
		}
		if g.member { // a stranger's need not be in a row
			g.mistakes = 0
		}
	case 'N':
		if login {
			if g.failures++; g.failures >= g.limits.Logins {
				return g.end(RefusedLogins, "Too many failed logins", false)
			}
		}
	default:
		return g.mistake()
	}
	return nil
}

// mistake counts a command that was answered BAD.
func (g *guard) mistake() error {
	most := maxStrangerMistakes
	if g.member {
		most = g.limits.Mistakes
	}
	if g.mistakes++; g.mistakes >= most {
		return g.end(RefusedMistakes, "Too many bad commands", false)
	}
	return nil
}

// readCommand takes the client's next command and puts it before the library, or answers it.
func (g *guard) readCommand() error {
	g.rest()
	g.deadline = g.idleDeadline()
	if _, err := g.in.peek(0); err != nil {
		return err
	}
	g.hurry()
	g.lent = linePool.Get().(*[]byte)
	g.lex = lexer{in: &g.in, stranger: !g.member, largest: g.limits.Message, line: (*g.lent)[:0]}
	if err := g.lex.command(); err != nil {
		return err
	}
	x := &g.lex
	if x.fault == nil && x.verb == verbID {
		if validID(x.line[x.args : len(x.line)-2]) {
			return g.out.say(idReply + x.tag + " OK ID completed\r\n")
		}
		x.fault = faultID
	}
	if x.fault != nil {
		return g.refuse(x.fault, x.tag)
	}
	if err := g.out.begin(turn{tag: x.tag, verb: x.verb, keepPlus: x.message != nil && !x.message.sync}); err != nil {
		return g.die()
	}
	if x.verb == verbIdle {
		g.idling = new(idling)
	}
	g.message, g.pending, g.phase = x.message, x.line, phaseRunning
	return nil
}

// rest gives the command's buffers back, before a wait that may be long.
func (g *guard) rest() {
	g.in.release()
	g.pending = nil
	if g.lent == nil {
		return
	}
	if line := g.lex.line; cap(line) <= inputSize {
		*g.lent = line[:0]
		linePool.Put(g.lent)
	}
	g.lent, g.lex = nil, lexer{}
}

// refuse answers a command that the library does not see.
func (g *guard) refuse(f *fault, tag string) error {
	if err := g.out.say(f.reply(tag)); err != nil {
		return g.die()
	}
	if f.lost {
		return g.end(RefusedFraming, f.text, true)
	}
	if f.kind == "BAD" {
		return g.mistake()
	}
	return nil
}

// prompt asks the client for a literal that the guard takes itself.
func (g *guard) prompt() error {
	g.hurry()
	return g.out.say("+ Ready for literal data\r\n")
}

// hurry starts the clock of a command that the client has begun.
func (g *guard) hurry() {
	g.deadline = time.Now().Add(g.limits.Command)
	if last := g.opened.Add(g.limits.Login); !g.member && last.Before(g.deadline) {
		g.deadline = last
	}
}

// idleDeadline is when a client that says nothing is sent away.
func (g *guard) idleDeadline() time.Time {
	if !g.member {
		return g.opened.Add(g.limits.Login)
	}
	return time.Now().Add(g.limits.Idle)
}

// receive reads from the client. Everything that the library and the guard have said goes out before.
func (g *guard) receive(p []byte) (int, error) {
	message := g.phase == phaseMessage
	if err := g.out.wait(message || g.phase == phaseAbandoned, g.phase == phaseIdle); err != nil {
		return 0, g.die()
	}
	deadline := g.deadline
	if message {
		deadline = time.Now().Add(g.limits.Stall)
		if g.floor.Before(deadline) {
			deadline = g.floor
		}
	}
	g.conn.SetReadDeadline(deadline)
	n, err := g.conn.Read(p)
	g.out.resume()
	g.read.Add(int64(n))
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, g.end(RefusedTimeout, "Too slow, or idle for too long", false)
	default:
		return 0, g.die()
	}
}

// end says BYE and closes. With linger, the client is probably still sending: a connection that is closed with bytes
// unread is reset, which may cost the client our words, so some of them are read first.
func (g *guard) end(r Refusal, text string, linger bool) error {
	if g.over == nil {
		g.reason.Store(uint32(r))
		if g.hooks.refused != nil {
			g.hooks.refused(r)
		}
	}
	if g.phase == phaseIdle {
		g.out.bye(text, false) // unless an update is being written
	} else {
		g.out.say("* BYE " + text + "\r\n")
	}
	if c, ok := g.conn.(interface{ CloseWrite() error }); ok && linger {
		g.out.shut()
		c.CloseWrite()
		g.conn.SetReadDeadline(time.Now().Add(time.Second))
		io.CopyN(io.Discard, g.conn, maxSpent)
	}
	return g.die()
}

// die closes the connection and returns the error that makes the library stop. Inside a message that must not be
// io.EOF, which the library takes for the end of a complete one.
func (g *guard) die() error {
	g.hangUp()
	g.over = io.EOF
	if g.phase == phaseMessage || g.phase == phaseAbandoned {
		g.over = io.ErrUnexpectedEOF
	}
	return g.over
}

// Write takes the library's output.
func (g *guard) Write(p []byte) (int, error) { return g.out.Write(p) }

// SetWriteDeadline brackets a response of the library; see output. The time is ours to choose.
func (g *guard) SetWriteDeadline(t time.Time) error {
	g.out.bracket(!t.IsZero())
	return nil
}

// SetReadDeadline does not move our clocks. The library calls it when it is done with a message, which is how it
// leaves one that was refused.
func (g *guard) SetReadDeadline(time.Time) error {
	if g.phase == phaseAbandoned {
		return g.abandoned()
	}
	return nil
}

// SetDeadline does nothing. The library does not call it.
func (g *guard) SetDeadline(time.Time) error { return nil }

// LocalAddr returns the server's address.
func (g *guard) LocalAddr() net.Addr { return g.conn.LocalAddr() }

// RemoteAddr returns the client's address.
func (g *guard) RemoteAddr() net.Addr { return g.conn.RemoteAddr() }

// hangUp sends what was gathered, if no other write is stuck, and closes the connection.
func (g *guard) hangUp() error {
	g.out.shut()
	return g.conn.Close()
}

// Close is how the library says that it, and the session, are done with the connection.
func (g *guard) Close() error {
	err := g.hangUp()
	g.gone.Do(func() {
		if g.hooks.closed != nil {
			g.hooks.closed()
		}
	})
	return err
}

// bye ends the connection from the server's side, politely and soon: at the end of the running command when patient (the
// server stops), otherwise at the end of the running response (a credential is revoked). When that has not come within
// grace, the connection is cut. It returns at once; text is for the client, one line.
func (g *guard) bye(text string, patient bool, grace time.Duration) {
	time.AfterFunc(grace, g.cut)
	g.out.bye(strings.Map(printable, text), patient)
}

// cut closes what lies under TLS: no alert is written, so nothing can hold it up.
func (g *guard) cut() {
	g.out.severed.Store(true)
	if t, ok := g.conn.(*tls.Conn); ok {
		t.NetConn().Close()
		return
	}
	g.conn.Close()
}

// printable keeps a line a line.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f {
		return -1
	}
	return r
}

// ended returns why the guard ended the connection, or 0 if it did not.
func (g *guard) ended() Refusal { return Refusal(g.reason.Load()) }

// arguments returns the arguments of the command that the library has: literals quoted, without CR LF. They are valid
// until the library asks for more.
func (g *guard) arguments() []byte {
	line := g.lex.line
	return line[min(g.lex.args, len(line)):max(len(line)-2, g.lex.args, 0)]
}

// traffic returns the bytes received from and sent to the client so far, without TLS.
func (g *guard) traffic() (received, sent int64) {
	g.out.mu.Lock()
	defer g.out.mu.Unlock()
	return g.read.Load(), g.out.sent
}
