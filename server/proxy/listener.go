package proxy

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of what has not said yet whose connection it is.
const (
	// headerTime is how long a header may take. A balancer sends it with its first
	// packet, and three seconds cover one that was lost (section 2).
	headerTime = 5 * time.Second
	// maxWaiting is how many connections may wait for theirs at a time.
	maxWaiting = 1024
)

// Listen returns a listener that accepts from l and knows who is behind the balancers:
// RemoteAddr of a connection is the client's. A balancer's header is read beside Accept,
// which waits for nobody. refused is told of each of a balancer's connections that began
// with no header, or with one that could not be used; it must not block. Closing the
// listener closes l.
func Listen(l net.Listener, from Networks, refused func(peer netip.Addr)) net.Listener {
	p := &listener{Listener: l, from: from, refused: refused, wait: headerTime,
		ready: make(chan net.Conn), failed: make(chan error), done: make(chan struct{}), waiting: make(chan struct{}, maxWaiting)}
	go p.run()
	return p
}

type listener struct {
	net.Listener
	from    Networks
	refused func(netip.Addr)
	wait    time.Duration

	ready   chan net.Conn
	failed  chan error
	waiting chan struct{}
	once    sync.Once
	done    chan struct{}
}

// run accepts until the listener is closed.
func (l *listener) run() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			select {
			case l.failed <- err: // who serves decides whether to try again
			case <-l.done:
				return
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if peer := peerOf(c); l.from.Has(peer) {
			l.meet(c, peer)
		} else {
			l.hand(c)
		}
	}
}

// meet hears whose a balancer's connection is, beside the next Accept.
func (l *listener) meet(c net.Conn, peer netip.Addr) {
	select {
	case l.waiting <- struct{}{}:
	default:
		l.refused(peer)
		c.Close()
		return
	}
	go func() {
		known, err := introduce(c, l.wait)
		<-l.waiting
		if err != nil {
			l.refused(peer)
			c.Close()
			return
		}
		l.hand(known)
	}()
}

// introduce reads the header of a connection.
func introduce(c net.Conn, within time.Duration) (net.Conn, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	client, rest, err := readHeader(c)
	if err != nil {
		return nil, err
	}
	known := &conn{Conn: c, rest: rest, remote: c.RemoteAddr()}
	if client.IsValid() {
		known.remote = net.TCPAddrFromAddrPort(client)
	}
	return known, c.SetReadDeadline(time.Time{})
}

// hand gives a connection to Accept.
func (l *listener) hand(c net.Conn) {
	select {
	case l.ready <- c:
	case <-l.done:
		c.Close()
	}
}

// Accept returns the next connection whose client is known. After Close it returns
// net.ErrClosed.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close stops accepting. Who has not said yet whose connection it is, is cut off.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// peerOf is the address that connected.
func peerOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// conn is a connection through a balancer.
type conn struct {
	net.Conn
	rest   []byte // read with the header, and the client's
	remote net.Addr
}

// Read reads what the client sent.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}

// RemoteAddr is the client's address.
func (c *conn) RemoteAddr() net.Addr { return c.remote }
