package relay

import "net/netip"

// reserved are the networks in which no mail exchanger of the Internet lives
// (RFC 6890 and the IANA registries). A domain whose MX points into them would
// have us speak SMTP to our own machine or network.
var reserved = func() (list []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
		"fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}()

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: IPv4 in the last four octets
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056: IPv4 in octets 2 to 5
)

// isPublic reports whether an address may be a stranger's mail host. It looks
// through the forms in which IPv6 carries an IPv4 address.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() {
		return false
	}
	if ip.Is6() {
		b := ip.As16()
		switch {
		case nat64.Contains(ip):
			return isPublic(netip.AddrFrom4([4]byte(b[12:])))
		case sixTo4.Contains(ip):
			return isPublic(netip.AddrFrom4([4]byte(b[2:6])))
		}
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
