package storage

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"postern/storage/audit"
)

// TestScanBodies: a body that is read along with its row is the one that OpenBody finds, and one that was exchanged with
// another's does not open (invariant 9).
func TestScanBodies(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	bodies := [][]byte{[]byte("small"), bytes.Repeat([]byte("more than one chunk "), 5000), bytes.Repeat([]byte("in a file "), 50_000), []byte("last")}
	for size := pieceLimit - 100; size < pieceLimit+100; size += 5 { // one row, or the first of two
		bodies = append(bodies, noise(size, uint64(size)))
	}
	for i := range 300 { // more rows than are read at a time
		bodies = append(bodies, noise(3*pieceLimit+i, uint64(i)))
	}
	bodies = append(bodies, noise(inlineLimit, 1), noise(9, 1))
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
	n, along := 0, 0
	err := in.ScanBodies(t.Context(), inbox, allUIDs, func(m *Message) error {
		got, err := read(m)
		if err != nil || !bytes.Equal(got, bodies[m.UID-1]) {
			t.Errorf("UID %d: %d bytes, %v", m.UID, len(got), err)
		}
		if len(m.Content.sealed) > 0 {
			along++
		}
		n++
		return nil
	})
	if err != nil || n != len(bodies) || along < n-8 || along == n {
		t.Errorf("%d messages, %d read along, %v", n, along, err)
	}
	for i, m := range scanAll(t, in, inbox) {
		if got, err := read(&m); err != nil || !bytes.Equal(got, bodies[i]) {
			t.Errorf("UID %d alone: %d bytes, %v", m.UID, len(got), err)
		}
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

// TestBodyRest: a body that lies in several rows opens as a whole or not at all, whichever of them was cut, exchanged or
// lost (invariant 9), and goes with all of them.
func TestBodyRest(t *testing.T) {
	for name, query := range map[string]string{
		"lost":      "DELETE FROM body_rest WHERE place = (SELECT no * 256 + 2 FROM body WHERE no = 1)",
		"all lost":  "DELETE FROM body_rest WHERE place / 256 = 1",
		"cut":       "UPDATE body_rest SET sealed = x'00' WHERE place = 256 + 2",
		"exchanged": "UPDATE body_rest SET sealed = (SELECT sealed FROM body_rest WHERE place = 512 + 1) WHERE place = 256 + 1",
		"more":      "INSERT INTO body_rest (place, sealed) VALUES (256 + 9, x'00')",
	} {
		ts, in, inbox := newMailStore(t)
		for i := range 2 {
			ts.deposit(t, in, inbox, noise(10_000, uint64(i)), letter(i))
		}
		ts.tamper(t, query)
		all := scanAll(t, in, inbox)
		if b, err := in.OpenBody(t.Context(), &all[0]); !errors.Is(err, ErrCorrupt) {
			if err == nil {
				_, err = io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
			}
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !bytes.Equal(readBody(t, in, &all[1]), noise(10_000, 1)) {
			t.Errorf("%s: the neighbour", name)
		}
		ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
			_, err := tx.Expunge(e, in, inbox, nil, false)
			return err
		})
		if n := ts.number(t, "SELECT COUNT(*) FROM body_rest"); n != 0 && name != "all lost" {
			t.Errorf("%s: %d rows are left", name, n)
		}
	}
}
