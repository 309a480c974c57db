package dns

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// profile maps U-labels to A-labels as UTS 46 asks of those who look names up
// (RFC 5891, section 5). Underscores pass: _dmarc and _domainkey need them.
var profile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.BidiRule())

// Name returns a domain name in the one form that this module compares and
// stores: A-labels, lower case, no final dot. It refuses whatever is not made
// of letters, digits, hyphens and underscores, labels over 63 octets and names
// over 253 (RFC 1035, section 2.3.4), and the root. The error wraps [ErrName].
func Name(s string) (string, error) {
	name := strings.TrimSuffix(s, ".")
	if len(name) > 1024 {
		return "", fmt.Errorf("%w: too long", ErrName)
	}
	if !isASCII(name) {
		a, err := profile.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%w: %v", ErrName, err)
		}
		name = strings.TrimSuffix(a, ".")
	}
	if len(name) == 0 || len(name) > 253 {
		return "", fmt.Errorf("%w: length of %d", ErrName, len(name))
	}
	label := 0
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.' && label == 0:
			return "", fmt.Errorf("%w: empty label", ErrName)
		case c == '.':
			label = 0
			continue
		case !isNameByte(c):
			return "", fmt.Errorf("%w: character %q", ErrName, c)
		}
		if label++; label > 63 {
			return "", fmt.Errorf("%w: label over 63 octets", ErrName)
		}
	}
	if label == 0 {
		return "", fmt.Errorf("%w: empty label", ErrName)
	}
	return strings.ToLower(name), nil
}

// question returns a name in the form in which a server is asked for it, and in
// which the library writes it in an answer: that of Name, or for other names of
// printable octets, which macros of SPF make (RFC 7208, section 7.3) and a zone
// may well have, with a backslash before what the library puts one before. A name
// without a dot that is no name is none.
func question(s string) (string, error) {
	name, err := Name(s)
	if err == nil || len(s) > 254 || !strings.Contains(s, ".") {
		return name, err
	}
	var out []byte
	label := 0
	for i, c := range []byte(strings.TrimSuffix(s, ".")) {
		switch {
		case c == '.' && label > 0:
			label = -1
		case c == '.' || c < ' ' || c > '~' || i >= 253 || label == 63:
			return "", err
		case strings.IndexByte(" '@;()\"\\", c) >= 0:
			out = append(out, '\\')
		}
		out = append(out, c)
		label++
	}
	if label == 0 {
		return "", err
	}
	return strings.ToLower(string(out)), nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
