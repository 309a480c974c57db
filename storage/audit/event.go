package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
)

// endOfTime is the first microsecond of the year 10000, which RFC 3339 cannot write.
const endOfTime = 253402300800_000000

// Event is one entry of the log: who did what to which object, when, and how it ended.
//
// It has two halves. The clear half (everything but the personal fields) is what Canonical encodes and the tree commits
// to. The personal half (Personal, Actor.Network, Actor.Name) is sealed elsewhere; the leaf holds SHA-256(Salt ‖ personal
// bytes), so that the half can be checked while its key lives and says nothing once the key is destroyed.
type Event struct {
	Seq     uint64    // index of the leaf in the tree, from 0; its place proves it, so the leaf's bytes do not hold it
	ID      uuid.UUID // UUIDv7
	Time    time.Time // UTC, microseconds
	Verb    Verb
	Outcome Outcome
	Actor   Actor

	// What the event concerns; the zero UUID says that there is none.
	Org, Agent, Credential, Inbox, Mailbox, Object uuid.UUID

	Fields   Fields   // clear facts
	Writes   []Write  // decisive rows written in the event's transaction
	Personal Fields   // personal facts, sealed
	Salt     [32]byte // random when there is anything personal, otherwise zero

	commitment *[32]byte // of a decoded event whose personal half is gone
}

// Actor says who acted.
type Actor struct {
	Kind       ActorKind
	ID         uuid.UUID  // the agent or person
	Credential uuid.UUID  // the credential that the actor showed
	Session    uuid.UUID  // the session in which it acted
	Network    netip.Addr // personal: where it connected from
	Name       string     // personal: Unix user or person, at most MaxText bytes
}

// ActorKind is the kind of an actor. Numbers are stable.
type ActorKind uint8

// The kinds of actors.
const (
	System   ActorKind = 1 // Postern itself
	Agent    ActorKind = 2 // an agent, by one of its credentials
	Person   ActorKind = 3 // a person with a session of their own
	Unix     ActorKind = 4 // a Unix user at the control socket
	Stranger ActorKind = 5 // a peer that showed no credential
	Founder  ActorKind = 6 // who holds the link by which a server is set up, before anybody has an account
)

// Outcome says how the act ended. Numbers are stable.
type Outcome uint8

// The outcomes.
const (
	OK      Outcome = 1 // done
	Refused Outcome = 2 // a rule said no
	Failed  Outcome = 3 // it was allowed and did not work
	Held    Outcome = 4 // it waits for a person
)

var (
	actorNames   = [...]string{System: "system", Agent: "agent", Person: "person", Unix: "unix", Stranger: "stranger", Founder: "founder"}
	outcomeNames = [...]string{OK: "ok", Refused: "refused", Failed: "failed", Held: "held"}
)

// String returns the kind's name.
func (k ActorKind) String() string {
	if !k.known() {
		return fmt.Sprintf("actor(%d)", uint8(k))
	}
	return actorNames[k]
}

func (k ActorKind) known() bool { return k > 0 && int(k) < len(actorNames) }

// String returns the outcome's name.
func (o Outcome) String() string {
	if !o.known() {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomeNames[o]
}

func (o Outcome) known() bool { return o > 0 && int(o) < len(outcomeNames) }

// Write names a decisive row that the event's transaction wrote: one that decides who may do what. Digest is the
// SHA-256 of its sealed record, zero when the row was deleted.
type Write struct {
	Table   string // lower-case letters, digits and _; at most 32 bytes
	ID      []byte // at most 64 bytes
	Version uint64
	Digest  [32]byte
}

// Stamp completes an event before it is checked and encoded: it gives it an id, the time (truncated to microseconds)
// and, when it has anything personal, a fresh salt. It replaces what was there.
func (e *Event) Stamp(now time.Time) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit: no random bytes for an event's id: %w", err)
	}
	e.ID, e.Time, e.Salt = id, now.UTC().Truncate(time.Microsecond), [32]byte{}
	if e.hasPersonal() {
		if _, err := rand.Read(e.Salt[:]); err != nil {
			return fmt.Errorf("audit: no random bytes for an event's salt: %w", err)
		}
	}
	return nil
}

