package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// AllowReasons is the closed list of why mail of a sender is not put away because of
// its score.
func AllowReasons() []string { return slices.Clone(allowReasons) }

var allowReasons = []string{
	"own-system",     // what another system of the company sends
	"partner",        // somebody whom the company works with
	"newsletter",     // a publication that was subscribed to
	"research",       // who writes about such attacks, and quotes them
	"false-positive", // what was put away before without cause
}

// AllowReason checks a code. The error is a *ValueError.
func AllowReason(code string) error {
	if slices.Contains(allowReasons, code) {
		return nil
	}
	return &ValueError{Key: "reason-code", What: fmt.Sprintf("say one of %s", strings.Join(allowReasons, ", "))}
}

// AllowedSender reads an address or a domain as a person writes it, and returns its
// canonical text. What stands for domains below one is not taken: whoever may have a
// name there could write in it. The error is a *ValueError.
func AllowedSender(text string) (string, error) {
	sender, err := parsePlace(strings.TrimSpace(text))
	if err != nil || strings.HasPrefix(sender, "*") {
		return "", &ValueError{Key: "sender", What: fmt.Sprintf("%q is no address (ada@example.com) or domain (example.com)", text)}
	}
	return sender, nil
}

// Author is who a message provably comes from. The zero Author is nobody.
type Author struct {
	Address string // the one address in From, canonical
	// Verified: the domain of that address vouches for the message (DMARC, aligned), or
	// it was sent with a credential of the same organization, which owns the address.
	Verified bool
}

// Allowance finds the exception by which a message of a sender is let in at a time:
// that of the address, or of its domain. Nothing that a message says counts, and
// nothing at all unless the sender is verified. // PI-3
func Allowance(all []storage.Allowance, from Author, now time.Time) (id uuid.UUID, ok bool) {
	if !from.Verified || from.Address == "" {
		return uuid.Nil, false
	}
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	for i := range all {
		a := &all[i]
		if !a.Ended(now) && (a.Sender == from.Address || a.Sender == domain) {
			return a.ID, true
		}
	}
	return uuid.Nil, false
}
