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
	// Refused: this recipient's policy would refuse the message, and another's takes
	// it. There is one reply to one DATA.
	Refused bool
}

// Placement is where a copy goes.
type Placement struct {
	Mailbox storage.Role
	Rule    Rule
}

// Receive decides where one recipient's copy goes. Until a scorer exists every
// verdict is Unscored, and an unscored message goes to the inbox: nothing that
// was never judged can be called hostile.
func Receive(f ReceiveFacts) Placement {
	if f.Refused {
		return Placement{Mailbox: storage.RoleQuarantine, Rule: DMARCFailed}
	}
	if f.Verdict == storage.Quarantine {
		return Placement{Mailbox: storage.RoleQuarantine}
	}
	return Placement{Mailbox: storage.RoleInbox}
}
