package server

import (
	"context"
	"errors"
	"net"

	"postern/dns/zone"
	"postern/server/acme"
	"postern/server/policy"
	"postern/storage"
	"postern/web"
)

// newWeb makes the doors at ports 80 and 443.
func (s *Server) newWeb() *web.Server {
	secure := s.tls.Clone()
	secure.GetCertificate = s.certs.GetChallengeCertificate
	return web.New(web.Config{
		Host: s.cfg.Host, TLS: secure, ALPN: acme.ALPN, Challenge: s.certs.HTTPChallenge,
		Domain: s.publicDomain, Ports: s.ports, Log: s.log,
	})
}

// publicDomain is what strangers may know of a domain.
func (s *Server) publicDomain(ctx context.Context, name string) (web.Domain, error) {
	d, err := s.store.DomainByName(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return web.Domain{}, web.ErrUnknown
	}
	if err != nil {
		return web.Domain{}, err
	}
	rules, err := policy.Load(ctx, s.store, policy.Subjects{Organization: d.Org, Domain: d.ID})
	if err != nil {
		return web.Domain{}, err
	}
	text, err := zone.MTASTSPolicy(rules.Published.MTASTS, []string{s.cfg.Host}, zone.PolicyAge)
	return web.Domain{Name: d.Name, Policy: text}, err
}

// ports are where agents connect to.
func (s *Server) ports() web.Ports {
	port := func(door string) int {
		if tcp, ok := s.Addr(door).(*net.TCPAddr); ok {
			return tcp.Port
		}
		return 0
	}
	return web.Ports{IMAPS: port("imaps"), Submissions: port("submissions"), Submission: port("submission")}
}
