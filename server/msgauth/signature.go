package msgauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"postern/dns"
	"postern/server/message"
)

// signature is a DKIM-Signature, an ARC-Message-Signature or an ARC-Seal.
type signature struct {
	field                      message.Field
	tags                       tags
	algorithm                  string
	domain, selector           string // d= and s=, in the form of dns.Name
	identity                   string // domain of i=, empty without one
	b                          tag
	value                      []byte // b=
	headers                    []string
	relaxedHeader, relaxedBody bool
	length                     int64 // l=; negative without one
	bodyHash                   []byte
	body                       *bodyDigest
}

// parseSealed reads what a seal has and every signature has (RFC 6376, section
// 3.5; RFC 8617, section 4.1.3).
func parseSealed(f message.Field) (*signature, bool) {
	list, ok := parseTags(string(f.Body))
	if !ok {
		return nil, false
	}
	s := &signature{field: f, tags: list, algorithm: list.get("a"), relaxedHeader: true, length: -1}
	s.domain, _ = dns.Name(list.joined("d"))
	s.selector, _ = dns.Name(list.joined("s"))
	s.b, ok = list.find("b")
	value, err := base64.StdEncoding.DecodeString(unspaced(s.b.value))
	s.value = value
	_, _, clock := list.number("t", 12)
	// RFC 8301, section 3.1: rsa-sha1 is no longer a signature.
	known := s.algorithm == "rsa-sha256" || s.algorithm == "ed25519-sha256"
	return s, ok && err == nil && len(value) > 0 && clock && known && s.domain != "" && s.selector != ""
}

// parseSignature reads what a signature over a message has. What it returns
// with false is good for its domain and selector alone, and may be nil. Missing
// stands for c= where there is none.
func parseSignature(f message.Field, missing string, now time.Time) (*signature, bool) {
	s, ok := parseSealed(f)
	if !ok {
		return s, false
	}
	h, present := s.tags.find("h")
	for name := range strings.SplitSeq(h.value, ":") {
		s.headers = append(s.headers, strings.ToLower(strings.Trim(name, fws)))
	}
	var err error
	s.bodyHash, err = base64.StdEncoding.DecodeString(s.tags.joined("bh"))
	if !present || err != nil || len(s.bodyHash) != sha256.Size {
		return s, false
	}
	if _, methods := s.tags.find("q"); methods && !slices.Contains(s.tags.split("q"), "dns/txt") {
		return s, false
	}
	if n, given, ok := s.tags.number("l", 76); given {
		if s.length = int64(n); !ok || s.length < 0 {
			return s, false
		}
	}
	return s, s.canonicalization(missing) && s.inTime(now)
}

// canonicalization reads c=, or missing where there is none.
func (s *signature) canonicalization(missing string) bool {
	c, present := s.tags.find("c")
	if !present {
		c.value = missing
	}
	header, body, both := strings.Cut(unspaced(c.value), "/")
	if !both {
		body = "simple"
	}
	s.relaxedHeader, s.relaxedBody = header == "relaxed", body == "relaxed"
	return (s.relaxedHeader || header == "simple") && (s.relaxedBody || body == "simple")
}

// owned reads i= of a DKIM-Signature, which must be in the domain of d=.
func (s *signature) owned() bool {
	i, present := s.tags.find("i")
	if !present {
		return true
	}
	value := unspaced(i.value)
	name, err := dns.Name(value[strings.LastIndexByte(value, '@')+1:])
	s.identity = name
	return err == nil && strings.Contains(value, "@") && (name == s.domain || strings.HasSuffix(name, "."+s.domain))
}

// inTime reads t= and x=.
func (s *signature) inTime(now time.Time) bool {
	signed, _, _ := s.tags.number("t", 12)
	expires, present, ok := s.tags.number("x", 12)
	return ok && (!present || expires >= signed && now.Unix() <= int64(expires))
}

// judgeBody compares the body with bh=: None when it is the one that was signed.
func (s *signature) judgeBody() Value {
	if s.length > s.body.size {
		return PermError // RFC 6376, section 3.5: l= is never more than there is
	}
	if !slices.Equal(s.body.hash.Sum(nil), s.bodyHash) {
		return Fail
	}
	return None
}

// judge looks the key up and verifies b= over a digest.
func (c *Checker) judge(ctx context.Context, s *signature, digest []byte) (publicKey, Value) {
	key, v := c.key(ctx, s.selector, s.domain)
	if v != None {
		return key, v
	}
	return key, key.verify(s.algorithm, digest, s.value)
}
