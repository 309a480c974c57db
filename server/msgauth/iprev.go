package msgauth

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"postern/dns"
)

// maxNames bounds the names of one address that are looked up.
const maxNames = 5

// iprev asks whether a name of the address has the address (RFC 8601, section 3).
func (c *Checker) iprev(ctx context.Context, ip netip.Addr) IPRev {
	if !ip.IsValid() {
		return IPRev{}
	}
	ip = ip.Unmap().WithZone("")
	out := IPRev{Addr: ip, Value: Fail}
	names, err := c.Resolver.LookupPTR(ctx, ip)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		out.Value = PermError // section 2.7.3: no name at all
		return out
	case err != nil:
		out.Value = TempError
		return out
	}
	for _, name := range names.Records[:min(len(names.Records), maxNames)] {
		addrs, err := c.Resolver.LookupIP(ctx, name)
		if err == nil && slices.Contains(addrs.Records, ip) {
			return IPRev{Value: Pass, Addr: ip, Name: name}
		}
		if errors.Is(err, dns.ErrTemporary) {
			out.Value = TempError
		}
	}
	return out
}
