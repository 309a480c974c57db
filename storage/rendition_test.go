package storage

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// newSafeStore is a mail store whose inbox a credential with the safe view reads.
func newSafeStore(t testing.TB) (*testStore, *Inbox, uuid.UUID) {
	t.Helper()
	ts, in, inbox := newMailStore(t)
	c := Credential{Head: Head{Org: in.Org()}, Agent: newID(), PublicID: "abcdefgh", TokenHash: ts.HashToken("secret"),
		Scopes: []Scope{{in.ID(), Read}}, Env: Live, View: ViewSafe, Expires: ts.clock.now().Add(time.Hour)}
	ts.write(t, audit.CredentialCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateCredential(e, &c) })
	return ts, in, inbox
}

// render gives messages of a mailbox renditions with a text.
func (ts *testStore) render(t testing.TB, in *Inbox, mailbox uuid.UUID, text []byte, uids ...uint32) error {
	t.Helper()
	stages := map[uint32]*Stage{}
	for _, uid := range uids {
		stages[uid] = ts.stage(t, text)
		defer stages[uid].Discard()
	}
	return ts.Write(t.Context(), System, func(tx *Tx) error {
		var made []Rendered
		for _, m := range scanAll(t, in, mailbox) {
			g := stages[m.UID]
			if g == nil {
				continue
			}
			body, err := tx.AddBody(g)
			if err != nil {
				return err
			}
			made = append(made, Rendered{m.UID, m.ID, Rendition{Version: 1, Body: body, Structure: []byte("safe"), Overlay: []byte("none"), SHA256: g.SHA256()}})
		}
		return tx.AddRenditions(tx.Record(audit.Event{Verb: audit.MessageRendered, Org: in.Org(), Inbox: in.ID()}), in, mailbox, made)
	})
}

