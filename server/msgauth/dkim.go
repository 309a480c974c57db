package msgauth

import (
	"context"
	"slices"
	"sync"
)

// maxSignatures bounds the signatures that are verified. RFC 6376, section 6.1
// allows a limit.
const maxSignatures = 5

// dkimSignatures are the topmost signatures of a message. What cannot be read is
// nil in parsed, and has its result already.
type dkimSignatures struct {
	parsed  []*signature
	results []DKIM
}

// readDKIM reads signatures and asks for the digests that they need.
func (c *Checker) readDKIM(m *mail) dkimSignatures {
	var d dkimSignatures
	fields := m.fields.all("dkim-signature")
	for _, f := range fields[:min(len(fields), maxSignatures)] {
		s, ok := parseSignature(f, "simple/simple", c.now())
		ok = ok && s.tags.get("v") == "1" && slices.Contains(s.headers, "from") && s.owned()
		result := DKIM{Value: PermError}
		if s != nil {
			result.Domain, result.Selector = s.domain, s.selector
		}
		if ok {
			m.bodies.want(s)
		} else {
			s = nil
		}
		d.parsed, d.results = append(d.parsed, s), append(d.results, result)
	}
	return d
}

// judgeDKIM verifies signatures, all at once: each needs a lookup.
func (c *Checker) judgeDKIM(ctx context.Context, m *mail, d dkimSignatures) []DKIM {
	var all sync.WaitGroup
	for i, s := range d.parsed {
		if s != nil {
			all.Go(func() { d.results[i].Value = c.judgeOne(ctx, m, s) })
		}
	}
	all.Wait()
	return d.results
}

func (c *Checker) judgeOne(ctx context.Context, m *mail, s *signature) Value {
	if m.unread {
		return TempError
	}
	if v := s.judgeBody(); v != None {
		return v
	}
	key, v := c.judge(ctx, s, m.fields.headerDigest(s))
	switch {
	case v != Pass:
		return v
	case key.exact && s.identity != "" && s.identity != s.domain:
		return PermError // RFC 6376, section 3.6.1: t=s
	case key.testing:
		// Section 3.6.1: a message whose signer is testing must not be treated
		// differently from one that is not signed.
		return Neutral
	case s.length >= 0 && s.length < s.body.size:
		// Section 8.2: anybody could have added what stands behind l=, and a reader
		// is shown all of it.
		return Unacceptable
	}
	return Pass
}
