package policy

import (
	"slices"

	"github.com/google/uuid"

	"postern/storage"
)

// Limits of one submission.
const (
	// MaxRecipients of one message. RFC 5321, section 4.5.3.1.8, asks for at
	// least 100; a message to more is several messages.
	MaxRecipients = 100
	// MaxSize is the largest message in bytes, as announced by SIZE (RFC 1870).
	MaxSize = 50 << 20
)

// SenderFacts is what is known when a sender is named, before any content.
type SenderFacts struct {
	Credential *storage.Credential
	Agent      uuid.UUID
	AgentState storage.AgentState
	Inbox      uuid.UUID           // that the session opened
	Address    string              // of Inbox, canonical
	Env        storage.Environment // of Inbox
	Envelope   string              // canonical reverse-path; empty for the null path

	Rules Rules           // the zero Rules ask nothing
	Usage []storage.Usage // of every subject of Rules.Levels, and of the agent
}

// Sender decides whether a session may begin a message from this address: the
// inbox's own address, a credential that may send from it, an agent that is
// active, and room for one more message. // AC-4, AV-1
func Sender(f SenderFacts) Decision {
	if d := sender(f); !d.Allow {
		return d
	}
	return room(f.Rules, f.Usage, storage.Tally{Messages: 1})
}

// sender is Sender without the limits. The null path is for servers: a submission
// with it would forge a notice (RFC 6409, section 5.1, lets us refuse).
func sender(f SenderFacts) Decision {
	switch {
	case f.AgentState != storage.AgentActive:
		return refuse(AgentInactive)
	case !f.Credential.May(f.Inbox, storage.Send):
		return refuse(ScopeSend)
	case f.Envelope == "":
		return refuse(SenderNull)
	case f.Envelope != f.Address:
		return refuse(SenderNotInbox)
	}
	return allow
}

// RecipientFacts is what is known when one more recipient is named.
type RecipientFacts struct {
	Env    storage.Environment // of the inbox that sends
	Owned  bool                // ownership of the sender's domain is proved or assumed
	Remote bool                // the recipient's domain is not ours, and its mail is not captured
	Count  int                 // of recipients, with this one

	Rules Rules
	Usage []storage.Usage
	To    Addressee // Wrote is asked for where Rules.RepliesOnly
}

// Addressee is what is known of one recipient.
type Addressee struct {
	Address string // canonical
	Inside  bool   // its domain is the sender's organization's

	Known       bool // the inbox sent to it before
	DomainKnown bool // the inbox sent to its domain before
	Wrote       bool // it wrote authenticated, clean mail to the inbox
	Exchanged   bool // both, before the taint, and no message of its tainted the agent
}

// Recipient decides about one recipient. Whether a local inbox exists is no fact
// here: the answer is the same. // AC-5
func Recipient(f RecipientFacts) Decision {
	if d := recipient(f); !d.Allow {
		return d
	}
	if d := f.Rules.mayWrite(f.To); !d.Allow {
		return d
	}
	return room(f.Rules, f.Usage, storage.Tally{Recipients: int64(f.Count)})
}

// recipient is Recipient without what people set.
func recipient(f RecipientFacts) Decision {
	switch {
	case f.Count > MaxRecipients:
		return refuse(TooManyRecipients)
	case f.Remote && f.Env == storage.Test:
		return refuse(TestEnvironment) // AC-14
	case f.Remote && !f.Owned:
		return refuse(DomainNotOwned)
	}
	return allow
}

// SubmitFacts is all that is known of a message that wants to leave.
type SubmitFacts struct {
	SenderFacts
	Owned      bool // of the sender's domain
	Recipients int
	Remote     int // of them, how many are neither ours nor captured
	Size       int64

	FromFields   int      // From fields in the header
	From         []string // canonical addresses in them
	SenderFields int      // Sender fields in the header
	Sender       []string // canonical addresses in them
	Resent       []string // those in Resent-From and Resent-Sender, each of which may stand several times

	HeaderMalformed bool  // a line of the header is no field
	HeaderBytes     int64 // of the top header
	HeaderFields    int   // in it
	Hops            int   // Received fields

	To          []Addressee // the recipients, all of them
	Attachments int
	Forwards    bool // content of stored mail
	Tainted     bool // the agent read suspicious mail within the time that taints

	DeclaresTrigger, DeclaresContent bool // Agent-Trigger, Agent-Content
	Leaks                            bool // a token that this server made is in it
}

// Submit is the one gate (invariant 7): every outgoing message passes it as a
// whole, after whatever was said politely before. What refuses for good is asked
// first and the limits after it, since nobody should come back for a message that
// will never pass. What is allowed may still have to wait for a person.
func Submit(f SubmitFacts) Decision {
	last := RecipientFacts{Env: f.Env, Owned: f.Owned, Remote: f.Remote > 0, Count: f.Recipients}
	for _, d := range []Decision{sender(f.SenderFacts), recipient(last), form(f), fromBelongs(f), f.mayWrite(), f.declared()} {
		if !d.Allow {
			return d
		}
	}
	d := room(f.Rules, f.Usage, f.Tally())
	if d.Allow {
		d.Hold, d.Warn = f.holds(), f.undeclared(Warn)
	}
	return d
}

// Tally is what the message counts for.
func (f SubmitFacts) Tally() storage.Tally {
	t := storage.Tally{Messages: 1, Recipients: int64(f.Recipients)}
	for _, to := range f.To {
		if !to.Known {
			t.FirstTime++
		}
	}
	return t
}

// form holds the message to what can be sent at all.
func form(f SubmitFacts) Decision {
	switch {
	case f.Recipients == 0:
		return refuse(NoRecipients)
	case f.Size > MaxSize:
		return refuse(OverSize)
	case tooLarge(f.HeaderBytes, f.HeaderFields):
		return refuse(HeaderTooLarge)
	case f.HeaderMalformed:
		return refuse(HeaderSyntax)
	case f.Hops > MaxHops:
		return refuse(MailLoop)
	case f.Leaks:
		return refuse(TokenLeaked) // AC-6
	}
	for _, l := range f.Rules.Levels {
		if l.Size > 0 && f.Size > l.Size {
			return Decision{Rule: LimitSize, Level: l.Level}
		}
	}
	return allow
}

// fromBelongs holds the header to the envelope: one From field with one address,
// which is the inbox's, and the same for Sender when there is one (of which there
// may not be two: RFC 5322, section 3.6). A message that
// names two authors would be signed in the name of one who did not write it.
func fromBelongs(f SubmitFacts) Decision {
	switch {
	case f.FromFields > 1:
		return refuse(FromSeveral)
	case f.FromFields == 0 || len(f.From) == 0:
		return refuse(FromMissing)
	case !only(f.From, f.Address):
		return refuse(FromNotInbox)
	case f.SenderFields > 1, f.SenderFields == 1 && !only(f.Sender, f.Address):
		return refuse(SenderFieldNotInbox)
	case slices.ContainsFunc(f.Resent, func(a string) bool { return a != f.Address }): // RFC 5322, section 3.6.6
		return refuse(SenderFieldNotInbox)
	}
	return allow
}

func only(addresses []string, want string) bool {
	return len(addresses) == 1 && addresses[0] == want
}
