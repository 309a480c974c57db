package nameserver

import (
	"strings"

	mdns "github.com/miekg/dns"
)

const (
	udpSize  = 1232 // crosses any path unfragmented: DNS flag day 2020
	maxSteps = 8    // aliases followed for one question
)

// answer makes the reply to a query that [accept] let through. It is a pure
// function of the query and the zones.
func answer(zones map[string]*version, q *mdns.Msg, tcp bool) *mdns.Msg {
	reply := new(mdns.Msg).SetReply(q)
	reply.AuthenticatedData, reply.CheckingDisabled = false, false
	reply.RecursionAvailable = false
	reply.Compress = true
	size := mdns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		size = max(mdns.MinMsgSize, min(int(opt.UDPSize()), udpSize))
		reply.SetEdns0(udpSize, opt.Do()) // RFC 3225, section 3: DO is copied
		if opt.Version() != 0 {
			reply.Rcode = mdns.RcodeBadVers // RFC 6891, section 6.1.3
			return reply
		}
	}
	if len(q.Question) != 1 {
		reply.Rcode = mdns.RcodeFormatError
		return reply
	}
	resolve(zones, q.Question[0], reply)
	if tcp {
		size = mdns.MaxMsgSize
	}
	reply.Truncate(size)
	return reply
}

// resolve fills in the sections (RFC 1034, section 4.3.2).
func resolve(zones map[string]*version, question mdns.Question, reply *mdns.Msg) {
	name := strings.ToLower(strings.TrimSuffix(question.Name, "."))
	zone := closest(zones, name)
	if zone == nil || question.Qclass != mdns.ClassINET || isTransferOrMeta(question.Qtype) {
		reply.Rcode = mdns.RcodeRefused
		return
	}
	reply.Authoritative = true
	owner := question.Name // the asker's spelling, for the first step
	for range maxSteps {
		n := zone.find(name)
		switch set := n[question.Qtype]; {
		case n == nil:
			reply.Rcode = mdns.RcodeNameError // RFC 6604: of the last name of a chain
			reply.Ns = append(reply.Ns, zone.soa)
			return
		case len(set) > 0:
			reply.Answer = append(reply.Answer, owned(set, owner)...)
			return
		case question.Qtype == mdns.TypeANY && len(n) > 0:
			reply.Answer = append(reply.Answer, minimal(owner, zone))
			return
		case len(n[mdns.TypeCNAME]) == 0:
			reply.Ns = append(reply.Ns, zone.soa)
			return
		}
		alias := owned(n[mdns.TypeCNAME], owner)
		reply.Answer = append(reply.Answer, alias...)
		owner = alias[0].(*mdns.CNAME).Target
		name = strings.ToLower(strings.TrimSuffix(owner, "."))
		if zone = closest(zones, name); zone == nil {
			return // the asker goes on elsewhere
		}
	}
}

// closest is the zone with the longest origin that holds name.
func closest(zones map[string]*version, name string) *version {
	for {
		if z, ok := zones[name]; ok {
			return z
		}
		if name == "" {
			return nil
		}
		name = parent(name)
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

// minimal answers ANY with one made-up record (RFC 8482, section 4.2).
func minimal(owner string, zone *version) mdns.RR {
	return &mdns.HINFO{
		Hdr: mdns.RR_Header{Name: owner, Rrtype: mdns.TypeHINFO, Class: mdns.ClassINET, Ttl: zone.soa.Hdr.Ttl},
		Cpu: "RFC8482",
	}
}

// accept decides by the header alone: queries with one question, no answers,
// and at most OPT and a signature behind.
func accept(h mdns.Header) mdns.MsgAcceptAction {
	const response = 1 << 15
	switch opcode := int(h.Bits>>11) & 0xF; {
	case h.Bits&response != 0:
		return mdns.MsgIgnore
	case opcode != mdns.OpcodeQuery:
		return mdns.MsgRejectNotImplemented
	case h.Qdcount != 1, h.Ancount > 0, h.Nscount > 0, h.Arcount > 2:
		return mdns.MsgReject
	}
	return mdns.MsgAccept
}
