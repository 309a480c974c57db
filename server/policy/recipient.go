package policy

import (
	"slices"
	"strings"
)

// mayWrite holds every recipient to the recipient rules.
func (f SubmitFacts) mayWrite() Decision {
	for _, to := range f.To {
		if d := f.Rules.mayWrite(to); !d.Allow {
			return d
		}
	}
	if len(f.To) == f.Recipients {
		return allow
	}
	for _, l := range f.Rules.Levels {
		if l.Recipients.any() { // a recipient that nothing is known of is none that is allowed
			return Decision{Rule: RecipientNotAllowed, Level: l.Level}
		}
	}
	return allow
}

// RepliesOnly reports whether some level lets a message go to those alone who
// wrote to the inbox before.
func (r Rules) RepliesOnly() bool {
	return slices.ContainsFunc(r.Levels, func(l Level) bool { return l.Recipients.Replies })
}

// mayWrite decides by the recipient rules of all levels: every one must allow.
func (r Rules) mayWrite(to Addressee) Decision {
	for _, l := range r.Levels {
		if rule := l.Recipients.refuses(to); rule != None {
			return Decision{Rule: rule, Level: l.Level}
		}
	}
	return allow
}

// refuses is the rule that refuses a recipient; None when it may be written to.
// Deny wins, whatever is allowed. An allow list that is there and empty is
// nobody (invariant 6).
func (r *Recipients) refuses(to Addressee) Rule {
	switch {
	case listed(r.Deny, to.Address):
		return RecipientDenied
	case r.Inside && !to.Inside:
		return RecipientOutside
	case r.Allow != nil && !listed(r.Allow, to.Address):
		return RecipientNotAllowed
	case r.Replies && !to.Wrote:
		return RecipientNoReply
	}
	return None
}

// listed reports whether a canonical address is in a list: itself, its domain, or
// as one of the domains below another. example.com is that domain alone and
// *.example.com every one below it and not itself; who means both lists both.
// A domain is listed as each of its addresses is.
func listed(list []string, address string) bool {
	if len(list) == 0 {
		return false
	}
	domain := address[strings.LastIndexByte(address, '@')+1:]
	for _, entry := range []string{address, domain} {
		if _, found := slices.BinarySearch(list, entry); found {
			return true
		}
	}
	return listedBelow(list, domain)
}

// listedBelow reports whether a domain is below one whose subdomains are listed.
func listedBelow(list []string, domain string) bool {
	for {
		_, parent, more := strings.Cut(domain, ".")
		if !more {
			return false
		}
		if _, found := slices.BinarySearch(list, "*."+parent); found {
			return true
		}
		domain = parent
	}
}
