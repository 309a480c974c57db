package msgauth

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"postern/dns"
)

// lookup lends our resolver to the libraries, which speak package net.
type lookup struct{ dns.Resolver }

// netError says in the words of package net what kind of no it was.
func netError(err error) error {
	if err == nil {
		return nil
	}
	out := &net.DNSError{Err: err.Error(), UnwrapErr: err}
	switch {
	case errors.Is(err, dns.ErrNotFound), errors.Is(err, dns.ErrNullMX), errors.Is(err, dns.ErrName):
		out.IsNotFound = true
	default:
		out.IsTemporary = true
	}
	return out
}

func (l lookup) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a, err := l.Resolver.LookupTXT(ctx, name)
	return a.Records, netError(err)
}

func (l lookup) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a, err := l.Resolver.LookupMX(ctx, name)
	var out []*net.MX
	for _, mx := range a.Records {
		out = append(out, &net.MX{Host: mx.Host, Pref: mx.Preference})
	}
	return out, netError(err)
}

func (l lookup) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	a, err := l.Resolver.LookupIP(ctx, host)
	var out []net.IPAddr
	for _, ip := range a.Records {
		out = append(out, net.IPAddr{IP: ip.AsSlice()})
	}
	return out, netError(err)
}

func (l lookup) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, netError(dns.ErrName)
	}
	a, err := l.Resolver.LookupPTR(ctx, ip)
	return a.Records, netError(err)
}