func (e *Event) hasPersonal() bool {
	return len(e.Personal) > 0 || e.Actor.Name != "" || e.Actor.Network.IsValid()
}

// Commitment returns the leaf's commitment to the personal half, and whether there is one.
func (e *Event) Commitment() (sum [32]byte, ok bool) {
	switch {
	case e.hasPersonal():
		var buf [512]byte // enough for most, and not on the heap
		return commit(e.appendPersonal(buf[:0])), true
	case e.commitment != nil:
		return *e.commitment, true
	}
	return sum, false
}

// Redacted reports whether the event has a personal half that is not at hand: its key was destroyed, or the reader may
// not see it.
func (e *Event) Redacted() bool { return e.commitment != nil && !e.hasPersonal() }

// Check says whether the event may be written: verb, outcome, actor and keys of the vocabulary, values of their kinds,
// nothing personal among the clear fields, a salt where there is something personal, everything within bounds. A
// transaction calls it before it encodes, and rolls back when it fails.
func (e *Event) Check() error {
	switch {
	case !e.Verb.known():
		return fmt.Errorf("audit: unknown %s", e.Verb)
	case !e.Outcome.known():
		return fmt.Errorf("audit: %s has an unknown %s", e.Verb, e.Outcome)
	case !e.Actor.Kind.known():
		return fmt.Errorf("audit: %s has an unknown %s", e.Verb, e.Actor.Kind)
	case e.ID == uuid.Nil:
		return fmt.Errorf("audit: %s has no id", e.Verb)
	case e.Time.UnixMicro() < 0 || e.Time.UnixMicro() >= endOfTime:
		return fmt.Errorf("audit: time of %s is out of range", e.Verb)
	case len(e.Actor.Name) > MaxText:
		return fmt.Errorf("audit: %s has an actor with too long a name", e.Verb)
	case e.hasPersonal() == (e.Salt == [32]byte{}):
		return fmt.Errorf("audit: %s needs a salt exactly when it has a personal half", e.Verb)
	}
	if err := e.checkFields(); err != nil {
		return fmt.Errorf("%w (in %s)", err, e.Verb)
	}
	if err := e.checkWrites(); err != nil {
		return fmt.Errorf("%w (in %s)", err, e.Verb)
	}
	return e.checkSize()
}

func (e *Event) checkFields() error {
	if len(e.Fields) > MaxFields || len(e.Personal) > MaxPersonal {
		return errors.New("audit: too many fields")
	}
	for _, f := range e.Fields {
		if f.Key.Personal() {
			return fmt.Errorf("audit: personal field %s among the clear ones", f.Key)
		}
		if err := f.check(); err != nil {
			return err
		}
	}
	for _, f := range e.Personal {
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Event) checkWrites() error {
	if len(e.Writes) > MaxWrites {
		return errors.New("audit: too many writes")
	}
	for _, w := range e.Writes {
		if !isTable(w.Table) || len(w.ID) == 0 || len(w.ID) > 64 {
			return errors.New("audit: a write names no table or no row")
		}
	}
	return nil
}

func isTable(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func (e *Event) checkSize() error {
	// Head, ids and commitment take less than 300 bytes, a write less than 150 and its id; a field takes its text and
	// less than 20. Only when that might be too much are the bytes counted.
	if 300+214*len(e.Writes)+textSize(e.Fields) <= MaxCanonical &&
		100+len(e.Actor.Name)+textSize(e.Personal) <= MaxSealed {
		return nil
	}
	if len(e.encode()) > MaxCanonical || len(e.PersonalBytes()) > MaxSealed {
		return fmt.Errorf("audit: %s is too large", e.Verb)
	}
	return nil
}

// textSize is no less than the bytes that fields take. A UID set takes less than its text.
func textSize(fields Fields) (n int) {
	for _, f := range fields {
		n += 20
		switch v := f.Value.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
	}
	return n
}
