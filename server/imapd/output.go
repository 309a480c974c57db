package imapd

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outputSize is how much of the library's output is gathered before it is sent, one TLS record. The library flushes at
// the end of each response line; sent like that, ten thousand short FETCH responses are ten thousand system calls.
const outputSize = 16 << 10

var outputPool = sync.Pool{New: func() any { return new([outputSize]byte) }}

// An output is the stream to the client. The library's responses and the guard's own meet in it, whole.
//
// The library brackets each response with its calls for a write deadline: one with a time before the first byte, one
// with the zero time after the last. (imapserver's responseEncoder does so for every response it writes, and a test
// holds it to that.) The times mean nothing to us; the bracket says when a response is open, so that a farewell from
// another goroutine does not land inside a literal.
type output struct {
	mu      sync.Mutex
	conn    net.Conn
	stall   time.Duration
	buf     *[outputSize]byte
	n       int
	sent    int64
	closed  bool
	severed atomic.Bool // the connection was cut under us

	open    bool // the library is inside a response
	head    bool // what it writes next starts a line
	waiting bool // the library waits for the client, and for nothing else
	idling  bool // … in IDLE, while another of its goroutines writes updates

	turn     turn
	farewell string // to be said at the next boundary
	patient  bool   // … between commands, not between responses
}

// A turn is one command in the library's hands, as far as its output shows.
type turn struct {
	tag       string
	verb      verb
	keepPlus  bool // its "+" is not for the client, who does not wait for it
	plus      bool // it has asked for more
	answered  bool // it has written the tagged reply
	completed byte // 'O', 'N' or 'B' of that reply
	readOnly  bool // a SELECT is to be answered READ-ONLY, which the library says of EXAMINE alone
}

// begin notes that the library is given a command, or says that it must not be: what the client had sent ahead when it
// was told BYE, or cut off, does not run.
func (o *output) begin(t turn) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.farewell != "" && !o.closed {
		o.leave()
	}
	if o.closed || o.severed.Load() {
		return net.ErrClosed
	}
	o.turn = t
	return nil
}

// state returns what the library's output has shown since begin, and forgets a "+", which is acted upon once.
func (o *output) state() turn {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.turn
	o.turn.plus = false
	return t
}

// noteReadOnly has the SELECT that is under way answered with READ-ONLY (RFC 9051, section 6.3.2).
func (o *output) noteReadOnly() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turn.readOnly = true
}

// bracket is told of each call for a write deadline.
func (o *output) bracket(open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if open {
		if !o.open {
			o.open, o.head = true, true
		}
		return
	}
	o.open = false
	if o.farewell != "" && o.mayLeave() {
		o.leave()
	} else if o.waiting {
		o.flush() // an update in IDLE; an error shows in the next read
	}
}

// Write takes a piece of the library's output.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, net.ErrClosed
	}
	n := len(p)
	if o.head {
		o.head = false
		p = o.inspect(p)
		// A SASL exchange is one bracket around several lines, each written and flushed whole.
		o.head = o.turn.verb == verbAuthenticate && bytes.HasSuffix(p, []byte("\r\n"))
	}
	if err := o.put(p); err != nil {
		return 0, err
	}
	return n, nil
}

// inspect looks at the start of a response line of the library and returns what the client gets. The library's buffer
// holds 4 KiB, so that all of a status response is here.
func (o *output) inspect(p []byte) []byte {
	t := &o.turn
	switch {
	case len(p) > 1 && p[0] == '+' && p[1] == ' ':
		t.plus = true
		if t.keepPlus {
			return nil
		}
	case t.tag != "" && len(p) > len(t.tag)+1 && p[len(t.tag)] == ' ' && string(p[:len(t.tag)]) == t.tag:
		t.answered = true
		t.completed = p[len(t.tag)+1]
		if bytes.HasPrefix(p[len(t.tag)+1:], libraryConfused) {
			// The library could not parse a number, a date or a search key and blames itself.
			t.completed = 'B'
			return []byte(t.tag + " BAD [CLIENTBUG] The arguments are not valid\r\n")
		}
		if t.readOnly {
			return bytes.Replace(p, []byte("[READ-WRITE]"), []byte("[READ-ONLY]"), 1)
		}
		if t.verb == verbLogin || t.verb == verbAuthenticate {
			return withCapabilities(p)
		}
	case t.verb == verbCapability || t.tag == "":
		return withCapabilities(p)
	}
	return p
}

