package policy

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// Band is what is done with mail whose verdict lies between two thresholds. The
// zero Band is the strictest.
type Band uint8

// The bands.
const (
	BandQuarantine Band = iota // put away, where no agent sees it
	BandMark                   // let in, with the keyword $InjectionSuspected
	BandDeliver                // let in without it; who reads it is tainted all the same
)

var bandNames = [...]string{"quarantine", "mark", "deliver"}

// String is the word of policy.
func (b Band) String() string { return bandNames[min(b, BandDeliver)] }

// bandOf is the band of a word of policy. One that is none is the strictest.
func bandOf(word string) Band {
	for b, name := range bandNames {
		if name == word {
			return Band(b)
		}
	}
	return BandQuarantine
}

// Bands is what an inbox does with mail by its verdict. The zero Bands put away
// whatever is not clean. // PI-3
type Bands struct {
	Suspicious Band
	Quarantine Band // by the score; what breaks a rule of form is put away whatever this says
	Partial    Band // what was not read in whole, or not scored at all
	// ReportOnly: verdicts are recorded and marked, and nothing is put away because of
	// them. Mail that fails DMARC is treated as ever.
	ReportOnly bool
	// Expiry is how long what was put away waits for people before it is rejected;
	// zero: for good.
	Expiry time.Duration
}

// LoadBands reads what holds for an inbox of a domain, from memory.
func LoadBands(ctx context.Context, store *storage.Store, org, domain, inbox uuid.UUID) (Bands, error) {
	policies, err := store.Policies(ctx, org, Subjects{Organization: org, Domain: domain, Inbox: inbox}.IDs()...)
	if err != nil {
		return Bands{}, err
	}
	return EffectiveBands(policies), nil
}

// EffectiveBands is what policies come to: an inbox has its own bands, and what
// stands above it can ask for more.
func EffectiveBands(policies []storage.Policy) Bands {
	e := effect{policies: policies}
	return Bands{
		Suspicious: bandOf(e.word(KeyInjectionSuspicious)), Quarantine: bandOf(e.word(KeyInjectionQuarantine)),
		Partial: bandOf(e.word(KeyInjectionPartial)), ReportOnly: e.yes(KeyInjectionReportOnly),
		Expiry: e.duration(KeyQuarantineExpiry),
	}
}

// of finds the band that a copy is in, and the rule that says so.
func (b Bands) of(f ReceiveFacts) (Band, Rule) {
	switch {
	case f.Hard:
		return BandQuarantine, InjectionHard
	case f.Verdict == storage.Clean:
		return BandDeliver, None
	case f.Verdict == storage.Suspicious:
		return b.Suspicious, InjectionSuspicious
	case f.Verdict == storage.Quarantine:
		return b.Quarantine, InjectionQuarantine
	}
	return b.Partial, InjectionPartial
}
