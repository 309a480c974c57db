package nameserver

import (
	"strings"

	mdns "github.com/miekg/dns"
)

const (
	udpSize  = 1232 // crosses any path unfragmented: DNS flag day 2020
	maxSteps = 8    // aliases followed for one question
)

// Bounds of a query. A question has at most 259 octets, and what stands behind it
// is options of EDNS and perhaps a signature; more is nobody's question to us.
const (
	minQuery = 12
	maxQuery = 4096
)

// kind is what a reply says, for the limit of what one network is told.
type kind byte

const (
	kindRefusal kind = iota + 1 // not ours, or not understood
	kindAnswer                  // of a name that there is, with records or without
	kindAbsence                 // NXDOMAIN
)

// reply is an answer on its way: the message, and what it is counted as.
type reply struct {
	*mdns.Msg
	kind kind
	name string // that was found, or of the zone that lacks it, in normal form
	size int    // largest over UDP, octets
}

// respond makes the reply to whatever packet arrived, nil where silence is right.
// It is a pure function of the packet and the zones.
func respond(t *tree, packet []byte) *reply {
	if len(packet) < minQuery {
		return nil // there is nobody to name in a reply
	}
	h := header(packet)
	if h.Response {
		return nil // or two servers would talk for ever
	}
	r := &reply{Msg: &mdns.Msg{MsgHdr: h}, kind: kindRefusal, size: mdns.MinMsgSize}
	r.Response = true
	if h.Opcode != mdns.OpcodeQuery {
		r.Rcode = mdns.RcodeNotImplemented // NOTIFY, UPDATE (RFC 2136, section 2.2), DSO (RFC 8490, section 5)
		return r
	}
	q := new(mdns.Msg)
	if !wellFormed(packet) || q.Unpack(packet) != nil || len(q.Question) != 1 {
		r.Rcode = mdns.RcodeFormatError
		return r
	}
	r.Question = q.Question // as it was spelt: some resolvers compare (0x20)
	if good := r.negotiate(q); good {
		r.resolve(t, q.Question[0])
	}
	return r
}

// header is what a reply takes over from the header of a query. RFC 4035, section
// 3.1.6: an authoritative server clears CD, and AD is nothing that we could say.
func header(packet []byte) mdns.MsgHdr {
	return mdns.MsgHdr{
		Id: uint16(packet[0])<<8 | uint16(packet[1]), Response: packet[2]&0x80 != 0,
		Opcode: int(packet[2]>>3) & 0xF, RecursionDesired: packet[2]&1 != 0,
	}
}

// wellFormed judges by the counts of the header, before anything is parsed: one
// question (RFC 9619), no answers, and behind it at most OPT and a signature. A
// request for an incremental transfer has a SOA (RFC 1995, section 3), and is for
// resolve to refuse.
func wellFormed(packet []byte) bool {
	count := func(i int) int { return int(packet[i])<<8 | int(packet[i+1]) }
	if len(packet) > maxQuery || count(4) != 1 || count(6) > 0 || count(8) > 1 || count(10) > 2 {
		return false
	}
	// Before the first name there is none that it could point to (RFC 1035, section
	// 4.1.4), so it takes as much here as in the reply. Behind it are type and class.
	at := minQuery
	for at < len(packet) && packet[at] != 0 {
		if packet[at] > 63 {
			return false
		}
		at += 1 + int(packet[at])
	}
	return at+5 <= len(packet)
}

