package msgauth

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxSpec bounds a name (RFC 7208, section 7.3).
const maxSpec = 253

// spfMacro is a macro-expand of RFC 7208, section 7.1.
type spfMacro struct {
	letter     byte // in lower case
	escape     bool // it was in upper case
	keep       int  // parts kept from the right
	reverse    bool
	delimiters string
}

// cutMacro reads the expansion that s begins with, which is a percent sign. Of
// %%, %_ and %- the letter is the sign behind the first.
func cutMacro(s string) (m spfMacro, rest string, ok bool) {
	if len(s) < 2 {
		return m, "", false
	}
	if strings.IndexByte("%_-", s[1]) >= 0 {
		return spfMacro{letter: s[1]}, s[2:], true
	}
	body, rest, ok := strings.Cut(s[1:], "}")
	if !ok || len(body) < 2 || body[0] != '{' {
		return m, "", false
	}
	m = spfMacro{letter: body[1] | 0x20, escape: body[1] < 'a', keep: math.MaxInt, delimiters: "."}
	body = body[2:]
	digits := 0
	for digits < len(body) && isDigit(body[digits]) {
		digits++
	}
	if digits > 0 {
		n, err := strconv.Atoi(body[:digits])
		if err == nil && n == 0 {
			return m, "", false
		}
		if err == nil { // otherwise more than there can be
			m.keep = n
		}
		body = body[digits:]
	}
	if body != "" && body[0]|0x20 == 'r' {
		m.reverse, body = true, body[1:]
	}
	if body != "" {
		m.delimiters = body
	}
	// The letters c, r and t are for explanations.
	return m, rest, strings.IndexByte("slodiphv", m.letter) >= 0 && strings.Trim(body, ".-+,/_=") == ""
}

// lastExpansion checks a macro-string, and returns the place behind the last
// macro-expand in it.
func lastExpansion(s string) (end int, ok bool) {
	for rest := s; rest != ""; {
		switch {
		case rest[0] == '%':
			if _, rest, ok = cutMacro(rest); !ok {
				return 0, false
			}
			end = len(s) - len(rest)
		case rest[0] > ' ' && rest[0] < 0x7f:
			rest = rest[1:]
		default:
			return 0, false
		}
	}
	return end, true
}

// expand expands a domain-spec that was checked, for a record of domain. A name
// that is too long loses labels on its left (section 7.3). One that a sender's
// local part made other than ASCII is empty, and so matches nothing (RFC 8616,
// section 4).
func (e *spfEvaluation) expand(spec, domain string) string {
	var b strings.Builder
	for spec != "" {
		at := strings.IndexByte(spec, '%')
		if at < 0 {
			b.WriteString(spec)
			break
		}
		b.WriteString(spec[:at])
		var m spfMacro
		m, spec, _ = cutMacro(spec[at:])
		b.WriteString(e.value(m, domain))
	}
	name := strings.TrimSuffix(b.String(), ".")
	if cut := len(name) - maxSpec; cut > 0 {
		dot := strings.IndexByte(name[cut-1:], '.')
		name = name[cut+dot:] // without a dot: one octet too many, and so no name
	}
	if strings.IndexFunc(name, func(r rune) bool { return r > '~' }) >= 0 {
		return ""
	}
	return name
}

func (e *spfEvaluation) value(m spfMacro, domain string) string {
	switch m.letter {
	case '%':
		return "%"
	case '_':
		return " "
	case '-':
		return "%20"
	}
	var s string
	switch m.letter {
	case 's':
		s = e.local + "@" + e.origin
	case 'l':
		s = e.local
	case 'o':
		s = e.origin
	case 'd':
		s = domain
	case 'i':
		s = dotted(e.ip)
	case 'p':
		s = e.pointer(domain)
	case 'h':
		s = e.helo
	case 'v':
		s = "in-addr"
		if e.ip.Is6() {
			s = "ip6"
		}
	}
	parts := splitAny(s, m.delimiters)
	if m.reverse {
		slices.Reverse(parts)
	}
	s = strings.Join(parts[len(parts)-min(len(parts), m.keep):], ".")
	if m.escape {
		s = percent(s)
	}
	return s
}

// splitAny splits at each octet of delimiters. Empty parts are parts.
func splitAny(s, delimiters string) []string {
	var parts []string
	for {
		at := strings.IndexAny(s, delimiters)
		if at < 0 {
			return append(parts, s)
		}
		parts, s = append(parts, s[:at]), s[at+1:]
	}
}

// dotted is the form of an address in %{i}: octets, or nibbles.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	var b strings.Builder
	for i, octet := range ip.AsSlice() {
		if i > 0 {
			b.WriteByte('.')
		}
		fmt.Fprintf(&b, "%x.%x", octet>>4, octet&15)
	}
	return b.String()
}

// pointer is %{p}: the validated name that is the domain, or below it, or any.
func (e *spfEvaluation) pointer(domain string) string {
	best, found := "unknown", 0
	for _, n := range e.validated() {
		rank := 1
		switch {
		case strings.EqualFold(n, domain):
			rank = 3
		case strings.HasSuffix(n, "."+strings.ToLower(domain)):
			rank = 2
		}
		if rank > found {
			best, found = n, rank
		}
	}
	return best
}

// percent escapes as RFC 3986, section 2.1.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; 'a' <= c|0x20 && c|0x20 <= 'z' || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
