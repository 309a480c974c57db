package relay

import (
	"crypto/tls"
	"crypto/x509"
)

// startTLS asks for TLS and shakes hands (RFC 3207). Every failure has the
// reason TLSFailed, and the connection is of no more use.
func (s *session) startTLS(roots *x509.CertPool, required bool) *fault {
	r, err := s.command(s.timeouts.Command, "STARTTLS")
	if s.ctx.Err() != nil {
		return faultOf(s.ctx, s.ctx.Err())
	}
	if err != nil || r.code != 220 {
		f := temporary(TLSFailed, "4.7.4")
		f.code, f.text = r.code, r.text
		return f
	}
	// What the peer, or somebody between us, sent ahead of the handshake would
	// be read as if it had come through it.
	if s.br.Buffered() > 0 {
		return temporary(TLSFailed, "4.7.5")
	}
	return s.handshake(roots, required)
}

// handshake turns the connection into TLS. TLS 1.2 is the least (RFC 8996).
func (s *session) handshake(roots *x509.CertPool, required bool) *fault {
	conn := tls.Client(s.conn, &tls.Config{
		ServerName: s.name,
		RootCAs:    roots,
		MinVersion: tls.VersionTLS12,
		// Opportunistic: the certificate is judged below, for the record only.
		InsecureSkipVerify: !required,
	})
	s.deadline(s.timeouts.Connect)
	if err := conn.HandshakeContext(s.ctx); err != nil {
		if s.ctx.Err() != nil {
			return faultOf(s.ctx, err)
		}
		return temporary(TLSFailed, "4.7.5")
	}
	state := conn.ConnectionState()
	s.tls = TLS{
		Version:  tls.VersionName(state.Version),
		Cipher:   tls.CipherSuiteName(state.CipherSuite),
		Verified: required || verified(state, s.name, roots),
	}
	s.attach(conn)
	return nil
}

func verified(state tls.ConnectionState, name string, roots *x509.CertPool) bool {
	if len(state.PeerCertificates) == 0 {
		return false
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between})
	return err == nil
}
