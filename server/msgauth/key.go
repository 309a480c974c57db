package msgauth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"postern/dns"
)

// Bounds of what a stranger can make us compute.
const (
	maxKeyRecord = 4 << 10 // octets: an RSA key of 8192 bits has 1,400
	minRSA       = 1024    // bits; RFC 8301, section 3.2
	maxRSA       = 8192
)

// publicKey is a key record (RFC 6376, section 3.6.1).
type publicKey struct {
	rsa     *rsa.PublicKey
	ed25519 ed25519.PublicKey
	testing bool // t=y: as if there were no signature
	exact   bool // t=s: i= may not be below d=
}

// key looks the key of a signature up. The value is None with a key, otherwise
// TempError or PermError.
func (c *Checker) key(ctx context.Context, selector, domain string) (publicKey, Value) {
	a, err := c.Resolver.LookupTXT(ctx, selector+"._domainkey."+domain)
	if errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrName) {
		return publicKey{}, PermError
	}
	if err != nil {
		return publicKey{}, TempError
	}
	records := a.Records
	if len(records) > 1 {
		// Section 3.6.2.2: undefined. Often one of them is a wildcard's, which is no
		// key; of two keys we take none.
		records = slices.DeleteFunc(slices.Clone(records), func(r string) bool { return !strings.HasPrefix(r, "v=DKIM1") })
	}
	if len(records) == 1 {
		if k, ok := parseKey(records[0]); ok {
			return k, None
		}
	}
	return publicKey{}, PermError
}

// parseKey reads a key record for mail that can verify SHA-256 signatures.
func parseKey(record string) (k publicKey, ok bool) {
	if len(record) > maxKeyRecord {
		return k, false
	}
	list, ok := parseTags(record)
	if v, present := list.find("v"); !ok || present && v.value != "DKIM1" {
		return k, false
	}
	services, hashes, flags := list.split("s"), list.split("h"), list.split("t")
	if services[0] != "" && !slices.Contains(services, "*") && !slices.Contains(services, "email") ||
		hashes[0] != "" && !slices.Contains(hashes, "sha256") {
		return k, false
	}
	k.testing, k.exact = slices.Contains(flags, "y"), slices.Contains(flags, "s")
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(list.joined("p"), "="))
	if err != nil || len(raw) == 0 { // empty: revoked
		return k, false
	}
	switch list.get("k") {
	case "rsa", "":
		k.rsa, ok = parseRSA(raw)
	case "ed25519": // RFC 8463, section 4.2
		k.ed25519, ok = raw, len(raw) == ed25519.PublicKeySize
	default:
		ok = false
	}
	return k, ok
}

// parseRSA reads a SubjectPublicKeyInfo, which all publish, or the bare
// RSAPublicKey that RFC 6376 describes (erratum 3017).
func parseRSA(raw []byte) (*rsa.PublicKey, bool) {
	var key *rsa.PublicKey
	if any, err := x509.ParsePKIXPublicKey(raw); err == nil {
		key, _ = any.(*rsa.PublicKey)
	} else if key, err = x509.ParsePKCS1PublicKey(raw); err != nil {
		return nil, false
	}
	return key, key != nil && key.N.BitLen() >= minRSA && key.N.BitLen() <= maxRSA
}

// verify checks a signature over a SHA-256 digest.
func (k publicKey) verify(algorithm string, digest, sig []byte) Value {
	switch {
	case algorithm == "rsa-sha256" && k.rsa != nil:
		if rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, digest, sig) == nil {
			return Pass
		}
	case algorithm == "ed25519-sha256" && k.ed25519 != nil:
		if ed25519.Verify(k.ed25519, digest, sig) {
			return Pass
		}
	default:
		return PermError
	}
	return Fail
}
