package web

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds of connections, on both ports together.
const (
	maxConns      = 512
	maxPerNetwork = 32 // from one IPv4 address or IPv6 /64
)

// places counts connections. One that finds no place is closed at once: whoever
// asks here asks again.
type places struct {
	most, perNetwork int

	mu       sync.Mutex
	taken    int
	networks map[netip.Prefix]int
}

func newPlaces(most, perNetwork int) *places {
	return &places{most: most, perNetwork: perNetwork, networks: map[netip.Prefix]int{}}
}

// limit lets a listener accept no more than there are places for.
func (p *places) limit(l net.Listener) net.Listener { return limited{l, p} }

type limited struct {
	net.Listener
	places *places
}

// Accept waits for a connection that has a place.
func (l limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		network := networkOf(conn.RemoteAddr())
		if !l.places.take(network) {
			conn.Close()
			continue
		}
		return &placed{Conn: conn, leave: sync.OnceFunc(func() { l.places.leave(network) })}, nil
	}
}

// placed is a connection that gives its place back when it closes.
type placed struct {
	net.Conn
	leave func()
}

// Close ends the connection.
func (c *placed) Close() error {
	c.leave()
	return c.Conn.Close()
}

func (p *places) take(network netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.most || p.networks[network] >= p.perNetwork {
		return false
	}
	p.taken++
	p.networks[network]++
	return true
}

func (p *places) leave(network netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.networks[network]--; p.networks[network] <= 0 {
		delete(p.networks, network)
	}
}

// networkOf is what one subscriber has.
func networkOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	network, _ := ip.Prefix(bits)
	return network
}
