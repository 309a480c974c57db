package nameserver

import (
	"testing"

	mdns "github.com/miekg/dns"
)

// FuzzPacket holds whatever packet arrives against what every reply must be:
// small enough, well-formed, and for the question.
func FuzzPacket(f *testing.F) {
	s := New()
	if err := s.SetZone(Zone{Origin: "example.com", Nameservers: []string{"ns.example.com"}, Records: []Record{
		{Name: "example.com", Type: MX, Data: "10 mx.example.com"},
		{Name: "*.example.com", Type: TXT, Data: `a\b"c`},
		{Name: "l1.example.com", Type: CNAME, Data: "l2.example.com"},
		{Name: "l2.example.com", Type: CNAME, Data: "l1.example.com"},
	}}); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"example.com.", "x.example.com.", "l1.example.com.", ".", `we\.ird.example.com.`} {
		for _, qtype := range []uint16{mdns.TypeMX, mdns.TypeTXT, mdns.TypeANY, mdns.TypeAXFR} {
			q := new(mdns.Msg).SetQuestion(name, qtype)
			plain, _ := q.Pack()
			f.Add(plain, false)
			q.SetEdns0(4096, true)
			edns, _ := q.Pack()
			f.Add(edns, true)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		q := new(mdns.Msg)
		if len(packet) < 12 || q.Unpack(packet) != nil || q.Response || q.Opcode != mdns.OpcodeQuery || len(q.Question) != 1 {
			return // the library answers these itself
		}
		reply := answer(*s.zones.Load(), q, tcp)
		wire, err := reply.Pack()
		if err != nil {
			t.Fatalf("reply to %v does not pack: %v", q.Question, err)
		}
		limit := mdns.MinMsgSize
		if q.IsEdns0() != nil {
			limit = udpSize
		}
		if !tcp && len(wire) > limit {
			t.Errorf("%d octets over UDP", len(wire))
		}
		back := new(mdns.Msg)
		if err := back.Unpack(wire); err != nil {
			t.Fatalf("reply does not unpack: %v", err)
		}
		if back.Id != q.Id || !back.Response || len(back.Question) != 1 || back.Question[0] != q.Question[0] {
			t.Errorf("reply to another question: %v for %v", back.Question, q.Question)
		}
	})
}
