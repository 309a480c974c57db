package storage

import (
	"errors"
	"math"
	"slices"
	"testing"

	"postern/storage/audit"
)

func TestAfter(t *testing.T) {
	set := audit.UIDs{{First: 1, Last: 3}, {First: 7, Last: math.MaxUint32}}
	for last, want := range map[uint32]string{0: "1:3,7:4294967295", 2: "3,7:4294967295", 3: "7:4294967295", 5: "7:4294967295", 9: "10:4294967295", math.MaxUint32: ""} {
		if got := after(set, last).String(); got != want {
			t.Errorf("after %d: %s, want %s", last, got, want)
		}
	}
	if set.String() != "1:3,7:4294967295" {
		t.Error("the set was changed")
	}
}

// FuzzUIDs: ranges come back as they were packed, and what was not packed here
// is refused or in normal form.
func FuzzUIDs(f *testing.F) {
	f.Add([]byte{1, 0})
	f.Add(encodeUIDs(audit.UIDs{{First: 1, Last: 3}, {First: 7, Last: math.MaxUint32}}))
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := decodeUIDs(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			return
		}
		again, err := decodeUIDs(encodeUIDs(set))
		if err != nil || !slices.Equal(again, set) || !slices.Equal(uidSet(set), set) {
			t.Errorf("%v became %v, %v", set, again, err)
		}
	})
}

// FuzzContent: a content that decodes is one that append writes, and none makes
// the decoder read beyond its bytes.
func FuzzContent(f *testing.F) {
	c := sealedContent{id: newID(), received: 1, size: 2, server: Held, Content: letter(1).Content}
	c.wrapped = make([]byte, 60)
	f.Add(c.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c, d sealedContent
		if c.decode(b) != nil {
			return
		}
		if err := d.decode(c.append(nil)); err != nil {
			t.Errorf("what was decoded does not decode again: %v", err)
		}
	})
}
