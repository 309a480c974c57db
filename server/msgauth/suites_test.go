package msgauth_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"gopkg.in/yaml.v3"

	"postern/dns"
	"postern/server/message"
	"postern/server/msgauth"
)

// suite opens a public test suite: a file in the folder POSTERN_SUITES. They are
// not ours to keep here.
//
//	rfc7208-tests.yml                 https://github.com/sdgathman/pyspf, folder test
//	arc-draft-validation-tests.yml    https://github.com/ValiMail/arc_test_suite, folder tests
func suite(t *testing.T, name string) []*yaml.Node {
	t.Helper()
	dir := os.Getenv("POSTERN_SUITES")
	if dir == "" {
		t.Skip("POSTERN_SUITES does not name a folder with public suites: " + name + " is not run")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var scenarios []*yaml.Node
	for d := yaml.NewDecoder(f); ; {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return scenarios
		} else if err != nil {
			t.Fatal(err)
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) > 0 && n.Content[0].Kind == yaml.MappingNode {
			scenarios = append(scenarios, n.Content[0])
		}
	}
}

// pairs goes through a mapping, in which the suites have keys twice.
func pairs(n *yaml.Node, do func(key string, value *yaml.Node)) {
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		do(n.Content[i].Value, n.Content[i+1])
	}
}

func child(n *yaml.Node, key string) (found *yaml.Node) {
	pairs(n, func(k string, v *yaml.Node) {
		if k == key {
			found = v
		}
	})
	return found
}

// text is a scalar, or all scalars of a sequence.
func text(n *yaml.Node) []string {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}
	}
	var out []string
	for _, c := range n.Content {
		out = append(out, text(c)...)
	}
	return out
}

func one(n *yaml.Node, key string) string { return strings.Join(text(child(n, key)), "") }

// namedZone is a name server for exactly the names of a scenario.
type namedZone struct {
	records map[string][]mdns.RR
	silent  map[string]bool // for what it has no record of
}

