package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Algorithm is a kind of key, as in the tag k= of a key record.
type Algorithm string

// The algorithms of RFC 6376 and RFC 8463.
const (
	RSA     Algorithm = "rsa"     // 2048 bits, PKCS #1 v1.5 with SHA-256
	Ed25519 Algorithm = "ed25519" // PureEdDSA over a SHA-256 digest
)

// rsaBits: RFC 8301, section 3.2 asks for 1024 to 4096 with 2048 recommended;
// a larger key does not fit into the DNS answers of some providers.
const rsaBits = 2048

// Key is a private signing key. It is safe for concurrent use.
type Key struct {
	private crypto.Signer
}

// GenerateKey makes a new key. RSA takes some hundred milliseconds.
func GenerateKey(a Algorithm) (*Key, error) {
	switch a {
	case RSA:
		k, err := rsa.GenerateKey(rand.Reader, rsaBits)
		if err != nil {
			return nil, fmt.Errorf("dkim: make an RSA key: %w", err)
		}
		return &Key{k}, nil
	case Ed25519:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("dkim: make an Ed25519 key: %w", err)
		}
		return &Key{k}, nil
	}
	return nil, fmt.Errorf("dkim: no algorithm %q", string(a))
}

// ParseKey reads a private key in PKCS #8. It refuses other algorithms and RSA
// keys outside of 1024 to 4096 bits (RFC 8301, section 3.2).
func ParseKey(pkcs8 []byte) (*Key, error) {
	private, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, errors.New("dkim: not a private key in PKCS #8")
	}
	switch k := private.(type) {
	case ed25519.PrivateKey:
		return &Key{k}, nil
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < 1024 || bits > 4096 {
			return nil, fmt.Errorf("dkim: an RSA key of %d bits", bits)
		}
		return &Key{k}, nil
	}
	return nil, fmt.Errorf("dkim: a key of type %T cannot sign mail", private)
}

// PKCS8 returns the private key in clear, for sealing.
func (k *Key) PKCS8() []byte {
	b, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		panic("dkim: " + err.Error()) // both types that a Key can hold are marshalled
	}
	return b
}

// Algorithm says what kind of key it is.
func (k *Key) Algorithm() Algorithm {
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		return Ed25519
	}
	return RSA
}

// Record returns the text of the TXT record to publish under [RecordName]. An
// RSA record has about 410 octets: a zone writes it in parts of at most 255,
// which verifiers join (RFC 6376, section 3.6.2.2).
func (k *Key) Record() string {
	var public []byte
	switch p := k.private.Public().(type) {
	case ed25519.PublicKey:
		public = p // RFC 8463, section 4.2: the bare 32 octets
	case *rsa.PublicKey:
		b, err := x509.MarshalPKIXPublicKey(p)
		if err != nil {
			panic("dkim: " + err.Error())
		}
		public = b
	}
	// No h=, s= or t=: the defaults are right, and t=y would ask verifiers to
	// ignore failures.
	return "v=DKIM1; k=" + string(k.Algorithm()) + "; p=" + base64.StdEncoding.EncodeToString(public)
}

// RecordName is where the key record of a selector is published.
func RecordName(selector, domain string) string {
	return selector + "._domainkey." + domain
}

// NewSelector gives the selector of a key made at t, such as "r20260103" for RSA
// and "e20260103" for Ed25519, with a letter behind it where that was used: a new
// one for each key, as the old record must stay while mail signed with it is under
// way (RFC 6376, section 3.1). It fails after 26 on one day.
func NewSelector(a Algorithm, t time.Time, used []string) (string, error) {
	day := string(a[:1]) + t.UTC().Format("20060102")
	for letter := 'a'; letter <= 'z'; letter++ {
		selector := day + strings.TrimPrefix(string(letter), "a")
		if !slices.Contains(used, selector) {
			return selector, nil
		}
	}
	return "", fmt.Errorf("dkim: no selector of %s is left for another %s key", t.UTC().Format(time.DateOnly), a)
}
