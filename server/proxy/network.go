package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Networks are those whose hosts are believed.
type Networks []netip.Prefix

// errEverybody: whoever is believed may be anybody.
var errEverybody = errors.New("everybody could then say to be anybody: name the networks of the load balancers")

// ParseNetworks reads networks as 10.0.0.0/8, and addresses.
func ParseNetworks(texts []string) (Networks, error) {
	var all Networks
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, no := netip.ParseAddr(text); no == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is not a network, as 10.0.0.0/8 or 192.0.2.7", text)
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("%q: write the network of IPv4", text)
		case p != p.Masked():
			return nil, fmt.Errorf("%q is an address within a network: is it %s?", text, p.Masked())
		case p.Bits() == 0:
			return nil, fmt.Errorf("%q: %w", text, errEverybody)
		}
		all = append(all, p)
	}
	return all, nil
}

// Has reports whether an address is in one of them.
func (n Networks) Has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Contains(a) })
}
