package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A conn is the guard between a client and the library: a net.Conn that the library believes to be the client. See the
// package comment. All of it belongs to the goroutine in which the library serves the connection, but for what mu
// guards and the methods kill and drain.
type conn struct {
	net.Conn // the socket, in clear
	server   *Server
	door     *door
	remote   netip.AddrPort
	trace    string // told to the peer in refusals, and written to the log
	began    time.Time
	ctx      context.Context
	cancel   context.CancelFunc

	tls      *tls.Conn // nil in clear
	in       *bufio.Reader
	out      []byte // replies that were not sent yet
	patience patience
	flow     flow
	opened   bool // the banner went out
	over     bool // the farewell was said: nothing is read or written any more

	feed     []byte // what the library reads next
	heard    []byte // the start of a line that the library is writing
	yes      reply  // what the client gets in place of the library's assent
	mute     bool   // the client does not get the library's next reply at all
	verb     string // of the command that is being answered
	sasl     bool   // the next line is not a command but belongs to AUTH
	pending  string // a command that ended a chunked message and is yet to be run
	farewell *reply // said before the next command is read

	hello         string // what the client calls itself; empty before EHLO or HELO
	extended      bool   // EHLO, not HELO
	authenticated bool
	named         envelope // by the MAIL or RCPT that the library is acting on
	tx            *transaction
	desk          desk
	counts        counts
	ended         string // how the session ended, for the log
	slot          *slot

	mu       sync.Mutex
	ending   *reply // by another goroutine, at once
	draining bool   // end at the next wait for a command
	idle     bool   // waiting for a command
	once     sync.Once
}

// patience bounds a wait for the client: for anything at all, and for the whole of what is being read.
type patience struct {
	stall time.Duration
	until time.Time
	late  reply // said when until has passed
}

// counts is what the limits of a session are held against.
type counts struct {
	commands, unknown, errors int // since a message was accepted
	refused, auth, messages   int
}

func newConn(s *Server, d *door, socket net.Conn, slot *slot) *conn {
	c := &conn{
		Conn: socket, server: s, door: d, slot: slot, remote: slot.remote,
		trace: strings.ToLower(rand.Text()[:12]), began: time.Now(),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.in = bufio.NewReaderSize(readerFunc(c.receive), inputSize)
	c.desk = d.desk(c)
	return c
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Read gives the library its next line: a command that it may see, a line of AUTH, or the end of a message. It is
// called when the library has answered the one before.
func (c *conn) Read(p []byte) (n int, err error) {
	defer c.recovered()
	for len(c.feed) == 0 && !c.over {
		c.step()
	}
	if c.over {
		return 0, io.EOF
	}
	n = copy(p, c.feed)
	c.feed = c.feed[n:]
	return n, nil
}

// Write takes what the library says, line by line. Nothing of it is written before the library asks for more, so that
// replies to pipelined commands share a packet (RFC 2920, section 3.2).
func (c *conn) Write(p []byte) (int, error) {
	defer c.recovered()
	c.heard = append(c.heard, p...)
	for !c.over {
		line, rest, ok := bytes.Cut(c.heard, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		c.forward(string(line) + "\n")
		c.heard = append(c.heard[:0], rest...)
	}
	return len(p), nil
}

// forward passes one line of the library on, or what is to be said instead.
func (c *conn) forward(line string) {
	if !c.opened {
		c.opened = true
		c.open()
		return
	}
	last := len(line) > 3 && line[3] == ' '
	switch {
	case c.mute:
		c.mute = !last
	case c.yes.code != 0 && line[0] == '2':
		if last {
			c.say(c.yes)
		}
	default:
		c.out = append(c.out, line...)
		c.sasl = strings.HasPrefix(line, "334 ")
		if last && line[0] == '5' && c.verb != "RCPT" { // those have a count of their own
			c.erred()
		}
	}
}

// say answers the client.
func (c *conn) say(r reply) { c.out = append(c.out, r.bytes()...) }

// refuse answers a command that the library does not get to see.
func (c *conn) refuse(r reply) {
	c.say(c.noted(r))
	c.erred()
}

// erred counts an error.
func (c *conn) erred() {
	if c.counts.errors++; c.counts.errors > c.server.limits.Errors {
		c.farewell = &byeErrors
	}
}

// receive reads from the client, after what we had to say was sent.
func (c *conn) receive(p []byte) (int, error) {
	if err := c.flush(c.server.limits.Write); err != nil {
		return 0, err
	}
	if err := c.arm(); err != nil {
		return 0, err
	}
	return c.stream().Read(p)
}

func (c *conn) stream() net.Conn {
	if c.tls != nil {
		return c.tls
	}
	return c.Conn
}

var errEnding = errors.New("smtpd: the connection is ending")

// arm sets the deadline of the next read. It is set anew for each, since one that fired in the middle of a message
// would otherwise leave the rest of it to be read as commands.
func (c *conn) arm() error {
	deadline := time.Now().Add(c.patience.stall)
	if c.patience.until.Before(deadline) {
		deadline = c.patience.until
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending != nil || c.draining && c.idle {
		return errEnding
	}
	return c.Conn.SetReadDeadline(deadline)
}

func (c *conn) flush(patience time.Duration) error {
	if len(c.out) == 0 {
		return nil
	}
	c.mu.Lock()
	if c.ending == nil || c.over {
		c.Conn.SetWriteDeadline(time.Now().Add(patience))
	}
	c.mu.Unlock()
	_, err := c.stream().Write(c.out)
	c.out = c.out[:0]
	return err
}

// Deadlines are the guard's own: the library's would apply to the wrong things.

// SetDeadline does nothing.
func (c *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
