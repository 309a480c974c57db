package policy

import (
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
	AgentState storage.AgentState
	Inbox      uuid.UUID           // that the session opened
	Address    string              // of Inbox, canonical
	Env        storage.Environment // of Inbox
	Envelope   string              // canonical reverse-path; empty for the null path
}

// Sender decides whether a session may begin a message from this address: the
// inbox's own address, a credential that may send from it, an agent that is
// active. The null path is for servers: a submission with it would forge a
// notice (RFC 6409, section 5.1, lets us refuse). // AC-4
func Sender(f SenderFacts) Decision {
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
	Remote bool                // the recipient's domain is not ours
	Count  int                 // of recipients, with this one
}

// Recipient decides about one recipient. Whether a local inbox exists is no fact
// here: the answer is the same. // AC-5
func Recipient(f RecipientFacts) Decision {
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
	Remote     int // of them, how many are not ours
	Size       int64

	FromFields   int      // From fields in the header
	From         []string // canonical addresses in them
	SenderFields int      // Sender fields in the header
	Sender       []string // canonical addresses in them

	HeaderMalformed bool  // a line of the header is no field
	HeaderBytes     int64 // of the top header
	HeaderFields    int   // in it
	Hops            int   // Received fields
}

// Submit is the one gate (invariant 7): every outgoing message passes it as a
// whole, after whatever was said politely before.
func Submit(f SubmitFacts) Decision {
	if d := Sender(f.SenderFacts); !d.Allow {
		return d
	}
	last := RecipientFacts{Env: f.Env, Owned: f.Owned, Remote: f.Remote > 0, Count: f.Recipients}
	if d := Recipient(last); !d.Allow {
		return d
	}
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
	}
	return fromBelongs(f)
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
	}
	return allow
}

func only(addresses []string, want string) bool {
	return len(addresses) == 1 && addresses[0] == want
}
