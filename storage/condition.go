package storage

import (
	"net/netip"
	"slices"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Field is what a condition on events looks at.
type Field int

// The fields.
const (
	FieldVerb       Field = iota + 1 // Value.Number: an audit.Verb
	FieldResult                      // Value.Number: an audit.Outcome
	FieldAgent                       // Value.ID
	FieldCredential                  // Value.ID
	FieldInbox                       // Value.ID
	FieldObject                      // Value.ID
	FieldActor                       // Value.Number: an audit.ActorKind; or Value.ID; or Value.Text: a name
	FieldNetwork                     // Value.Network, which is masked
	FieldMessage                     // Value.Text: a Message-ID with its angle brackets; or Value.ID: a message
	FieldTrigger                     // Value.Text: a kind of trigger, or what the trigger was; or Value.ID: a message that was answered
)

// Value is what a condition asks for; each field has its own part of it.
type Value struct {
	Number  uint64
	ID      uuid.UUID
	Text    string
	Network netip.Prefix
}

// Condition holds for an event that has one of the values, or with Not for one that
// has none of them. An event whose personal half is gone has no name, network,
// Message-ID or trigger that could be known.
type Condition struct {
	Field  Field
	Not    bool
	Values []Value
}

// Holds reports whether the condition holds for an event.
func (c *Condition) Holds(e *audit.Event) bool {
	return slices.ContainsFunc(c.Values, func(v Value) bool { return v.of(c.Field, e) }) != c.Not
}

// of reports whether an event has the value.
func (v *Value) of(f Field, e *audit.Event) bool {
	switch f {
	case FieldVerb:
		return v.Number == uint64(e.Verb)
	case FieldResult:
		return v.Number == uint64(e.Outcome)
	case FieldAgent:
		return v.ID == e.Agent
	case FieldCredential:
		return v.ID == e.Credential
	case FieldInbox:
		return v.ID == e.Inbox
	case FieldObject:
		return v.ID == e.Object
	case FieldActor:
		return v.ofActor(&e.Actor)
	case FieldNetwork:
		a, ok := networkOf(e)
		return ok && v.Network.Contains(a)
	case FieldMessage:
		return v.ID != uuid.Nil && v.ID == e.Object || v.Text != "" && e.Personal.Text(audit.KeyMessageID) == v.Text
	case FieldTrigger:
		return v.ofTrigger(e)
	}
	return false
}

func (v *Value) ofActor(a *audit.Actor) bool {
	switch {
	case v.Number != 0:
		return v.Number == uint64(a.Kind)
	case v.ID != uuid.Nil:
		return v.ID == a.ID
	}
	return v.Text != "" && v.Text == a.Name
}

func (v *Value) ofTrigger(e *audit.Event) bool {
	if v.ID != uuid.Nil {
		id, ok := e.Fields.ID(audit.KeyAnswers)
		return ok && id == v.ID
	}
	return v.Text != "" && (v.Text == e.Fields.Text(audit.KeyTrigger) || v.Text == e.Personal.Text(audit.KeyTriggerRef))
}

// networkOf is where an event came from: the address of its actor, or the network of
// strangers that are told of together.
func networkOf(e *audit.Event) (a netip.Addr, ok bool) {
	if e.Actor.Network.IsValid() {
		return e.Actor.Network.Unmap().WithZone(""), true
	}
	if e.Verb != audit.StrangersRefused {
		return a, false
	}
	p, err := netip.ParsePrefix(e.Personal.Text(audit.KeyNetwork))
	return p.Addr().Unmap(), err == nil
}

// kind is a kind of column. Numbers are stable: they are in the database.
type kind int

// The kinds. Hashes are under the key that seals the event's personal half.
const (
	kindVerb       kind = 1
	kindResult     kind = 2
	kindOrg        kind = 3
	kindAgent      kind = 4
	kindCredential kind = 5
	kindInbox      kind = 6
	kindActor      kind = 7  // its kind
	kindActorID    kind = 8  // who it is
	kindActorName  kind = 9  // hash of its name
	kindTrigger    kind = 10 // its kind
	kindCause      kind = 11 // hash of what the trigger was
	kindAnswers    kind = 12 // the message that was answered
	kindAddress    kind = 13 // hash of the address
	kindNear       kind = 14 // hash of its network of 24 bits, or 64
	kindWide       kind = 15 // of 16 bits, or 48
	kindWider      kind = 16 // of 8 bits, or 32
	kindSecond     kind = 17 // Unix time, 32 bits: until 2106
)

const (
	hashWidth = 8 // bytes of a keyed hash: what is found is compared after opening
	wordWidth = 16
)

// widths are the widths of the columns' values.
var widths = map[kind]int{
	kindVerb: 2, kindResult: 1, kindOrg: 16, kindAgent: 16, kindCredential: 16, kindInbox: 16,
	kindActor: 1, kindActorID: 16, kindActorName: hashWidth, kindTrigger: wordWidth, kindCause: hashWidth, kindAnswers: 16,
	kindAddress: hashWidth, kindNear: hashWidth, kindWide: hashWidth, kindWider: hashWidth, kindSecond: 4,
}

// levels are the lengths of networks that have a column, in bits of IPv4 and IPv6:
// the longest that is not longer than what is asked for finds all that may be meant.
var levels = []networkLevel{{kindAddress, 32, 128}, {kindNear, 24, 64}, {kindWide, 16, 48}, {kindWider, 8, 32}}

type networkLevel struct {
	kind   kind
	v4, v6 int
}

func (l networkLevel) bits(a netip.Addr) int {
	if a.Is4() {
		return l.v4
	}
	return l.v6
}

// level is the column by which a network is found, and whether that finds no others.
func level(p netip.Prefix) (k kind, wider netip.Prefix, exact, ok bool) {
	for _, l := range levels {
		n := l.bits(p.Addr())
		if n <= p.Bits() {
			return l.kind, netip.PrefixFrom(p.Addr(), n).Masked(), n == p.Bits(), true
		}
	}
	return 0, p, false, false
}
