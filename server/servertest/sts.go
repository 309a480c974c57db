package servertest

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/dns/nameserver"
	"postern/dns/zone"
)

// policies is the web server of everybody's MTA-STS policies (RFC 8461).
type policies struct {
	listener net.Listener
	server   *http.Server

	mu   sync.Mutex
	text map[string]string // by domain
}

func (w *World) servePolicies() (err error) {
	p := &policies{text: map[string]string{}}
	if p.listener, err = net.Listen("tcp", reservedIP+":0"); err != nil {
		return err
	}
	p.server = &http.Server{Handler: p, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), ReadHeaderTimeout: patience,
		TLSConfig: &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return w.Certify(hello.ServerName)
		}}}
	go p.server.ServeTLS(p.listener, "", "")
	w.policies = p
	return nil
}

func (p *policies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.Host)
	domain, _ := strings.CutPrefix(host, "mta-sts.")
	p.mu.Lock()
	text, ok := p.text[domain]
	p.mu.Unlock()
	if !ok || r.URL.Path != "/.well-known/mta-sts.txt" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, text)
}

// PolicyPort is where policies are served.
func (w *World) PolicyPort() int { return w.policies.listener.Addr().(*net.TCPAddr).Port }

// PublishSTS gives a domain an MTA-STS policy for a week: mode enforce, testing or
// none, and the mail exchangers that may be used.
func (w *World) PublishSTS(domain, mode string, mx ...string) error {
	text, err := zone.MTASTSPolicy(mode, mx, 7*24*time.Hour)
	if err != nil {
		return err
	}
	w.policies.mu.Lock()
	w.policies.text[domain] = text
	w.policies.mu.Unlock()
	return errors.Join(
		w.Names.Replace("mta-sts."+domain, nameserver.A, 0, reservedIP),
		w.Names.Replace("_mta-sts."+domain, nameserver.TXT, 0, "v=STSv1; id="+zone.MTASTSID(text)))
}

// sts DOMAIN MODE MX…
func (s *script) sts(_ *testscript.TestScript, args []string) error {
	return s.world.PublishSTS(args[0], args[1], args[2:]...)
}

// certify HOST NAME…
func (s *script) certify(ts *testscript.TestScript, args []string) error {
	return s.find(ts, args[0]).Certify(args[1:]...)
}
