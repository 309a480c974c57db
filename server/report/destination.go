package report

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern/dns"
	"postern/server/message"
	"postern/server/msgauth"
	"postern/storage"
)

// maxDestinations is how many of those who are named are told. RFC 7489, section
// 6.2, asks for two at least.
const maxDestinations = 5

// destination is an address to which a report goes.
type destination struct {
	to    message.Path
	limit int64 // bytes of the packed report; zero: none
}

// recipients finds to whom a report goes. The error is of class dns.ErrTemporary
// when that cannot be found out now.
func (o *Office) recipients(ctx context.Context, f *storage.Feedback) ([]destination, error) {
	if f.Kind == storage.ReportTLS {
		return o.tlsRecipients(ctx, f.Domain)
	}
	var p Published
	if err := json.Unmarshal(f.Policy, &p); err != nil {
		return nil, err
	}
	var all []destination
	for _, d := range destinations(p.Reports) {
		agreed, err := o.agrees(ctx, f.Domain, d.to.Domain)
		if err != nil {
			return nil, err
		}
		if agreed {
			all = append(all, d)
		}
	}
	return all, nil
}

// agrees says whether a host may be told about a domain: it is of the same
// organization, or says that it wants to be (RFC 7489, section 7.1).
func (o *Office) agrees(ctx context.Context, about, host string) (bool, error) {
	name, err := dns.Name(host)
	if err != nil {
		return false, nil
	}
	if msgauth.Organization(name) == msgauth.Organization(about) {
		return true, nil
	}
	a, err := o.o.Resolver.LookupTXT(ctx, about+"._report._dmarc."+name)
	if errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrName) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(a.Records, func(txt string) bool {
		version, _, _ := strings.Cut(txt, ";")
		name, value, _ := strings.Cut(version, "=")
		return strings.TrimSpace(name) == "v" && strings.TrimSpace(value) == "DMARC1"
	}), nil
}

// tlsRecipients asks the domain who is to be told of TLS (RFC 8460, section 3):
// exactly one record says so.
func (o *Office) tlsRecipients(ctx context.Context, domain string) ([]destination, error) {
	a, err := o.o.Resolver.LookupTXT(ctx, "_smtp._tls."+domain)
	if errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrName) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var record string
	for _, txt := range a.Records {
		if rest, ok := strings.CutPrefix(txt, "v=TLSRPTv1"); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			if record != "" {
				return nil, nil
			}
			record = rest
		}
	}
	for tag := range strings.SplitSeq(record, ";") {
		if name, value, _ := strings.Cut(tag, "="); strings.TrimSpace(name) == "rua" {
			return destinations(strings.Split(value, ",")), nil
		}
	}
	return nil, nil
}

// destinations reads the mailto URIs of a list, each address once.
func destinations(uris []string) (all []destination) {
	for _, uri := range uris {
		d, ok := parseDestination(strings.TrimSpace(uri))
		same := func(o destination) bool { return o.to == d.to }
		if ok && !slices.ContainsFunc(all, same) && len(all) < maxDestinations {
			all = append(all, d)
		}
	}
	return all
}

// parseDestination reads a mailto URI with the size limit that DMARC puts behind it
// (RFC 7489, section 6.2): a "!" that is part of the address is encoded.
func parseDestination(uri string) (destination, bool) {
	rest, ok := mailto(uri)
	if !ok {
		return destination{}, false
	}
	rest, _, _ = strings.Cut(rest, "?") // a subject and the like are not ours to take over
	rest, size, limited := strings.Cut(rest, "!")
	var d destination
	if limited {
		if d.limit, ok = parseSize(size); !ok {
			return d, false
		}
	}
	text, err := url.PathUnescape(rest)
	if err != nil {
		return d, false
	}
	path, err := message.ParseAddress(text)
	d.to = path.Canonical()
	return d, err == nil && path.IsASCII() && !strings.HasPrefix(path.Domain, "[")
}

// parseSize reads a number with a unit of a power of 1024.
func parseSize(text string) (int64, bool) {
	if text == "" {
		return 0, false
	}
	shift, ok := map[byte]uint{'k': 10, 'm': 20, 'g': 30, 't': 40}[text[len(text)-1]|0x20]
	if ok {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return max(int64(n)<<shift, 1), err == nil
}
