package dns

import (
	"fmt"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// Record is one resource record of an answer.
type Record struct {
	Name  string // owner, lower case, no final dot; "" is the root
	Type  string // "MX", "TXT", …
	Value string // data: names lower case without final dot; of TXT the raw text, its parts joined
	TTL   time.Duration
}

// types are those that Lookup and Ask know.
var types = map[string]uint16{
	"A": mdns.TypeA, "AAAA": mdns.TypeAAAA, "CAA": mdns.TypeCAA, "CNAME": mdns.TypeCNAME, "DS": mdns.TypeDS, "MX": mdns.TypeMX,
	"NS": mdns.TypeNS, "PTR": mdns.TypePTR, "SOA": mdns.TypeSOA, "SRV": mdns.TypeSRV, "TLSA": mdns.TypeTLSA, "TXT": mdns.TypeTXT,
}

// recordOf is a record in our form; false for what has none, or another class.
func recordOf(rr mdns.RR) (Record, bool) {
	h := rr.Header()
	r := Record{Name: plainName(h.Name), Type: mdns.TypeToString[h.Rrtype], TTL: ttlOf(h)}
	if h.Class != mdns.ClassINET {
		return r, false
	}
	switch rr := rr.(type) {
	case *mdns.A, *mdns.AAAA:
		ip, ok := addressOf(rr)
		r.Value = ip.String()
		return r, ok
	case *mdns.CAA:
		r.Value = fmt.Sprintf("%d %s %q", rr.Flag, strings.ToLower(rr.Tag), unescape(rr.Value))
	case *mdns.CNAME:
		r.Value = plainName(rr.Target)
	case *mdns.DS:
		r.Value = fmt.Sprintf("%d %d %d %s", rr.KeyTag, rr.Algorithm, rr.DigestType, strings.ToLower(rr.Digest))
	case *mdns.MX:
		r.Value = fmt.Sprintf("%d %s", rr.Preference, hostOrRoot(rr.Mx))
	case *mdns.NS:
		r.Value = plainName(rr.Ns)
	case *mdns.PTR:
		r.Value = plainName(rr.Ptr)
	case *mdns.SOA:
		r.Value = fmt.Sprintf("%s %s %d", plainName(rr.Ns), plainName(rr.Mbox), rr.Serial)
	case *mdns.SRV:
		r.Value = fmt.Sprintf("%d %d %d %s", rr.Priority, rr.Weight, rr.Port, hostOrRoot(rr.Target))
	case *mdns.TLSA:
		r.Value = fmt.Sprintf("%d %d %d %s", rr.Usage, rr.Selector, rr.MatchingType, strings.ToLower(rr.Certificate))
	case *mdns.TXT:
		r.Value = unescape(strings.Join(rr.Txt, ""))
	default:
		return r, false
	}
	return r, true
}

// plainName takes the final dot off. The library has made everything else than
// printable characters visible.
func plainName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// hostOrRoot keeps the root visible, which says that there is no such service.
func hostOrRoot(s string) string {
	if s == "." {
		return s
	}
	return plainName(s)
}
