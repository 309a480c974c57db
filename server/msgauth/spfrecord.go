package msgauth

import (
	"net/netip"
	"strconv"
	"strings"
)

// spfRecord is a record of RFC 7208, section 4.6.
type spfRecord struct {
	terms    []spfTerm
	redirect string // domain-spec, or empty
}

// spfTerm is a directive.
type spfTerm struct {
	result       Value
	mechanism    string       // in lower case
	domain       string       // domain-spec, or empty for the domain of the record
	network      netip.Prefix // of ip4 and ip6
	bits4, bits6 int          // of a and mx
}

// isSPF reports whether a TXT record begins as section 4.5 says.
func isSPF(txt string) bool {
	version, _, _ := strings.Cut(txt, " ")
	return strings.EqualFold(version, "v=spf1")
}

// parseSPF reads a record. An error anywhere makes all of it wrong, also behind
// the term that would have matched (section 4.6).
func parseSPF(txt string) (*spfRecord, bool) {
	record := &spfRecord{}
	explained := false
	for i, term := range strings.Split(txt, " ") {
		if i == 0 || term == "" {
			continue
		}
		name, value, modifier := cutModifier(term)
		switch {
		case !modifier:
			t, ok := parseDirective(term)
			if !ok {
				return nil, false
			}
			record.terms = append(record.terms, t)
		case name == "redirect":
			if record.redirect != "" || !isDomainSpec(value) {
				return nil, false
			}
			record.redirect = value
		case name == "exp": // an explanation is for people who are refused; we show none
			if explained || !isDomainSpec(value) {
				return nil, false
			}
			explained = true
		default:
			if _, ok := lastExpansion(value); !ok {
				return nil, false
			}
		}
	}
	return record, true
}

// cutModifier splits name=value. In a mechanism, a colon or slash comes first.
func cutModifier(term string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(term, "=")
	for i := range len(name) {
		c := name[i] | 0x20
		if letter := 'a' <= c && c <= 'z'; !letter && (i == 0 || !isDigit(name[i]) && strings.IndexByte("-_.", name[i]) < 0) {
			return "", "", false
		}
	}
	return strings.ToLower(name), value, ok && name != ""
}

var qualifiers = map[byte]Value{'+': Pass, '-': Fail, '~': SoftFail, '?': Neutral}

func parseDirective(term string) (t spfTerm, ok bool) {
	t.result = Pass
	if v, given := qualifiers[term[0]]; given {
		t.result, term = v, term[1:]
	}
	end := strings.IndexAny(term, ":/")
	if end < 0 {
		end = len(term)
	}
	var argument string
	t.mechanism, argument = strings.ToLower(term[:end]), term[end:]
	switch t.mechanism {
	case "all":
		return t, argument == ""
	case "ip4", "ip6":
		t.network, ok = parseNetwork(argument, t.mechanism == "ip4")
		return t, ok
	case "a", "mx":
		argument, t.bits4, t.bits6, ok = cutCIDR(argument)
		if !ok || argument == "" {
			return t, ok
		}
	case "ptr":
		if argument == "" {
			return t, true
		}
	case "include", "exists":
	default:
		return t, false
	}
	t.domain, ok = strings.CutPrefix(argument, ":")
	return t, ok && isDomainSpec(t.domain)
}

// parseNetwork reads the argument of ip4 and ip6 (section 5.6).
func parseNetwork(argument string, four bool) (netip.Prefix, bool) {
	text, ok := strings.CutPrefix(argument, ":")
	address, bits, prefixed := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(address)
	if !ok || err != nil || ip.Is4() != four || ip.Zone() != "" {
		return netip.Prefix{}, false
	}
	n := ip.BitLen()
	if prefixed {
		if n, ok = prefixLength(bits, n); !ok {
			return netip.Prefix{}, false
		}
	}
	p, err := ip.Prefix(n)
	return p, err == nil
}

// cutCIDR cuts a dual-cidr-length off an argument (section 5.3): "/24", "//64" or
// "/24//64". A domain-spec may have slashes too, but never ends in a number.
func cutCIDR(argument string) (rest string, bits4, bits6 int, ok bool) {
	bits4, bits6, ok = 32, 128, true
	if at := strings.LastIndex(argument, "//"); at >= 0 {
		if bits6, ok = prefixLength(argument[at+2:], 128); !ok {
			return "", 0, 0, false
		}
		argument = argument[:at]
	}
	at := strings.LastIndexByte(argument, '/')
	if at < 0 || at+1 < len(argument) && !isDigit(argument[at+1]) {
		return argument, bits4, bits6, ok
	}
	bits4, ok = prefixLength(argument[at+1:], 32)
	return argument[:at], bits4, bits6, ok
}

func prefixLength(s string, limit int) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 8)
	return int(n), err == nil && int(n) <= limit && (s == "0" || s[0] != '0')
}

// isDomainSpec reports whether a macro-string ends as a domain does: in an
// expansion, or in a label that a top-level domain could have (section 7.1).
func isDomainSpec(s string) bool {
	expansion, ok := lastExpansion(s)
	if !ok || s == "" {
		return false
	}
	if expansion == len(s) {
		return true
	}
	s = strings.TrimSuffix(s[expansion:], ".")
	dot := strings.LastIndexByte(s, '.')
	return dot >= 0 && isTopLabel(s[dot+1:])
}

func isTopLabel(s string) bool {
	digits := true
	for i := range len(s) {
		c := s[i]
		if letter := 'a' <= c|0x20 && c|0x20 <= 'z'; !letter && !isDigit(c) && c != '-' {
			return false
		}
		digits = digits && isDigit(c)
	}
	return !digits && s[0] != '-' && s[len(s)-1] != '-'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
