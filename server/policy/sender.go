package policy

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"postern/server/msgauth"
	"postern/storage"
)

// Inbound is what holds for mail that comes in to a domain.
type Inbound struct {
	Reject       bool     // mail that fails DMARC, when the domain in From asks for that
	Trusted      []string // whose word is taken that a message passed DMARC on its way (ARC); sorted
	DMARCReports bool     // domains are told how mail in their name fared
	TLSReports   bool     // domains are told how TLS to them went
}

// LoadInbound reads what holds for a domain of an organization, from memory.
func LoadInbound(ctx context.Context, store *storage.Store, org, domain uuid.UUID) (Inbound, error) {
	policies, err := store.Policies(ctx, org, Subjects{Organization: org, Domain: domain}.IDs()...)
	if err != nil {
		return Inbound{}, err
	}
	e := effect{policies: policies}
	return Inbound{Reject: e.yes(KeyDMARCReject), Trusted: e.union(KeyARCTrusted),
		DMARCReports: e.yes(KeyDMARCReports), TLSReports: e.yes(KeyTLSReports)}, nil
}

// Disposition is what is done about a message because of what the domain in From
// publishes.
type Disposition uint8

// The dispositions.
const (
	Take   Disposition = iota // nothing speaks against it, or nobody asks for anything
	Mark                      // it is let in, and the results in front of it say that it failed
	Reject                    // it is refused
	Defer                     // it may come again when more can be found out
)

// Treatment is a Disposition, and why it is another than the domain asks for, in the
// words of RFC 7489, appendix C; empty when it is not.
type Treatment struct {
	Disposition Disposition
	Override    string
}

// The reasons.
const (
	OverrideForwarder = "trusted_forwarder"
	OverrideSampled   = "sampled_out"
	OverrideLocal     = "local_policy"
)

// Judge decides about a message by its results. Where the domain is known to ask
// for refusal and its records cannot be had now, the message may come again: taken,
// it would let in whoever can keep our questions from being answered. Where not even
// that is known it is taken, since a domain whose servers are away for days would
// get no mail through, and is marked by its result (RFC 7489, section 6.6.3, leaves
// both open).
func (in Inbound) Judge(r msgauth.Results) Treatment {
	d := r.DMARC
	switch {
	case d.Several && in.Reject: // or a second author would be a way around every policy: RFC 7489, section 6.6.1
		return Treatment{Disposition: Reject}
	case d.Value == msgauth.TempError && d.Policy == msgauth.PolicyReject && in.Reject && !in.vouched(r.ARC):
		return Treatment{Disposition: Defer}
	case d.Value != msgauth.Fail:
		return Treatment{}
	case d.Policy != msgauth.PolicyNone && in.vouched(r.ARC):
		return Treatment{Override: OverrideForwarder}
	case d.Policy == msgauth.PolicyReject && in.Reject:
		return Treatment{Disposition: Reject}
	case d.Policy == msgauth.PolicyReject:
		return Treatment{Mark, OverrideLocal}
	case d.Policy == msgauth.PolicyQuarantine && d.SampledOut:
		return Treatment{Mark, OverrideSampled}
	case d.Policy == msgauth.PolicyQuarantine:
		return Treatment{Disposition: Mark}
	case d.SampledOut:
		return Treatment{Override: OverrideSampled}
	}
	return Treatment{}
}

// vouched says that a message passed DMARC where it came from, by the word of
// sealers all of whom are trusted: whoever is not could have made up what the
// others passed on (RFC 8617, section 7.2).
func (in Inbound) vouched(a msgauth.ARC) bool {
	if a.Value != msgauth.Pass || a.DMARC != msgauth.Pass || len(a.Sealers) == 0 {
		return false
	}
	return !slices.ContainsFunc(a.Sealers, func(sealer string) bool {
		_, found := slices.BinarySearch(in.Trusted, sealer)
		return !found
	})
}
