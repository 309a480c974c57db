package zone

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/dns"
)

// Bounds of an SPF record.
const (
	maxSPFText  = 4096 // octets; receivers take no more than fits into an answer
	maxSPFTerms = 256
	// maxSPFLookups: RFC 7208, section 4.6.4. Receivers give up beyond.
	maxSPFLookups = 10
	maxSPFDepth   = 10
)

// spf is an SPF record, taken apart into its terms (RFC 7208, section 4.6.1).
type spf struct{ terms []spfTerm }

// spfTerm is a mechanism or a modifier.
type spfTerm struct {
	text      string // as it was written
	qualifier byte   // '+', '-', '~', '?'; 0: a modifier
	name      string // lower case
	value     string // behind ":" or "=", and the length of a prefix
}

// isSPF reports whether a TXT record is an SPF record (RFC 7208, section 4.5).
func isSPF(text string) bool {
	version, _, _ := strings.Cut(text, " ")
	return strings.EqualFold(version, "v=spf1")
}

// parseSPF reads an SPF record. With an error it returns the terms that it
// understood: what a mended record keeps.
func parseSPF(text string) (s spf, err error) {
	if !isSPF(text) {
		return s, errors.New("it does not begin with v=spf1")
	}
	if len(text) > maxSPFText {
		return s, fmt.Errorf("it has %d octets", len(text))
	}
	for i, word := range strings.Fields(text)[1:] {
		if i == maxSPFTerms {
			return s, fmt.Errorf("it has more than %d terms", maxSPFTerms)
		}
		term, bad := parseSPFTerm(word)
		if bad != nil {
			err = errors.Join(err, bad)
			continue
		}
		s.terms = append(s.terms, term)
	}
	return s, err
}

// spfMechanisms are those of RFC 7208, section 5, and whether they must have a
// value.
var spfMechanisms = map[string]bool{
	"all": false, "include": true, "a": false, "mx": false, "ptr": false, "ip4": true, "ip6": true, "exists": true,
}

func parseSPFTerm(word string) (spfTerm, error) {
	t := spfTerm{text: word, qualifier: '+'}
	if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return t, fmt.Errorf("a term has characters that are not printable")
	}
	if i := strings.IndexAny(word, ":=/"); i > 0 && word[i] == '=' {
		t.qualifier, t.name, t.value = 0, strings.ToLower(word[:i]), word[i+1:]
		return t, nil
	}
	rest := word
	if strings.IndexByte("+-~?", rest[0]) >= 0 {
		t.qualifier, rest = rest[0], rest[1:]
	}
	t.name = rest
	if i := strings.IndexAny(rest, ":/"); i >= 0 {
		t.name, t.value = rest[:i], strings.TrimPrefix(rest[i:], ":")
	}
	t.name = strings.ToLower(t.name)
	needs, known := spfMechanisms[t.name]
	if !known || needs && t.value == "" || t.name == "all" && t.value != "" {
		return t, fmt.Errorf("%q is no mechanism", word)
	}
	if t.name == "ip4" || t.name == "ip6" {
		if _, err := t.prefix(); err != nil {
			return t, fmt.Errorf("%q has no address", word)
		}
	}
	return t, nil
}

// prefix is the network of an ip4 or ip6 mechanism.
func (t spfTerm) prefix() (netip.Prefix, error) {
	text := t.value
	if !strings.Contains(text, "/") {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" || ip.Is4() != (t.name == "ip4") {
			return netip.Prefix{}, errors.New("no address")
		}
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4() != (t.name == "ip4") {
		err = errors.New("no address of this family")
	}
	return p, err
}

// String writes the record.
func (s spf) String() string {
	var b strings.Builder
	b.WriteString("v=spf1")
	for _, t := range s.terms {
		b.WriteString(" " + t.text)
	}
	return b.String()
}

// sender is who is to be permitted by an SPF record.
type sender struct {
	domain, host string
	addresses    []netip.Addr
	mx           bool // the host is the domain's exchanger, as mechanism "mx" finds
}

// permits reports whether the record lets the sender pass, as far as that can be
// told without asking for what it includes.
func (s spf) permits(who sender) bool {
	open := slices.Clone(who.addresses)
	for _, t := range s.terms {
		host := t.matchesHost(who)
		if t.name == "all" && t.qualifier != 0 {
			return false // everybody is let in, or nobody: neither is a word about us
		}
		if host {
			return t.qualifier == '+'
		}
		if t.name != "ip4" && t.name != "ip6" {
			continue
		}
		network, err := t.prefix()
		if err != nil {
			continue
		}
		before := len(open)
		open = slices.DeleteFunc(open, func(ip netip.Addr) bool { return network.Contains(ip.Unmap()) })
		switch {
		case len(open) < before && t.qualifier != '+':
			return false
		case len(open) < before && len(open) == 0:
			return true
		}
	}
	return false
}

