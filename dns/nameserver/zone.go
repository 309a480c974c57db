package nameserver

import (
	"fmt"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// Zone is what the server answers for.
type Zone struct {
	// Origin is the name at the top, such as "example.com" or
	// "2.0.192.in-addr.arpa"; "." makes the server know every name there is.
	Origin string
	// Nameservers are the host names in its NS records; at least one.
	Nameservers []string
	// Hostmaster is the mailbox in the SOA, as a domain name:
	// "hostmaster.example.com". Empty: that of the origin.
	Hostmaster string
	// TTL of SOA and NS records, and how long a no may be kept. Zero: not at all.
	TTL time.Duration
	// Records at or below the origin. A name with a CNAME has no other record,
	// and records of one name and type have one TTL.
	Records []Record
}

// Timers of the SOA record, in seconds, as RIPE-203 recommends. Nobody
// transfers the zone; they are for checkers.
const (
	refresh = 86400
	retry   = 7200
	expire  = 3600000
)

// version is a zone made ready for answers. It never changes.
type version struct {
	zone   Zone
	origin string // normal form; "" is the root
	soa    *mdns.SOA
	// nodes holds every name of the zone, also those that exist only because
	// something lies below (RFC 4592, section 2.2.2).
	nodes map[string]node
}

type node map[uint16][]mdns.RR

// compile checks a zone and makes a version of it.
func compile(z Zone, serial uint32) (*version, error) {
	origin, err := ownerName(z.Origin)
	if err != nil || strings.HasPrefix(origin, "*") || z.Origin == "" {
		return nil, fmt.Errorf("nameserver: origin %q is not a domain name", z.Origin)
	}
	if len(z.Nameservers) == 0 || z.TTL < 0 || z.TTL > maxTTL {
		return nil, fmt.Errorf("nameserver: zone %s: no name server, or a TTL of %s", z.Origin, z.TTL)
	}
	v := &version{zone: z, origin: origin, nodes: make(map[string]node)}
	if err := v.addApex(serial); err != nil {
		return nil, err
	}
	for _, r := range z.Records {
		if err := v.add(r); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *version) addApex(serial uint32) error {
	h := mdns.RR_Header{Name: mdns.Fqdn(v.origin), Rrtype: mdns.TypeSOA, Class: mdns.ClassINET, Ttl: uint32(v.zone.TTL / time.Second)}
	hostmaster := v.zone.Hostmaster
	if hostmaster == "" {
		hostmaster = strings.TrimSuffix("hostmaster."+v.origin, ".")
	}
	mbox, err := targetName(hostmaster)
	if err != nil {
		return fmt.Errorf("nameserver: hostmaster of %s: %w", v.zone.Origin, err)
	}
	apex := node{}
	for _, host := range v.zone.Nameservers {
		target, err := targetName(host)
		if err != nil {
			return fmt.Errorf("nameserver: name server of %s: %w", v.zone.Origin, err)
		}
		ns := h
		ns.Rrtype = mdns.TypeNS
		apex[mdns.TypeNS] = append(apex[mdns.TypeNS], &mdns.NS{Hdr: ns, Ns: target})
	}
	v.soa = &mdns.SOA{
		Hdr: h, Ns: apex[mdns.TypeNS][0].(*mdns.NS).Ns, Mbox: mbox, Serial: serial,
		Refresh: refresh, Retry: retry, Expire: expire, Minttl: h.Ttl,
	}
	apex[mdns.TypeSOA] = []mdns.RR{v.soa}
	v.nodes[v.origin] = apex
	return nil
}

func (v *version) add(r Record) error {
	owner, err := ownerName(r.Name)
	if err != nil {
		return fmt.Errorf("nameserver: name %q: %w", r.Name, err)
	}
	if !within(owner, v.origin) {
		return fmt.Errorf("nameserver: %s lies outside of %s", r.Name, v.zone.Origin)
	}
	rr, err := r.rr(owner)
	if err != nil {
		return err
	}
	for name := owner; name != v.origin; name = parent(name) {
		if v.nodes[name] == nil {
			v.nodes[name] = node{}
		}
	}
	n := v.nodes[owner]
	set := n[uint16(r.Type)]
	switch _, alias := n[mdns.TypeCNAME]; {
	case r.Type == CNAME && len(n) > 0, alias:
		return fmt.Errorf("nameserver: %s has a CNAME beside another record", r.Name) // RFC 2181, section 10.1
	case len(set) > 0 && set[0].Header().Ttl != rr.Header().Ttl:
		return fmt.Errorf("nameserver: %s %s with two TTLs", r.Name, r.Type) // RFC 2181, section 5.2
	}
	for _, other := range set {
		if mdns.IsDuplicate(other, rr) {
			return nil // RFC 2181, section 5: a set has no duplicates
		}
	}
	n[uint16(r.Type)] = append(set, rr)
	return nil
}

// within reports whether name is origin or lies below it.
func within(name, origin string) bool {
	return origin == "" || name == origin || strings.HasSuffix(name, "."+origin)
}

// parent takes the first label off. The parent of a top-level name is the root.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}
