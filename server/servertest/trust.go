package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// authority certifies whom a test wants certified. Every relay of the world trusts
// it, as relays outside trust the public ones. A server's own certificate is not of
// it, until Certify.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := certificate("The world")
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, err
}

// certificate is a template for ten years, as clocks of tests go far.
func certificate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0)}
}

// Roots trusts the authority of the world.
func (w *World) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(w.authority.cert)
	return pool
}

// Certify makes a certificate for names, with its chain.
func (w *World) Certify(names ...string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return w.certify(key, names...)
}

func (w *World) certify(key *ecdsa.PrivateKey, names ...string) (*tls.Certificate, error) {
	t := certificate(names[0])
	t.DNSNames = names
	der, err := x509.CreateCertificate(rand.Reader, t, w.authority.cert, key.Public(), w.authority.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, w.authority.cert.Raw}, PrivateKey: key}, nil
}

// Certify has the server show another certificate from now on: one of the world's
// authority for these names, or with none its own again, which is nobody's.
func (p *Postern) Certify(names ...string) error {
	if len(names) == 0 {
		p.certified.Store(nil)
		return nil
	}
	cert, err := p.World.Certify(names...)
	if err == nil {
		p.certified.Store(cert)
	}
	return err
}
