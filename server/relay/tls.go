package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"postern/server/queue"
)

// startTLS asks for TLS and shakes hands (RFC 3207). Every failure has the
// reason TLSFailed, and the connection is of no more use.
func (s *session) startTLS(roots *x509.CertPool, t *terms) *fault {
	r, err := s.command(s.timeouts.Command, "STARTTLS")
	if s.ctx.Err() != nil {
		return faultOf(s.ctx, s.ctx.Err())
	}
	if err != nil || r.code != 220 {
		// Offered and then refused: RFC 8460, section 4.3.1, has no other word for it.
		f := insecure("4.7.4", failNoSTARTTLS)
		f.code, f.text = r.code, r.text
		return f
	}
	// What the peer, or somebody between us, sent ahead of the handshake would
	// be read as if it had come through it.
	if s.br.Buffered() > 0 {
		return insecure("4.7.5", failValidation)
	}
	return s.handshake(roots, t)
}

// handshake turns the connection into TLS. TLS 1.2 is the least (RFC 8996). The
// name that the host is asked for is its own (RFC 7672, section 8.1; RFC 8461,
// section 4.2).
func (s *session) handshake(roots *x509.CertPool, t *terms) *fault {
	s.proof = queue.ProofNone
	conn := tls.Client(s.conn, &tls.Config{
		ServerName: t.host,
		MinVersion: tls.VersionTLS12,
		// The certificate is judged by the terms, also where any will do.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) (err error) {
			s.proof, s.failure, err = t.judge(&state, roots)
			return err
		},
	})
	s.deadline(s.timeouts.Connect)
	if err := conn.HandshakeContext(s.ctx); err != nil {
		if s.ctx.Err() != nil {
			return faultOf(s.ctx, err)
		}
		if !errors.Is(err, errProof) {
			s.failure = failValidation
		}
		return insecure("4.7.5", s.failure)
	}
	state := conn.ConnectionState()
	s.tls = TLS{
		Version:  tls.VersionName(state.Version),
		Cipher:   tls.CipherSuiteName(state.CipherSuite),
		Verified: s.proof != queue.ProofNone,
	}
	s.attach(conn)
	return nil
}
