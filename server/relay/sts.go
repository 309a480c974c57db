package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postern/dns"
)

// Bounds of a policy of MTA-STS. RFC 8461, section 3.3, suggests 64 KB; section
// 3.2 has the longest age.
const (
	maxPolicy    = 64 << 10
	maxPolicyMX  = 1024
	maxPolicyAge = 31557600 * time.Second
)

// The modes of a policy (RFC 8461, section 5).
const (
	modeEnforce = "enforce"
	modeTesting = "testing"
	modeNone    = "none"
)

var (
	errSTSRecord = errors.New("not a record of MTA-STS")
	errSTSPolicy = errors.New("not a policy of MTA-STS")
)

// stsPolicy is what a domain says about the TLS of its mail exchangers.
type stsPolicy struct {
	mode   string
	mx     []string // patterns in A-labels, lower case: "mx.example.com" or "*.example.com"
	maxAge time.Duration
}

// parseSTS reads a policy (RFC 8461, section 3.2). Fields that it does not know
// are passed over, and of a field that stands there twice the first counts, but
// for mx. An age beyond the longest is the longest: to refuse the whole policy for
// it would leave mail without protection.
func parseSTS(text string) (stsPolicy, error) {
	var p stsPolicy
	if len(text) > maxPolicy || !utf8.ValidString(text) {
		return p, fmt.Errorf("%w: over %d octets, or not UTF-8", errSTSPolicy, maxPolicy)
	}
	fields := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimLeft(value, " \t")
		if !ok || !isSTSName(name) || value == "" || strings.ContainsFunc(value, isControl) {
			return p, fmt.Errorf("%w: a line is no field", errSTSPolicy)
		}
		if name == "mx" {
			if err := p.addMX(value); err != nil {
				return p, err
			}
		} else if _, twice := fields[name]; !twice {
			fields[name] = value
		}
	}
	return p, p.take(fields)
}

// take reads the fields that stand there once.
func (p *stsPolicy) take(fields map[string]string) error {
	if fields["version"] != "STSv1" {
		return fmt.Errorf("%w: its version is not STSv1", errSTSPolicy)
	}
	p.mode = fields["mode"]
	if p.mode != modeEnforce && p.mode != modeTesting && p.mode != modeNone {
		return fmt.Errorf("%w: no known mode", errSTSPolicy)
	}
	age := fields["max_age"]
	seconds, err := strconv.ParseInt(age, 10, 64)
	if err != nil || len(age) > 10 || strings.Trim(age, "0123456789") != "" {
		return fmt.Errorf("%w: no max_age", errSTSPolicy)
	}
	p.maxAge = time.Duration(min(seconds, int64(maxPolicyAge/time.Second))) * time.Second
	if p.mode != modeNone && len(p.mx) == 0 {
		return fmt.Errorf("%w: no mx", errSTSPolicy)
	}
	return nil
}

// addMX adds a pattern: a name, whose first label may be "*".
func (p *stsPolicy) addMX(value string) error {
	if len(p.mx) == maxPolicyMX {
		return fmt.Errorf("%w: over %d mx", errSTSPolicy, maxPolicyMX)
	}
	rest, wild := strings.CutPrefix(value, "*.")
	name, err := dns.Name(rest)
	if err != nil {
		return fmt.Errorf("%w: mx: %w", errSTSPolicy, err)
	}
	if wild {
		name = "*." + name
	}
	p.mx = append(p.mx, name)
	return nil
}

// lists reports whether a mail exchanger is one of the policy's. RFC 8461,
// section 4.1: a wildcard stands for one whole label, the first.
func (p stsPolicy) lists(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	label, parent, _ := strings.Cut(host, ".")
	for _, pattern := range p.mx {
		if pattern == host || label != "" && pattern == "*."+parent {
			return true
		}
	}
	return false
}

// lines is the policy as TLS reports quote it (RFC 8460, section 4.4): a string a
// field.
func (p stsPolicy) lines() []string {
	all := []string{"version: STSv1", "mode: " + p.mode}
	for _, mx := range p.mx {
		all = append(all, "mx: "+mx)
	}
	return append(all, "max_age: "+strconv.FormatInt(int64(p.maxAge/time.Second), 10))
}

// parseSTSRecord finds the id in the TXT records at _mta-sts.DOMAIN (RFC 8461,
// section 3.1): those that begin otherwise are not meant, and of the rest there
// must be one, which must be whole.
func parseSTSRecord(records []string) (id string, err error) {
	found := ""
	for _, r := range records {
		first, rest, more := strings.Cut(r, ";")
		if strings.TrimRight(first, " \t") != "v=STSv1" || !more {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("%w: there are several", errSTSRecord)
		}
		found = rest + ";" // never empty: it was found
	}
	for field := range strings.SplitSeq(found, ";") {
		field = strings.Trim(field, " \t")
		if field == "" {
			continue
		}
		name, value, ok := strings.Cut(field, "=")
		if !ok || !isSTSName(name) || value == "" || strings.ContainsFunc(value, isControl) || !utf8.ValidString(value) {
			return "", fmt.Errorf("%w: a field is malformed", errSTSRecord)
		}
		if name == "id" && id == "" {
			id = value
		}
	}
	if id == "" || len(id) > 32 || strings.ContainsFunc(id, func(r rune) bool { return !isLetterDigit(r) }) {
		return "", fmt.Errorf("%w: no id", errSTSRecord)
	}
	return id, nil
}

// isSTSName reports whether s may be the name of a field: sts-policy-ext-name of
// RFC 8461, section 3.2.
func isSTSName(s string) bool {
	for i, r := range s {
		if !isLetterDigit(r) && (i == 0 || r != '_' && r != '-' && r != '.') {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 32
}

func isLetterDigit(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
