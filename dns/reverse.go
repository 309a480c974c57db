package dns

import (
	"net/netip"
	"strings"

	mdns "github.com/miekg/dns"
)

// ReverseName is where the names of an address stand: 1.2.0.192.in-addr.arpa
// (RFC 1035, section 3.5), or below ip6.arpa (RFC 3596, section 2.5).
func ReverseName(ip netip.Addr) (string, error) {
	name, err := mdns.ReverseAddr(ip.Unmap().WithZone("").String())
	if err != nil {
		return "", &Error{Name: ip.String(), Type: "PTR", Class: ErrName, Cause: err}
	}
	return strings.TrimSuffix(name, "."), nil
}
