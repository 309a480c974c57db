package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/storage"
)

// Config is what a server needs.
type Config struct {
	// Hostname is our name: what of an appended message's header is written in our name is by this one.
	Hostname string
	// TLS has the certificates, best by GetCertificate so that they can be renewed. Versions below 1.2 are never
	// spoken. // CO-1
	TLS *tls.Config
	// Limits; the zero value stands for DefaultLimits.
	Limits Limits

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged

	Store     *storage.Store
	Directory *directory.Directory
	Judge     delivery.Judge // scores what clients append; nil: nobody does
}

// Server serves IMAP over TLS on any number of listeners.
type Server struct {
	hostname  string
	tls       *tls.Config
	limits    Limits
	now       func() time.Time
	log       *slog.Logger
	store     *storage.Store
	directory *directory.Directory
	scorer    delivery.Judge
	library   *imapserver.Server

	mu        sync.Mutex
	closed    bool
	listeners map[*listener]struct{}
}

func (s *Server) newLibrarySession(c *imapserver.Conn, g *guard) (imapserver.Session, error) {
	return s.newSession(c, g), nil
}

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("imapd: server closed")

// New makes a server. It listens nowhere yet.
func New(cfg Config) *Server {
	s := &Server{
		hostname: cfg.Hostname, limits: cfg.Limits, now: cfg.Now, log: cfg.Log,
		store: cfg.Store, directory: cfg.Directory, scorer: cfg.Judge, listeners: map[*listener]struct{}{},
	}
	if s.limits == (Limits{}) {
		s.limits = DefaultLimits()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.tls = cfg.TLS.Clone()
	s.tls.MinVersion = max(s.tls.MinVersion, tls.VersionTLS12)
	s.library = newLibrary(s.newLibrarySession, s.log)
	return s
}

// Serve accepts connections from l, each of which is TLS from its first byte (RFC 8314, section 3.2), until Shutdown or
// an error of the listener. It closes l. After Shutdown it returns ErrServerClosed.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	ours := listen(l, s.tls, s.limits, s.refused)
	s.listeners[ours] = struct{}{}
	s.mu.Unlock()
	if err := s.library.Serve(ours); err != nil {
		return err
	}
	return ErrServerClosed
}

// refused counts a stranger who was turned away. What ends a login's connection is said when its session ends. // AU-13
func (s *Server) refused(addr netip.Addr, r Refusal, member bool) {
	if !member {
		s.directory.Refuse(addr, "CONNECT", r.String())
	}
}

// Connections counts those that are open, handshakes among them.
func (s *Server) Connections() (open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		l.mu.Lock()
		open += l.total
		l.mu.Unlock()
	}
	return open
}

// stopping reports whether Shutdown was called.
func (s *Server) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// farewellTime is how long Shutdown waits for clients when its context has no deadline.
const farewellTime = 20 * time.Second

// Shutdown stops accepting, says BYE to every client when its running command is done, and returns when all sessions
// have ended. Who is left when the context ends is cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	all := s.listeners
	s.listeners = map[*listener]struct{}{}
	s.mu.Unlock()
	grace := farewellTime
	if deadline, ok := ctx.Deadline(); ok {
		grace = max(time.Until(deadline), 0)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var each sync.WaitGroup
		for l := range all {
			each.Go(func() { l.shutdown(grace) })
		}
		each.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	// The cuts have been made or are being made. What then still runs is a session that finishes a transaction.
	select {
	case <-done:
		return nil
	case <-time.After(time.Second):
		return ctx.Err()
	}
}
