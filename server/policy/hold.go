package policy

import (
	"slices"

	"postern/storage"
)

// holds are the rules by which an allowed message waits for a person, in the
// order of their numbers. // PI-6
func (f SubmitFacts) holds() []Rule {
	var all []Rule
	h := f.Rules.Holds
	some := func(is func(Addressee) bool) bool { return slices.ContainsFunc(f.To, is) }
	for _, c := range []struct {
		rule Rule
		hold bool
	}{
		{HoldAlways, h.Always},
		{HoldTaint, f.Tainted && !f.exchanged()}, // PI-5
		{HoldFirstTime, h.FirstTime && some(func(to Addressee) bool { return !to.Known })},
		{HoldNewDomain, h.NewDomain && some(func(to Addressee) bool { return !to.Inside && !to.DomainKnown })},
		{HoldAttachment, h.Attachment && f.Attachments > 0},
		{HoldRecipients, h.Recipients > 0 && int64(f.Recipients) > h.Recipients},
		{HoldForward, h.Forward && f.Forwards},
		{HoldRate, h.Rate > 0 && f.sentWithinHour() >= h.Rate},
	} {
		if c.hold {
			all = append(all, c.rule)
		}
	}
	return all
}

// exchanged reports whether every recipient had exchanged authenticated, clean
// mail with the inbox before the taint.
func (f SubmitFacts) exchanged() bool {
	return len(f.To) > 0 && len(f.To) == f.Recipients &&
		!slices.ContainsFunc(f.To, func(to Addressee) bool { return !to.Exchanged })
}

// sentWithinHour is how many messages the agent sent; more than any rule asks for
// when that is not known.
func (f SubmitFacts) sentWithinHour() int64 {
	u := usageOf(f.Usage, f.Agent)
	if u == nil {
		return countMax
	}
	return u.Sum(storage.PerHour).Messages
}

// declared refuses what does not declare what it must. // AU-4
func (f SubmitFacts) declared() Decision {
	if missing := f.undeclared(Refuse); len(missing) > 0 {
		return refuse(missing[0])
	}
	return allow
}

// undeclared are the declarations that are missing and demanded in this way.
func (f SubmitFacts) undeclared(demand Demand) []Rule {
	var all []Rule
	if f.Rules.Provenance.Trigger == demand && !f.DeclaresTrigger {
		all = append(all, TriggerMissing)
	}
	if f.Rules.Provenance.Content == demand && !f.DeclaresContent {
		all = append(all, ContentMissing)
	}
	return all
}
