package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
)

// The words of RFC 8460, section 4.3, for what goes wrong with TLS.
const (
	failNoSTARTTLS = "starttls-not-supported"
	failHostName   = "certificate-host-mismatch"
	failExpired    = "certificate-expired"
	failNotTrusted = "certificate-not-trusted"
	failValidation = "validation-failure"
	failTLSA       = "tlsa-invalid"
	failDNSSEC     = "dnssec-invalid"
	failSTSFetch   = "sts-policy-fetch-error"
	failSTSPolicy  = "sts-policy-invalid"
	failSTSWebPKI  = "sts-webpki-invalid"
)

// errFetch is wrapped by what goes wrong between us and the host of a policy.
var errFetch = errors.New("the policy of MTA-STS cannot be fetched")

// maxPolicyHead bounds the header of the answer with a policy.
const maxPolicyHead = 16 << 10

// policyClient makes the client that fetches policies: without proxies, redirects
// (RFC 8461, section 3.3), kept connections, compression or cookies. Its
// certificates are verified, and its addresses are checked like those of mail
// exchangers: a stranger's name must not lead into our own network.
func (r *Relay) policyClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         r.dialPolicy,
			TLSClientConfig:     &tls.Config{RootCAs: r.config.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: r.config.Timeouts.Connect,
			DisableKeepAlives:   true, DisableCompression: true, MaxResponseHeaderBytes: maxPolicyHead,
		},
	}
}

// dialPolicy connects to the first address of a policy's host that answers.
func (r *Relay) dialPolicy(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	places, f := r.addresses(ctx, hop{name: host, port: r.config.PolicyPort})
	if f != nil {
		return nil, f
	}
	dialer := net.Dialer{Timeout: r.config.Timeouts.Connect}
	for _, a := range places.addrs {
		var conn net.Conn
		// The checked address itself: nobody is asked about the name again.
		if conn, err = dialer.DialContext(ctx, network, a.String()); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// fetchSTS fetches the policy of a domain (RFC 8461, section 3.3), and returns its
// text too. What TLS reports call the error is said by fetchFailure.
func (r *Relay) fetchSTS(ctx context.Context, domain string) (p stsPolicy, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeouts.Policy)
	defer cancel()
	host := "mta-sts." + domain
	if r.config.PolicyPort != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(int(r.config.PolicyPort)))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return p, "", fmt.Errorf("%w: %w", errFetch, err)
	}
	req.Header.Set("User-Agent", "Postern")
	res, err := r.policies.Do(req)
	if err != nil {
		return p, "", fmt.Errorf("%w: %w", errFetch, err)
	}
	defer res.Body.Close()
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode != http.StatusOK:
		return p, "", fmt.Errorf("%w: status %d", errFetch, res.StatusCode)
	case err != nil || media != "text/plain": // RFC 8461, section 3.2
		return p, "", fmt.Errorf("%w: not text/plain", errFetch)
	case res.ContentLength > maxPolicy:
		return p, "", fmt.Errorf("%w: over %d octets", errSTSPolicy, maxPolicy)
	}
	all, err := io.ReadAll(io.LimitReader(res.Body, maxPolicy+1))
	if err == nil {
		// A server that sees us hang up may end its answer in order, and that be read.
		err = ctx.Err()
	}
	if err != nil {
		return p, "", fmt.Errorf("%w: %w", errFetch, err)
	}
	p, err = parseSTS(string(all))
	return p, string(all), err
}

// fetchFailure is the word for an error of fetchSTS.
func fetchFailure(err error) string {
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errSTSPolicy):
		return failSTSPolicy
	case errors.As(err, &cert):
		return failSTSWebPKI
	}
	return failSTSFetch
}

// certificateFailure is the word for why a certificate does not convince.
func certificateFailure(err error) string {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return failHostName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return failExpired
	case errors.As(err, &authority):
		return failNotTrusted
	}
	return failValidation
}
