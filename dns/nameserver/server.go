package nameserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/net/netutil"
)

// Bounds of TCP, which RFC 7766 makes us offer.
const (
	maxConnections = 64
	maxQueries     = 64 // per connection
	queryTimeout   = 2 * time.Second
	idleTimeout    = 5 * time.Second
	connectionLife = 30 * time.Second
)

// Server answers for its zones. The zero value is not usable; see [New].
type Server struct {
	zones atomic.Pointer[map[string]*version]

	mu       sync.Mutex // held by those who change
	running  []*mdns.Server
	finished sync.WaitGroup
	addr     netip.AddrPort
}

// New makes a server without zones, which refuses every question.
func New() *Server {
	s := new(Server)
	s.zones.Store(&map[string]*version{})
	return s
}

// SetZone adds a zone, or replaces the one of the same origin. On an error the
// zone stays as it was.
func (s *Server) SetZone(z Zone) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	z.Records = slices.Clone(z.Records)
	z.Nameservers = slices.Clone(z.Nameservers)
	return s.put(z)
}

// put makes a version of z and shows it. The caller holds the lock.
func (s *Server) put(z Zone) error {
	old := *s.zones.Load()
	serial := uint32(time.Now().Unix()) // grows over restarts, and by one at least
	origin, err := ownerName(z.Origin)
	if before := old[origin]; err == nil && before != nil && int32(serial-before.soa.Serial) <= 0 {
		serial = before.soa.Serial + 1
	}
	v, err := compile(z, serial)
	if err != nil {
		return err
	}
	zones := maps.Clone(old)
	zones[v.origin] = v
	s.zones.Store(&zones)
	return nil
}

// RemoveZone drops a zone; its names are refused from then on. It reports
// whether there was one.
func (s *Server) RemoveZone(origin string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, err := ownerName(origin)
	zones := maps.Clone(*s.zones.Load())
	_, ok := zones[name]
	delete(zones, name)
	s.zones.Store(&zones)
	return ok && err == nil
}

// Replace sets all records of one name and type, in the zone that holds the
// name. Without data there is none any more.
func (s *Server) Replace(name string, t Type, ttl time.Duration, data ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, err := ownerName(name)
	if err != nil {
		return fmt.Errorf("nameserver: name %q: %w", name, err)
	}
	v := closest(*s.zones.Load(), owner)
	if v == nil {
		return fmt.Errorf("nameserver: no zone holds %s", name)
	}
	z := v.zone
	z.Records = slices.DeleteFunc(slices.Clone(z.Records), func(r Record) bool {
		other, err := ownerName(r.Name)
		return err == nil && other == owner && r.Type == t
	})
	for _, d := range data {
		z.Records = append(z.Records, Record{Name: name, Type: t, TTL: ttl, Data: d})
	}
	return s.put(z)
}

// Start listens on UDP and TCP at addr, "127.0.0.1:53" or with port 0 for one
// that is free, and returns when both answer. It may be called for several
// addresses; Addr is the last.
func (s *Server) Start(addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tcp, udp, err := listen(addr)
	if err != nil {
		return fmt.Errorf("nameserver: %w", err)
	}
	s.addr = tcp.Addr().(*net.TCPAddr).AddrPort()
	for _, server := range []*mdns.Server{
		{PacketConn: udp, UDPSize: udpSize},
		{Listener: boundedListener{netutil.LimitListener(tcp, maxConnections)}, MaxTCPQueries: maxQueries,
			ReadTimeout: queryTimeout, IdleTimeout: func() time.Duration { return idleTimeout }},
	} {
		server.Handler = mdns.HandlerFunc(s.serve)
		server.MsgAcceptFunc = accept
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		s.finished.Go(func() { server.ActivateAndServe() })
		<-started
		s.running = append(s.running, server)
	}
	return nil
}

// listen takes the same port of both protocols.
func listen(addr string) (net.Listener, net.PacketConn, error) {
	const tries = 10
	for i := 1; ; i++ {
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp, nil
		}
		tcp.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" || i == tries {
			return nil, nil, err
		}
	}
}

// boundedListener ends a connection whose peer does not take its answers.
type boundedListener struct{ net.Listener }

func (l boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		conn.SetWriteDeadline(time.Now().Add(connectionLife))
	}
	return conn, err
}

// Addr is where the server listens; the zero AddrPort before Start.
func (s *Server) Addr() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Stop ends listening, lets answers under way finish until ctx ends, and
// returns when everything has stopped.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, server := range s.running {
		errs = append(errs, server.ShutdownContext(ctx))
	}
	s.running = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("nameserver: stop: %w", err)
	}
	s.finished.Wait()
	return nil
}

func (s *Server) serve(w mdns.ResponseWriter, q *mdns.Msg) {
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	w.WriteMsg(answer(*s.zones.Load(), q, tcp)) // an error is the peer's loss
}
