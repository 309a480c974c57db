package storage

import (
	"strings"

	"postern/storage/audit"

	"github.com/google/uuid"
)

// Flags is the set of flags of one message, one bit each. Bits 0 to 4 are
// IMAP's system flags, 8 to 10 the server's own keywords, 11 to 16 keywords of
// the IANA registry, and 20 to 63 the keywords of the mailbox: bit
// 20+i is Mailbox.Keywords[i].
type Flags uint64

// The flags that mean the same in every mailbox.
const (
	Seen     Flags = 1 << 0
	Answered Flags = 1 << 1
	Flagged  Flags = 1 << 2
	Deleted  Flags = 1 << 3
	Draft    Flags = 1 << 4

	InjectionSuspected Flags = 1 << 8
	SenderVerified     Flags = 1 << 9
	Held               Flags = 1 << 10

	Forwarded Flags = 1 << 11
	MDNSent   Flags = 1 << 12
	Junk      Flags = 1 << 13
	NotJunk   Flags = 1 << 14
	Phishing  Flags = 1 << 15
	Important Flags = 1 << 16
)

// ServerFlags are set by the server alone: SetFlags leaves them as they are.
const ServerFlags = InjectionSuspected | SenderVerified | Held

// FirstKeyword is the bit of Mailbox.Keywords[0], and MaxKeywords the number of
// keywords that one mailbox can name.
const (
	FirstKeyword = 20
	MaxKeywords  = 64 - FirstKeyword
)

// fixedFlags are the bits that need no keyword table.
const fixedFlags Flags = 1<<FirstKeyword - 1

// flagNames in the spelling of RFC 9051, section 2.3.2, and of the IANA
// registry of IMAP keywords.
var flagNames = []struct {
	flag Flags
	name string
}{
	{Seen, `\Seen`}, {Answered, `\Answered`}, {Flagged, `\Flagged`}, {Deleted, `\Deleted`}, {Draft, `\Draft`},
	{InjectionSuspected, "$InjectionSuspected"}, {SenderVerified, "$SenderVerified"}, {Held, "$Held"},
	{Forwarded, "$Forwarded"}, {MDNSent, "$MDNSent"}, {Junk, "$Junk"}, {NotJunk, "$NotJunk"},
	{Phishing, "$Phishing"}, {Important, "$Important"},
}

// ParseFlag finds the flag that has this name in every mailbox. Names are
// compared without regard to case (RFC 9051, section 2.3.2). What it does not
// know is a keyword of the mailbox.
func ParseFlag(name string) (Flags, bool) {
	for _, f := range flagNames {
		if strings.EqualFold(f.name, name) {
			return f.flag, true
		}
	}
	return 0, false
}

// Names lists the names of f in order of bits; keywords is the table of the
// mailbox (Mailbox.Keywords). A bit without a name is left out.
func (f Flags) Names(keywords []string) []string {
	var names []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	for i, k := range keywords {
		if f&(1<<(FirstKeyword+i)) != 0 {
			names = append(names, k)
		}
	}
	return names
}

// FlagOp is what SetFlags does with the flags that it is given.
type FlagOp uint8

const (
	AddFlags FlagOp = iota
	RemoveFlags
	ReplaceFlags
)

// MessageFlags is what the flags of one message became.
type MessageFlags struct {
	UID    uint32
	Modseq uint64
	Flags  Flags
}

// SetFlags changes the flags of the messages in uids and returns those that
// changed, in UID order, all with the one modseq that the change took. What
// changes nothing takes none and returns none. Flags of the server
// (ServerFlags) are neither set nor removed. Keywords that the mailbox does not
// know are added to its table, for Add and Replace; ErrLimit when the table is
// full. ErrNotFound when the mailbox is not one of in.
func (tx *Tx) SetFlags(e *audit.Event, in *Inbox, mailbox uuid.UUID, uids []UIDRange, op FlagOp, flags Flags, keywords []string) ([]MessageFlags, error) {
	panic("in the next commit")
}
