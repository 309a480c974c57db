package dns

import "net/netip"

// reserved are the networks in which no host of the Internet lives that is not
// ours (RFC 6890 and the IANA registries), and one that is: at 168.63.129.16 Azure
// answers its virtual machines. A stranger's name that points into them would have
// us speak to our own machine or network.
var reserved = func() (list []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "3fff::/20",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}()

var (
	global = netip.MustParsePrefix("2000::/3")     // all global unicast addresses that are given out
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: IPv4 in the last four octets
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056: IPv4 in octets 2 to 5
)

// IsPublic reports whether an address may be a stranger's host. It looks through
// the forms in which IPv6 carries an IPv4 address.
func IsPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() {
		return false
	}
	if ip.Is6() {
		b := ip.As16()
		switch {
		case nat64.Contains(ip):
			return IsPublic(netip.AddrFrom4([4]byte(b[12:])))
		case sixTo4.Contains(ip):
			return IsPublic(netip.AddrFrom4([4]byte(b[2:6])))
		case !global.Contains(ip):
			return false
		}
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
