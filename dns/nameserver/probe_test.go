package nameserver_test

import (
	"net"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"postern/dns/nameserver"
)

// opt puts OPT into a query, with options.
func opt(version uint8, do bool, options ...mdns.EDNS0) func(*mdns.Msg) {
	return func(m *mdns.Msg) {
		m.SetEdns0(4096, do)
		m.IsEdns0().SetVersion(version)
		m.IsEdns0().Option = options
	}
}

// TestProbes asks what resolvers, checkers of EDNS and strangers ask of a server
// that they do not know.
func TestProbes(t *testing.T) {
	s := start(t, lab)
	soa := []mdns.RR{&mdns.SOA{Hdr: mdns.RR_Header{Name: "example.com.", Rrtype: mdns.TypeSOA, Class: mdns.ClassINET}, Ns: ".", Mbox: "."}}
	unknown := &mdns.EDNS0_LOCAL{Code: 100, Data: []byte{1, 2, 3}}
	for what, test := range map[string]struct {
		change func(*mdns.Msg)
		rcode  int
		answer int // records
		opt    bool
	}{
		"plain":   {func(*mdns.Msg) {}, mdns.RcodeSuccess, 1, false},
		"EDNS":    {opt(0, false), mdns.RcodeSuccess, 1, true},
		"DO":      {opt(0, true), mdns.RcodeSuccess, 1, true},
		"AD, CD":  {func(m *mdns.Msg) { m.AuthenticatedData, m.CheckingDisabled = true, true }, mdns.RcodeSuccess, 1, false},
		"RD":      {func(m *mdns.Msg) { m.RecursionDesired = true }, mdns.RcodeSuccess, 1, false},
		"Z":       {func(m *mdns.Msg) { m.Zero = true }, mdns.RcodeSuccess, 1, false},
		"flags":   {func(m *mdns.Msg) { opt(0, false)(m); m.IsEdns0().SetZ(0x7fff) }, mdns.RcodeSuccess, 1, true},
		"option":  {opt(0, false, unknown), mdns.RcodeSuccess, 1, true},
		"options": {opt(0, false, unknown, &mdns.EDNS0_NSID{Code: mdns.EDNS0NSID}, &mdns.EDNS0_COOKIE{Code: mdns.EDNS0COOKIE, Cookie: "0123456789abcdef"}), mdns.RcodeSuccess, 1, true},
		"subnet":  {opt(0, false, &mdns.EDNS0_SUBNET{Code: mdns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(192, 0, 2, 0)}), mdns.RcodeSuccess, 1, true},
		// RFC 6891, section 6.1.3, also with what version 0 does not know.
		"version":         {opt(1, false), mdns.RcodeBadVers, 0, true},
		"version, option": {opt(7, false, unknown), mdns.RcodeBadVers, 0, true},
		"two OPT":         {func(m *mdns.Msg) { opt(0, false)(m); m.Extra = append(m.Extra, m.Extra[0]) }, mdns.RcodeFormatError, 0, false},
		"OPT of a name":   {func(m *mdns.Msg) { opt(0, false)(m); m.IsEdns0().Hdr.Name = "example.com." }, mdns.RcodeFormatError, 0, false},
		"NOTIFY":          {func(m *mdns.Msg) { m.Opcode = mdns.OpcodeNotify }, mdns.RcodeNotImplemented, 0, false},
		"UPDATE":          {func(m *mdns.Msg) { m.Opcode = mdns.OpcodeUpdate }, mdns.RcodeNotImplemented, 0, false},
		"STATUS":          {func(m *mdns.Msg) { m.Opcode = mdns.OpcodeStatus }, mdns.RcodeNotImplemented, 0, false},
		"a new opcode":    {func(m *mdns.Msg) { m.Opcode = 15 }, mdns.RcodeNotImplemented, 0, false},
		"no question":     {func(m *mdns.Msg) { m.Question = nil }, mdns.RcodeFormatError, 0, false},
		"two questions":   {func(m *mdns.Msg) { m.Question = append(m.Question, m.Question[0]) }, mdns.RcodeFormatError, 0, false},
		"with answers":    {func(m *mdns.Msg) { m.Answer = soa }, mdns.RcodeFormatError, 0, false},
		"with authority":  {func(m *mdns.Msg) { m.Ns = soa }, mdns.RcodeFormatError, 0, false},
		"AXFR":            {func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeAXFR }, mdns.RcodeRefused, 0, false},
		"IXFR":            {func(m *mdns.Msg) { m.Question[0].Qtype, m.Ns = mdns.TypeIXFR, soa }, mdns.RcodeRefused, 0, false},
		"CHAOS": {func(m *mdns.Msg) {
			m.Question[0] = mdns.Question{Name: "version.bind.", Qtype: mdns.TypeTXT, Qclass: mdns.ClassCHAOS}
		}, mdns.RcodeRefused, 0, false},
		"class ANY":        {func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassANY }, mdns.RcodeRefused, 0, false},
		"HINFO":            {func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeHINFO }, mdns.RcodeSuccess, 0, false},
		"an unknown type":  {func(m *mdns.Msg) { m.Question[0].Qtype = 1000 }, mdns.RcodeSuccess, 0, false},
		"DNSKEY":           {func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeDNSKEY }, mdns.RcodeSuccess, 0, false},
		"DS of the origin": {func(m *mdns.Msg) { m.Question[0] = mdns.Question{Name: "example.com.", Qtype: mdns.TypeDS, Qclass: 1} }, mdns.RcodeSuccess, 0, false},
	} {
		for _, network := range []string{"udp", "tcp"} {
			r := ask(t, s, network, "Mx.eXample.com", mdns.TypeA, test.change)
			o := r.IsEdns0()
			if r.Rcode != test.rcode || len(r.Answer) != test.answer || (o != nil) != test.opt {
				t.Errorf("%s over %s: %v", what, network, r)
			}
			if o != nil && (o.Version() != 0 || o.UDPSize() != 1232 || o.Do() != (what == "DO") || o.Z() != 0 || len(o.Option) > 0) {
				t.Errorf("%s: %v", what, o)
			}
			if r.AuthenticatedData || r.CheckingDisabled || r.RecursionAvailable || r.Zero || r.Truncated {
				t.Errorf("%s: flags of %v", what, r.MsgHdr)
			}
			// 0x20: the question comes back as it was spelt, and so does the owner.
			if test.answer > 0 && (r.Question[0].Name != "Mx.eXample.com." || r.Answer[0].Header().Name != "Mx.eXample.com.") {
				t.Errorf("%s: %v", what, r)
			}
		}
	}
}

