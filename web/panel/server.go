package panel

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"postern/server/control"
	"postern/server/httpd"
)

// Config is what the panel needs. All but Live, Now and Log are required.
type Config struct {
	Host string      // this server's name
	Site string      // where passkeys work, such as https://mail.example.com:8443
	Live bool        // false: a laboratory, and the page says so
	TLS  *tls.Config // versions below 1.2 are never spoken (CO-1)
	// Control is a client of this process for somebody who connected from a network.
	Control func(network netip.Addr) *control.Client
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
}

// Bounds of a conversation.
const (
	headTime = 10 * time.Second
	readTime = 30 * time.Second
	idleTime = 2 * time.Minute
	maxHead  = 32 << 10 // bytes
	maxForm  = 64 << 10 // bytes
)

// Server answers on any number of listeners.
type Server struct {
	Config
	http  *http.Server
	said  said
	links links
	// closing is closed at the stop: an answer that goes on would hold it up.
	closing chan struct{}
}

// New makes a server.
func New(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Config: c, closing: make(chan struct{})}
	handler, err := s.handler()
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: headTime, ReadTimeout: readTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHead,
		TLSConfig: c.TLS.Clone(),
		// What strangers do wrong is no news.
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	s.http.RegisterOnShutdown(sync.OnceFunc(func() { close(s.closing) }))
	s.http.TLSConfig.MinVersion = max(s.http.TLSConfig.MinVersion, tls.VersionTLS12)
	return s, nil
}

// handler is everything around the routes, outermost first: compression, header
// fields, and no form from elsewhere.
func (s *Server) handler() (http.Handler, error) {
	// A page may hold a secret beside words of a stranger; lengths that vary at random
	// keep a guess at it from showing in the size of the answer.
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.RandomJitter(32, 0, false))
	if err != nil {
		return nil, err
	}
	origin := http.NewCrossOriginProtection()
	pages := sync.OnceValue(s.mux) // for the first request: a start need not wait for them
	return compress(s.secured(origin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages().ServeHTTP(w, r)
	})))), nil
}

// Serve answers until Shutdown; then it returns nil. The listener is of plain TCP.
func (s *Server) Serve(l net.Listener) error { return httpd.ServeTLS(s.http, l) }

// Shutdown stops accepting, waits for answers under way until the context is
// done, and then cuts them.
func (s *Server) Shutdown(ctx context.Context) error { return httpd.Shutdown(ctx, s.http) }

// policy is what a browser may do with our pages. What is not named is forbidden.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; " +
	"require-trusted-types-for 'script'; trusted-types default; report-uri " + reportPath

// reportPath is where browsers tell what they refused to do.
const reportPath = "/refused-by-browser"

// secured sets the header fields that every answer has.
func (s *Server) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
