package relay_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/server/relay"
)

// signed is a resolver on loopback that passes questions on to the laboratory's
// name server, adds records that this one cannot have, and says that it validated
// what is below the names that a test calls signed.
type signed struct {
	t    testing.TB
	addr string
	next string

	mu    sync.Mutex
	extra []mdns.RR
	zones []string // signed
	bogus []string // names with a type, such as "_25._tcp.mx.test. TLSA", that fail
	seen  []string
}

func newSigned(t testing.TB, l *lab, zones ...string) *signed {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &signed{t: t, addr: conn.LocalAddr().String(), next: l.dns.Addr().String(), zones: zones}
	tcp, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*mdns.Server{{PacketConn: conn, Handler: s}, {Listener: tcp, Handler: s}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go server.ActivateAndServe()
		<-started
		t.Cleanup(func() { server.Shutdown() })
	}
	return s
}

func (s *signed) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	question := q.Question[0]
	reply, _, err := new(mdns.Client).Exchange(q, s.next)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, question.Name+" "+mdns.TypeToString[question.Qtype])
	if err != nil || slices.Contains(s.bogus, s.seen[len(s.seen)-1]) {
		w.WriteMsg(new(mdns.Msg).SetRcode(q, mdns.RcodeServerFailure))
		return
	}
	for _, rr := range s.extra {
		if strings.EqualFold(rr.Header().Name, question.Name) && rr.Header().Rrtype == question.Qtype {
			reply.Rcode, reply.Answer = mdns.RcodeSuccess, append(reply.Answer, rr)
		}
	}
	reply.AuthenticatedData = slices.ContainsFunc(s.zones, func(zone string) bool { return mdns.IsSubDomain(zone, question.Name) })
	reply.Compress = true
	if w.LocalAddr().Network() == "udp" {
		reply.Truncate(1232)
	}
	w.WriteMsg(reply)
}

func (s *signed) add(records ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range records {
		rr, err := mdns.NewRR(text)
		if err != nil {
			s.t.Fatal(err)
		}
		s.extra = append(s.extra, rr)
	}
}

