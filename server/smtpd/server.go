package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/report"
	"postern/server/submission"
	"postern/storage"
)

// Config is what a server needs.
type Config struct {
	// Hostname is our name in the banner and in EHLO's reply: a domain name.
	Hostname string
	// TLS has the certificates, best by GetCertificate so that they can be renewed. Nil means no TLS: port 25 then does
	// not offer STARTTLS, and there can be no submission. Versions below 1.2 are never spoken (CO-1).
	TLS *tls.Config
	// Limits; the zero value stands for DefaultLimits.
	Limits Limits

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged

	Store     *storage.Store
	Directory *directory.Directory
	Inbound   *delivery.Inbound
	Outbound  *submission.Outbound
	Reports   *report.Office // takes reports about our domains; nil: their address does not exist

	// Answered is told how long a client waited at a door, from the end of a message's data until 250; nil: nobody is.
	Answered func(door string, took time.Duration)
}

// Server serves SMTP on any number of listeners.
type Server struct {
	hostname  string
	tls       *tls.Config
	limits    Limits
	now       func() time.Time
	log       *slog.Logger
	store     *storage.Store
	directory *directory.Directory
	inbound   *delivery.Inbound
	outbound  *submission.Outbound
	reports   *report.Office
	answered  func(door string, took time.Duration)
	library   *smtp.Server
	guesses   guesses

	receiving, submitting admission

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	gone      chan struct{} // closed when closed and no connection is left
}

// A door is a kind of listener.
type door struct {
	name       string // as events have it
	submission bool
	implicit   bool          // TLS from the first byte
	greeting   time.Duration // see Limits.Greeting
	admission  *admission
	desk       func(*conn) desk
}

// New makes a server. It listens nowhere yet.
func New(cfg Config) *Server {
	s := &Server{
		hostname: cfg.Hostname, limits: cfg.Limits, now: cfg.Now, log: cfg.Log,
		store: cfg.Store, directory: cfg.Directory, inbound: cfg.Inbound, outbound: cfg.Outbound, reports: cfg.Reports, answered: cfg.Answered,
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{}, gone: make(chan struct{}),
	}
	if s.limits == (Limits{}) {
		s.limits = DefaultLimits()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.answered == nil {
		s.answered = func(string, time.Duration) {}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.TLS != nil {
		s.tls = cfg.TLS.Clone()
		s.tls.MinVersion = max(s.tls.MinVersion, tls.VersionTLS12)
	}
	s.guesses = guesses{now: s.now, limits: &s.limits}
	s.library = s.newLibrary()
	return s
}

// newLibrary is the one place where go-smtp is set up. What it could decide is decided by the guard already: extensions,
// sizes, deadlines and the right to authenticate. It counts the octets of a line only to close the connection; the
// longest that it gets is maxSASL and a verb.
func (s *Server) newLibrary() *smtp.Server {
	l := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return session{c.Conn().(*conn)}, nil
	}))
	l.Domain = s.hostname
	l.AllowInsecureAuth = true // it cannot see our TLS; conn.auth does
	l.MaxLineLength = 64 << 10
	l.ErrorLog = libraryLog{s.log}
	return l
}

// libraryLog writes what the library reports, but for the values, which may hold what a client sent.
type libraryLog struct{ log *slog.Logger }

// Printf logs the format, and the stack when there is one.
func (l libraryLog) Printf(format string, values ...any) {
	for _, v := range values {
		if stack, ok := v.([]byte); ok {
			l.log.Error("go-smtp", "format", format, "stack", string(stack))
			return
		}
	}
	l.log.Debug("go-smtp", "format", format)
}

// Println is in the library's interface, and not called.
func (l libraryLog) Println(...any) { l.log.Debug("go-smtp") }

// ErrServerClosed is what the Serve methods return after Shutdown.
var ErrServerClosed = errors.New("smtpd: server closed")

// ServeMX receives mail from other servers (port 25) until Shutdown or an error of the listener.
func (s *Server) ServeMX(l net.Listener) error {
	return s.serve(l, &door{
		name: "mx", greeting: s.limits.Greeting, admission: &s.receiving,
		desk: func(c *conn) desk { return &receiving{c: c} },
	})
}

// ServeSubmission serves agents with STARTTLS (port 587, RFC 6409).
func (s *Server) ServeSubmission(l net.Listener) error {
	return s.serve(l, s.submissionDoor("submission", false))
}

// ServeSubmissions serves agents with implicit TLS (port 465, RFC 8314). The listener is of plain TCP.
func (s *Server) ServeSubmissions(l net.Listener) error {
	return s.serve(l, s.submissionDoor("submissions", true))
}

func (s *Server) submissionDoor(name string, implicit bool) *door {
	return &door{
		name: name, submission: true, implicit: implicit, admission: &s.submitting,
		desk: func(c *conn) desk { return &submitting{c: c} },
	}
}

func (s *Server) serve(l net.Listener, d *door) error {
	if d.submission && s.tls == nil {
		return fmt.Errorf("smtpd: %s needs TLS", d.name) // AC-10
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()

	err := s.library.Serve(listener{l, s, d})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrServerClosed
	}
	return err
}

// A listener gives the library guarded connections instead of sockets.
type listener struct {
	net.Listener
	server *Server
	door   *door
}

// Accept waits for a client that gets a place.
func (l listener) Accept() (net.Conn, error) {
	for {
		socket, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.server.enter(l.door, socket); c != nil {
			return c, nil
		}
	}
}

// enter gives a client a place, or turns it away.
func (s *Server) enter(d *door, socket net.Conn) *conn {
	remote, _ := netip.ParseAddrPort(socket.RemoteAddr().String())
	slot, no := d.admission.admit(remote, &s.limits)
	if slot != nil && !d.submission && s.guesses.full(remote.Addr()) {
		slot.release()
		slot, no = nil, byeGuesses
	}
	if slot == nil {
		s.turnAway(d, socket, remote, no)
		return nil
	}
	c := newConn(s, d, socket, slot)
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		c.Close()
		return nil
	}
	return c
}

// turnAway must not wait for the client: nobody is accepted meanwhile. A few octets fit in the socket's buffer.
func (s *Server) turnAway(d *door, socket net.Conn, remote netip.AddrPort, no reply) {
	s.directory.Refuse(remote.Addr(), "CONNECT", no.rule)
	if !d.implicit {
		socket.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		socket.Write(no.bytes())
	}
	socket.Close()
}

// Connections counts those that are open, by door: "mx", "submission", "submissions".
func (s *Server) Connections() map[string]int {
	open := map[string]int{"mx": 0, "submission": 0, "submissions": 0}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		open[c.door.name]++
	}
	return open
}

// leave forgets a connection.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.finish()
}

// finish tells Shutdown that nobody is left. The lock is held.
func (s *Server) finish() {
	if !s.closed || len(s.conns) > 0 {
		return
	}
	select {
	case <-s.gone:
	default:
		close(s.gone)
	}
}

// Shutdown stops accepting, says 421 to whoever is between two commands, and waits until messages that are under way
// have been taken and answered. When the context is done first, the rest are cut, without an answer and with nothing
// stored, and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.drain()
	}
	s.finish()
	s.mu.Unlock()

	select {
	case <-s.gone:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.kill(byeShutdown)
	}
	s.mu.Unlock()
	select {
	case <-s.gone:
	case <-time.After(maxDelay): // a disk that hangs must not keep the process
	}
	return ctx.Err()
}
