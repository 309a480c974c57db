package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/google/uuid"
)

// Errors of DecodeEvent.
var (
	// ErrCanonical says that bytes are no canonical event: cut, out of bounds, of another version, with a verb or a key
	// that this version does not know, or not in the one form.
	ErrCanonical = errors.New("audit: not a canonical event")
	// ErrCommitment says that personal bytes are not the ones that the leaf commits to.
	ErrCommitment = errors.New("audit: personal fields differ from the commitment in the leaf")
)

// DecodeEvent reads an event from its canonical bytes and its personal bytes, nil when these are not to be had; the
// event is then Redacted. It is strict: it accepts only bytes that encode again to the same, and personal bytes only
// when they match the commitment. Errors are ErrCanonical and ErrCommitment. Seq is left to the caller.
func DecodeEvent(canonical, personal []byte) (*Event, error) {
	if len(canonical) > MaxCanonical || len(personal) > MaxSealed {
		return nil, ErrCanonical
	}
	e := new(Event)
	d := cursor{b: canonical}
	d.event(e)
	if d.bad || len(d.b) != 0 || !bytes.Equal(e.encode(), canonical) {
		return nil, ErrCanonical
	}
	if personal == nil {
		return e, nil
	}
	if e.commitment == nil || commit(personal) != *e.commitment {
		return nil, ErrCommitment
	}
	d = cursor{b: personal}
	d.personal(e)
	if d.bad || len(d.b) != 0 || !bytes.Equal(e.PersonalBytes(), personal) {
		return nil, ErrCanonical
	}
	e.commitment = nil
	return e, nil
}

// cursor reads forward; after the first mistake it returns zeros and stays bad.
type cursor struct {
	b   []byte
	bad bool
}

func (d *cursor) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *cursor) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.take(uint64(n))
	return v
}

func (d *cursor) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.take(uint64(n))
	return v
}

func (d *cursor) id() (id uuid.UUID) {
	copy(id[:], d.take(16))
	return id
}

// bytes reads a length of at most limit and that many bytes.
func (d *cursor) bytes(limit uint64) []byte {
	n := d.uvarint()
	if n > limit {
		d.bad = true
		return nil
	}
	return d.take(n)
}

// count reads how many of something follow.
func (d *cursor) count(limit uint64) int {
	n := d.uvarint()
	// Each takes two bytes or more, so that a lie about the count allocates nothing.
	if n > limit || n > uint64(len(d.b))/2 {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *cursor) event(e *Event) {
	version := d.byte()
	verb := d.uvarint()
	e.Outcome, e.Actor.Kind = Outcome(d.byte()), ActorKind(d.byte())
	e.ID = d.id()
	var micro uint64
	if v := d.take(8); v != nil {
		micro = binary.BigEndian.Uint64(v)
	}
	bits := d.uvarint()
	if version != canonicalVersion || verb > math.MaxUint16 || !Verb(verb).known() || !e.Outcome.known() ||
		!e.Actor.Kind.known() || e.ID == uuid.Nil || micro >= endOfTime || bits >= endOfBits {
		d.bad = true
		return
	}
	e.Verb, e.Time = Verb(verb), time.UnixMicro(int64(micro)).UTC()
	d.ids(e, bits)
	if bits&hasPersonalHalf != 0 {
		e.commitment = new([32]byte)
		copy(e.commitment[:], d.take(32))
	}
	if bits&hasFields != 0 {
		e.Fields = d.fields(MaxFields)
	}
	for _, f := range e.Fields {
		d.bad = d.bad || f.Key.Personal()
	}
	if bits&hasWrites != 0 {
		e.Writes = d.writes()
	}
}

func (d *cursor) ids(e *Event, bits uint64) {
	for i, id := range [...]*uuid.UUID{
		&e.Actor.ID, &e.Actor.Credential, &e.Actor.Session, &e.Org, &e.Agent, &e.Credential, &e.Inbox, &e.Mailbox, &e.Object,
	} {
		if bits&(1<<i) != 0 {
			*id = d.id()
		}
	}
	if bits&agentIsActor != 0 {
		e.Agent = e.Actor.ID
	}
	if bits&credentialIsActor != 0 {
		e.Credential = e.Actor.Credential
	}
}

func (d *cursor) personal(e *Event) {
	copy(e.Salt[:], d.take(32))
	if b := d.bytes(16); len(b) > 0 {
		addr, ok := netip.AddrFromSlice(b)
		d.bad = d.bad || !ok
		e.Actor.Network = addr
	}
	e.Actor.Name = string(d.bytes(MaxText))
	e.Personal = d.fields(MaxPersonal)
	d.bad = d.bad || !e.hasPersonal() || e.Salt == [32]byte{}
}

func (d *cursor) fields(limit uint64) Fields {
	n := d.count(limit)
	if n == 0 {
		return nil
	}
	fields := make(Fields, 0, n)
	for range n {
		f := Field{Key: Key(min(d.uvarint(), math.MaxUint16))}
		f.Value = d.value(f.Key.kind())
		if d.bad || f.check() != nil {
			d.bad = true
			return nil
		}
		fields = append(fields, f)
	}
	return fields
}

func (d *cursor) value(k kind) any {
	switch k {
	case kindNone:
		d.bad = true
		return nil
	case kindInt:
		return d.varint()
	case kindTime:
		return int64(min(d.uvarint(), math.MaxInt64))
	case kindBool:
		v := d.byte()
		d.bad = d.bad || v > 1
		return v == 1
	case kindSet:
		return d.set()
	case kindID:
		return bytes.Clone(d.take(16))
	case kindDigest:
		return bytes.Clone(d.bytes(64))
	default:
		return string(d.bytes(MaxText))
	}
}

func (d *cursor) set() string {
	set := make(UIDs, 0, d.count(MaxRanges))
	var last uint64
	for range cap(set) {
		first := last + min(d.uvarint(), math.MaxUint32)
		last = first + min(d.uvarint(), math.MaxUint32)
		if last > math.MaxUint32 {
			d.bad = true
			return ""
		}
		set = append(set, UIDRange{uint32(first), uint32(last)})
	}
	return set.String()
}

func (d *cursor) writes() []Write {
	n := d.count(MaxWrites)
	writes := make([]Write, 0, n)
	for range n {
		w := Write{Table: string(d.bytes(32)), ID: bytes.Clone(d.bytes(64)), Version: d.uvarint()}
		switch d.byte() {
		case 0:
		case 1:
			copy(w.Digest[:], d.take(32))
			d.bad = d.bad || w.Digest == [32]byte{}
		default:
			d.bad = true
		}
		if d.bad || !isTable(w.Table) || len(w.ID) == 0 {
			d.bad = true
			return nil
		}
		writes = append(writes, w)
	}
	return writes
}
