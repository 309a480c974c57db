package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"postern/dns"
	"postern/server/acme"
)

// directories are authorities that are known by a word.
var directories = map[string]string{
	"letsencrypt":         "https://acme-v02.api.letsencrypt.org/directory",
	"letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

// allChallenges is the order in which they are tried where none is configured:
// those first that need no name server of ours.
var allChallenges = []string{acme.HTTP01, acme.TLSALPN01, acme.DNS01}

func (a *ACMEConfig) url() string {
	if known := directories[a.Directory]; known != "" {
		return known
	}
	return a.Directory
}

// check says what is wrong with the settings: a *ConfigError, or nil.
func (a *ACMEConfig) check() error {
	if a.Directory == "" {
		if a.Contact != "" || len(a.Challenges) > 0 || a.CAFile != "" {
			return &ConfigError{Key: "acme.directory", Text: "the other settings of acme need one", Hint: `as directory = "letsencrypt"`}
		}
		return nil
	}
	if u, err := url.Parse(a.url()); err != nil || u.Scheme != "https" || u.Host == "" {
		return &ConfigError{Key: "acme.directory", Text: fmt.Sprintf("%q is no directory of an authority", a.Directory),
			Hint: `a URL with https, or "letsencrypt"`}
	}
	if a.Contact != "" && (!strings.Contains(a.Contact, "@") || strings.ContainsAny(a.Contact, " ,:")) {
		return &ConfigError{Key: "acme.contact", Text: fmt.Sprintf("%q is no mail address", a.Contact)}
	}
	for _, c := range a.Challenges {
		if !slices.Contains(allChallenges, c) {
			return &ConfigError{Key: "acme.challenges", Text: fmt.Sprintf("there is no challenge %q", c), Hint: strings.Join(allChallenges, ", ")}
		}
	}
	return nil
}

// httpAddr and httpsAddr are the addresses of ports 80 and 443, or off.
func (c *Config) httpAddr() string  { return c.wellKnown(c.Listen.HTTP, ":80") }
func (c *Config) httpsAddr() string { return c.wellKnown(c.Listen.HTTPS, ":443") }

func (c *Config) wellKnown(addr, usual string) string {
	switch {
	case addr != "":
		return addr
	case c.ACME.Directory != "":
		return usual
	}
	return off
}

// challenges are those that this server can answer, in the order to try.
func (c *Config) challenges() []string {
	order := c.ACME.Challenges
	if len(order) == 0 {
		order = allChallenges
	}
	return slices.DeleteFunc(slices.Clone(order), func(challenge string) bool {
		switch challenge {
		case acme.HTTP01:
			return c.httpAddr() == off
		case acme.TLSALPN01:
			return c.httpsAddr() == off
		}
		return c.Listen.DNS == off
	})
}

// roots are who may certify the authority's own server; nil: whom the system
// trusts.
func (a *ACMEConfig) roots() (*x509.CertPool, error) {
	if a.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, &ConfigError{Key: "acme.ca_file", Text: "cannot be read", Err: err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &ConfigError{Key: "acme.ca_file", Text: "has no certificate in PEM"}
	}
	return pool, nil
}

// wireCertificates makes who has the certificates, and what every door does TLS
// with.
func (s *Server) wireCertificates(ctx context.Context, o Options, resolver dns.Resolver) error {
	roots, err := s.cfg.ACME.roots()
	if err != nil {
		return err
	}
	host, err := dns.Name(s.cfg.Host)
	if err != nil {
		return &ConfigError{Key: "host", Text: "is no name", Err: err}
	}
	s.certs, err = acme.New(ctx, s.store, acme.Options{
		Host: host, Directory: s.cfg.ACME.url(), Contact: s.cfg.ACME.Contact, Challenges: s.cfg.challenges(), Everywhere: len(s.cfg.ACME.Challenges) > 0,
		Roots: roots, Names: s.names, Resolver: resolver, Own: ownCertificate(o.TLS), StandIn: s.standIn, Now: s.now, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.tls = &tls.Config{}
	if o.TLS != nil {
		s.tls = o.TLS.Clone()
		s.tls.Certificates = nil
	}
	s.tls.GetCertificate = s.certs.GetCertificate
	return nil
}

// ownCertificate is the one that the operator has in files, as it is now; nil:
// there are no such files.
func ownCertificate(own *tls.Config) func() *tls.Certificate {
	if own == nil {
		return nil
	}
	return func() *tls.Certificate {
		if own.GetCertificate != nil {
			if cert, err := own.GetCertificate(&tls.ClientHelloInfo{}); err == nil && cert != nil {
				return cert
			}
		}
		if len(own.Certificates) == 0 { // as package tls chooses
			return nil
		}
		return &own.Certificates[0]
	}
}
