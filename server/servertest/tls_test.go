package servertest_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/dns/nameserver"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// lastTry waits for the n-th event of the queue and says what came of it.
func lastTry(t *testing.T, p *servertest.Postern, n int) string {
	t.Helper()
	var events []audit.Event
	eventually(t, func() bool {
		var err error
		events, err = p.Server().Store().Events(t.Context(), storage.EventQuery{
			Verbs: []audit.Verb{audit.QueueAttempt, audit.QueueDelivered, audit.QueueFailed, audit.QueueExpired}})
		fatal(t, err)
		return len(events) >= n
	})
	if len(events) != n {
		t.Errorf("%d attempts, want %d", len(events), n)
	}
	e := events[n-1]
	s := e.Verb.String()
	for _, key := range []audit.Key{audit.KeyRule, audit.KeyTLSPolicy, audit.KeyTLSDemand, audit.KeyTLSProof, audit.KeyTLSFailure} {
		s += " " + e.Fields.Text(key)
	}
	return strings.TrimSpace(s)
}

func wantTry(t *testing.T, p *servertest.Postern, n int, want string) {
	t.Helper()
	if got := lastTry(t, p, n); got != want {
		t.Errorf("attempt %d: %q, want %q", n, got, want)
	}
}

// keyDigest is SHA-256 of the public key of a server's own certificate, as TLSA has
// it (RFC 6698, section 2.1).
func keyDigest(t *testing.T, p *servertest.Postern) string {
	t.Helper()
	block, _ := pem.Decode(p.Authority.Cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	fatal(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(cert.RawSubjectPublicKeyInfo))
}

// TestCO1_DANE: a signed zone, a resolver that validates, and a host whose
// certificate no public authority knows. What the zone says decides; a zone that
// was tampered with is not one that says nothing. RFC 7672.
func TestCO1_DANE(t *testing.T) {
	w, err := servertest.NewWorld()
	fatal(t, err)
	t.Cleanup(func() { w.Close() })
	beta := servertest.New(t, servertest.Options{World: w, Domain: "beta.test", Agents: []string{"berta"}})
	at := beta.Addr("smtp").(*net.TCPAddr)

	ns := servertest.NSD(t, servertest.FreeAddr(t, 0), "beta.test")
	records := func(digest string) string {
		return fmt.Sprintf("@ MX 10 mail\nmail A %s\n_%d._tcp.mail TLSA 3 1 1 %s\n", at.IP, at.Port, digest)
	}
	right, wrong := keyDigest(t, beta), strings.Repeat("00", sha256.Size)
	anchor := ns.SetSigned("beta.test", records(wrong))
	resolver := servertest.Unbound(t, servertest.UnboundOptions{Anchors: []string{anchor}, Stubs: map[string]netip.AddrPort{
		"beta.test": ns.Addr, ".": netip.MustParseAddrPort(w.Names.Addr().String())}})
	w.Recursor = resolver.Resolver()
	alpha := servertest.New(t, servertest.Options{World: w, Domain: "alpha.test", Agents: []string{"scout"}})
	again := func() {
		resolver.Forget("beta.test")
		fatal(t, w.Advance(5*time.Hour)) // beyond any pause of the schedule
	}

	message := "From: scout@alpha.test\r\nTo: berta@beta.test\r\nSubject: x\r\n\r\nx\r\n"
	submitter(t, alpha, "scout").submit("scout@alpha.test", "berta@beta.test", message)
	wantTry(t, alpha, 1, "queue.attempt tls-failed tlsa dane none validation-failure")
	ns.SetSpoiled("beta.test", records(wrong), strings.ToUpper(wrong[:32]), strings.ToUpper(right[:32]))
	again()
	wantTry(t, alpha, 2, "queue.attempt dns-failed none  none dnssec-invalid")
	ns.SetSigned("beta.test", records(right))
	again()
	wantTry(t, alpha, 3, "queue.delivered accepted tlsa dane dane")
}

// TestCO1_STARTTLSStripped: somebody between two servers takes the offer of TLS
// away. Where the destination's policy forbids it nothing of the message passes;
// without one it goes in clear, and the event says so. RFC 8461, section 10.1.
func TestCO1_STARTTLSStripped(t *testing.T) {
	w, err := servertest.NewWorld()
	fatal(t, err)
	t.Cleanup(func() { w.Close() })
	alpha := servertest.New(t, servertest.Options{World: w, Domain: "alpha.test", Agents: []string{"scout"}})
	beta := servertest.New(t, servertest.Options{World: w, Domain: "beta.test", Agents: []string{"berta"}})
	fatal(t, beta.Certify(beta.Host))
	s := newStripper(t, beta)
	fatal(t, w.Names.Replace(beta.Host, nameserver.A, 0, s.ip))
	fatal(t, w.PublishSTS("beta.test", "enforce", beta.Host))

	message := "From: scout@alpha.test\r\nTo: berta@beta.test\r\nSubject: x\r\n\r\nx\r\n"
	submitter(t, alpha, "scout").submit("scout@alpha.test", "berta@beta.test", message)
	wantTry(t, alpha, 1, "queue.attempt tls-failed sts sts none starttls-not-supported")
	if s.sessions.Load() == 0 || s.mails.Load() != 0 {
		t.Errorf("%d sessions, %d transactions", s.sessions.Load(), s.mails.Load())
	}
	fatal(t, w.PublishSTS("beta.test", "none"))
	fatal(t, w.Advance(5*time.Hour))
	wantTry(t, alpha, 2, "queue.delivered accepted none  none starttls-not-supported")
	if s.mails.Load() != 1 {
		t.Errorf("%d transactions", s.mails.Load())
	}
}

// stripper stands in front of a server and takes STARTTLS out of what it offers.
type stripper struct {
	ip              string
	to              string
	sessions, mails atomic.Int64
}

func newStripper(t *testing.T, p *servertest.Postern) *stripper {
	t.Helper()
	s := &stripper{ip: "127.0.77.200", to: p.Addr("smtp").String()}
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", s.ip, p.Addr("smtp").(*net.TCPAddr).Port))
	fatal(t, err)
	var all sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.sessions.Add(1)
			all.Go(func() { s.carry(conn) })
		}
	})
	return s
}

// carry passes lines on in both directions.
func (s *stripper) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", s.to)
	if err != nil {
		return
	}
	defer server.Close()
	end := time.Now().Add(2 * time.Minute)
	client.SetDeadline(end)
	server.SetDeadline(end)
	go func() {
		defer server.Close() // who hangs up ends both
		lines(server, client, func(line string) string {
			if strings.HasPrefix(line, "MAIL ") {
				s.mails.Add(1)
			}
			return line
		})
	}()
	lines(client, server, func(line string) string { return strings.Replace(line, "STARTTLS", "XSTARTTL", 1) })
}

func lines(to io.Writer, from io.Reader, change func(string) string) {
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadString('\n')
		if _, failed := io.WriteString(to, change(line)); err != nil || failed != nil {
			return
		}
	}
}
