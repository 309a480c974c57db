package storage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Flags is the set of flags of one message, one bit each. Bits 0 to 4 are
// IMAP's system flags, 8 to 10 the server's own keywords, 11 to 16 keywords of
// the IANA registry, 17 a mark that has no name, and 20 to 63 the keywords of
// the mailbox: bit 20+i is Mailbox.Keywords[i].
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

	// Tainting marks a message whose reading taints the agent (Verdict.Taints).
	// Deposit sets it, copies carry it along, and as it has no name no client
	// sees, finds or changes it. // PI-5
	Tainting Flags = 1 << 17
)

// ServerFlags are set by the server alone: SetFlags leaves them as they are.
const ServerFlags = InjectionSuspected | SenderVerified | Held | Tainting

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
// know are added to its table, for AddFlags and ReplaceFlags: ErrLimit when the
// table is full, ErrName when one cannot be a keyword. ErrNotFound when the
// mailbox is not one of in.
func (tx *Tx) SetFlags(e *audit.Event, in *Inbox, mailbox uuid.UUID, uids []UIDRange, op FlagOp, flags Flags, keywords []string) ([]MessageFlags, error) {
	asked := uidSet(uids)
	box, rows, err := tx.flagged(in, mailbox, asked)
	if err != nil {
		return nil, err
	}
	if err := tx.concerns(e, in, mailbox); err != nil {
		return nil, err
	}
	bits, err := tx.keywordBits(e, in, mailbox, keywords, op != RemoveFlags, false)
	if err != nil {
		return nil, err
	}
	flags = flags&fixedFlags | bits
	keep, set := op.masks(flags &^ ServerFlags)
	var changed []MessageFlags
	var runs audit.UIDs
	var delta tally
	for _, r := range rows {
		now := r.Flags&keep | set
		if now == r.Flags {
			continue
		}
		delta.add(r.Flags, 0, -1)
		delta.add(now, 0, 1)
		runs.Add(r.UID, r.UID)
		changed = append(changed, MessageFlags{UID: r.UID, Flags: now})
	}
	tx.noteFlags(e, op, flags&^ServerFlags, keywords)
	if len(changed) == 0 {
		return nil, nil
	}
	c, err := tx.count(in, mailbox, 0, delta)
	if err != nil {
		return nil, err
	}
	for i := range changed {
		changed[i].Modseq = c.modseq
	}
	if len(asked) < len(runs) {
		runs = asked // fewer statements, and what does not change is left out there
	}
	for _, r := range runs {
		err := tx.exec(`UPDATE message SET flags = (flags & $1) | $2, modseq = $3
			WHERE place BETWEEN $4 AND $5 AND flags <> ((flags & $1) | $2)`,
			int64(keep), int64(set), int64(c.modseq), place(box, r.First), place(box, r.Last))
		if err != nil {
			return nil, err
		}
	}
	tx.changed(in, mailbox)
	tx.noteSet(e, audit.UIDsOf(uidsOf(changed)...), audit.Int(audit.KeyModSeq, c.modseq))
	return changed, nil
}

// flagged reads the number of a mailbox and the flags of those messages of a set that are
// there, in UID order: one question, since most changes are of one message.
func (tx *Tx) flagged(in *Inbox, mailbox uuid.UUID, set audit.UIDs) (box int64, found []MessageFlags, err error) {
	if len(set) == 0 {
		box, err = in.box(tx, mailbox)
		return box, nil, err
	}
	for rest := set; len(rest) > 0 && err == nil; {
		h := hull(rest)
		box, found, err = tx.flaggedIn(found, in, mailbox, h, set)
		rest = after(rest, h.Last)
	}
	return box, found, err
}

const queryFlagged = `SELECT b.no, m.place, m.flags FROM mailbox b LEFT JOIN message m ON m.place BETWEEN b.no * 4294967296 + $1 AND b.no * 4294967296 + $2
	WHERE b.inbox = $3 AND b.id = $4 ORDER BY m.place`

