package nameserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of TCP, which RFC 7766 makes us offer.
const (
	maxConnections  = 256
	maxPerNetwork   = 64              // connections
	maxQueries      = 256             // per connection
	idleTimeout     = 5 * time.Second // until a query begins; RFC 7766, section 6.2.3: a few seconds
	exchangeTimeout = 5 * time.Second // for the rest of a query, and for taking its answer
	connectionLife  = time.Minute
)

// serveTCP takes connections until the listener is closed.
func (s *Server) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(pause)
			continue
		}
		st := &stream{server: s, conn: conn, begun: time.Now()}
		st.last = st.begun
		if !s.streams.add(st) {
			conn.Close()
			return
		}
		s.finished.Go(st.serve)
	}
}

// stream is one connection. Queries may come one behind the other without waiting
// (RFC 7766, section 6.2.1.1), and are answered in their order.
type stream struct {
	server *Server
	conn   net.Conn
	begun  time.Time
	last   time.Time // when a query came last; guarded by the table
}

func (st *stream) serve() {
	defer st.server.streams.remove(st)
	defer st.conn.Close()
	defer st.server.recovered()
	in, out := bufio.NewReaderSize(st.conn, maxQuery+2), bufio.NewWriter(st.conn)
	packet, buf := make([]byte, maxQuery), []byte(nil)
	for range maxQueries {
		n, err := st.next(in, packet)
		if err != nil {
			return
		}
		if buf, err = st.answer(out, buf, packet[:n]); err != nil {
			return
		}
		// What waits behind this query was asked at once, and is answered at once.
		if in.Buffered() < 2 {
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
	out.Flush()
}

// next reads a query: two octets of length, and the message (RFC 1035, section
// 4.2.2). One that is longer than any question ends the connection.
func (st *stream) next(in *bufio.Reader, packet []byte) (int, error) {
	now := time.Now()
	end := st.begun.Add(connectionLife)
	st.conn.SetDeadline(earlier(now.Add(idleTimeout), end))
	var length [2]byte
	if _, err := io.ReadFull(in, length[:1]); err != nil {
		return 0, err
	}
	st.conn.SetDeadline(earlier(time.Now().Add(exchangeTimeout), end))
	if _, err := io.ReadFull(in, length[1:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > len(packet) {
		return 0, errors.New("nameserver: a query of too many octets")
	}
	_, err := io.ReadFull(in, packet[:n])
	st.server.streams.touch(st)
	return n, err
}

func (st *stream) answer(out *bufio.Writer, buf, packet []byte) ([]byte, error) {
	r := respond(st.server.tree.Load(), packet)
	if r == nil {
		return buf, errors.New("nameserver: that was no query")
	}
	wire, err := r.pack(buf, true)
	if err != nil {
		return buf, err
	}
	out.Write(binary.BigEndian.AppendUint16(nil, uint16(len(wire))))
	_, err = out.Write(wire)
	return wire, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// streams is the table of open connections. It is never too full for another one:
// the one that was silent for longest makes room, of the same network where that
// has its share, so that nobody is shut out by who opens many and says nothing.
type streams struct {
	mu     sync.Mutex
	open   map[*stream]netip.Prefix
	closed bool
}

// add reports whether the connection may be served: not during a stop.
func (t *streams) add(st *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	from := network(st.conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
	same := 0
	var longest, longestSame *stream
	for other, network := range t.open {
		if longest == nil || other.last.Before(longest.last) {
			longest = other
		}
		if network != from {
			continue
		}
		if same++; longestSame == nil || other.last.Before(longestSame.last) {
			longestSame = other
		}
	}
	switch {
	case same >= maxPerNetwork:
		t.evict(longestSame)
	case len(t.open) >= maxConnections:
		t.evict(longest)
	}
	t.open[st] = from
	return true
}

// evict ends a connection, which counts no more.
func (t *streams) evict(st *stream) {
	delete(t.open, st)
	st.conn.Close()
}

func (t *streams) remove(st *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, st)
}

func (t *streams) touch(st *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st.last = time.Now()
}

// hush ends the silence of all connections: what has come is still read and
// answered, and behind it is the end.
func (t *streams) hush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for st := range t.open {
		if c, ok := st.conn.(*net.TCPConn); ok {
			c.CloseRead()
		}
	}
}

// cut ends all connections.
func (t *streams) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for st := range t.open {
		st.conn.Close()
	}
}
