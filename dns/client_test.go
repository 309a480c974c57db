package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"postern/dns"
)

// peer is a resolver on loopback that answers from zone text, and misbehaves
// where a handler of its own stands in.
type peer struct {
	addr string
	mu   sync.Mutex
	rrs  []mdns.RR
	odd  map[string]func(w mdns.ResponseWriter, q, reply *mdns.Msg)
	seen []string // "udp example.com. MX"
}

func newPeer(t *testing.T, zone string) *peer {
	t.Helper()
	p := &peer{odd: make(map[string]func(mdns.ResponseWriter, *mdns.Msg, *mdns.Msg))}
	zp := mdns.NewZoneParser(strings.NewReader(zone), ".", "")
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		p.rrs = append(p.rrs, rr)
	}
	if err := zp.Err(); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p.addr = tcp.Addr().String()
	for _, s := range []*mdns.Server{{Listener: tcp, Handler: p}, {PacketConn: udp, Handler: p}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return p
}

func (p *peer) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	reply := new(mdns.Msg).SetReply(q)
	question := q.Question[0]
	exists := false
	for _, rr := range p.rrs {
		if strings.EqualFold(rr.Header().Name, question.Name) {
			exists = true
			if rr.Header().Rrtype == question.Qtype || rr.Header().Rrtype == mdns.TypeCNAME {
				reply.Answer = append(reply.Answer, rr)
			}
		}
	}
	if !exists {
		reply.Rcode = mdns.RcodeNameError
		soa, _ := mdns.NewRR("example. 600 IN SOA ns.example. hostmaster.example. 1 2 3 4 300")
		reply.Ns = append(reply.Ns, soa)
	}
	p.mu.Lock()
	p.seen = append(p.seen, w.LocalAddr().Network()+" "+question.Name+" "+mdns.TypeToString[question.Qtype])
	odd := p.odd[question.Name]
	p.mu.Unlock()
	if odd != nil {
		odd(w, q, reply)
		return
	}
	w.WriteMsg(reply)
}

// answer makes the peer answer every question about a name in a way of its own.
func (p *peer) answer(name string, h func(w mdns.ResponseWriter, q, reply *mdns.Msg)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.odd[name] = h
}

func (p *peer) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

