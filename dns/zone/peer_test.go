package zone_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	mdns "github.com/miekg/dns"

	"postern/dns"
	"postern/dns/zone"
)

// world is a domain name system on loopback: name servers that share a port, and a
// resolver that knows what it is told.
type world struct {
	t        *testing.T
	port     uint16
	resolver *peer
}

// peer is a name server that answers from zone text: as an authority for its
// origins, with referrals below them, or as a resolver for everything.
type peer struct {
	mu        sync.Mutex
	recursive bool
	origins   []string
	rrs       []mdns.RR
	odd       func(q, reply *mdns.Msg) *mdns.Msg // changes replies; nil: does not
	asked     int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, resolver: &peer{recursive: true}}
	w.port = w.listen(w.resolver, "127.0.1.1", 0)
	return w
}

// serve puts a name server at an address of loopback.
func (w *world) serve(ip, text string, origins ...string) *peer {
	w.t.Helper()
	p := &peer{origins: origins}
	p.set(w.t, text)
	w.listen(p, ip, w.port)
	return p
}

func (w *world) listen(p *peer, ip string, port uint16) uint16 {
	w.t.Helper()
	tcp, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, port))
	if err != nil {
		w.t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range []*mdns.Server{{Listener: tcp, Handler: p}, {PacketConn: udp, Handler: p}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		w.t.Cleanup(func() { s.Shutdown() })
	}
	return tcp.Addr().(*net.TCPAddr).AddrPort().Port()
}

// set replaces what a server knows. Lines are as in zone files, with whole names.
func (p *peer) set(t *testing.T, text string) {
	t.Helper()
	var rrs []mdns.RR
	zp := mdns.NewZoneParser(strings.NewReader(text), ".", "")
	zp.SetDefaultTTL(300)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		rrs = append(rrs, rr)
	}
	if err := zp.Err(); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rrs = rrs
}

// be has a server change its replies; with nil it is itself again.
func (p *peer) be(odd func(q, reply *mdns.Msg) *mdns.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.odd = odd
}

func (w *world) checker() *zone.Checker {
	w.t.Helper()
	client, err := dns.NewClient(dns.Config{Servers: []string{netip.AddrPortFrom(netip.MustParseAddr("127.0.1.1"), w.port).String()}})
	if err != nil {
		w.t.Fatal(err)
	}
	return &zone.Checker{Client: client, Port: w.port, Private: true}
}

// check runs a check and gives its findings by purpose; of several for one purpose
// the first.
func (w *world) check(f zone.Facts) (zone.Report, map[zone.Purpose]zone.Finding) {
	w.t.Helper()
	r, err := w.checker().Check(w.t.Context(), f)
	if err != nil {
		w.t.Fatal(err)
	}
	by := map[zone.Purpose]zone.Finding{}
	for _, f := range r.Findings {
		if _, ok := by[f.Purpose]; !ok {
			by[f.Purpose] = f
		}
	}
	return r, by
}

func (p *peer) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	p.mu.Lock()
	p.asked++
	reply := p.answer(q)
	if p.odd != nil {
		reply = p.odd(q, reply)
	}
	p.mu.Unlock()
	if reply != nil {
		w.WriteMsg(reply)
	}
}

func (p *peer) answer(q *mdns.Msg) *mdns.Msg {
	reply := new(mdns.Msg).SetReply(q)
	reply.RecursionAvailable = p.recursive
	name, typ := strings.ToLower(q.Question[0].Name), q.Question[0].Qtype
	origin, held := p.origin(name)
	if !p.recursive && !held {
		reply.Rcode = mdns.RcodeRefused
		return reply
	}
	if cut := p.cut(name, origin); cut != "" && !p.recursive {
		for _, rr := range p.rrs {
			h := rr.Header()
			if h.Name == cut && h.Rrtype == mdns.TypeNS {
				reply.Ns = append(reply.Ns, rr)
				reply.Extra = append(reply.Extra, p.at(rr.(*mdns.NS).Ns, mdns.TypeA)...)
			}
		}
		return reply
	}
	reply.Authoritative = !p.recursive
	for range 8 {
		reply.Answer = append(reply.Answer, p.at(name, typ)...)
		alias := p.at(name, mdns.TypeCNAME)
		if len(alias) == 0 || typ == mdns.TypeCNAME {
			break
		}
		reply.Answer = append(reply.Answer, alias...)
		name = alias[0].(*mdns.CNAME).Target
	}
	if len(reply.Answer) == 0 {
		soa, _ := mdns.NewRR(fmt.Sprintf("%s 60 IN SOA ns.test. hostmaster.test. 1 2 3 4 60", mdns.Fqdn(strings.TrimSuffix(origin, "."))))
		reply.Ns = append(reply.Ns, soa)
	}
	return reply
}

// origin is the longest zone of the server that holds a name.
func (p *peer) origin(name string) (best string, ok bool) {
	best = "."
	for _, o := range p.origins {
		if o = mdns.Fqdn(o); mdns.IsSubDomain(o, name) && (!ok || len(o) > len(best)) {
			best, ok = o, true
		}
	}
	return best, ok
}

// cut is where the zone hands a name on, empty where it does not.
func (p *peer) cut(name, origin string) string {
	for _, rr := range p.rrs {
		h := rr.Header()
		if h.Rrtype == mdns.TypeNS && h.Name != origin && mdns.IsSubDomain(origin, h.Name) && mdns.IsSubDomain(h.Name, name) {
			return h.Name
		}
	}
	return ""
}

// at are the records of a name and type, by wildcard where there are none.
func (p *peer) at(name string, typ uint16) (found []mdns.RR) {
	exists := false
	for _, rr := range p.rrs {
		h := rr.Header()
		exists = exists || strings.EqualFold(h.Name, name)
		if strings.EqualFold(h.Name, name) && h.Rrtype == typ {
			found = append(found, rr)
		}
	}
	if exists {
		return found
	}
	for _, rr := range p.rrs {
		if h := rr.Header(); h.Rrtype == typ && strings.HasPrefix(h.Name, "*.") && mdns.IsSubDomain(h.Name[2:], name) {
			made := mdns.Copy(rr)
			made.Header().Name = name
			found = append(found, made)
		}
	}
	return found
}