func TestCO6_SafeInboxHandsOutRenditionsAlone(t *testing.T) {
	ts, in, inbox := newSafeStore(t)
	original := []byte("Subject: one\r\n\r\nHidden.\r\n")
	first, second := ts.deposit(t, in, inbox, original, letter(1)), ts.deposit(t, in, inbox, original, letter(2))
	if err := ts.render(t, in, inbox, []byte("shown"), first); err != nil {
		t.Fatal(err)
	}
	safe := in.Safe()
	err := safe.Scan(t.Context(), inbox, allUIDs, false, func(m *Message) error {
		if want := map[uint32]int64{first: 5, second: -1}[m.UID]; m.Size != want {
			t.Errorf("message %d: size %d, not %d", m.UID, m.Size, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, scan := range map[string]func(context.Context, uuid.UUID, []UIDRange, func(*Message) error) error{
		"contents": func(ctx context.Context, box uuid.UUID, u []UIDRange, fn func(*Message) error) error {
			return safe.Scan(ctx, box, u, true, fn)
		}, "bodies": safe.ScanBodies,
	} {
		seen := 0
		err := scan(t.Context(), inbox, allUIDs, func(m *Message) error {
			seen++
			if m.UID != first || m.Size != 5 || string(m.Content.Structure) != "safe" || string(m.Content.Overlay) != "none" || m.Content.MessageID != "" || m.Content.Auth != nil {
				t.Errorf("%s: %+v %+v", name, m, m.Content)
			}
			if got := readBody(t, safe, m); string(got) != "shown" {
				t.Errorf("%s: body %q", name, got)
			}
			return nil
		})
		var corrupt *CorruptError
		if seen != 1 || !errors.As(err, &corrupt) || !slices.Equal(corrupt.UIDs, []uint32{second}) {
			t.Errorf("%s: %d messages, %v", name, seen, err)
		}
	}
	for _, m := range scanAll(t, in, inbox) {
		if got := readBody(t, in, &m); !bytes.Equal(got, original) {
			t.Errorf("the original of %d is %q", m.UID, got)
		}
	}
}

func TestCO6_RenditionsGoAlongAndGoAway(t *testing.T) {
	ts, in, inbox := newSafeStore(t)
	uid := ts.deposit(t, in, inbox, []byte("Subject: one\r\n\r\nHello.\r\n"), letter(1))
	large := bytes.Repeat([]byte("shown "), inlineLimit/4)
	if err := ts.render(t, in, inbox, large, uid); err != nil {
		t.Fatal(err)
	}
	if err := ts.render(t, in, inbox, []byte("another"), uid); !errors.Is(err, ErrRendered) {
		t.Errorf("a second rendition: %v", err)
	}
	sent, all := ts.role(t, in, RoleSent).ID, allUIDs
	var copied, moved []uint32
	ts.write(t, audit.MessageCopied, func(tx *Tx, e *audit.Event) (err error) {
		_, copied, err = tx.CopyMessages(e, in, inbox, all, sent)
		return err
	})
	ts.write(t, audit.MessageMoved, func(tx *Tx, e *audit.Event) (err error) {
		_, moved, err = tx.MoveMessages(e, in, inbox, all, sent)
		return err
	})
	n := 0
	err := in.Safe().ScanBodies(t.Context(), sent, all, func(m *Message) error {
		n++
		if got := readBody(t, in.Safe(), m); !bytes.Equal(got, large) {
			t.Errorf("message %d shows %d bytes", m.UID, len(got))
		}
		return nil
	})
	if err != nil || n != 2 || len(copied)+len(moved) != 2 {
		t.Fatalf("%d messages, %v", n, err)
	}
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, sent, []UIDRange{{First: copied[0], Last: copied[0]}}, false)
		return err
	})
	assertVerifies(t, ts)
	in = ts.openInbox(t, InboxRecord{Head: Head{Org: in.Org(), ID: in.ID()}})
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, sent, nil, false)
		return err
	})
	ts.bodies.removals.Wait()
	files, err := os.ReadDir(filepath.Join(ts.cfg.Dir, bodiesDir))
	if err != nil || len(files) != 0 || ts.number(t, "SELECT COUNT(*) FROM rendition")+ts.number(t, "SELECT COUNT(*) FROM body") != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func TestCO5_RenditionsAreErased(t *testing.T) {
	ts, in, inbox := newSafeStore(t)
	for n := range 3 {
		ts.deposit(t, in, inbox, []byte("Subject: one\r\n\r\nHello.\r\n"), letter(n))
	}
	if err := ts.render(t, in, inbox, []byte("shown"), 1, 2); err != nil {
		t.Fatal(err)
	}
	rec, err := ts.InboxRecord(t.Context(), in.Org(), in.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.remove(t, rec, false); err != nil {
		t.Fatal(err)
	}
	if err := ts.EraseInbox(t.Context(), in.ID()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"rendition", "body", "body_ref", "safe_inbox"} {
		if n := ts.number(t, "SELECT COUNT(*) FROM "+table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
}

// assertVerifies stops the store, holds its rows against its log, and starts it.
func assertVerifies(t *testing.T, ts *testStore) {
	t.Helper()
	cfg := ts.cfg
	if err := ts.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := VerifyData(t.Context(), cfg)
	if err != nil || !report.OK() {
		t.Fatalf("%v %+v", err, report)
	}
	ts.open(t)
}

func TestCO6_FirstAccessMakesOneRendition(t *testing.T) {
	ts, in, inbox := newSafeStore(t)
	var uids []uint32
	for n := range 4 {
		uids = append(uids, ts.deposit(t, in, inbox, []byte("Subject: one\r\n\r\nHello.\r\n"), letter(n)))
	}
	var made, late atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch err := ts.render(t, in, inbox, []byte("shown"), uids...); {
			case err == nil:
				made.Add(1)
			case errors.Is(err, ErrRendered):
				late.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 || late.Load() != 7 || ts.number(t, "SELECT COUNT(*) FROM rendition") != 4 || ts.number(t, "SELECT COUNT(*) FROM body") != 8 {
		t.Errorf("%d made, %d late", made.Load(), late.Load())
	}
	missing, err := in.Unrendered(t.Context(), inbox, allUIDs, 10)
	if err != nil || len(missing) != 0 {
		t.Errorf("unrendered: %v, %v", missing, err)
	}
}

func TestReadsSafe(t *testing.T) {
	ts, in, _ := newSafeStore(t)
	look := func() bool {
		t.Helper()
		is, err := ts.ReadsSafe(t.Context(), in.ID())
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if !look() {
		t.Error("nobody knows of the safe credential")
	}
	assertVerifies(t, ts)
	if !look() {
		t.Error("forgotten at the start")
	}
	ts.clock.advance(2 * time.Hour)
	if look() {
		t.Error("the credential has ended")
	}
}