// TestRFC9156_NamesAboveAZone: a resolver that shows each server only as much of a
// name as it must gets no NXDOMAIN on its way down, also where one zone of ours
// lies below another with nothing between them, nor from a wildcard.
func TestRFC9156_NamesAboveAZone(t *testing.T) {
	s := start(t, lab, nameserver.Zone{Origin: "a.deep.wild.example.com", Nameservers: []string{"ns1.example.com"}, TTL: time.Minute})
	for name, rcode := range map[string]int{
		"deep.wild.example.com": mdns.RcodeSuccess, "a.deep.wild.example.com": mdns.RcodeSuccess,
		"b.deep.wild.example.com": mdns.RcodeNameError, "b.a.deep.wild.example.com": mdns.RcodeNameError,
		"_tcp.example.com": mdns.RcodeSuccess, "_25._tcp.mx.example.com": mdns.RcodeSuccess,
	} {
		if r := ask(t, s, "udp", name, mdns.TypeA); r.Rcode != rcode || len(r.Answer) > 0 || len(r.Ns) != 1 {
			t.Errorf("%s: %v", name, r)
		}
	}
	if !s.RemoveZone("a.deep.wild.example.com") {
		t.Error("there was no such zone")
	}
	if r := ask(t, s, "udp", "deep.wild.example.com", mdns.TypeA); len(r.Answer) != 1 {
		t.Errorf("the wildcard, without the zone: %v", r)
	}
}

// TestPacketsThatAreNone: what is no query gets no reply, or one that says so, and
// the next packet is answered.
func TestPacketsThatAreNone(t *testing.T) {
	s := start(t, lab)
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	response, _ := new(mdns.Msg).SetReply(new(mdns.Msg).SetQuestion("example.com.", mdns.TypeA)).Pack()
	loop := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"
	forward := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\xff\x00\x01\x00\x01"
	for what, test := range map[string]struct {
		packet string
		rcode  int // -1: silence
	}{
		"nothing":             {"", -1},
		"a response":          {string(response), -1},
		"eleven octets":       {"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", -1},
		"a header alone":      {"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", mdns.RcodeFormatError},
		"a name in a circle":  {loop, mdns.RcodeFormatError},
		"a pointer to beyond": {forward, mdns.RcodeFormatError},
		"half a question":     {"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07exam", mdns.RcodeFormatError},
		"many that are not":   {"\x12\x34\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00", mdns.RcodeFormatError},
		"an empty label":      {"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x40x\x00\x00\x01\x00\x01", mdns.RcodeFormatError},
	} {
		query, _ := new(mdns.Msg).SetQuestion("mx.example.com.", mdns.TypeA).Pack()
		conn.Write([]byte(test.packet))
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf, got := make([]byte, 4096), new(mdns.Msg)
		if test.rcode >= 0 {
			n, err := conn.Read(buf)
			if err != nil || got.Unpack(buf[:n]) != nil || got.Id != 0x1234 || got.Rcode != test.rcode || !got.Response {
				t.Errorf("%s: %v, %v", what, got, err)
			}
		}
		conn.Write(query)
		n, err := conn.Read(buf)
		if err != nil || got.Unpack(buf[:n]) != nil || len(got.Answer) != 1 {
			t.Errorf("after %s: %v, %v", what, got, err)
		}
	}
}
