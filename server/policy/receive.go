package policy

import (
	"postern/server/message"
	"postern/storage"
)

// MaxHops is how many Received fields a message may have before it is taken for
// one in a loop. RFC 5321, section 6.3, suggests 100 as a rule; mail of today
// takes ten hops, and fifty rounds of a loop are enough.
const MaxHops = 50

// AdmitFacts is what is known of a received message as a whole.
type AdmitFacts struct {
	FromFields   int
	HeaderBytes  int64 // of the top header
	HeaderFields int   // in it
	Hops         int   // Received fields
	Size         int64
}

// Admit decides whether a received message is taken at all. The answer holds
// for all its recipients, since there is one reply to one DATA. Several From
// fields are refused because readers disagree about which one they show, and
// DKIM or DMARC about which one they checked. No From is only sloppy.
func Admit(f AdmitFacts) Decision {
	switch {
	case f.Size > MaxSize:
		return refuse(OverSize)
	case tooLarge(f.HeaderBytes, f.HeaderFields):
		return refuse(HeaderTooLarge)
	case f.FromFields > 1:
		return refuse(FromSeveral)
	case f.Hops > MaxHops:
		return refuse(MailLoop)
	}
	return allow
}

// tooLarge says that a header is beyond what the parser interprets: nobody may
// hide a field behind that point.
func tooLarge(bytes int64, fields int) bool {
	return bytes > message.MaxHeaderBytes || fields > message.MaxFields
}

// ReceiveFacts is what is known of one recipient's copy.
type ReceiveFacts struct {
	Verdict storage.Verdict
	// Hard: a rule of form is broken that no score outweighs, such as text in
	// characters without a glyph.
	Hard bool
	// Refused: this recipient's policy would refuse the message, and another's takes
	// it. There is one reply to one DATA.
	Refused bool
	// Allowed: a person excepted the sender, and the message provably comes from there.
	Allowed bool
	Bands   Bands
}

// Placement is where a copy goes, and what decided that.
type Placement struct {
	Mailbox storage.Role
	Rule    Rule
	Mark    bool // the copy carries the keyword that its verdict demands
}

// PutAway reports whether the copy goes where no agent sees it.
func (p Placement) PutAway() bool { return p.Mailbox == storage.RoleQuarantine }

// Spared reports whether an exception let in what would have been put away.
func (p Placement) Spared() bool { return p.Rule == InjectionAllowed || p.Rule == InjectionReportOnly }

// Receive decides where one recipient's copy goes: never whether it is taken, since
// a reply that depends on the score would tell an attacker what passes. A rule of
// form is certain, so that neither a band nor an exception lets it in; and what was
// not read in whole is never excepted, since nobody knows what it says. // PI-3
func Receive(f ReceiveFacts) Placement {
	band, rule := f.Bands.of(f)
	p := Placement{Mailbox: storage.RoleInbox, Rule: rule, Mark: band != BandDeliver}
	byScore := rule == InjectionSuspicious || rule == InjectionQuarantine
	switch {
	case f.Refused:
		p.Mailbox, p.Rule = storage.RoleQuarantine, DMARCFailed
	case band != BandQuarantine:
	case f.Allowed && byScore:
		p.Rule = InjectionAllowed
	case f.Bands.ReportOnly:
		p.Rule = InjectionReportOnly
	default:
		p.Mailbox = storage.RoleQuarantine
	}
	return p
}