func (p *peer) client(t *testing.T) *dns.Client {
	t.Helper()
	c, err := dns.NewClient(dns.Config{Servers: []string{p.addr}, TryTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLookupMX_SortedAndClean(t *testing.T) {
	p := newPeer(t, `
example.com.  300 IN MX 20 b.example.com.
example.com.  200 IN MX 10 A.Example.COM.
example.com.  300 IN MX 30 .
example.com.  300 IN MX 5  evil\032host.example.com.
example.com.  300 IN MX 5  line\010end.example.com.
`)
	a, err := p.client(t).LookupMX(t.Context(), "EXAMPLE.com.")
	if err != nil {
		t.Fatal(err)
	}
	want := []dns.MX{{Preference: 10, Host: "a.example.com"}, {Preference: 20, Host: "b.example.com"}}
	if !slices.Equal(a.Records, want) || a.Name != "example.com" || a.TTL != 200*time.Second || a.Authentic {
		t.Errorf("got %+v", a)
	}
}

func TestRFC7505_NullMX(t *testing.T) {
	p := newPeer(t, "nomail.example. 300 IN MX 0 .\n")
	_, err := p.client(t).LookupMX(t.Context(), "nomail.example")
	if !errors.Is(err, dns.ErrNullMX) || errors.Is(err, dns.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestThreeKindsOfNo(t *testing.T) {
	p := newPeer(t, "host.example. 300 IN A 192.0.2.1\nbroken.example. 300 IN A 192.0.2.1\n")
	p.answer("broken.example.", func(w mdns.ResponseWriter, q, reply *mdns.Msg) {
		w.WriteMsg(new(mdns.Msg).SetRcode(q, mdns.RcodeServerFailure))
	})
	c := p.client(t)
	for _, test := range []struct {
		name string
		is   []error
		not  []error
	}{
		{"host.example", []error{dns.ErrNotFound, dns.ErrNoData}, []error{dns.ErrNoDomain, dns.ErrTemporary}},
		{"absent.example", []error{dns.ErrNotFound, dns.ErrNoDomain}, []error{dns.ErrNoData, dns.ErrTemporary}},
		{"broken.example", []error{dns.ErrTemporary}, []error{dns.ErrNotFound}},
		{"not a name", []error{dns.ErrName}, []error{dns.ErrNotFound, dns.ErrTemporary}},
		{"a..example", []error{dns.ErrName}, nil},
		{strings.Repeat("a", 64) + ".example", []error{dns.ErrName}, nil},
		{"", []error{dns.ErrName}, nil},
	} {
		_, err := c.LookupMX(t.Context(), test.name)
		for _, class := range test.is {
			if !errors.Is(err, class) {
				t.Errorf("%q: %v is not %v", test.name, err, class)
			}
		}
		for _, class := range test.not {
			if errors.Is(err, class) {
				t.Errorf("%q: %v is %v", test.name, err, class)
			}
		}
	}
	var e *dns.Error
	if _, err := c.LookupMX(t.Context(), "absent.example"); !errors.As(err, &e) || e.TTL != 300*time.Second {
		t.Errorf("negative TTL: %+v", e)
	}
}

func TestLookupIP_EitherFamily(t *testing.T) {
	p := newPeer(t, `
both.example. 300 IN AAAA 2001:db8::1
both.example. 300 IN A 192.0.2.1
six.example.  300 IN AAAA 2001:db8::2
four.example. 300 IN A 192.0.2.2
text.example. 300 IN TXT "x"
`)
	c := p.client(t)
	for name, want := range map[string]string{
		"both.example": "192.0.2.1 2001:db8::1", "six.example": "2001:db8::2", "four.example": "192.0.2.2",
	} {
		a, err := c.LookupIP(t.Context(), name)
		var got []string
		for _, ip := range a.Records {
			got = append(got, ip.String())
		}
		if err != nil || strings.Join(got, " ") != want || a.Name != name || a.TTL != 300*time.Second {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if _, err := c.LookupIP(t.Context(), "text.example"); !errors.Is(err, dns.ErrNoData) {
		t.Errorf("no address: %v", err)
	}
}

// A server that fails for one family and denies the other has not denied the host.
func TestLookupIP_HalfKnownIsTemporary(t *testing.T) {
	p := newPeer(t, "half.example. 300 IN TXT x\n")
	p.answer("half.example.", func(w mdns.ResponseWriter, q, reply *mdns.Msg) {
		if q.Question[0].Qtype == mdns.TypeAAAA {
			reply.Rcode = mdns.RcodeServerFailure
		}
		w.WriteMsg(reply)
	})
	if _, err := p.client(t).LookupIP(t.Context(), "half.example"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("got %v", err)
	}
}

func TestLookupTXT_RawBytes(t *testing.T) {
	p := newPeer(t, `long.example. 300 IN TXT "v=DKIM1; p=" "AB\"C\\D" "\195\164"`+"\n")
	a, err := p.client(t).LookupTXT(t.Context(), "long.example")
	if err != nil || len(a.Records) != 1 || a.Records[0] != `v=DKIM1; p=AB"C\Dä` {
		t.Errorf("got %q, %v", a.Records, err)
	}
}

func TestLookupPTR(t *testing.T) {
	p := newPeer(t, `
1.2.0.192.in-addr.arpa. 300 IN PTR Mail.Example.com.
1.2.0.192.in-addr.arpa. 300 IN PTR bad\010name.example.com.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 IN PTR six.example.com.
`)
	c := p.client(t)
	for ip, want := range map[string]string{
		"192.0.2.1": "mail.example.com", "::ffff:192.0.2.1": "mail.example.com", "2001:db8::1": "six.example.com",
	} {
		a, err := c.LookupPTR(t.Context(), netip.MustParseAddr(ip))
		if err != nil || !slices.Equal(a.Records, []string{want}) {
			t.Errorf("%s: %v, %v", ip, a.Records, err)
		}
	}
}

// The peer does not chase aliases, so each step is a question of its own; the
// one in the middle has its target in the same answer.
func TestAliases(t *testing.T) {
	p := newPeer(t, `
a.example. 300 IN CNAME b.example.
b.example. 60  IN CNAME c.example.
c.example. 300 IN TXT "here"
loop1.example. 300 IN CNAME loop2.example.
loop2.example. 300 IN CNAME loop1.example.
away.example.  300 IN CNAME gone.example.
`)
	c := p.client(t)
	a, err := c.LookupTXT(t.Context(), "a.example")
	if err != nil || a.Name != "c.example" || a.Records[0] != "here" || a.TTL != time.Minute {
		t.Errorf("chain: %+v, %v", a, err)
	}
	if _, err := c.LookupTXT(t.Context(), "loop1.example"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("circle: %v", err)
	}
	if _, err := c.LookupTXT(t.Context(), "away.example"); !errors.Is(err, dns.ErrNoDomain) {
		t.Errorf("alias to nothing: %v", err)
	}
}

func TestTruncatedAnswerComesOverTCP(t *testing.T) {
	p := newPeer(t, "")
	p.answer("big.example.", func(w mdns.ResponseWriter, q, reply *mdns.Msg) {
		reply.Rcode = mdns.RcodeSuccess
		if w.LocalAddr().Network() == "udp" {
			reply.Truncated = true
		} else {
			for range 200 {
				rr, _ := mdns.NewRR("big.example. 300 IN TXT " + strings.Repeat("x", 200))
				reply.Answer = append(reply.Answer, rr)
			}
		}
		w.WriteMsg(reply)
	})
	a, err := p.client(t).LookupTXT(t.Context(), "big.example")
	if err != nil || len(a.Records) != 200 {
		t.Errorf("%d records, %v", len(a.Records), err)
	}
	if want := []string{"udp big.example. TXT", "tcp big.example. TXT"}; !slices.Equal(p.asked(), want) {
		t.Errorf("asked %q", p.asked())
	}
}

// RFC 5452, section 9: what does not answer the question is no answer.
func TestForgedAnswers(t *testing.T) {
	p := newPeer(t, "real.example. 300 IN TXT real\n")
	forge := map[string]func(reply *mdns.Msg){
		"another name":  func(m *mdns.Msg) { m.Question[0].Name = "other.example." },
		"another type":  func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeA },
		"another class": func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS },
		"no question":   func(m *mdns.Msg) { m.Question = nil },
		"not a reply":   func(m *mdns.Msg) { m.Response = false },
	}
	for what, change := range forge {
		p.answer("real.example.", func(w mdns.ResponseWriter, q, reply *mdns.Msg) {
			if w.LocalAddr().Network() == "udp" {
				rr, _ := mdns.NewRR("real.example. 300 IN TXT forged")
				reply.Answer = []mdns.RR{rr}
				change(reply)
			}
			w.WriteMsg(reply)
		})
		a, err := p.client(t).LookupTXT(t.Context(), "real.example")
		if err != nil || a.Records[0] != "real" {
			t.Errorf("%s: %v, %v", what, a.Records, err)
		}
	}
	// Records for a name that was not asked are not taken along.
	p.answer("real.example.", func(w mdns.ResponseWriter, q, reply *mdns.Msg) {
		rr, _ := mdns.NewRR("other.example. 300 IN TXT smuggled")
		reply.Answer = []mdns.RR{rr}
		w.WriteMsg(reply)
	})
	if a, err := p.client(t).LookupTXT(t.Context(), "real.example"); !errors.Is(err, dns.ErrNoData) {
		t.Errorf("records of another name: %v, %v", a.Records, err)
	}
}

func TestNextServerWhenOneIsDeadOrRefuses(t *testing.T) {
	refusing := newPeer(t, "x.example. 300 IN TXT no\n")
	refusing.answer("x.example.", func(w mdns.ResponseWriter, q, reply *mdns.Msg) {
		w.WriteMsg(new(mdns.Msg).SetRcode(q, mdns.RcodeRefused))
	})
	silent := newPeer(t, "")
	silent.answer("x.example.", func(mdns.ResponseWriter, *mdns.Msg, *mdns.Msg) {})
	good := newPeer(t, "x.example. 300 IN TXT yes\n")
	c, err := dns.NewClient(dns.Config{
		Servers:    []string{refusing.addr, silent.addr, good.addr},
		TryTimeout: 200 * time.Millisecond, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.LookupTXT(t.Context(), "x.example")
	if err != nil || a.Records[0] != "yes" {
		t.Errorf("got %v, %v", a.Records, err)
	}
}

func TestBoundedTime(t *testing.T) {
	silent := newPeer(t, "")
	silent.answer("x.example.", func(mdns.ResponseWriter, *mdns.Msg, *mdns.Msg) {})
	c, err := dns.NewClient(dns.Config{Servers: []string{silent.addr}, TryTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.LookupTXT(t.Context(), "x.example"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.LookupTXT(ctx, "x.example"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// RFC 6840, section 5.8: AD counts from a resolver that we trust, here one on
// loopback, and only when every step carried it.
func TestAuthentic(t *testing.T) {
	p := newPeer(t, "signed.example. 300 IN TXT s\nalias.example. 300 IN CNAME signed.example.\n")
	ad := func(w mdns.ResponseWriter, q, reply *mdns.Msg) {
		reply.AuthenticatedData = q.AuthenticatedData
		w.WriteMsg(reply)
	}
	p.answer("signed.example.", ad)
	c := p.client(t)
	if a, err := c.LookupTXT(t.Context(), "signed.example"); err != nil || !a.Authentic {
		t.Errorf("signed: %+v, %v", a, err)
	}
	if a, err := c.LookupTXT(t.Context(), "alias.example"); err != nil || a.Authentic {
		t.Errorf("unsigned alias to signed: %+v, %v", a, err)
	}
	p.answer("none.example.", ad)
	var e *dns.Error
	if _, err := c.LookupTXT(t.Context(), "none.example"); !errors.As(err, &e) || !e.Authentic {
		t.Errorf("signed denial: %+v", e)
	}
}

func TestServersOfTheMachine(t *testing.T) {
	p := newPeer(t, "x.example. 300 IN TXT yes\n")
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.53\noptions timeout:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dns.NewClient(dns.Config{ResolvConf: path}); err != nil {
		t.Error(err)
	}
	if _, err := dns.NewClient(dns.Config{ResolvConf: path + ".absent"}); err != nil {
		t.Error(err)
	}
	if _, err := dns.NewClient(dns.Config{Servers: []string{p.addr, "resolver.example"}}); err == nil {
		t.Error("a name was taken for a server's address")
	}
}

func TestNameInUnicode(t *testing.T) {
	for in, want := range map[string]string{
		"Bücher.example.": "xn--bcher-kva.example", "_dmarc.Example.COM": "_dmarc.example.com", "例え.テスト": "xn--r8jz45g.xn--zckzah",
	} {
		if got, err := dns.Name(in); err != nil || got != want {
			t.Errorf("Name(%q) = %q, %v", in, got, err)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"example.com", "Bücher.example", "a\\.b", "x..y", "two.ends..", "a b", "\x00", "xn--a", strings.Repeat("a.", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := dns.Name(s)
		if err != nil {
			return
		}
		if again, err := dns.Name(name); err != nil || again != name {
			t.Errorf("Name(%q) = %q, then %q, %v", s, name, again, err)
		}
		if _, ok := mdns.IsDomainName(name); !ok || len(name) > 253 {
			t.Errorf("Name(%q) = %q is no domain name", s, name)
		}
	})
}

// TestLookupTLSA: what does not fit together is the caller's to judge, and a set
// beyond all reason is cut.
func TestLookupTLSA(t *testing.T) {
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "_25._tcp.many.example. 60 IN TLSA 3 1 1 %064x\n", i)
	}
	p := newPeer(t, `
_25._tcp.mx.example. 60 IN TLSA 3 1 1 00ff
_25._tcp.mx.example. 60 IN TLSA 255 254 253 0a
`+many.String())
	p.answer("_25._tcp.many.example.", func(w mdns.ResponseWriter, _, reply *mdns.Msg) {
		reply.Compress = true
		if w.LocalAddr().Network() == "udp" {
			reply.Truncate(1232)
		}
		w.WriteMsg(reply)
	})
	r := dns.NewCache(p.client(t), nil)
	for range 2 {
		a, err := r.LookupTLSA(t.Context(), "_25._tcp.mx.example")
		if err != nil || len(a.Records) != 2 || a.Records[0].String() != "3 1 1 00ff" || a.Records[1].String() != "255 254 253 0a" {
			t.Errorf("%v, %v", a, err)
		}
	}
	if n := len(p.asked()); n != 1 {
		t.Errorf("%d questions", n)
	}
	if a, err := r.LookupTLSA(t.Context(), "_25._tcp.many.example"); err != nil || len(a.Records) != 256 {
		t.Errorf("%d records, %v", len(a.Records), err)
	}
	if _, err := r.LookupTLSA(t.Context(), "_25._tcp.none.example"); !errors.Is(err, dns.ErrNotFound) {
		t.Error(err)
	}
}