// matchesHost reports whether a mechanism is about the sender by its name.
func (t spfTerm) matchesHost(who sender) bool {
	if t.qualifier == 0 {
		return false
	}
	target, _, _ := strings.Cut(t.value, "/")
	target = strings.ToLower(strings.TrimSuffix(target, "."))
	if target == "" {
		target = who.domain
	}
	switch t.name {
	case "mx":
		return who.mx && target == who.domain
	case "a":
		return target == who.host
	}
	return false
}

// all is the place of the mechanism all, -1 when there is none.
func (s spf) all() int {
	return slices.IndexFunc(s.terms, func(t spfTerm) bool { return t.name == "all" && t.qualifier != 0 })
}

// admit puts a mechanism for the sender in front, if the record does not permit it
// yet: in front, where nothing that refuses comes before it, nor the limit of
// look-ups. A record that lets everybody in is made to let nobody else in, softly.
func (s spf) admit(who sender) spf {
	out := spf{slices.Clone(s.terms)}
	if i := out.all(); i >= 0 {
		out.terms = out.terms[:i+1] // RFC 7208, section 5.1: what is behind is never looked at
		if out.terms[i].qualifier == '+' {
			out.terms[i] = spfTerm{text: "~all", qualifier: '~', name: "all"}
		}
	}
	if out.permits(who) {
		return out
	}
	own := spfTerm{text: "a:" + who.host, qualifier: '+', name: "a", value: who.host}
	if who.mx {
		own = spfTerm{text: "mx", qualifier: '+', name: "mx"}
	}
	out.terms = slices.DeleteFunc(out.terms, func(t spfTerm) bool { return t.text == own.text })
	out.terms = append([]spfTerm{own}, out.terms...)
	return out
}

// mergeSPF makes one record of several: everything that any of them permits, each
// once, and at the end the mildest refusal of all. Never a second record: with two,
// receivers take none (RFC 7208, section 4.5).
func mergeSPF(records []spf) spf {
	if len(records) == 1 {
		return records[0]
	}
	var out spf
	var ending *spfTerm
	seen := map[string]bool{}
	for _, r := range records {
		for _, t := range r.terms {
			switch {
			case t.name == "all" && t.qualifier != 0:
				if ending == nil || mildness(t.qualifier) > mildness(ending.qualifier) {
					ending = &t
				}
			case t.qualifier == 0 && t.name == "redirect":
				// The whole of another record: beside ours it can only be included.
				t = spfTerm{text: "include:" + t.value, qualifier: '+', name: "include", value: t.value}
				fallthrough
			default:
				if key := strings.ToLower(t.text); !seen[key] {
					seen[key] = true
					out.terms = append(out.terms, t)
				}
			}
		}
	}
	if ending == nil {
		ending = &spfTerm{text: "~all", qualifier: '~', name: "all"}
	}
	out.terms = append(out.terms, *ending)
	return out
}

func mildness(qualifier byte) int { return strings.IndexByte("-~?+", qualifier) }

// texts asks for the TXT records of a name.
type texts func(ctx context.Context, name string) ([]string, error)

// lookups counts the look-ups that a receiver makes for the record (RFC 7208,
// section 4.6.4), following what it includes; it stops counting where a receiver
// has long given up.
func (s spf) lookups(ctx context.Context, ask texts) int {
	n := 0
	s.count(ctx, ask, maxSPFDepth, &n)
	return n
}

func (s spf) count(ctx context.Context, ask texts, depth int, n *int) {
	for _, t := range s.terms {
		target := ""
		switch {
		case t.qualifier == 0 && t.name == "redirect" && s.all() < 0, t.qualifier != 0 && t.name == "include":
			target = t.value
		case t.qualifier != 0 && slices.Contains([]string{"a", "mx", "ptr", "exists"}, t.name):
		default:
			continue
		}
		if *n++; *n > maxSPFLookups || target == "" || depth == 0 || strings.Contains(target, "%") {
			continue
		}
		name, err := dns.Name(target)
		if err != nil {
			continue
		}
		answers, err := ask(ctx, name)
		if err != nil {
			continue
		}
		if i := slices.IndexFunc(answers, isSPF); i >= 0 {
			other, _ := parseSPF(answers[i])
			other.count(ctx, ask, depth-1, n)
		}
	}
}
