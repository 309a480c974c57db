package relay_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/server/message"
	"postern/server/relay"
)

// lab is an Internet on loopback: a name server, and mail hosts on addresses of
// 127/8 that share one port.
type lab struct {
	t    testing.TB
	dns  *nameserver.Server
	port uint16
	ca   *authority
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, dns: nameserver.New(), ca: newAuthority(t)}
	if err := l.dns.SetZone(nameserver.Zone{Origin: "test", Nameservers: []string{"ns.test"}}); err != nil {
		t.Fatal(err)
	}
	if err := l.dns.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		l.dns.Stop(ctx)
	})
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.port = free.Addr().(*net.TCPAddr).AddrPort().Port()
	free.Close()
	return l
}

func (l *lab) record(name string, t nameserver.Type, data ...string) {
	l.t.Helper()
	if err := l.dns.Replace(name, t, 0, data...); err != nil {
		l.t.Fatal(err)
	}
}

// relay makes a relay for the laboratory, with waits that a test can sit out.
func (l *lab) relay(change ...func(*relay.Config)) *relay.Relay {
	l.t.Helper()
	r, err := dns.NewClient(dns.Config{Servers: []string{l.dns.Addr().String()}, TryTimeout: 300 * time.Millisecond})
	if err != nil {
		l.t.Fatal(err)
	}
	c := relay.Config{
		Hostname: "out.test", Resolver: r, Port: l.port, AllowPrivate: true, Roots: l.ca.pool,
		Timeouts: relay.Timeouts{
			Connect: 5 * time.Second, Greeting: time.Second, Command: time.Second,
			DataStart: time.Second, DataBlock: time.Second, DataEnd: time.Second, Total: 20 * time.Second,
		},
	}
	for _, f := range change {
		f(&c)
	}
	return relay.New(c)
}

// host is a mail host that follows a script, which may misbehave as it likes.
type host struct {
	addr netip.AddrPort
	mu   sync.Mutex
	log  []string // what clients said, all sessions in a row, "connect" between
	mail []string // data received, dots unstuffed
}

// host starts a mail host at an address such as 127.0.0.2 and gives it a name.
func (l *lab) host(name, ip string, script func(*conv)) *host {
	l.t.Helper()
	h := &host{addr: netip.AddrPortFrom(netip.MustParseAddr(ip), l.port)}
	listener, err := net.Listen("tcp", h.addr.String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.record(name, nameserver.A, ip)
	var all sync.WaitGroup
	l.t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				h.note("connect")
				c := &conv{host: h, lab: l, name: name}
				c.attach(conn)
				script(c)
			})
		}
	})
	return h
}

func (h *host) note(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, line)
}

func (h *host) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.log...)
}

func (h *host) heard(prefix string) (n int) {
	for _, line := range h.said() {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

func (h *host) mails() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.mail...)
}

// conv is one conversation, from the host's side.
type conv struct {
	host *host
	lab  *lab
	name string
	conn net.Conn
	br   *bufio.Reader
	cert *tls.Certificate // nil: one of the laboratory's authority, for the host's name
}

func (c *conv) attach(conn net.Conn) { c.conn, c.br = conn, bufio.NewReader(conn) }

// say sends lines.
func (c *conv) say(lines ...string) {
	fmt.Fprint(c.conn, strings.Join(lines, "\r\n")+"\r\n")
}

// hear reads a line; "" means that the client is gone.
func (c *conv) hear() string {
	line, err := c.br.ReadString('\n')
	if err != nil {
		return ""
	}
	line = strings.TrimSuffix(line, "\r\n")
	c.host.note(line)
	return line
}

// data reads up to the final dot.
func (c *conv) data() bool {
	var b strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.mail = append(c.host.mail, b.String())
	return true
}

// startTLS shakes hands.
func (c *conv) startTLS() bool {
	cert := c.cert
	if cert == nil {
		cert = new(c.lab.ca.issue(c.lab.t, c.name))
	}
	conn := tls.Server(c.conn, &tls.Config{Certificates: []tls.Certificate{*cert}})
	if conn.Handshake() != nil {
		return false
	}
	c.attach(conn)
	return true
}

// manners is a host that behaves, with changes.
type manners struct {
	extensions []string
	replies    map[string]string // by the beginning of a command, in place of the usual reply
	implicit   bool
	cert       *tls.Certificate // nil: for the host's name
}

func (m manners) script(c *conv) {
	c.cert = m.cert
	if m.implicit && !c.startTLS() {
		return
	}
	c.say("220 " + c.name + " ESMTP")
	for {
		line := c.hear()
		verb, _, _ := strings.Cut(line, " ")
		reply, odd := m.reply(line)
		switch {
		case line == "":
			return
		case odd && reply == "hang up":
			return
		case odd:
			c.say(reply)
		case verb == "EHLO":
			lines := append([]string{c.name}, m.extensions...)
			for i, l := range lines {
				lines[i] = "250-" + l
			}
			lines[len(lines)-1] = "250 " + lines[len(lines)-1][4:]
			c.say(lines...)
		case verb == "STARTTLS":
			c.say("220 2.0.0 go ahead")
			if !c.startTLS() {
				return
			}
		case verb == "DATA":
			c.say("354 go ahead")
			if !c.data() {
				return
			}
			if reply, odd := m.replies["."]; odd {
				c.say(reply)
			} else {
				c.say("250 2.0.0 queued as 4711")
			}
		case verb == "QUIT":
			c.say("221 2.0.0 bye")
			return
		case verb == "AUTH":
			c.say("235 2.7.0 welcome")
		default:
			c.say("250 2.0.0 ok")
		}
	}
}

func (m manners) reply(line string) (string, bool) {
	for prefix, reply := range m.replies {
		if prefix != "." && strings.HasPrefix(line, prefix) {
			return reply, true
		}
	}
	return "", false
}

// authority issues certificates for the laboratory.
type authority struct {
	pool *x509.CertPool
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "laboratory"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{pool: x509.NewCertPool(), cert: cert, key: key}
	a.pool.AddCert(cert)
	return a
}

func (a *authority) issue(t testing.TB, name string) tls.Certificate {
	return a.issueFor(t, name, time.Hour)
}

// issueFor makes a certificate that is an hour old and ends after life,
// which may be negative. The authority's is with it.
func (a *authority) issueFor(t testing.TB, name string, life time.Duration) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Error(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
}

func path(t testing.TB, s string) message.Path {
	t.Helper()
	p, err := message.ParseAddress(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return p
}

// letter is a message with what dot-stuffing must keep.
const letter = "From: agent@from.test\r\nSubject: x\r\n\r\n.\r\n..two\r\nplain\r\n.x\r\n"

func mailTo(t testing.TB, to ...string) relay.Message {
	t.Helper()
	m := relay.Message{From: path(t, "agent@from.test"), Data: strings.NewReader(letter), Size: int64(len(letter))}
	for _, a := range to {
		m.To = append(m.To, path(t, a))
	}
	return m
}

// brief is a result on one line.
func brief(r relay.Result) string {
	s := fmt.Sprintf("%s %s %d %s", r.Outcome, r.Reason, r.Code, r.Enhanced)
	if r.Uncertain {
		s += " uncertain"
	}
	if r.Host != "" {
		s += " @" + r.Host
	}
	return s
}

func briefs(rs []relay.Result) string {
	var lines []string
	for _, r := range rs {
		lines = append(lines, brief(r))
	}
	return strings.Join(lines, "; ")
}

func want(t *testing.T, got []relay.Result, text string) {
	t.Helper()
	if b := briefs(got); b != text {
		t.Errorf("got  %s\nwant %s", b, text)
	}
}
