package nameserver

import (
	"errors"
	"net"
	"runtime"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// workersPerCPU answer side by side on one socket. An answer waits for nothing but
// the socket, so a few are enough, and a flood has no more.
const workersPerCPU = 2

// socketBuffer is what the kernel is asked to hold of a burst, bytes.
const socketBuffer = 1 << 20

// pause is how long a loop waits after an error that is not its end, such as want
// of memory or of file descriptors.
const pause = 50 * time.Millisecond

// serveUDP answers the packets of a socket until it is closed.
func (s *Server) serveUDP(conn *net.UDPConn) {
	conn.SetReadBuffer(socketBuffer) // as much as the kernel grants
	if conn.LocalAddr().(*net.UDPAddr).IP.IsUnspecified() {
		// Bound to all addresses, a reply must leave from the one that was asked.
		ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
		ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	}
	for range workersPerCPU * runtime.GOMAXPROCS(0) {
		s.finished.Go(func() { s.work(conn) })
	}
}

// work answers one packet after another.
func (s *Server) work(conn *net.UDPConn) {
	in, out := make([]byte, maxQuery+1), make([]byte, udpSize)
	for {
		n, from, err := mdns.ReadFromSessionUDP(conn, in)
		switch {
		case errors.Is(err, net.ErrClosed) || s.stopping.Load():
			return
		case err != nil:
			time.Sleep(pause)
			continue
		}
		if wire := s.overUDP(in[:n], out, from.RemoteAddr().(*net.UDPAddr)); wire != nil {
			mdns.WriteToSessionUDP(conn, wire, from) // an error is the peer's loss
		}
	}
}

// overUDP makes the packet that answers one, nil for none.
func (s *Server) overUDP(packet, buf []byte, from *net.UDPAddr) (wire []byte) {
	defer s.recovered()
	if from.Port == 0 {
		return nil // nobody can be there
	}
	r := respond(s.tree.Load(), packet)
	if r == nil {
		return nil
	}
	if s.limiter != nil && !s.limiter.allow(time.Since(s.born).Nanoseconds(), from.AddrPort().Addr(), r.kind, r.name) {
		r.cut()
	}
	wire, err := r.pack(buf, false)
	if err != nil {
		return nil
	}
	return wire
}
