package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"path"
	"slices"
	"strings"
	"time"

	"postern/storage"
)

// GetCertificate serves tls.Config.GetCertificate of every door. Who asks for a
// name that there is no certificate for gets the server's own: mail programs are
// configured with names that we do not know.
func (k *Keeper) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	asked := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	own := k.o.Own()
	if own != nil && (asked == "" || covers(own, asked)) {
		return own, nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if h := k.held[asked]; h != nil {
		return h.cert, nil
	}
	if own != nil {
		return own, nil
	}
	if h := k.held[k.o.Host]; h != nil {
		return h.cert, nil
	}
	return k.stopgap, nil
}

// GetChallengeCertificate is GetCertificate for port 443, where an authority may
// look for the answer to a TLS-ALPN-01 challenge. Such a handshake gets that answer
// or none.
func (k *Keeper) GetChallengeCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !slices.Contains(hello.SupportedProtos, ALPN) {
		return k.GetCertificate(hello)
	}
	cert, ok := k.challenges.certificate(hello.ServerName)
	if !ok {
		return nil, errNoChallenge
	}
	return cert, nil
}

// HTTPChallenge is what stands at the path of an HTTP-01 challenge, by the name
// that was asked, without a port, and the token.
func (k *Keeper) HTTPChallenge(host, token string) (string, bool) {
	return k.challenges.file(host, token)
}

// covers reports whether a certificate is for a name.
func covers(cert *tls.Certificate, text string) bool {
	return cert.Leaf != nil && cert.Leaf.VerifyHostname(text) == nil
}

// load reads the certificates and the failures of the store. Of certificates by
// several authorities for one name the newest counts.
func (k *Keeper) load(ctx context.Context) error {
	all, err := k.store.CertificateFiles(ctx, certificates)
	if err != nil {
		return err
	}
	attempts, err := k.store.CertificateAttempts(ctx)
	if err != nil {
		return err
	}
	byFolder := map[string]map[string]storage.CertificateFile{}
	for _, f := range all {
		folder := path.Dir(f.Name)
		if byFolder[folder] == nil {
			byFolder[folder] = map[string]storage.CertificateFile{}
		}
		byFolder[folder][path.Ext(f.Name)] = f
	}
	found := map[string]*held{}
	for folder, f := range byFolder {
		h, err := open(folder, f[".crt"], f[".key"])
		if err != nil {
			k.o.Log.Error("a certificate cannot be used, and is obtained anew", "error", err)
			continue
		}
		if old := found[h.name.text]; old == nil || old.since.Before(h.since) {
			found[h.name.text] = h
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = found
	clear(k.attempts)
	for _, a := range attempts {
		k.attempts[a.Name] = a
	}
	return nil
}

// open makes a certificate of its files.
func open(folder string, chain, key storage.CertificateFile) (*held, error) {
	pair, err := tls.X509KeyPair(chain.Value, key.Value)
	if err != nil {
		return nil, err
	}
	if len(pair.Leaf.DNSNames) == 0 {
		return nil, errNoName
	}
	return &held{cert: &pair, authority: path.Base(path.Dir(folder)), file: chain.ID, since: chain.Written,
		name: name{text: pair.Leaf.DNSNames[0], org: chain.Org}}, nil
}

// stopgapAge is how long a self-signed certificate stands in before there is
// another such.
const stopgapAge = 30 * 24 * time.Hour

// refreshStopgap makes the certificate that stands in, unless there is one: doors
// for agents open with TLS or not at all, and other servers encrypt to any
// certificate. // AC-10
func (k *Keeper) refreshStopgap() error {
	now := k.o.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopgap != nil && now.Before(k.stopgap.Leaf.NotAfter.Add(-time.Hour)) && now.After(k.stopgap.Leaf.NotBefore) {
		return nil
	}
	if in := k.o.StandIn; in != nil && now.Before(in.Leaf.NotAfter.Add(-time.Hour)) {
		k.stopgap = in
		return nil
	}
	cert, err := selfSigned(k.o.Host, now)
	if err == nil {
		k.stopgap = cert
	}
	return err
}

func selfSigned(host string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // RFC 5280, section 4.1.2.2: at most 20 octets
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(stopgapAge),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err = x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
