package nameserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers for its zones. The zero value is not usable; see [New].
type Server struct {
	tree     atomic.Pointer[tree]
	limiter  *limiter // nil: none
	log      *slog.Logger
	born     time.Time // the limiter's clock begins there
	streams  streams
	stopping atomic.Bool
	finished sync.WaitGroup

	mu    sync.Mutex // held by those who change
	doors []door
	addr  netip.AddrPort
}

// door is an address of the server, for both protocols.
type door struct {
	tcp  net.Listener
	udp  *net.UDPConn
	open bool // it is served
}

// Options of a server for everybody.
type Options struct {
	Rate Rate         // of replies to one network
	Log  *slog.Logger // nil: nothing is logged
}

// New makes a server without zones, which refuses every question. It has no limit of
// replies, and is for a laboratory.
func New() *Server { return NewPublic(Options{}) }

// NewPublic makes a server without zones for the Internet.
func NewPublic(o Options) *Server {
	s := &Server{log: o.Log, born: time.Now(), streams: streams{open: map[*stream]netip.Prefix{}}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.Rate != (Rate{}) {
		s.limiter = newLimiter(o.Rate)
	}
	s.tree.Store(plant(map[string]*version{}))
	return s
}

// SetZone adds a zone, or replaces the one of the same origin. On an error the
// zone stays as it was.
func (s *Server) SetZone(z Zone) error { return s.Change([]Zone{z}, nil) }

// Change adds or replaces zones and removes those of other origins, all in one
// moment. A zone that is as it was keeps its serial. Where a zone is no good, it
// stays as it was, and the others change; the error says which.
func (s *Server) Change(set []Zone, drop []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tree.Load()
	var versions []*version
	var errs []error
	for _, z := range set {
		v, err := now.successor(z)
		errs = append(errs, err)
		if v != nil {
			versions = append(versions, v)
		}
	}
	origins := make([]string, 0, len(drop))
	for _, d := range drop {
		if origin, err := ownerName(d); err == nil {
			origins = append(origins, origin)
		}
	}
	s.tree.Store(now.with(versions, origins))
	return errors.Join(errs...)
}

// successor makes the next version of a zone, nil when there is no need of one.
func (t *tree) successor(z Zone) (*version, error) {
	z.Records = slices.Clone(z.Records)
	z.Nameservers = slices.Clone(z.Nameservers)
	serial := uint32(time.Now().Unix()) // grows over restarts, and by one at least
	if origin, err := ownerName(z.Origin); err == nil && t.zones[origin] != nil {
		before := t.zones[origin]
		if reflect.DeepEqual(before.zone, z) {
			return nil, nil
		}
		if int32(serial-before.soa.Serial) <= 0 { // RFC 1982
			serial = before.soa.Serial + 1
		}
	}
	return compile(z, serial)
}

// RemoveZone drops a zone; its names are refused from then on. It reports
// whether there was one.
func (s *Server) RemoveZone(origin string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, err := ownerName(origin)
	now := s.tree.Load()
	_, ok := now.zones[name]
	if !ok || err != nil {
		return false
	}
	s.tree.Store(now.with(nil, []string{name}))
	return true
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
	now := s.tree.Load()
	v := now.closest(owner)
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
	next, err := now.successor(z)
	if next == nil {
		return err
	}
	s.tree.Store(now.with([]*version{next}, nil))
	return nil
}

// Start listens on UDP and TCP at addr, "127.0.0.1:53" or with port 0 for one
// that is free, and returns when both answer. It may be called for several
// addresses; Addr is the last.
func (s *Server) Start(addr string) error {
	if err := s.Listen(addr); err != nil {
		return err
	}
	s.Serve()
	return nil
}

// Listen takes an address, as Start does, and answers nothing yet: who asks waits
// until Serve.
func (s *Server) Listen(addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tcp, udp, err := listen(addr)
	if err != nil {
		return fmt.Errorf("nameserver: %w", err)
	}
	s.addr = tcp.Addr().(*net.TCPAddr).AddrPort()
	s.doors = append(s.doors, door{tcp: tcp, udp: udp})
	return nil
}

// Serve begins to answer at the addresses of Listen.
func (s *Server) Serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.doors {
		d := &s.doors[i]
		if d.open || s.stopping.Load() {
			continue
		}
		d.open = true
		s.serveUDP(d.udp)
		tcp := d.tcp
		s.finished.Go(func() { s.serveTCP(tcp) })
	}
}

// listen takes the same port of both protocols.
func listen(addr string) (net.Listener, *net.UDPConn, error) {
	const tries = 10
	for i := 1; ; i++ {
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp.(*net.UDPConn), nil
		}
		tcp.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" || i == tries {
			return nil, nil, err
		}
	}
}

// Addr is where the server listens; the zero AddrPort before Start.
func (s *Server) Addr() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Stop ends listening, lets answers under way finish until ctx ends, and
// returns when everything has stopped: then with an error, if something was cut.
// A server that was stopped is not started again.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping.Store(true)
	for _, d := range s.doors {
		d.tcp.Close()
		d.udp.SetReadDeadline(time.Unix(1, 0)) // who waits for a packet waits no more; who has one answers
	}
	s.streams.hush()
	done := make(chan struct{})
	go func() {
		s.finished.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("nameserver: stop: %w", ctx.Err())
	}
	for _, d := range s.doors {
		d.udp.Close()
	}
	s.streams.cut()
	<-done
	s.doors = nil
	return err
}

// recovered keeps a panic of ours from being the end of everybody. What the packet
// was is not logged.
func (s *Server) recovered() {
	if v := recover(); v != nil {
		s.log.Error("panic at a question", "kind", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
	}
}
