package storage

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// TestScanBodies: a body that is read along with its row is the one that OpenBody finds, and one that was exchanged with
// another's does not open (invariant 9).
func TestScanBodies(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	bodies := [][]byte{[]byte("small"), bytes.Repeat([]byte("more than one chunk "), 5000), bytes.Repeat([]byte("in a file "), 50_000), []byte("last")}
	for i, b := range bodies {
		ts.deposit(t, in, inbox, b, letter(i))
	}
	read := func(m *Message) ([]byte, error) {
		b, err := in.OpenBody(t.Context(), m)
		if err != nil {
			return nil, err
		}
		defer b.Close()
		return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	}
	n := 0
	err := in.ScanBodies(t.Context(), inbox, allUIDs, func(m *Message) error {
		got, err := read(m)
		if err != nil || !bytes.Equal(got, bodies[m.UID-1]) {
			t.Errorf("UID %d: %d bytes, %v", m.UID, len(got), err)
		}
		if along := len(m.Content.sealed) > 0; along != (m.UID != 3) {
			t.Errorf("UID %d was read along: %v", m.UID, along)
		}
		n++
		return nil
	})
	if err != nil || n != len(bodies) {
		t.Errorf("%d messages, %v", n, err)
	}
	ts.tamper(t, "UPDATE body SET sealed = (SELECT sealed FROM body WHERE no = 4) WHERE no = 1")
	err = in.ScanBodies(t.Context(), inbox, []UIDRange{{First: 1, Last: 1}}, func(m *Message) error {
		if _, err := read(m); !errors.Is(err, ErrCorrupt) {
			t.Errorf("exchanged: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
