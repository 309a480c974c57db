package smtpd

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// A body is a message on the wire, in one of the two forms that SMTP has for it.
type body interface {
	// next returns the next piece of the message, valid until the next call, and io.EOF behind its end. After any
	// other error the rest cannot be found any more.
	next() ([]byte, error)
	// skip reads what the client is bound to send before it may be answered.
	skip() error
}

// errAborted: the client went back on a message in chunks. It is answered for the command that did it.
var errAborted = errors.New("smtpd: the client gave the message up")

// dotted is the body of DATA: it ends with a line of one dot, and a line that begins with a dot has another one in
// front (RFC 5321, section 4.5.2). Only CR LF counts as the end of a line, in here as for everybody else.
type dotted struct {
	c     *conn
	state dotState
	eaten int // octets of the buffer that the last piece came from
}

type dotState uint8

const (
	lineStart dotState = iota
	inLine
	afterCR
	afterDot   // a dot at the start of a line: not part of the message
	afterDotCR // and CR
	ended
)

func (d *dotted) next() ([]byte, error) {
	for {
		d.c.in.Discard(d.eaten)
		d.eaten = 0
		if d.state == ended {
			return nil, io.EOF
		}
		p, err := d.c.more()
		if err != nil {
			return nil, err
		}
		piece, n := d.scan(p)
		d.eaten = n
		if len(piece) > 0 {
			return piece, nil
		}
	}
}

// scan takes the longest run of octets off the front of p that all belong to the message; n is how many octets were
// dealt with, those that stand between messages included.
func (d *dotted) scan(p []byte) (piece []byte, n int) {
	for n < len(p) {
		switch d.state {
		case inLine:
			i := bytes.IndexByte(p[n:], '\r')
			if i < 0 {
				return p, len(p)
			}
			n += i + 1
			d.state = afterCR
		case afterCR:
			switch p[n] {
			case '\n':
				d.state = lineStart
				n++
			default: // CR alone: refused in the end, and no line ends here
				d.state = inLine
			}
		case lineStart:
			d.state = inLine
			if p[n] == '.' {
				d.state = afterDot
				return p[:n], n + 1
			}
		default:
			return d.scanDot(p)
		}
	}
	return p, n
}

// scanDot decides what a dot at the start of a line was. It is called with the octet after it.
func (d *dotted) scanDot(p []byte) (piece []byte, n int) {
	switch {
	case d.state == afterDot && p[0] == '\r':
		d.state = afterDotCR
		return nil, 1
	case d.state == afterDotCR && p[0] == '\n':
		d.state = ended
		return nil, 1
	case d.state == afterDotCR: // ".\rx": the CR stands alone
		d.state = inLine
		return crAlone, 0
	}
	d.state = inLine
	return nil, 0
}

var crAlone = []byte{'\r'}

func (d *dotted) skip() error {
	for {
		if _, err := d.next(); err != nil {
			return skipped(err)
		}
	}
}

func skipped(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// chunked is the body of BDAT (RFC 3030): pieces of announced length with commands in between, taken as they are. The
// library knows nothing of it: to the library it is DATA.
type chunked struct {
	c     *conn
	left  int64 // of the current chunk
	last  bool
	eaten int
}

func (b *chunked) next() ([]byte, error) {
	b.c.in.Discard(b.eaten)
	b.eaten = 0
	for b.left == 0 {
		if b.last {
			return nil, io.EOF
		}
		if err := b.between(); err != nil {
			return nil, err
		}
	}
	p, err := b.c.more()
	if err != nil {
		return nil, err
	}
	p = p[:min(int64(len(p)), b.left)]
	b.left -= int64(len(p))
	b.eaten = len(p)
	return p, nil
}

// between answers one chunk and finds the next.
func (b *chunked) between() error {
	c := b.c
	c.say(okChunk)
	for {
		line, err := c.command()
		if err != nil {
			return err
		}
		verb, arg := splitCommand(line)
		switch verb {
		case "BDAT":
			c.verb = verb
			return b.begin(arg)
		case "NOOP":
			c.say(okDone)
		case "RSET", "EHLO", "HELO", "QUIT":
			c.pending = line
			return errAborted
		default:
			c.refuse(inChunks)
		}
	}
}

// begin reads the announcement of a chunk. Where it cannot be read nobody can tell how many of the octets that follow
// are the chunk, and they must not be taken for commands.
func (b *chunked) begin(arg string) (err error) {
	var ok bool
	if b.left, b.last, ok = parseChunk(arg); !ok {
		return errBye{byeChunk}
	}
	if b.left > 2*b.c.server.limits.Message {
		return errBye{byeSkip}
	}
	return nil
}

// skip leaves the rest of the chunk. RFC 3030, section 4.2: a chunk that is refused is read all the same.
func (b *chunked) skip() error {
	for b.left > 0 {
		if _, err := b.next(); err != nil {
			return err
		}
	}
	b.c.in.Discard(b.eaten)
	b.eaten = 0
	return nil
}

// flow is what the limits of a message that is coming in are held against.
type flow struct {
	since   time.Time
	arrived int64 // octets
}

// listen prepares for reading a message.
func (c *conn) listen() {
	limits := &c.server.limits
	c.flow = flow{since: time.Now(), arrived: int64(c.in.Buffered())}
	c.patience = patience{stall: limits.Stall, until: c.flow.since.Add(limits.Data), late: byeSlow}
}

// more waits until something of the message is there, and returns all that is, without taking it.
func (c *conn) more() ([]byte, error) {
	if c.in.Buffered() == 0 {
		if _, err := c.in.Peek(1); err != nil {
			return nil, unexpected(err)
		}
		c.flow.arrived += int64(c.in.Buffered())
		if err := c.pace(); err != nil {
			return nil, err
		}
	}
	return c.in.Peek(c.in.Buffered())
}

// pace holds the client to the least rate, and to a bound for what is read only to be thrown away.
func (c *conn) pace() error {
	limits, flow := &c.server.limits, c.flow
	if flow.arrived > 2*limits.Message+maxSpent {
		return errBye{byeSkip}
	}
	late := time.Since(flow.since) - limits.RateGrace
	if late > 0 && float64(flow.arrived) < late.Seconds()*float64(limits.Rate) {
		return errBye{byeSlow}
	}
	return nil
}
