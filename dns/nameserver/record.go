package nameserver

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"

	"postern/dns"
)

// Type is a type of record.
type Type uint16

// The types that a zone may hold, with the form of their data.
const (
	A     Type = Type(mdns.TypeA)     // "192.0.2.1"
	AAAA  Type = Type(mdns.TypeAAAA)  // "2001:db8::1"
	CNAME Type = Type(mdns.TypeCNAME) // "host.example.com"
	MX    Type = Type(mdns.TypeMX)    // "10 mx.example.com"; "0 ." is the null MX of RFC 7505
	PTR   Type = Type(mdns.TypePTR)   // "host.example.com"
	SRV   Type = Type(mdns.TypeSRV)   // "priority weight port host"; the host "." says no service
	TXT   Type = Type(mdns.TypeTXT)   // the text itself, unquoted; cut into strings of 255 octets on the wire
	TLSA  Type = Type(mdns.TypeTLSA)  // "3 1 1 0123…": usage, selector, matching type, and the data in hex
	CAA   Type = Type(mdns.TypeCAA)   // `0 issue "letsencrypt.org"`: flags, tag, and the value in quotes
)

// String is the type's name in zone files.
func (t Type) String() string { return mdns.Type(t).String() }

// Record is one resource record.
type Record struct {
	// Name is the full owner name, with or without a final dot, in A-labels or
	// U-labels. Its first label may be "*".
	Name string
	Type Type
	// TTL in whole seconds, at most a week. Zero: not to be kept by anybody.
	TTL  time.Duration
	Data string
}

const (
	maxTTL = 7 * 24 * time.Hour
	maxTXT = 16 << 10 // octets; longer ones are of no use in mail
)

// ownerName is the normal form of an owner name: lower case, no final dot.
func ownerName(s string) (string, error) {
	if s == "." || s == "" {
		return "", nil // the root
	}
	if s == "*" || s == "*." {
		return "*", nil
	}
	if rest, ok := strings.CutPrefix(s, "*."); ok {
		name, err := dns.Name(rest)
		return "*." + name, err
	}
	return dns.Name(s)
}

// rr is the record in the library's form, its owner in normal form.
func (r Record) rr(owner string) (mdns.RR, error) {
	fail := func(err error) (mdns.RR, error) {
		return nil, fmt.Errorf("nameserver: %s %s: %w", r.Name, r.Type, err)
	}
	if r.TTL < 0 || r.TTL > maxTTL {
		return fail(fmt.Errorf("TTL of %s", r.TTL))
	}
	h := mdns.RR_Header{Name: mdns.Fqdn(owner), Rrtype: uint16(r.Type), Class: mdns.ClassINET, Ttl: uint32(r.TTL / time.Second)}
	switch r.Type {
	case A, AAAA:
		ip, err := netip.ParseAddr(r.Data)
		if err != nil || ip.Is4() != (r.Type == A) || ip.Zone() != "" {
			return fail(fmt.Errorf("%q is no such address", r.Data))
		}
		if r.Type == A {
			return &mdns.A{Hdr: h, A: ip.AsSlice()}, nil
		}
		return &mdns.AAAA{Hdr: h, AAAA: ip.AsSlice()}, nil
	case CNAME, PTR:
		target, err := targetName(r.Data)
		switch {
		case err != nil:
			return fail(err)
		case r.Type == CNAME:
			return &mdns.CNAME{Hdr: h, Target: target}, nil
		}
		return &mdns.PTR{Hdr: h, Ptr: target}, nil
	case MX, SRV:
		numbers, target, err := numbersAndTarget(r.Data)
		switch {
		case err != nil:
			return fail(err)
		case r.Type == MX && len(numbers) == 1:
			return &mdns.MX{Hdr: h, Preference: numbers[0], Mx: target}, nil
		case r.Type == SRV && len(numbers) == 3:
			return &mdns.SRV{Hdr: h, Priority: numbers[0], Weight: numbers[1], Port: numbers[2], Target: target}, nil
		}
		return fail(fmt.Errorf("%d numbers in %q", len(numbers), r.Data))
	case TXT:
		if len(r.Data) > maxTXT {
			return fail(fmt.Errorf("text of %d octets", len(r.Data)))
		}
		return &mdns.TXT{Hdr: h, Txt: characterStrings(r.Data)}, nil
	case TLSA, CAA:
		rr, err := r.parse(h)
		if err != nil {
			return fail(err)
		}
		return rr, nil
	}
	return fail(errors.New("a zone cannot hold this type"))
}

// forms of data that the library parses as in a zone file, which has more to say
// than one record. They are made when the first is asked for.
var forms = sync.OnceValue(func() map[Type]*regexp.Regexp {
	return map[Type]*regexp.Regexp{
		TLSA: regexp.MustCompile(`^[0-9]{1,3} [0-9]{1,3} [0-9]{1,3} ([0-9A-Fa-f]{2})+$`),
		CAA:  regexp.MustCompile(`^[0-9]{1,3} [0-9A-Za-z]{1,15} "[^"\\\x00-\x1f\x7f-\xff]{0,255}"$`),
	}
})

func (r Record) parse(h mdns.RR_Header) (mdns.RR, error) {
	if len(r.Data) > 1024 || !forms()[r.Type].MatchString(r.Data) {
		return nil, fmt.Errorf("%q is no such data", r.Data)
	}
	return mdns.NewRR(fmt.Sprintf("%s %d IN %s %s", h.Name, h.Ttl, r.Type, r.Data))
}

// targetName is a host name as it stands in the data of a record.
func targetName(s string) (string, error) {
	if s == "." {
		return ".", nil
	}
	name, err := dns.Name(s)
	return name + ".", err
}

func numbersAndTarget(s string) (numbers []uint16, target string, err error) {
	fields := strings.Fields(s)
	if len(fields) == 0 || len(fields) > 4 {
		return nil, "", fmt.Errorf("%d fields in %q", len(fields), s)
	}
	for _, f := range fields[:len(fields)-1] {
		n, err := strconv.ParseUint(f, 10, 16)
		if err != nil {
			return nil, "", err
		}
		numbers = append(numbers, uint16(n))
	}
	target, err = targetName(fields[len(fields)-1])
	return numbers, target, err
}

// characterStrings cuts a text into the strings of a TXT record. The library
// reads a backslash in them as an escape.
func characterStrings(s string) []string {
	parts := []string{}
	for len(s) > 255 {
		parts = append(parts, strings.ReplaceAll(s[:255], `\`, `\\`))
		s = s[255:]
	}
	return append(parts, strings.ReplaceAll(s, `\`, `\\`))
}