func (tx *Tx) flaggedIn(found []MessageFlags, in *Inbox, mailbox uuid.UUID, h UIDRange, set audit.UIDs) (box int64, _ []MessageFlags, err error) {
	rows, err := tx.rows(queryFlagged, h.First, h.Last, in.record.ID[:], mailbox[:])
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	err = ErrNotFound
	var no, at, flags any
	for rows.Next() {
		if err = rows.Scan(&no, &at, &flags); err != nil {
			return 0, nil, classify(err)
		}
		if box = integer(no); at == nil {
			break // no message
		}
		if m := (MessageFlags{UID: uint32(integer(at)), Flags: Flags(integer(flags))}); set.Contains(m.UID) {
			found = append(found, m)
		}
	}
	return box, found, cmp.Or(classify(rows.Err()), err)
}

// masks gives the two halves of the operation: what stays, and what is set.
func (op FlagOp) masks(flags Flags) (keep, set Flags) {
	switch op {
	case AddFlags:
		return ^Flags(0), flags
	case RemoveFlags:
		return ^flags, 0
	}
	return ServerFlags, flags
}

var flagOpNames = [...]string{AddFlags: "add", RemoveFlags: "remove", ReplaceFlags: "replace"}

// noteFlags says in the event what was asked for. A keyword that an agent made
// up is its words, and so personal.
func (tx *Tx) noteFlags(e *audit.Event, op FlagOp, flags Flags, keywords []string) {
	e.Fields = append(e.Fields, audit.Word(audit.KeyFlagOp, flagOpNames[op]), audit.Flags(audit.KeyFlags, (flags&fixedFlags).Names(nil)))
	for _, k := range keywords {
		if _, fixed := ParseFlag(k); !fixed {
			e.Personal = append(e.Personal, audit.Text(audit.KeyKeywords, k))
		}
	}
}

func uidsOf(changed []MessageFlags) []uint32 {
	uids := make([]uint32, len(changed))
	for i, c := range changed {
		uids[i] = c.UID
	}
	return uids
}

// maxKeyword is the longest keyword, in bytes.
const maxKeyword = 128

// keywordBits finds the bits of keywords in a mailbox's table. With add, those
// that it does not know are added; with partial, those that find no room are
// left out.
func (tx *Tx) keywordBits(e *audit.Event, in *Inbox, mailbox uuid.UUID, keywords []string, add, partial bool) (bits Flags, err error) {
	if len(keywords) == 0 {
		return 0, nil
	}
	m, err := in.mailbox(tx, mailbox)
	if err != nil {
		return 0, err
	}
	known := len(m.Keywords)
	for _, k := range keywords {
		bit, err := m.keyword(k, add)
		if errors.Is(err, ErrLimit) && partial {
			continue
		} else if err != nil {
			return 0, err
		}
		bits |= bit
	}
	if len(m.Keywords) == known {
		return bits, nil
	}
	return bits, tx.updateMailbox(e, in, &m)
}

// keyword finds the bit of a keyword; with add, it is given one when it has
// none.
func (m *Mailbox) keyword(name string, add bool) (Flags, error) {
	if f, ok := ParseFlag(name); ok {
		return f &^ ServerFlags, nil
	}
	i := slices.IndexFunc(m.Keywords, func(k string) bool { return strings.EqualFold(k, name) })
	switch {
	case i >= 0:
		return 1 << (FirstKeyword + i), nil
	case !add:
		return 0, nil
	case name == "" || len(name) > maxKeyword || strings.IndexFunc(name, notAtom) >= 0:
		return 0, fmt.Errorf("%w: keyword", ErrName)
	case len(m.Keywords) == MaxKeywords:
		return 0, fmt.Errorf("%w: %d keywords", ErrLimit, MaxKeywords)
	}
	m.Keywords = append(slices.Clone(m.Keywords), name)
	return 1 << (FirstKeyword + len(m.Keywords) - 1), nil
}

// notAtom is what a keyword cannot hold (RFC 9051, section 9, atom-specials).
func notAtom(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r) }
