package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"postern/dns"
)

// Errors of the guard. Each stands in events by the word of its rule.
var (
	errPrivate = errors.New("the host has no public address")
	errLookup  = errors.New("the host's address was not found")
)

// maxURL bounds a URL.
const maxURL = 2048

// checkURL says why a URL cannot be a webhook's; nil when it can. Plain http is
// for who allows private addresses, and for this machine alone.
func checkURL(text string, allowPrivate bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Hostname() == "":
		return errors.New("it is no URL of the form https://HOST/PATH")
	case u.User != nil:
		return errors.New("it has a user name in it, which no log and no list should show")
	case u.Fragment != "":
		return errors.New("it has a fragment, which no server gets to see")
	}
	ip, literal := netip.ParseAddr(u.Hostname())
	local := literal == nil && ip.Unmap().IsLoopback() || u.Hostname() == "localhost"
	switch {
	case u.Scheme == "http" && allowPrivate && local:
		return nil
	case u.Scheme != "https":
		return errors.New("it is not https")
	case !allowPrivate && (local || literal == nil && !dns.IsPublic(ip)):
		return errPrivate
	}
	return nil
}

// Bounds of one attempt. The standard recommends 15 to 30 seconds in all.
const (
	attemptTime  = 20 * time.Second
	dialTime     = 10 * time.Second
	maxHead      = 16 << 10 // bytes of a reply's header
	maxReply     = 1 << 10  // bytes of its body that are read
	maxAddresses = 4        // of a host that are tried
)

// newClient makes the client of all attempts: without proxies, redirects, kept
// connections, compression or cookies.
func newClient(o Options) *http.Client {
	return &http.Client{
		Timeout:       attemptTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:           nil,
			DialContext:     guard{o}.dial,
			TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: dialTime,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
		},
	}
}

// guard dials none but addresses that it has checked.
type guard struct{ o Options }

func (g guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	all, err := g.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTime}
	for _, ip := range all {
		var conn net.Conn
		// The checked address itself: nobody is asked about the name again.
		if conn, err = dialer.DialContext(ctx, network, net.JoinHostPort(ip.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// addresses are those of a host that may be dialled; never none without an error.
func (g guard) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	found := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		found = append(found, ip)
	} else {
		answer, err := g.o.Resolver.LookupIP(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errLookup, err)
		}
		found = answer.Records
	}
	var allowed []netip.Addr
	for _, ip := range found {
		if (g.o.AllowPrivate || dns.IsPublic(ip)) && len(allowed) < maxAddresses {
			allowed = append(allowed, ip)
		}
	}
	if len(allowed) == 0 {
		return nil, errPrivate
	}
	return allowed, nil
}