// libraryConfused is what the library says for every error that is not an *imap.Error. A session returns none such.
var libraryConfused = []byte("NO [SERVERBUG] Internal server error\r\n")

// withCapabilities adds ID to the capabilities in a response line, if there are any: the guard answers that command,
// and the library has no way to be told. IDLE it names after login only; but imaplib, and what is built on it, asks
// once, before, and would never idle (RFC 9051, section 6.1.1, leaves it to the server what it names when).
func withCapabilities(p []byte) []byte {
	const word = "CAPABILITY "
	i := bytes.Index(p, []byte("["+word))
	end := -1
	if i >= 0 {
		end = bytes.IndexByte(p, ']')
	} else if bytes.HasPrefix(p, []byte("* "+word)) {
		end = bytes.Index(p, []byte("\r\n"))
	}
	if end < i || end < 0 {
		return p
	}
	added := " ID"
	if !bytes.Contains(p[:end], []byte(" IDLE")) {
		added = " IDLE ID"
	}
	return slices.Concat(p[:end], []byte(added), p[end:])
}

// say writes whole response lines of the guard's own, between those of the library.
func (o *output) say(lines string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return net.ErrClosed
	}
	return o.put([]byte(lines))
}

// put gathers p. The lock is held.
func (o *output) put(p []byte) error {
	for len(p) > 0 {
		if o.n == 0 && len(p) >= outputSize {
			return o.send(p)
		}
		if o.buf == nil {
			o.buf = outputPool.Get().(*[outputSize]byte)
		}
		k := copy(o.buf[o.n:], p)
		o.n += k
		p = p[k:]
		if o.n == outputSize {
			if err := o.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush sends what was gathered and gives the buffer back. The lock is held.
func (o *output) flush() error {
	if o.buf == nil {
		return nil
	}
	err := o.send(o.buf[:o.n])
	outputPool.Put(o.buf)
	o.buf, o.n = nil, 0
	return err
}

// send writes to the connection, each time with a deadline of its own: a slow reader is one that takes nothing at all.
func (o *output) send(p []byte) error {
	if o.closed || o.severed.Load() {
		return net.ErrClosed
	}
	o.conn.SetWriteDeadline(time.Now().Add(o.stall))
	n, err := o.conn.Write(p)
	o.sent += int64(n)
	if err != nil {
		o.closed = true // TLS cannot go on after a write that was cut
	}
	return err
}

// wait sends everything before the library's goroutine blocks on the client. With running, a command is under way and
// its message is being read; otherwise this is a place to leave politely.
func (o *output) wait(running, idling bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return net.ErrClosed
	}
	o.waiting, o.idling = !running, idling
	if o.farewell != "" && o.mayLeave() {
		o.leave()
	}
	return o.flush()
}

// resume ends what wait began.
func (o *output) resume() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting, o.idling = false, false
}

// mayLeave says whether this is a boundary at which the farewell may be said. The lock is held.
func (o *output) mayLeave() bool {
	if o.waiting && !o.idling {
		return true // in a SASL exchange the library keeps its bracket open, but nothing is half written
	}
	return !o.open && (o.waiting || !o.patient)
}

// leave says BYE and closes. The lock is held.
func (o *output) leave() {
	o.put([]byte("* BYE " + o.farewell + "\r\n"))
	o.flush()
	o.closed = true
	o.conn.Close()
}

// over reports whether nothing can be said any more.
func (o *output) over() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed || o.severed.Load()
}

// bye asks for a farewell: now if this is a boundary, otherwise at the next one.
func (o *output) bye(text string, patient bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.farewell, o.patient = text, patient
	if o.mayLeave() {
		o.leave()
	}
}

// shut sends what was gathered and takes nothing more. If another goroutine is stuck in a write, it does nothing: the
// connection is about to be closed, which ends that write.
func (o *output) shut() {
	if !o.mu.TryLock() {
		return
	}
	defer o.mu.Unlock()
	if !o.closed {
		o.stall = min(o.stall, shutPatience)
		o.flush()
		o.closed = true
	}
}

// shutPatience is how long a client that is not reading may hold up the end of its connection.
const shutPatience = 2 * time.Second