// negotiate does EDNS (RFC 6891): it learns how much the asker takes, and says so of
// us. It reports whether the question is to be answered. Options and flags that
// it does not know, it passes over (section 6.1.2).
func (r *reply) negotiate(q *mdns.Msg) bool {
	var opt *mdns.OPT
	for _, rr := range q.Extra {
		o, ok := rr.(*mdns.OPT)
		if ok && (opt != nil || o.Hdr.Name != ".") {
			r.Rcode = mdns.RcodeFormatError // section 6.1.1
			return false
		}
		if ok {
			opt = o
		}
	}
	if len(q.Ns) > 0 && q.Question[0].Qtype != mdns.TypeIXFR {
		r.Rcode = mdns.RcodeFormatError
		return false
	}
	if opt == nil {
		return true
	}
	r.size = max(mdns.MinMsgSize, min(int(opt.UDPSize()), udpSize)) // section 6.2.3
	r.SetEdns0(udpSize, opt.Do())                                   // RFC 3225, section 3: DO is copied
	if opt.Version() != 0 {
		r.Rcode = mdns.RcodeBadVers // section 6.1.3
		return false
	}
	return true
}

// resolve fills in the sections (RFC 1034, section 4.3.2). It follows aliases
// inside of the zone and no further: what another zone of this server says of a
// name is for the asker to find out there.
func (r *reply) resolve(t *tree, question mdns.Question) {
	name := strings.ToLower(strings.TrimSuffix(question.Name, "."))
	zone := t.closest(name)
	if zone == nil || question.Qclass != mdns.ClassINET || isTransferOrMeta(question.Qtype) {
		r.Rcode = mdns.RcodeRefused
		return
	}
	r.Authoritative = true
	owner := question.Name // the asker's spelling, for the first step
	for range maxSteps {
		n, at := t.find(zone, name)
		r.kind, r.name = kindAnswer, at
		switch set := n[question.Qtype]; {
		case n == nil:
			r.kind, r.name = kindAbsence, zone.origin
			r.Rcode = mdns.RcodeNameError // RFC 6604: of the last name of a chain
			r.Ns = append(r.Ns, zone.soa)
			return
		case len(set) > 0:
			r.Answer = append(r.Answer, owned(set, owner)...)
			return
		case question.Qtype == mdns.TypeANY && len(n) > 0:
			r.Answer = append(r.Answer, minimal(owner, zone))
			return
		case len(n[mdns.TypeCNAME]) == 0:
			r.Ns = append(r.Ns, zone.soa)
			return
		}
		alias := owned(n[mdns.TypeCNAME], owner)
		r.Answer = append(r.Answer, alias...)
		owner = alias[0].(*mdns.CNAME).Target
		name = strings.ToLower(strings.TrimSuffix(owner, "."))
		if t.closest(name) != zone {
			return // the asker goes on elsewhere
		}
	}
}

func isTransferOrMeta(t uint16) bool {
	return t == mdns.TypeOPT || t >= 128 && t <= 254 // RFC 6895, section 3.1
}

// owned copies records under the name that was asked, which a wildcard differs
// from.
func owned(set []mdns.RR, owner string) []mdns.RR {
	out := make([]mdns.RR, len(set))
	for i, rr := range set {
		out[i] = mdns.Copy(rr)
		out[i].Header().Name = owner
	}
	return out
}

// minimal answers ANY with one made-up record (RFC 8482, section 4.2). A refusal
// would be shorter by nothing, and have resolvers ask every server again.
func minimal(owner string, zone *version) mdns.RR {
	return &mdns.HINFO{
		Hdr: mdns.RR_Header{Name: owner, Rrtype: mdns.TypeHINFO, Class: mdns.ClassINET, Ttl: zone.soa.Hdr.Ttl},
		Cpu: "RFC8482",
	}
}

// cut leaves nothing of a reply but that it was cut (RFC 2181, section 9): the
// asker comes back over TCP, where nobody can speak in another's name.
func (r *reply) cut() {
	r.Answer, r.Ns, r.Truncated, r.Rcode = nil, nil, true, mdns.RcodeSuccess
}

// pack makes the packet: whole over TCP, over UDP cut with TC where it does not
// fit (RFC 2181, section 9). buf is used if it is large enough.
func (r *reply) pack(buf []byte, tcp bool) ([]byte, error) {
	r.Compress = true
	size := r.size
	if tcp {
		size = mdns.MaxMsgSize
	}
	if r.Len() > size {
		r.cut()
	}
	return r.PackBuffer(buf)
}
