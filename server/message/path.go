package message

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Limits of RFC 5321, section 4.5.3.1, in octets.
const (
	MaxLocal  = 64
	MaxDomain = 255
	maxLabel  = 63 // RFC 1035, section 2.3.4
)

// A Path is a mailbox as the SMTP envelope names it (RFC 5321, section 4.1.2).
// The zero Path is the null reverse-path "<>". Only Postmaster has no Domain.
type Path struct {
	Local  string // unquoted: for "a b"@example.com it is `a b`
	Domain string // as written: a name, or an address literal with its brackets
}

// IsNull reports whether the path is the null reverse-path, which bounces have.
func (p Path) IsNull() bool { return p == Path{} }

// IsPostmaster reports whether the path is "postmaster" without a domain, which
// RFC 5321, section 4.5.1, makes every receiver accept in RCPT (and nobody in MAIL).
func (p Path) IsPostmaster() bool { return p.Domain == "" && strings.EqualFold(p.Local, "postmaster") }

// IsASCII reports whether the path can be used without SMTPUTF8 (RFC 6531).
func (p Path) IsASCII() bool { return isASCII(p.Local) && isASCII(p.Domain) }

// String is the path without angle brackets, its local part quoted where it
// must be: "" for the null path.
func (p Path) String() string {
	if p.Domain == "" {
		return p.Local
	}
	return quoteLocal(p.Local) + "@" + p.Domain
}

func quoteLocal(local string) string {
	if checkDotString(local) {
		return local
	}
	b := make([]byte, 0, len(local)+2)
	b = append(b, '"')
	for i := 0; i < len(local); i++ {
		if local[i] == '"' || local[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, local[i])
	}
	return string(append(b, '"'))
}

// Canonical is the path for comparing and looking up: the domain in lower case
// with A-labels (RFC 5890), the local part in lower case and in normal form C,
// since our own mailboxes do not tell case apart. Mail to others keeps what was
// written.
func (p Path) Canonical() Path {
	// Lower case first: a letter can have a composed form in lower case alone.
	local := strings.ToLower(p.Local)
	if !isASCII(local) {
		local = norm.NFC.String(local)
	}
	return Path{Local: local, Domain: CanonicalDomain(p.Domain)}
}

// CanonicalDomain is a domain in lower case with A-labels. One that has none,
// such as an address literal, is only put in lower case.
func CanonicalDomain(domain string) string {
	if !isASCII(domain) {
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
			return ascii
		}
	}
	return strings.ToLower(domain)
}

// A PathRule is the rule of syntax that an address breaks.
type PathRule uint8

// The closed set of rules.
const (
	RuleBrackets   PathRule = iota + 1 // angle brackets, or a route in them
	RuleDomainless                     // no domain
	RuleLocal                          // syntax of the local part
	RuleLocalLong                      // over MaxLocal
	RuleDomain                         // syntax of the domain
	RuleDomainLong                     // over MaxDomain, or a label over 63 octets
	RuleLiteral                        // an address literal that is none, or an address without brackets
	RuleControl                        // a control character
	RuleUTF8                           // not UTF-8, or not ASCII without SMTPUTF8
)

var pathRules = [...]string{"",
	"angle brackets do not match",
	"no domain",
	"malformed local part",
	"local part over 64 octets",
	"malformed domain",
	"domain over 255 octets or label over 63",
	"malformed address literal",
	"control character",
	"characters outside ASCII without SMTPUTF8, or not UTF-8",
}

// A PathError says which rule an address breaks. It does not repeat the address.
type PathError struct{ Rule PathRule }

// Error names the rule: for the log.
func (e *PathError) Error() string { return "message: address: " + pathRules[e.Rule] }

// Public is the text for the peer: the class only.
func (e *PathError) Public() string {
	if e.Rule == RuleUTF8 {
		return "address needs SMTPUTF8"
	}
	return "malformed address"
}

