package msgauth

import (
	"context"
	"crypto/sha256"
	"hash"
	"slices"
	"strconv"

	"postern/server/message"
)

// maxSets bounds a chain (RFC 8617, section 4.2.1: instances are 1 to 50).
const maxSets = 50

// arcSet is what one hop added (RFC 8617, section 4.1).
type arcSet struct {
	results   message.Field // ARC-Authentication-Results
	said      string        // by these, behind i=
	message   message.Field // ARC-Message-Signature
	seal      *signature    // ARC-Seal
	sealed    []byte        // digest of what it seals
	has       [3]bool
	validated string // cv=
}

// arcChain is the chain of a message, before any lookup.
type arcChain struct {
	value  Value // None without a chain, Fail when it is broken for all to see, otherwise Pass
	sets   []arcSet
	newest *signature // ARC-Message-Signature of the last set
}

// readARC takes the steps of RFC 8617, section 5.2 that need no key: sets are
// complete and numbered without a gap, each hop found the chain whole, and the
// last one signed what arrived.
func (c *Checker) readARC(m *mail) arcChain {
	results, messages, seals := m.fields.all("arc-authentication-results"), m.fields.all("arc-message-signature"), m.fields.all("arc-seal")
	n := len(seals)
	if n+len(results)+len(messages) == 0 {
		return arcChain{}
	}
	broken := arcChain{value: Fail}
	if n > maxSets || len(results) != n || len(messages) != n {
		return broken
	}
	chain := arcChain{value: Pass, sets: make([]arcSet, n)}
	for i := range n {
		if !chain.addResults(results[i]) || !chain.addMessage(messages[i]) || !chain.addSeal(seals[i]) {
			return broken
		}
	}
	for i, set := range chain.sets {
		if want := map[bool]string{true: "none", false: "pass"}[i == 0]; set.validated != want {
			return broken
		}
	}
	// RFC 8617 has no word on a missing c=. Those who leave it out mean relaxed,
	// and the public suite does, where DKIM would mean simple.
	newest, ok := parseSignature(chain.sets[n-1].message, "relaxed/relaxed", c.now())
	// Section 4.1.2: a seal is never signed by a signature.
	if !ok || slices.Contains(newest.headers, "arc-seal") {
		return broken
	}
	chain.newest = newest
	m.bodies.want(newest)
	chain.seal(m.fields)
	return chain
}

// set finds the place for the kind of field in the set of an instance.
func (a *arcChain) set(instance string, kind int) (*arcSet, bool) {
	i, err := strconv.ParseUint(instance, 10, 8)
	if err != nil || len(instance) > 2 || i < 1 || int(i) > len(a.sets) || a.sets[i-1].has[kind] {
		return nil, false
	}
	a.sets[i-1].has[kind] = true
	return &a.sets[i-1], true
}

func (a *arcChain) addResults(f message.Field) bool {
	p := parser{s: f.Value()}
	name := p.token()
	p.literal('=')
	instance := p.token()
	p.literal(';')
	set, ok := a.set(instance, 0)
	if !ok || p.bad || name != "i" {
		return false
	}
	set.results, set.said = f, p.s
	return true
}

func (a *arcChain) addMessage(f message.Field) bool {
	list, ok := parseTags(string(f.Body))
	if !ok {
		return false
	}
	set, ok := a.set(list.get("i"), 1)
	if ok {
		set.message = f
	}
	return ok
}

func (a *arcChain) addSeal(f message.Field) bool {
	s, ok := parseSealed(f)
	if !ok {
		return false
	}
	if _, headers := s.tags.find("h"); headers { // section 4.1.3
		return false
	}
	set, ok := a.set(s.tags.get("i"), 2)
	if ok {
		set.seal, set.validated = s, s.tags.get("cv")
	}
	return ok
}

// seal computes what each seal covers: all sets before, then its own, each in
// the order results, signature, seal (section 5.1.1). What two seals have in
// common is hashed once.
func (a *arcChain) seal(x *fieldIndex) {
	running := sha256.New()
	for i := range a.sets {
		set := &a.sets[i]
		x.writeField(running, set.results, true)
		x.writeField(running, set.message, true)
		own := cloneHash(running)
		x.writeUnsigned(own, set.seal)
		set.sealed = own.Sum(nil)
		x.writeField(running, set.seal.field, true)
	}
}

func cloneHash(h hash.Hash) hash.Hash {
	clone, err := h.(hash.Cloner).Clone()
	if err != nil {
		panic(err) // crypto/sha256 says that it never fails
	}
	return clone
}

// judgeARC takes the steps that need keys. It asks for one at a time, and ends
// with the first signature that does not hold: work for fifty lookups is given
// only to a chain that fifty keys made. The standard has no word for a lookup
// that failed; such a chain fails.
func (c *Checker) judgeARC(ctx context.Context, m *mail, a arcChain) ARC {
	if a.value != Pass {
		return ARC{Value: a.value}
	}
	failed, s := ARC{Value: Fail}, a.newest
	if m.unread || s.judgeBody() != None || s.length >= 0 && s.length < s.body.size {
		return failed
	}
	if _, v := c.judge(ctx, s, m.fields.headerDigest(s)); v != Pass {
		return failed
	}
	out := ARC{Value: Pass}
	for _, set := range slices.Backward(a.sets) {
		if _, v := c.judge(ctx, set.seal, set.sealed); v != Pass {
			return failed
		}
		out.Sealers = append(out.Sealers, set.seal.domain)
	}
	slices.Reverse(out.Sealers)
	out.DMARC = saidOf(a.sets[0].said, "dmarc")
	return out
}

// saidOf is the result of a method in the value of an Authentication-Results
// field: None unless there is exactly one, with a word that we know.
func saidOf(value, method string) Value {
	f, err := ParseField(value)
	if err != nil {
		return None
	}
	said, times := None, 0
	for _, m := range f.Methods {
		if m.Name == method {
			said, times = parseValue(m.Result), times+1
		}
	}
	if times != 1 {
		return None
	}
	return said
}
