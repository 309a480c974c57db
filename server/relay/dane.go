package relay

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"

	"postern/dns"
)

// The parts of a TLSA record (RFC 7218 has their names).
const (
	daneTA = 2 // a trust anchor, which is in the chain
	daneEE = 3 // the certificate of the host itself

	selectorCert = 0
	selectorSPKI = 1

	matchFull   = 0
	matchSHA256 = 1
	matchSHA512 = 2
)

// maxTLSAText bounds how many records a TLS report quotes.
const maxTLSAText = 64

func tlsaName(port uint16, host string) string {
	return "_" + strconv.Itoa(int(port)) + "._tcp." + host
}

func tlsaText(records []dns.TLSA) []string {
	var all []string
	for _, r := range records[:min(len(records), maxTLSAText)] {
		all = append(all, r.String())
	}
	return all
}

// usable are the records that may authenticate a mail server: RFC 7672, section
// 3.1.3, leaves out the usages that lean on public authorities. Of the digests over
// one thing the strongest alone counts (RFC 7671, section 9), or a weak one that is
// out of date would be as good as any.
func usable(records []dns.TLSA) []dns.TLSA {
	type kind struct{ usage, selector uint8 }
	strongest := map[kind]uint8{}
	var all []dns.TLSA
	for _, r := range records {
		if r.Usage != daneTA && r.Usage != daneEE || r.Selector > selectorSPKI || !fits(r) {
			continue
		}
		all = append(all, r)
		k := kind{r.Usage, r.Selector}
		strongest[k] = max(strongest[k], r.Matching)
	}
	return slices.DeleteFunc(all, func(r dns.TLSA) bool {
		return r.Matching != matchFull && r.Matching < strongest[kind{r.Usage, r.Selector}]
	})
}

// fits reports whether the data of a record may be what it says.
func fits(r dns.TLSA) bool {
	switch r.Matching {
	case matchFull:
		return len(r.Data) > 0
	case matchSHA256:
		return len(r.Data) == sha256.Size
	case matchSHA512:
		return len(r.Data) == sha512.Size
	}
	return false
}

// matchDANE holds a chain against the records of a host, and returns what TLS
// reports call its failure, empty when it holds.
func (t *terms) matchDANE(chain []*x509.Certificate) (failure string) {
	if len(chain) == 0 {
		return failValidation
	}
	for _, r := range t.dane {
		// RFC 7672, section 3.1.1: neither names nor dates count here.
		if r.Usage == daneEE && matches(r, chain[0]) {
			return ""
		}
	}
	anchors, between, any := x509.NewCertPool(), x509.NewCertPool(), false
	for _, cert := range chain[1:] {
		if slices.ContainsFunc(t.dane, func(r dns.TLSA) bool { return r.Usage == daneTA && matches(r, cert) }) {
			anchors.AddCert(cert)
			any = true
		} else {
			between.AddCert(cert)
		}
	}
	if !any {
		return failValidation
	}
	// RFC 7672, section 3.1.2: below a trust anchor they do.
	var err error
	for _, name := range t.names {
		if _, err = chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: anchors, Intermediates: between}); err == nil {
			return ""
		}
		if !errors.As(err, new(x509.HostnameError)) {
			break
		}
	}
	return certificateFailure(err)
}

// matches reports whether a record is about a certificate.
func matches(r dns.TLSA, cert *x509.Certificate) bool {
	data := cert.Raw
	if r.Selector == selectorSPKI {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case matchSHA256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case matchSHA512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, r.Data)
}
