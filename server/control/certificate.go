package control

import (
	"context"
	"encoding/hex"
	"iter"
	"time"

	"postern/dns"
	"postern/server/acme"
)

// Certificate is the certificate of one name of this server.
type Certificate struct {
	Name        string    `json:"name"`
	State       string    `json:"state"`                 // ok, renewing, missing, ended
	Source      string    `json:"source"`                // acme, files, self-signed
	Authority   string    `json:"authority,omitempty"`   // by the host of its directory
	Fingerprint string    `json:"fingerprint,omitempty"` // SHA-256, in hexadecimal
	NotBefore   time.Time `json:"not_before,omitzero"`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Due         time.Time `json:"due_at,omitzero"`   // of the next attempt to get another
	Failures    int       `json:"failures"`          // of attempts in a row
	Problem     string    `json:"problem,omitempty"` // what was wrong at the last of these
}

// CertificateRef names a certificate.
type CertificateRef struct {
	Name string `json:"name"`
}

func (s *Server) certificateCommands() {
	lines(s, "certificate.list", s.certificateList)
	answer(s, "certificate.renew", s.certificateRenew)
}

// Certificates lists the certificates of this server.
func (c *Client) Certificates(ctx context.Context) iter.Seq2[Certificate, error] {
	return rows[None, Certificate](ctx, c, "certificate.list", None{})
}

func (s *Server) certificateList(ctx context.Context, by caller, _ None, emit func(Certificate) error) error {
	all, err := s.Certificates.List(ctx, by.org)
	for _, c := range all {
		if err == nil {
			err = emit(certificateView(&c))
		}
	}
	return err
}

// RenewCertificate gets another certificate for a name now, and says how it
// stands then.
func (c *Client) RenewCertificate(ctx context.Context, name string) (Certificate, error) {
	return ask[CertificateRef, Certificate](ctx, c, "certificate.renew", CertificateRef{name})
}

func (s *Server) certificateRenew(ctx context.Context, by caller, q CertificateRef) (Certificate, error) {
	name, err := dns.Name(q.Name)
	if err != nil {
		return Certificate{}, invalid("%q is no name", q.Name)
	}
	if err := s.Certificates.Renew(ctx, by.Actor, by.org, name); err != nil {
		if problem, ok := acme.Problem(err); ok {
			return Certificate{}, &Error{Code: Failed, Message: "the authority gave no certificate: " + problem}
		}
		return Certificate{}, missing(err, "certificate", q.Name)
	}
	all, err := s.Certificates.List(ctx, by.org)
	for _, c := range all {
		if c.Name == name {
			return certificateView(&c), err
		}
	}
	return Certificate{Name: name}, err
}

func certificateView(c *acme.Status) Certificate {
	return Certificate{
		Name: c.Name, State: string(c.State), Source: string(c.Source), Authority: c.Authority, Fingerprint: hex.EncodeToString(c.Fingerprint),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Due: c.Due, Failures: c.Failures, Problem: c.Problem,
	}
}
