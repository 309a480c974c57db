package imapd

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A listener accepts connections for the library: it counts them, does the TLS handshake, and hands out guards.
//
// The handshake runs in a goroutine of its own that ends with it. Its stack grows to four times what the connection
// needs later, and the goroutine that stays with the connection would keep that for as long as it idles.
type listener struct {
	ln      net.Listener
	tls     *tls.Config
	limits  *Limits
	refused func(addr netip.Addr, r Refusal, member bool)
	ready   chan *guard
	done    chan struct{} // closed when nothing is accepted any more
	once    sync.Once

	mu     sync.Mutex
	places map[netip.Prefix]*place
	total  int
	guards map[*guard]struct{}
	empty  chan struct{} // closed when the last guard has gone, once somebody waits for it
}

// A place is what one network holds.
type place struct{ all, strangers int }

// listen starts to accept connections from ln. refused, which may be nil, is told of everyone who is turned away or cut
// off, and whether that was after a login; it must not block.
func listen(ln net.Listener, config *tls.Config, limits Limits, refused func(addr netip.Addr, r Refusal, member bool)) *listener {
	config = config.Clone()
	// RFC 9325, section 3.9, and RFC 7301: a client that speaks another protocol, or was talked into it, does not get
	// as far as a greeting. A client that offers no protocol at all is welcome.
	config.NextProtos = []string{"imap"}
	// Records grow slowly by default, for pages that render as they come. Ours are read whole.
	config.DynamicRecordSizingDisabled = true
	if refused == nil {
		refused = func(netip.Addr, Refusal, bool) {}
	}
	l := &listener{
		ln: ln, tls: config, limits: &limits, refused: refused,
		ready:  make(chan *guard),
		done:   make(chan struct{}),
		places: make(map[netip.Prefix]*place),
		guards: make(map[*guard]struct{}),
	}
	go l.run()
	return l
}

// run accepts until the listener is closed. When there are no more file descriptors it waits for some.
func (l *listener) run() {
	const longest = time.Second
	var pause time.Duration
	for {
		conn, err := l.ln.Accept()
		if err == nil {
			pause = 0
			l.admit(conn)
			continue
		}
		pause = min(max(2*pause, 5*time.Millisecond), longest)
		select {
		case <-l.done:
			return
		case <-time.After(pause):
		}
	}
}

// admit finds a place for a connection and starts its handshake, or closes it. Before the handshake there is no way to
// say why, and a handshake is what a flood would like to have from us.
func (l *listener) admit(conn net.Conn) {
	addr := remoteAddr(conn)
	if why := l.enter(network(addr)); why != 0 {
		l.refused(addr, why, false)
		conn.Close()
		return
	}
	go l.shake(conn, addr)
}

// shake does the handshake and hands the guard to Accept.
func (l *listener) shake(conn net.Conn, addr netip.Addr) {
	ctx, cancel := context.WithTimeout(context.Background(), l.limits.Handshake)
	defer cancel()
	t := tls.Server(conn, l.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		l.refused(addr, RefusedHandshake, false)
		conn.Close()
		l.leave(network(addr), true)
		return
	}
	g := newGuard(t, l.limits, hooks{})
	g.hooks = l.hooks(g, addr)
	if !l.add(g) {
		g.Close()
		return
	}
	select {
	case l.ready <- g:
	case <-l.done:
		g.Close()
	}
}

// hooks returns what keeps the count right while a guard lives.
func (l *listener) hooks(g *guard, addr netip.Addr) hooks {
	stranger := true // guarded by l.mu
	return hooks{
		authenticated: func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if p := l.places[network(addr)]; p != nil && stranger {
				p.strangers--
				stranger = false
			}
		},
		refused: func(r Refusal) { l.refused(addr, r, g.member) },
		closed: func() {
			l.mu.Lock()
			was := stranger
			delete(l.guards, g)
			if len(l.guards) == 0 && l.empty != nil {
				close(l.empty)
				l.empty = nil
			}
			l.mu.Unlock()
			l.leave(network(addr), was)
		},
	}
}

// enter counts a connection in, or says why it may not come in.
func (l *listener) enter(from netip.Prefix) Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.places[from]
	switch {
	case l.total >= l.limits.Conns:
		return RefusedFull
	case p == nil:
		p = new(place)
		l.places[from] = p
	case p.all >= l.limits.PerAddress:
		return RefusedAddress
	case p.strangers >= l.limits.Strangers:
		return RefusedStrangers
	}
	l.total++
	p.all++
	p.strangers++
	return 0
}

// leave counts a connection out.
func (l *listener) leave(from netip.Prefix, stranger bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.places[from]
	l.total--
	p.all--
	if stranger {
		p.strangers--
	}
	if p.all == 0 {
		delete(l.places, from)
	}
}

// add notes a guard, unless the listener has been closed meanwhile.
func (l *listener) add(g *guard) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		return false
	default:
	}
	l.guards[g] = struct{}{}
	return true
}

// Accept returns the next connection that has done its handshake: a *guard. After Close it returns net.ErrClosed.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case g := <-l.ready:
		return g, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Addr returns the address that is listened on.
func (l *listener) Addr() net.Addr { return l.ln.Addr() }

// Close stops accepting. Connections live on: see shutdown.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		close(l.done)
		l.mu.Unlock()
	})
	return l.ln.Close()
}

// shutdown stops accepting, says BYE to every client when its running command is done, and returns when the library and
// the sessions have let go of all connections. Who is left after grace is cut off.
func (l *listener) shutdown(grace time.Duration) {
	l.Close()
	l.mu.Lock()
	all := make([]*guard, 0, len(l.guards))
	for g := range l.guards {
		all = append(all, g)
	}
	var empty chan struct{}
	if len(all) > 0 {
		if l.empty == nil {
			l.empty = make(chan struct{})
		}
		empty = l.empty
	}
	l.mu.Unlock()
	for _, g := range all {
		g.bye("The server is going down", true, grace)
	}
	if empty != nil {
		<-empty
	}
}

// remoteAddr returns the client's address, without the form that IPv4 has inside IPv6.
func remoteAddr(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// network returns what is counted as one client: an IPv4 address, or the /64 of an IPv6 one, within which a host may
// choose its address as it likes (RFC 4291, section 2.5.1).
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // not TCP: one place for all
	}
	return p
}
