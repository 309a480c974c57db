package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// The challenges by which an authority is convinced that a name leads here.
const (
	HTTP01    = acme.ChallengeTypeHTTP01    // RFC 8555, section 8.3
	TLSALPN01 = acme.ChallengeTypeTLSALPN01 // RFC 8737
	DNS01     = acme.ChallengeTypeDNS01     // RFC 8555, section 8.4
)

// ALPN is what an authority asks for, and nothing beside, in the handshake of a
// TLS-ALPN-01 challenge (RFC 8737, section 3).
const ALPN = acmez.ACMETLS1Protocol

// Names publishes TXT records in the zones that this server serves. A name that is
// in none of them is an error.
type Names interface {
	SetChallenge(name, value string) error
	ClearChallenge(name, value string)
}

// challenges are what authorities wait to see at this moment.
type challenges struct {
	names Names

	mu    sync.Mutex
	files map[string]string           // by name and token: the key authorization
	certs map[string]*tls.Certificate // by name
}

func newChallenges(names Names) *challenges {
	return &challenges{names: names, files: map[string]string{}, certs: map[string]*tls.Certificate{}}
}

// solver makes a challenge solvable while an authority looks.
func (c *challenges) solver(challenge string) (acmez.Solver, error) {
	switch challenge {
	case HTTP01:
		return atPath{c}, nil
	case TLSALPN01:
		return inHandshake{c}, nil
	case DNS01:
		return inZone{c.names}, nil
	}
	return nil, errors.New("acme: no such challenge: " + challenge)
}

// file is what stands at a path of port 80, for one name and one token: nothing
// else is answered, or a stranger could have an answer made up (RFC 8555, section
// 8.3).
func (c *challenges) file(host, token string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, ok := c.files[strings.ToLower(host)+" "+token]
	return text, ok
}

// certificate is what a handshake shows that asks for ALPN.
func (c *challenges) certificate(name string) (*tls.Certificate, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert, ok := c.certs[strings.ToLower(name)]
	return cert, ok
}

type atPath struct{ *challenges }

// Present begins to answer at the path.
func (s atPath) Present(_ context.Context, ch acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[ch.Identifier.Value+" "+ch.Token] = ch.KeyAuthorization
	return nil
}

// CleanUp ends what Present began.
func (s atPath) CleanUp(_ context.Context, ch acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, ch.Identifier.Value+" "+ch.Token)
	return nil
}

type inHandshake struct{ *challenges }

// Present makes the certificate that an authority wants to see.
func (s inHandshake) Present(_ context.Context, ch acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(ch)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certs[ch.Identifier.Value] = cert
	return nil
}

// CleanUp ends what Present began.
func (s inHandshake) CleanUp(_ context.Context, ch acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.certs, ch.Identifier.Value)
	return nil
}

type inZone struct{ names Names }

// Present publishes the record.
func (s inZone) Present(_ context.Context, ch acme.Challenge) error {
	return s.names.SetChallenge(ch.DNS01TXTRecordName(), ch.DNS01KeyAuthorization())
}

// CleanUp takes the record back.
func (s inZone) CleanUp(_ context.Context, ch acme.Challenge) error {
	s.names.ClearChallenge(ch.DNS01TXTRecordName(), ch.DNS01KeyAuthorization())
	return nil
}
