package storage

import (
	"errors"
	"testing"
	"time"

	"postern/storage/audit"
)

func TestPI5_Correspondents(t *testing.T) {
	ts, in, _ := newMailStore(t)
	const ann, bob = "ann@good.example", "bob@good.example"
	get := func(address string) (a, d Correspondent) {
		t.Helper()
		a, err := in.Correspondent(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		d, err = in.CorrespondentDomain(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		return a, d
	}
	ts.write(t, audit.MessageSubmitted, func(tx *Tx, _ *audit.Event) error { return tx.NoteSent(in, ann) })
	a, d := get(ann)
	if a.FirstSent.IsZero() || !a.LastSent.Equal(a.FirstSent) || !a.FirstReceived.IsZero() || d != a {
		t.Errorf("%+v %+v", a, d)
	}
	if b, d := get(bob); b != (Correspondent{}) || d.FirstSent.IsZero() {
		t.Errorf("of the same domain: %+v %+v", b, d)
	}
	first := a.FirstSent
	ts.clock.advance(time.Hour)
	ts.write(t, audit.MessageSubmitted, func(tx *Tx, _ *audit.Event) error { return tx.NoteSent(in, ann) })
	if a, _ = get(ann); !a.LastSent.Equal(first) {
		t.Errorf("a second message within a day cost a write: %+v", a)
	}
	ts.clock.advance(48 * time.Hour)
	ts.write(t, audit.MessageReceived, func(tx *Tx, _ *audit.Event) error {
		if err := tx.NoteSent(in, ann); err != nil {
			return err
		}
		return tx.NoteReceived(in, ann, false)
	})
	if a, _ = get(ann); !a.FirstSent.Equal(first) || !a.LastSent.After(first) || a.FirstReceived.IsZero() || !a.FirstClean.IsZero() {
		t.Errorf("%+v", a)
	}
	ts.write(t, audit.MessageReceived, func(tx *Tx, _ *audit.Event) error { return tx.NoteReceived(in, ann, true) })
	if a, _ = get(ann); a.FirstClean.IsZero() {
		t.Errorf("%+v", a)
	}
}

// TestInvariant9_CorrespondentsAreBound: a row that was put under another address, or into another inbox, does not open.
func TestInvariant9_CorrespondentsAreBound(t *testing.T) {
	ts, in, _ := newMailStore(t)
	ts.write(t, audit.MessageSubmitted, func(tx *Tx, _ *audit.Event) error { return tx.NoteSent(in, "ann@good.example") })
	ts.Close()
	hash := in.hashAddress("eve@evil.example")
	tamper(t, ts.cfg.Dir, "INSERT INTO correspondent (inbox, hash, sealed) SELECT inbox, $1, sealed FROM correspondent WHERE hash = $2", hash, in.hashAddress("ann@good.example"))
	ts.open(t)
	in = ts.openInbox(t, in.record)
	if c, err := in.Correspondent(t.Context(), "eve@evil.example"); !errors.Is(err, ErrCorrupt) || c != (Correspondent{}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestCO5_ErasedCorrespondents: they go with their inbox.
func TestCO5_ErasedCorrespondents(t *testing.T) {
	ts, gone, _ := doomed(t)
	in := ts.openInbox(t, gone)
	ts.write(t, audit.MessageSubmitted, func(tx *Tx, _ *audit.Event) error { return tx.NoteSent(in, "ann@good.example") })
	if err := ts.remove(t, gone, true); err != nil {
		t.Fatal(err)
	}
	if err := ts.EraseInbox(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if n := ts.number(t, "SELECT COUNT(*) FROM correspondent"); n != 0 {
		t.Errorf("%d correspondents are left", n)
	}
}

func FuzzCorrespondent(f *testing.F) {
	f.Add((&Correspondent{FirstSent: time.Unix(1, 0)}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Correspondent
		if c.decode(b) == nil {
			var again Correspondent
			if err := again.decode(c.append(nil)); err != nil || again != c {
				t.Errorf("%+v, %v", again, err)
			}
		}
	})
}
