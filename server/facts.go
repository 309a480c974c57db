package server

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"postern/dns/zone"
	"postern/server/directory"
	"postern/server/policy"
	"postern/storage"
)

// asking is what the directory asks the DNS about domains with. Without a checker
// nobody is asked.
func (s *Server) asking(c *zone.Checker) directory.Names {
	n := directory.Names{Facts: s.facts, Watch: s.cfg.DNS.Check}
	if c != nil {
		n.Look = c.Check
	}
	return n
}

// facts are what the records of a domain follow from: its row, its keys, what policy
// says of it, and where this server is.
func (s *Server) facts(ctx context.Context, d storage.Domain) (zone.Facts, error) {
	f := zone.Facts{
		Domain: d.Name, Host: s.cfg.Host, Addresses: s.cfg.hostAddresses(),
		Names: string(d.Names), Target: s.cfg.DNS.Zone, Reports: storage.ReportsLocal + "@" + d.Name,
	}
	if !d.Owned {
		f.Challenge = s.store.DomainChallenge(d.Org, d.Name)
	}
	rules, err := policy.Load(ctx, s.store, policy.Subjects{Organization: d.Org, Domain: d.ID})
	if err != nil {
		return f, err
	}
	f.DMARC, f.MTASTS = rules.Published.DMARC, rules.Published.MTASTS
	f.Authorities = s.cfg.ACME.issuers()
	keys, err := s.store.DKIMKeys(ctx, d.ID)
	for _, k := range keys {
		if k.State.Visible() {
			f.Keys = append(f.Keys, zone.Key{Selector: k.Selector, Record: k.Record})
		}
	}
	return f, err
}

// hostAddresses is where others reach this server: as configured, else the address
// that the door for mail is bound to, else what the network interfaces have that is
// an address of the Internet. Behind a translator of addresses only the first is
// right.
func (c *Config) hostAddresses() (all []netip.Addr) {
	for _, a := range c.Addresses {
		if ip, err := netip.ParseAddr(a); err == nil {
			all = append(all, ip)
		}
	}
	if len(all) > 0 {
		return all
	}
	if at, err := netip.ParseAddrPort(c.Listen.SMTP); err == nil && !at.Addr().IsUnspecified() {
		return []netip.Addr{at.Addr()}
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range interfaces {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() && !p.Addr().IsPrivate() {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}

// issuers are the names by which CAA records permit the authority that issues our
// certificates (RFC 8659, section 4.2), where it is one that we know.
func (c ACMEConfig) issuers() []string {
	host := c.Directory
	if u, err := url.Parse(c.Directory); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	for _, known := range []struct{ directory, issuer string }{
		{"letsencrypt", "letsencrypt.org"}, {"letsencrypt-staging", "letsencrypt.org"}, {"acme-v02.api.letsencrypt.org", "letsencrypt.org"},
		{"acme-staging-v02.api.letsencrypt.org", "letsencrypt.org"}, {"acme.zerossl.com", "sectigo.com"}, {"dv.acme-v02.api.pki.goog", "pki.goog"},
		{"api.buypass.com", "buypass.com"},
	} {
		if strings.EqualFold(host, known.directory) {
			return []string{known.issuer}
		}
	}
	return nil
}
