package seal

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// Identity says which record a sealed value belongs to. It is authenticated
// with the value (associated data) and is not stored in it: whoever opens a
// value says what he expects to find, and a value that was copied from another
// row, another column, an older version or another event does not open.
//
// Every field counts, also when it is zero. A caller that has no organization,
// version or event leaves the field zero both when sealing and when opening.
type Identity struct {
	Org     uuid.UUID // organization; zero for what belongs to the instance
	Table   string    // table of the row
	ID      []byte    // primary key of the row, in an encoding that the table fixes
	Purpose string    // which value of the row: "record", "envelope", "body", ...
	Version uint64    // version of the row, so that an old value cannot come back
	Event   uuid.UUID // audit event that last wrote the row
}

// kind keeps apart what one key may do, so that a sealed value of one kind
// never opens as another. The numbers are part of the stored format.
type kind byte

const (
	kindRecord kind = 1 // Key.Seal
	kindKey    kind = 2 // Key.Wrap
	kindBody   kind = 3 // NewBodyWriter
)

// identityRoom is a capacity that holds nearly every identity.
const identityRoom = 192

// append adds the canonical bytes of id to dst: the kind, the fields of fixed
// size, then each field of variable size behind its length in four bytes. Two
// different identities never have the same bytes.
func (id *Identity) append(dst []byte, k kind) []byte {
	dst = append(dst, byte(k))
	dst = append(dst, id.Org[:]...)
	dst = append(dst, id.Event[:]...)
	dst = binary.BigEndian.AppendUint64(dst, id.Version)
	dst = appendPrefixed(dst, id.Table)
	dst = appendPrefixed(dst, id.Purpose)
	return appendPrefixed(dst, id.ID)
}

// appendPrefixed adds part behind its length in four bytes.
func appendPrefixed[T string | []byte](dst []byte, part T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(part)))
	return append(dst, part...)
}
