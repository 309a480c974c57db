package audit

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
)

// The canonical form, version 1. Integers are minimal varints unless a width is given.
//
//	version     1 byte, 1
//	verb        uvarint
//	outcome     1 byte
//	actor kind  1 byte
//	id          16 bytes
//	time        8 bytes, big-endian microseconds since 1970 UTC
//	presence    uvarint, the bits below
//	ids         16 bytes for each bit that says so, in the order of the bits
//	commitment  32 bytes, SHA-256(salt ‖ personal bytes), when there is a personal half
//	fields      count, then key and value of each
//	writes      count, then table, id, version and digest of each
//
// The personal form is the 32 bytes of the salt, the network (length 0, 4 or 16 and the bytes), the actor's name, and
// the personal fields as above.
//
// A leaf has exactly one encoding: what does not encode again to equal bytes does not decode.
const canonicalVersion = 1

const (
	hasActorID uint64 = 1 << iota
	hasActorCredential
	hasActorSession
	hasOrg
	hasAgent
	hasCredential
	hasInbox
	hasMailbox
	hasObject
	agentIsActor      // Agent equals Actor.ID, and stands for it
	credentialIsActor // Credential equals Actor.Credential, and stands for it
	hasPersonalHalf
	hasFields
	hasWrites
	endOfBits
)

// Canonical returns the clear half's one binary form: the data of the leaf. It panics on an event that Check refuses
// because a value is not of its key's kind.
func (e *Event) Canonical() []byte { return e.encode() }

// LeafHash returns the hash of a leaf with these canonical bytes: SHA-256(0x00 ‖ canonical) (RFC 6962, section 2.1).
func LeafHash(canonical []byte) [32]byte { return tlog.RecordHash(canonical) }

// PersonalBytes returns the salt and the personal half in canonical form, which is what gets sealed, or nil when
// there is nothing personal. Like Canonical, it panics on a value that is not of its key's kind.
func (e *Event) PersonalBytes() []byte {
	if !e.hasPersonal() {
		return nil
	}
	return e.appendPersonal(make([]byte, 0, 64+48*len(e.Personal)))
}

func (e *Event) appendPersonal(b []byte) []byte {
	b = append(b, e.Salt[:]...)
	b = appendBytes(b, network(e.Actor))
	b = appendBytes(b, []byte(e.Actor.Name))
	return appendFields(b, e.Personal)
}

// network returns 4 or 16 bytes, or none. An IPv4 address has one form only, and a zone says nothing to a reader
// elsewhere.
func network(a Actor) []byte {
	if !a.Network.IsValid() {
		return nil
	}
	return a.Network.Unmap().WithZone("").AsSlice()
}

func commit(personal []byte) [32]byte { return sha256.Sum256(personal) }

func (e *Event) encode() []byte {
	commitment, committed := e.Commitment()
	b := make([]byte, 0, 256+64*len(e.Writes))
	b = append(b, canonicalVersion)
	b = binary.AppendUvarint(b, uint64(e.Verb))
	b = append(b, byte(e.Outcome), byte(e.Actor.Kind))
	b = append(b, e.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Time.UnixMicro()))
	bits, ids := e.presence()
	if committed {
		bits |= hasPersonalHalf
	}
	b = binary.AppendUvarint(b, bits)
	for i := range ids {
		if bits&(1<<i) != 0 {
			b = append(b, ids[i][:]...)
		}
	}
	if committed {
		b = append(b, commitment[:]...)
	}
	if len(e.Fields) > 0 {
		b = appendFields(b, e.Fields)
	}
	if len(e.Writes) > 0 {
		b = appendWrites(b, e.Writes)
	}
	return b
}

// presence returns the presence bits and the ids in their order.
func (e *Event) presence() (bits uint64, ids [9]uuid.UUID) {
	ids = [...]uuid.UUID{
		e.Actor.ID, e.Actor.Credential, e.Actor.Session, e.Org, e.Agent, e.Credential, e.Inbox, e.Mailbox, e.Object,
	}
	for i := range ids {
		if ids[i] != uuid.Nil {
			bits |= 1 << i
		}
	}
	if bits&hasAgent != 0 && e.Agent == e.Actor.ID {
		bits ^= hasAgent | agentIsActor
	}
	if bits&hasCredential != 0 && e.Credential == e.Actor.Credential {
		bits ^= hasCredential | credentialIsActor
	}
	if len(e.Fields) > 0 {
		bits |= hasFields
	}
	if len(e.Writes) > 0 {
		bits |= hasWrites
	}
	return bits, ids
}

func appendFields(b []byte, fields Fields) []byte {
	b = binary.AppendUvarint(b, uint64(len(fields)))
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(f.Key))
		switch f.Key.kind() {
		case kindInt:
			b = binary.AppendVarint(b, f.Value.(int64))
		case kindTime:
			b = binary.AppendUvarint(b, uint64(f.Value.(int64)))
		case kindBool:
			if f.Value.(bool) {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		case kindSet:
			b = appendSet(b, f.Value.(string))
		case kindID:
			b = append(b, f.Value.([]byte)...)
		case kindDigest:
			b = appendBytes(b, f.Value.([]byte))
		default:
			s := f.Value.(string)
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	return b
}

// appendSet writes ranges as their distance from the one before and their length: two bytes for most.
func appendSet(b []byte, text string) []byte {
	set, err := ParseUIDs(text)
	if err != nil {
		panic(err)
	}
	b = binary.AppendUvarint(b, uint64(len(set)))
	var last uint32
	for _, r := range set {
		b = binary.AppendUvarint(b, uint64(r.First-last))
		b = binary.AppendUvarint(b, uint64(r.Last-r.First))
		last = r.Last
	}
	return b
}

func appendWrites(b []byte, writes []Write) []byte {
	b = binary.AppendUvarint(b, uint64(len(writes)))
	for _, w := range writes {
		b = appendBytes(b, []byte(w.Table))
		b = appendBytes(b, w.ID)
		b = binary.AppendUvarint(b, w.Version)
		if w.Digest == [32]byte{} { // deleted
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = append(b, w.Digest[:]...)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}
