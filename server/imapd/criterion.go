package imapd

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"postern/storage"
)

// A criterion is one key of a SEARCH, or several under AND, OR or NOT. An empty AND matches everything, an empty OR
// nothing.
type criterion struct {
	op     op
	kids   []criterion
	flags  storage.Flags
	set    []imap.UIDRange
	n      int64  // size in bytes, or day
	before bool   // of a date: earlier; with neither, the day or later
	on     bool   // of a date: the same day
	field  string // of opEnvelope in lower case, of opHeader as the client wrote it
	needle needle
}

// An op is what a criterion asks.
type op uint8

const (
	opAnd op = iota
	opOr
	opNot
	// Of the row.
	opFlag
	opSet
	opLarger
	opSmaller
	opReceived
	// Of what is stored beside the message.
	opSent
	opEnvelope
	// Of the message.
	opHeader
	opBody
	opText
)

// An answer is what a criterion says of a message as far as the message has been opened.
type answer uint8

const (
	never answer = iota
	yes
	unknown
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return never
}

// bounds are the UIDs outside of which nothing can match: the sets that all results must be in.
func (k *criterion) bounds() []imap.UIDRange {
	all := []imap.UIDRange{{Start: 1, Stop: 1<<32 - 1}}
	switch k.op {
	case opSet:
		return k.set
	case opAnd:
		for i := range k.kids {
			all = intersect(all, k.kids[i].bounds())
		}
	}
	return all
}

// intersect returns what is in both of two sets in normal form.
func intersect(a, b []imap.UIDRange) (out []imap.UIDRange) {
	for len(a) > 0 && len(b) > 0 {
		first, last := max(a[0].Start, b[0].Start), min(a[0].Stop, b[0].Stop)
		if first <= last {
			out = append(out, imap.UIDRange{Start: first, Stop: last})
		}
		if a[0].Stop < b[0].Stop {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// needsContent reports whether a key looks further than at rows.
func (k *criterion) needsContent() bool {
	return k.op >= opSent || slices.ContainsFunc(k.kids, func(c criterion) bool { return c.needsContent() })
}

// needsBody reports whether a key looks at the message itself.
func (k *criterion) needsBody() bool {
	return k.op >= opHeader || slices.ContainsFunc(k.kids, func(c criterion) bool { return c.needsBody() })
}

// needsSize reports whether a key looks at sizes.
func (k *criterion) needsSize() bool {
	return k.op == opLarger || k.op == opSmaller || slices.ContainsFunc(k.kids, func(c criterion) bool { return c.needsSize() })
}

// needsRow reports whether a key looks at rows. Sets do not count: they have been dealt with where they bound all, and
// cost nothing where they do not.
func (k *criterion) needsRow() bool {
	switch k.op {
	case opFlag, opLarger, opSmaller, opReceived:
		return true
	}
	return slices.ContainsFunc(k.kids, func(c criterion) bool { return c.needsRow() })
}

// eval answers as far as the candidate is open.
func (k *criterion) eval(c *candidate) answer {
	switch k.op {
	case opAnd, opOr:
		return k.evalKids(c)
	case opNot:
		switch k.kids[0].eval(c) {
		case yes:
			return never
		case never:
			return yes
		}
		return unknown
	case opFlag:
		return answerOf(c.m.Flags&k.flags == k.flags)
	case opSet:
		return answerOf(contains(k.set, imap.UID(c.m.UID)))
	case opLarger:
		return answerOf(c.m.Size > k.n)
	case opSmaller:
		return answerOf(c.m.Size >= 0 && c.m.Size < k.n)
	case opReceived:
		return answerOf(k.inTime(day(c.m.Received)))
	}
	return c.look(k)
}

// evalKids stops at the first kid that decides.
func (k *criterion) evalKids(c *candidate) answer {
	decides, otherwise := never, yes
	if k.op == opOr {
		decides, otherwise = yes, never
	}
	for i := range k.kids {
		switch k.kids[i].eval(c) {
		case decides:
			return decides
		case unknown:
			otherwise = unknown
		}
	}
	return otherwise
}

func (k *criterion) inTime(day int64) bool {
	switch {
	case k.before:
		return day < k.n
	case k.on:
		return day == k.n
	}
	return day >= k.n
}

// contains reports whether a set in normal form has a UID.
func contains(set []imap.UIDRange, uid imap.UID) bool {
	_, ok := slices.BinarySearchFunc(set, uid, func(r imap.UIDRange, u imap.UID) int {
		switch {
		case r.Stop < u:
			return -1
		case r.Start > u:
			return 1
		}
		return 0
	})
	return ok
}