func (s *signed) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func (s *signed) resolver() dns.Resolver {
	c, err := dns.NewClient(dns.Config{Servers: []string{s.addr}, TryTimeout: time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// tlsa is the data of a record about a certificate, in the form of a master file.
func tlsa(t testing.TB, usage, selector, matching int, der []byte) string {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	data := cert.Raw
	if selector == 1 {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return fmt.Sprintf("%d %d %d %x", usage, selector, matching, data)
}

// TestRFC7672: what a signed zone says about a host's certificate decides, and
// nothing else.
func TestRFC7672(t *testing.T) {
	l := newLab(t)
	strangers := newAuthority(t) // whom no root vouches for
	host := strangers.issue(t, "mx.test")
	other := strangers.issue(t, "other.test")
	old := strangers.issueFor(t, "mx.test", -time.Minute)
	domain := strangers.issue(t, "to.test")
	alone := tls.Certificate{Certificate: host.Certificate[:1], PrivateKey: host.PrivateKey}
	leaf, ca := host.Certificate[0], strangers.cert.Raw
	const (
		ok       = "delivered accepted 250 2.0.0 @mx.test"
		refused  = "temporary tls-failed 0 4.7.5 @mx.test"
		stripped = "temporary tls-failed 0 4.7.4 @mx.test"
	)
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("3 1 1 %064x", i))
	}
	wrong := fmt.Sprintf("3 1 1 %064x", 7)
	for i, test := range []struct {
		what    string
		records []string
		cert    *tls.Certificate // nil: the host has no STARTTLS
		text    string
		secured string
	}{
		{"EE, key, SHA-256", []string{tlsa(t, 3, 1, 1, leaf)}, &host, ok, "tlsa/dane by dane"},
		{"EE, key, SHA-512", []string{tlsa(t, 3, 1, 2, leaf)}, &host, ok, "tlsa/dane by dane"},
		{"EE, key, whole", []string{tlsa(t, 3, 1, 0, leaf)}, &host, ok, "tlsa/dane by dane"},
		{"EE, certificate, SHA-256", []string{tlsa(t, 3, 0, 1, leaf)}, &host, ok, "tlsa/dane by dane"},
		{"EE, certificate, whole", []string{tlsa(t, 3, 0, 0, leaf)}, &host, ok, "tlsa/dane by dane"},
		{"EE of several", []string{wrong, tlsa(t, 3, 1, 1, leaf)}, &host, ok, "tlsa/dane by dane"},
		{"EE, expired", []string{tlsa(t, 3, 1, 1, old.Certificate[0])}, &old, ok, "tlsa/dane by dane"},
		{"EE, another name", []string{tlsa(t, 3, 1, 1, other.Certificate[0])}, &other, ok, "tlsa/dane by dane"},
		{"EE, wrong", []string{wrong}, &host, refused, "tlsa/dane by none but validation-failure"},
		{"stripped", []string{tlsa(t, 3, 1, 1, leaf)}, nil, stripped, "tlsa/dane by none but starttls-not-supported"},
		{"TA, certificate", []string{tlsa(t, 2, 0, 1, ca)}, &host, ok, "tlsa/dane by dane"},
		{"TA, key", []string{tlsa(t, 2, 1, 2, ca)}, &host, ok, "tlsa/dane by dane"},
		{"TA, the domain's name", []string{tlsa(t, 2, 1, 1, ca)}, &domain, ok, "tlsa/dane by dane"},
		{"TA, another name", []string{tlsa(t, 2, 1, 1, ca)}, &other, refused, "tlsa/dane by none but certificate-host-mismatch"},
		{"TA, expired", []string{tlsa(t, 2, 1, 1, ca)}, &old, refused, "tlsa/dane by none but certificate-expired"},
		{"TA, not in the chain", []string{tlsa(t, 2, 1, 1, ca)}, &alone, refused, "tlsa/dane by none but validation-failure"},
		{"TA that is the host's own", []string{tlsa(t, 2, 1, 1, leaf)}, &host, refused, "tlsa/dane by none but validation-failure"},
		{"the weaker digest only", []string{tlsa(t, 3, 1, 1, leaf), fmt.Sprintf("3 1 2 %0128x", 7)}, &host, refused, "tlsa/dane by none but validation-failure"},
		// RFC 7672, section 2.2: none can be used, so TLS it must be, with any certificate.
		{"unusable", []string{"0 1 1 " + strings.Repeat("00", 32), "1 1 1 00", "3 1 1 00", "3 2 1 00", "3 1 9 00", "255 255 255 00"}, &host, ok,
			"tlsa/dane by none but tlsa-invalid"},
		{"unusable, stripped", []string{"0 1 1 00"}, nil, stripped, "tlsa/dane by none but starttls-not-supported"},
		{"1,000 records", many, &host, refused, "tlsa/dane by none but validation-failure"},
		{"none", nil, &host, ok, "none/ by none but certificate-not-trusted"},
	} {
		t.Run(test.what, func(t *testing.T) {
			d := newSigned(t, l, "test.")
			m := manners{extensions: secure.extensions, cert: test.cert}
			if test.cert == nil {
				m.extensions = nil
			}
			h := l.host("mx.test", fmt.Sprintf("127.0.0.%d", 10+i), m.script)
			l.record("to.test", nameserver.MX, "10 mx.test")
			for _, data := range test.records {
				d.add(fmt.Sprintf("_%d._tcp.mx.test. 60 IN TLSA %s", l.port, data))
			}
			got := l.relay(func(c *relay.Config) { c.Resolver = d.resolver() }).Send(t.Context(), mailTo(t, "a@to.test"))
			want(t, got, test.text)
			wantSecured(t, got[0], test.secured)
			if test.text != ok && h.heard("MAIL") > 0 {
				t.Errorf("the host heard %q", h.said())
			}
		})
	}
}

// TestRFC7672_Trust: section 2.1. DANE needs every link; what is bogus is not
// insecure.
func TestRFC7672_Trust(t *testing.T) {
	l := newLab(t)
	cert := newAuthority(t).issue(t, "mx.hosts.test")
	good := fmt.Sprintf("_%d._tcp.mx.hosts.test.", l.port)
	backup := l.host("backup.test", "127.0.0.3", secure.script)
	l.host("mx.hosts.test", "127.0.0.2", manners{extensions: secure.extensions, cert: &cert}.script)
	for _, test := range []struct {
		what          string
		zones, bogus  []string
		mx            string
		text, secured string
	}{
		{"all is signed", []string{"."}, nil, "10 mx.hosts.test", "temporary tls-failed 0 4.7.5 @mx.hosts.test", "tlsa/dane by none but validation-failure"},
		{"the MX is not", []string{"hosts.test."}, nil, "10 mx.hosts.test", "delivered accepted 250 2.0.0 @mx.hosts.test", "none/ by none but certificate-not-trusted"},
		{"the host is not", []string{"to.test."}, nil, "10 mx.hosts.test", "delivered accepted 250 2.0.0 @mx.hosts.test", "none/ by none but certificate-not-trusted"},
		{"TLSA is bogus", []string{"."}, []string{good + " TLSA"}, "10 mx.hosts.test", "temporary dns-failed 0 4.4.3 @mx.hosts.test", "none/ by none but dnssec-invalid"},
		{"MX is bogus", []string{"."}, []string{"to.test. MX"}, "10 mx.hosts.test", "temporary dns-failed 0 4.4.3", "/ by "},
		{"the host is bogus", []string{"."}, []string{"mx.hosts.test. A"}, "10 mx.hosts.test", "temporary dns-failed 0 4.4.3 @mx.hosts.test", "/ by "},
		{"bogus, and another host", []string{"."}, []string{good + " TLSA"}, "10 mx.hosts.test,20 backup.test", "delivered accepted 250 2.0.0 @backup.test", "none/ by pkix"},
	} {
		t.Run(test.what, func(t *testing.T) {
			d := newSigned(t, l, test.zones...)
			d.bogus = test.bogus
			d.add(fmt.Sprintf("%s 60 IN TLSA 3 1 1 %064x", good, 7))
			l.record("to.test", nameserver.MX, strings.Split(test.mx, ",")...)
			got := l.relay(func(c *relay.Config) { c.Resolver = d.resolver() }).Send(t.Context(), mailTo(t, "a@to.test"))
			want(t, got, test.text)
			wantSecured(t, got[0], test.secured)
		})
	}
	if n := len(backup.mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestRFC8689_SetsDANEAside: who does not mind is not held up by what is broken.
func TestRFC8689_SetsDANEAside(t *testing.T) {
	l := newLab(t)
	l.host("mx.test", "127.0.0.2", secure.script)
	l.record("to.test", nameserver.MX, "10 mx.test")
	d := newSigned(t, l, "test.")
	d.add(fmt.Sprintf("_%d._tcp.mx.test. 60 IN TLSA 3 1 1 %064x", l.port, 7))
	r := l.relay(func(c *relay.Config) { c.Resolver = d.resolver() })
	m := mailTo(t, "a@to.test")
	m.TLSOptional = true
	got := r.Send(t.Context(), m)
	want(t, got, "delivered accepted 250 2.0.0 @mx.test")
	wantSecured(t, got[0], "tlsa/ by none but validation-failure")
	m.Authenticated = true
	want(t, r.Send(t.Context(), m), "temporary tls-failed 0 4.7.5 @mx.test")
}

// TestRFC8461_DANEFirst: RFC 8461, section 2. A policy that would be content does
// not outweigh DANE that is not, nor the other way round.
func TestRFC8461_DANEFirst(t *testing.T) {
	l := newSTSLab(t)
	cert := newAuthority(t).issue(t, "mx.test")
	l.host("mx.test", "127.0.0.2", manners{extensions: secure.extensions, cert: &cert}.script)
	l.publish("1", "enforce", "mx.test")
	d := newSigned(t, l.lab, "test.")
	d.add(fmt.Sprintf("_%d._tcp.mx.test. 60 IN TLSA %s", l.port, tlsa(t, 3, 1, 1, cert.Certificate[0])))
	r := l.relay(func(c *relay.Config) { c.Resolver = d.resolver() })
	wantSecured(t, r.Send(t.Context(), l.mail())[0], "tlsa/dane by dane")
	l.host("mx.test", "127.0.0.3", secure.script)
	wantSecured(t, r.Send(t.Context(), l.mail())[0], "tlsa/dane by none but validation-failure")
}