// ParsePath reads the argument of MAIL FROM or RCPT TO, with or without its
// angle brackets, by the strict grammar of RFC 5321, section 4.1.2, and with
// smtputf8 that of RFC 6531, section 3.3. A source route is read and dropped. The
// error is a *PathError. It accepts the null path and the bare postmaster: MAIL
// has to refuse the one (IsPostmaster), RCPT the other (IsNull).
//
// It is stricter than the grammar in two points: an empty quoted local part,
// and formatting characters that are not seen (RFC 5892 disallows them in
// names), are refused.
func ParsePath(s string, smtputf8 bool) (Path, error) {
	inner, opened := strings.CutPrefix(s, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	if opened != closed {
		return Path{}, &PathError{RuleBrackets}
	}
	if inner == "" {
		return Path{}, nil
	}
	if err := checkBytes(inner, smtputf8); err != nil {
		return Path{}, err
	}
	if inner[0] == '@' {
		// RFC 5321, section 4.1.1.3: accept source routes, and ignore them.
		hops, mailbox, ok := strings.Cut(inner, ":")
		if !ok || !opened || len(hops) > MaxDomain {
			return Path{}, &PathError{RuleBrackets}
		}
		for hop := range strings.SplitSeq(hops, ",") {
			name, at := strings.CutPrefix(hop, "@")
			if !at {
				return Path{}, &PathError{RuleBrackets}
			}
			if err := checkDomain(name); err != nil {
				return Path{}, err
			}
		}
		inner = mailbox
	}
	if strings.EqualFold(inner, "postmaster") {
		return Path{Local: inner}, nil
	}
	return parseMailbox(inner)
}

// ParseAddress reads local@domain as a person or a configuration writes it:
// UTF-8 is allowed, a domain is required. The error is a *PathError.
func ParseAddress(s string) (Path, error) {
	if err := checkBytes(s, true); err != nil {
		return Path{}, err
	}
	return parseMailbox(s)
}

// NewPath makes a path of a local part that is already unquoted and a domain,
// by the rules of ParsePath. The error is a *PathError.
func NewPath(local, domain string, smtputf8 bool) (Path, error) {
	if err := checkBytes(local, smtputf8); err != nil {
		return Path{}, err
	}
	if err := checkBytes(domain, smtputf8); err != nil {
		return Path{}, err
	}
	switch {
	case local == "":
		return Path{}, &PathError{RuleLocal}
	case len(quoteLocal(local)) > MaxLocal:
		return Path{}, &PathError{RuleLocalLong}
	}
	if err := checkDomain(domain); err != nil {
		return Path{}, err
	}
	return Path{local, domain}, nil
}

func parseMailbox(s string) (Path, error) {
	local, _, _ := strings.Cut(s, "@")
	ok := checkDotString(local)
	rest := s[len(local):]
	if strings.HasPrefix(s, `"`) {
		local, rest, ok = cutQuotedLocal(s)
	}
	if !ok {
		return Path{}, &PathError{RuleLocal}
	}
	// In octets as written, quotes and backslashes included.
	if len(s)-len(rest) > MaxLocal {
		return Path{}, &PathError{RuleLocalLong}
	}
	domain, ok := strings.CutPrefix(rest, "@")
	if !ok {
		return Path{}, &PathError{RuleDomainless}
	}
	if err := checkDomain(domain); err != nil {
		return Path{}, err
	}
	return Path{local, domain}, nil
}

// checkBytes refuses what no part of an address may contain: control
// characters, and characters outside ASCII where they are not agreed upon.
func checkBytes(s string, allowed bool) error {
	for _, r := range s {
		switch {
		case r < ' ' || r == 0x7f:
			return &PathError{RuleControl}
		case r < utf8.RuneSelf:
		case !allowed || r == utf8.RuneError:
			return &PathError{RuleUTF8}
		case !unicode.IsGraphic(r) || unicode.IsSpace(r):
			return &PathError{RuleControl}
		}
	}
	return nil
}

// checkDotString reports whether s is a Dot-string: atoms between dots.
func checkDotString(s string) bool {
	atom := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			if atom == 0 {
				return false
			}
			atom = 0
		case !atextChar(c):
			return false
		default:
			atom++
		}
	}
	return atom > 0
}

// atextChar reports whether c may stand in an atom (RFC 5321, section 4.1.2;
// RFC 6531, section 3.3, adds all of UTF-8).
func atextChar(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>[]:;@\,."`, c) < 0
}

// cutQuotedLocal takes a quoted local part, unquoted, off the front of s.
func cutQuotedLocal(s string) (local, rest string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return string(b), s[i+1:], len(b) > 0
		case '\\':
			// quoted-pairSMTP: printable ASCII only.
			if i++; i == len(s) || s[i] >= utf8.RuneSelf {
				return "", "", false
			}
		}
		b = append(b, s[i])
	}
	return "", "", false
}

// checkDomain checks a domain name by its labels, or an address literal.
func checkDomain(domain string) error {
	if len(domain) > MaxDomain {
		return &PathError{RuleDomainLong}
	}
	if strings.HasPrefix(domain, "[") {
		return checkLiteral(domain)
	}
	if domain == "" {
		return &PathError{RuleDomainless}
	}
	if !isASCII(domain) {
		// U-labels must have A-labels, which are then held to the same rules.
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return &PathError{RuleDomain}
		}
		domain = ascii
	}
	numeric := true
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) > maxLabel {
			return &PathError{RuleDomainLong}
		}
		if !checkLabel(label) {
			return &PathError{RuleDomain}
		}
		numeric = allDigits(label)
	}
	if numeric {
		// RFC 3696, section 2: a top-level name is not all-numeric. This is an
		// address without its brackets.
		return &PathError{RuleLiteral}
	}
	return nil
}

// checkLabel checks a label: letters, digits, and hyphens inside.
func checkLabel(label string) bool {
	if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := 0; i < len(label); i++ {
		c := label[i] | 0x20
		if !('a' <= c && c <= 'z') && !('0' <= label[i] && label[i] <= '9') && label[i] != '-' {
			return false
		}
	}
	return true
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// checkLiteral checks an address literal (RFC 5321, section 4.1.3).
func checkLiteral(domain string) error {
	inner, ok := strings.CutSuffix(domain[1:], "]")
	if ok {
		v6 := len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:")
		if v6 {
			inner = inner[5:]
		}
		addr, err := netip.ParseAddr(inner)
		ok = err == nil && addr.Zone() == "" && addr.Is4() != v6
	}
	if !ok {
		return &PathError{RuleLiteral}
	}
	return nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
