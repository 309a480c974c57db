package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"postern/server/httpd"
)

// ErrUnknown says that a domain is none of this server's.
var ErrUnknown = errors.New("web: no such domain")

// Domain is what strangers may know of a domain of this server.
type Domain struct {
	Name   string // A-labels in lower case
	Policy string // text of its MTA-STS policy; empty: it has none
}

// Ports are where mail programs connect to, zero where a door is closed.
type Ports struct {
	IMAPS, Submissions, Submission int
}

// Config is what the server needs. All but ALPN, Challenge and Log are
// required.
type Config struct {
	Host string // this server's name, A-labels in lower case
	// TLS has the certificates of port 443, and the answer to a TLS-ALPN-01 challenge
	// (RFC 8737). Versions below 1.2 are never spoken (CO-1).
	TLS *tls.Config
	// ALPN is the protocol that such a challenge asks for; empty: none is answered.
	ALPN string
	// Challenge is the answer to an HTTP-01 challenge; nil: there are none.
	Challenge func(host, token string) (string, bool)
	// Domain finds a domain of this server; ErrUnknown when there is none.
	Domain func(ctx context.Context, name string) (Domain, error)
	Ports  func() Ports
	Log    *slog.Logger // nil: nothing is logged
}

// Bounds of a conversation. Answers are small, and so is every question.
const (
	headTime  = 5 * time.Second
	readTime  = 10 * time.Second
	writeTime = 20 * time.Second
	idleTime  = 20 * time.Second
	maxHead   = 8 << 10 // bytes
)

// Server answers on any number of listeners.
type Server struct {
	c             Config
	plain, secure *http.Server
	places        *places
}

// New makes a server.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{c: c, places: newPlaces(maxConns, maxPerNetwork)}
	s.plain, s.secure = s.http(false), s.http(true)
	s.secure.TLSConfig = c.TLS.Clone()
	s.secure.TLSConfig.MinVersion = max(s.secure.TLSConfig.MinVersion, tls.VersionTLS12)
	s.secure.TLSConfig.NextProtos = []string{"http/1.1"}
	// HTTP/2 is left out: nobody who asks here needs it. A handshake for a challenge
	// is all there is to its connection (RFC 8737, section 3).
	s.secure.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	if c.ALPN != "" {
		s.secure.TLSConfig.NextProtos = append(s.secure.TLSConfig.NextProtos, c.ALPN)
		s.secure.TLSNextProto[c.ALPN] = func(_ *http.Server, conn *tls.Conn, _ http.Handler) { conn.Close() }
	}
	return s
}

func (s *Server) http(secure bool) *http.Server {
	return &http.Server{
		Handler: s.Handler(secure), ReadHeaderTimeout: headTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHead,
		// What strangers do wrong is no news.
		ErrorLog: slog.NewLogLogger(s.c.Log.Handler(), slog.LevelDebug),
	}
}

// Serve answers in clear, for port 80, until Shutdown; then it returns nil.
func (s *Server) Serve(l net.Listener) error { return httpd.Serve(s.plain, s.places.limit(l)) }

// ServeTLS is Serve for port 443. The listener is of plain TCP.
func (s *Server) ServeTLS(l net.Listener) error {
	return httpd.ServeTLS(s.secure, s.places.limit(l))
}

// Shutdown stops accepting, waits for answers under way until the context is
// done, and then cuts them.
func (s *Server) Shutdown(ctx context.Context) error {
	return httpd.Shutdown(ctx, s.plain, s.secure)
}
