package nameserver

import (
	"strings"
	"testing"

	mdns "github.com/miekg/dns"
)

// FuzzPacket holds whatever packet arrives against what every reply must be:
// small enough, well-formed, for the question, and none to what is no query.
func FuzzPacket(f *testing.F) {
	s := New()
	if err := s.Change([]Zone{
		{Origin: "example.com", Nameservers: []string{"ns.example.com"}, Records: []Record{
			{Name: "example.com", Type: MX, Data: "10 mx.example.com"},
			{Name: "*.example.com", Type: TXT, Data: `a\b"c`},
			{Name: "big.example.com", Type: TXT, Data: strings.Repeat("x", 3000)},
			{Name: "l1.example.com", Type: CNAME, Data: "l2.example.com"},
			{Name: "l2.example.com", Type: CNAME, Data: "l1.example.com"},
		}},
		{Origin: "below.in.example.com", Nameservers: []string{"ns.example.com"}},
	}, nil); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"example.com.", "x.example.com.", "big.example.com.", "l1.example.com.", "in.example.com.", ".", `we\.ird.example.com.`} {
		for _, qtype := range []uint16{mdns.TypeMX, mdns.TypeTXT, mdns.TypeANY, mdns.TypeAXFR} {
			q := new(mdns.Msg).SetQuestion(name, qtype)
			plain, _ := q.Pack()
			f.Add(plain, false)
			q.SetEdns0(4096, true)
			q.IsEdns0().Option = append(q.IsEdns0().Option, &mdns.EDNS0_COOKIE{Code: mdns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
			edns, _ := q.Pack()
			f.Add(edns, true)
		}
	}
	// A name that points to itself (RFC 1035, section 4.1.4).
	f.Add([]byte("\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"), false)
	f.Add([]byte("\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"), false) // a name without type and class
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		r := respond(s.tree.Load(), packet)
		if len(packet) < minQuery || packet[2]&0x80 != 0 {
			if r != nil {
				t.Error("a reply to what is no query")
			}
			return
		}
		wire, err := r.pack(nil, tcp)
		if err != nil {
			t.Fatalf("reply to %x does not pack: %v", packet, err)
		}
		if !tcp && len(wire) > r.size || r.size > udpSize {
			t.Errorf("%d octets over UDP", len(wire))
		}
		back := new(mdns.Msg)
		if err := back.Unpack(wire); err != nil {
			t.Fatalf("reply does not unpack: %v", err)
		}
		if back.Id != uint16(packet[0])<<8|uint16(packet[1]) || !back.Response || back.Opcode != int(packet[2]>>3)&0xF {
			t.Errorf("reply to another packet: %v", back.MsgHdr)
		}
		q := new(mdns.Msg)
		if len(back.Question) > 0 && (q.Unpack(packet) != nil || back.Question[0] != q.Question[0]) {
			t.Errorf("reply to another question: %v", back.Question)
		}
		if len(back.Answer)+len(back.Ns) > 0 && len(back.Question) == 0 {
			t.Error("an answer to no question")
		}
		// What says nothing is no longer than what was asked: there is nothing to gain
		// by asking in another's name.
		r.cut()
		if wire, err = r.pack(nil, false); err != nil || len(wire) > len(packet) {
			t.Errorf("%d octets that say nothing for %d, %v", len(wire), len(packet), err)
		}
	})
}