func (z *namedZone) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	reply := new(mdns.Msg).SetReply(q)
	name := strings.ReplaceAll(strings.ToLower(q.Question[0].Name), `\`, "") // put there before a space
	rrs, exists := z.records[name]
	for _, rr := range rrs {
		if rr.Header().Rrtype == q.Question[0].Qtype || rr.Header().Rrtype == mdns.TypeCNAME {
			reply.Answer = append(reply.Answer, rr)
		}
	}
	if len(reply.Answer) == 0 && z.silent[name] {
		return
	}
	if !exists && !z.silent[name] {
		reply.Rcode = mdns.RcodeNameError
	}
	w.WriteMsg(reply)
}

func (z *namedZone) add(t testing.TB, name string, typ uint16, data []string) {
	owner := strings.ToLower(mdns.Fqdn(name))
	h := mdns.RR_Header{Name: owner, Rrtype: typ, Class: mdns.ClassINET, Ttl: 60}
	var rr mdns.RR
	switch typ {
	case mdns.TypeTXT:
		var parts []string
		for _, s := range data {
			for len(s) > 255 {
				parts, s = append(parts, zoneText(s[:255])), s[255:]
			}
			parts = append(parts, zoneText(s))
		}
		rr = &mdns.TXT{Hdr: h, Txt: parts}
	case mdns.TypeA:
		rr = &mdns.A{Hdr: h, A: net.ParseIP(data[0])}
	case mdns.TypeAAAA:
		rr = &mdns.AAAA{Hdr: h, AAAA: net.ParseIP(data[0])}
	case mdns.TypeMX:
		rr = &mdns.MX{Hdr: h, Mx: mdns.Fqdn(data[1])}
	case mdns.TypePTR:
		rr = &mdns.PTR{Hdr: h, Ptr: mdns.Fqdn(data[0])}
	case mdns.TypeCNAME:
		rr = &mdns.CNAME{Hdr: h, Target: mdns.Fqdn(data[0])}
	default:
		t.Fatalf("record type %d", typ)
	}
	z.records[owner] = append(z.records[owner], rr)
}

// zoneText escapes a string as miekg/dns keeps them.
func zoneText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '\\' || c == '"' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (z *namedZone) start(t testing.TB) *msgauth.Checker {
	t.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	for range 10 { // a port that is free for one protocol may be taken for the other
		var err error
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if tcp == nil {
		t.Fatal("no port is free for both protocols")
	}
	for _, s := range []*mdns.Server{{PacketConn: udp, Handler: z}, {Listener: tcp, Handler: z}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	c, err := dns.NewClient(dns.Config{Servers: []string{udp.LocalAddr().String()}, TryTimeout: 100 * time.Millisecond, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return &msgauth.Checker{Resolver: dns.NewCache(c, nil)}
}

// spfZone reads zonedata. What stands under SPF, the record type of old, is
// published as TXT too, unless the name says what its TXT records are.
func spfZone(t *testing.T, scenario *yaml.Node) *namedZone {
	z := &namedZone{records: map[string][]mdns.RR{}, silent: map[string]bool{}}
	types := map[string]uint16{"A": mdns.TypeA, "AAAA": mdns.TypeAAAA, "MX": mdns.TypeMX, "PTR": mdns.TypePTR, "TXT": mdns.TypeTXT, "CNAME": mdns.TypeCNAME}
	pairs(child(scenario, "zonedata"), func(name string, list *yaml.Node) {
		var old [][]string
		own := false
		z.records[strings.ToLower(mdns.Fqdn(name))] = nil
		for _, entry := range list.Content {
			if entry.Value == "TIMEOUT" {
				z.silent[strings.ToLower(mdns.Fqdn(name))] = true
			}
			if entry.Kind != yaml.MappingNode {
				continue
			}
			pairs(entry, func(kind string, value *yaml.Node) {
				switch {
				case kind == "TIMEOUT":
					z.silent[strings.ToLower(mdns.Fqdn(name))] = true
				case kind == "SPF":
					old = append(old, text(value))
				case kind == "TXT" && value.Value == "NONE":
					own = true
				default:
					own = own || kind == "TXT"
					z.add(t, name, types[kind], text(value))
				}
			})
		}
		for _, data := range old {
			if !own {
				z.add(t, name, mdns.TypeTXT, data)
			}
		}
	})
	return z
}

// RFC 7208: the suite of the SPF project.
func TestRFC7208_Suite(t *testing.T) {
	passed, failed := 0, 0
	for _, scenario := range suite(t, "rfc7208-tests.yml") {
		c := spfZone(t, scenario).start(t)
		pairs(child(scenario, "tests"), func(name string, test *yaml.Node) {
			f := msgauth.Facts{Remote: netip.MustParseAddr(one(test, "host")), Helo: one(test, "helo"), Data: strings.NewReader("")}
			f.Parsed = message.Parse(f.Data, 0)
			if from := one(test, "mailfrom"); from != "" {
				at := strings.LastIndexByte(from, '@')
				f.From = message.Path{Local: from[:max(at, 0)], Domain: from[at+1:]}
			}
			want := text(child(test, "result"))
			if got := c.Check(t.Context(), f).SPF.Value.String(); slices.Contains(want, got) {
				passed++
			} else {
				failed++
				t.Errorf("%s: %s, want %v", name, got, want)
			}
		})
	}
	t.Logf("%d passed, %d failed", passed, failed)
}

// RFC 8617: the suite of ValiMail for those who validate chains.
func TestRFC8617_Suite(t *testing.T) {
	passed, failed := 0, 0
	for _, scenario := range suite(t, "arc-draft-validation-tests.yml") {
		z := &namedZone{records: map[string][]mdns.RR{}}
		pairs(child(scenario, "txt-records"), func(name string, value *yaml.Node) {
			z.add(t, name, mdns.TypeTXT, text(value))
		})
		c := z.start(t)
		pairs(child(scenario, "tests"), func(name string, test *yaml.Node) {
			mail := strings.ReplaceAll(one(test, "message"), "\n", "\r\n")
			f := msgauth.Facts{Remote: netip.MustParseAddr("192.0.2.1"), Helo: "mx.example", Data: strings.NewReader(mail)}
			f.Parsed = message.Parse(f.Data, int64(len(mail)))
			want := strings.ToLower(strings.TrimSpace(one(test, "cv")))
			if want == "" {
				want = "fail" // a hop said so already: RFC 8617, section 5.2, step 2
			}
			if got := c.Check(t.Context(), f).ARC.Value.String(); got == want {
				passed++
			} else {
				failed++
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		})
	}
	t.Logf("%d passed, %d failed", passed, failed)
}
