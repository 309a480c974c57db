package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// newMailStore is a test store with one inbox and its INBOX.
func newMailStore(t testing.TB) (*testStore, *Inbox, uuid.UUID) {
	t.Helper()
	ts := newTestStore(t)
	_, _, rec := ts.addOrg(t, "example.com", "support")
	in := ts.openInbox(t, rec)
	return ts, in, ts.role(t, in, RoleInbox).ID
}

func (ts *testStore) openInbox(t testing.TB, rec InboxRecord) *Inbox {
	t.Helper()
	in, err := ts.OpenInbox(context.Background(), rec.Org, rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (ts *testStore) role(t testing.TB, in *Inbox, role Role) Mailbox {
	t.Helper()
	m, err := in.MailboxByRole(context.Background(), role)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// stage stages a message.
func (ts *testStore) stage(t testing.TB, body []byte) *Stage {
	t.Helper()
	g := ts.Stage()
	if _, err := g.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := g.Finish(); err != nil {
		t.Fatal(err)
	}
	return g
}

// letter is a deposit whose content can be told from others.
func letter(n int) Deposit {
	return Deposit{ID: newID(), Size: int64(1000 + n), Content: Content{
		Structure: bytes.Repeat([]byte{byte(n)}, 600), Overlay: []byte("overlay"), Auth: []byte("auth"), Verdict: Suspicious,
		Score: 0.5, Model: "m1", MessageID: fmt.Sprintf("<%d@example.com>", n), Origin: OriginMX,
	}}
}

// deposit stores a body in a mailbox and returns its UID.
func (ts *testStore) deposit(t testing.TB, in *Inbox, mailbox uuid.UUID, body []byte, d Deposit) (uid uint32) {
	t.Helper()
	g := ts.stage(t, body)
	defer g.Discard()
	d.SHA256 = g.SHA256()
	ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) (err error) {
		if d.Body, err = tx.AddBody(g); err != nil {
			return err
		}
		uid, err = tx.Deposit(e, in, mailbox, d)
		return err
	})
	return uid
}

// scanAll reads a mailbox with content; the copies outlive the scan.
func scanAll(t testing.TB, in *Inbox, mailbox uuid.UUID) (all []Message) {
	t.Helper()
	err := in.Scan(context.Background(), mailbox, allUIDs, true, func(m *Message) error {
		all = append(all, keep(m))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func keep(m *Message) Message {
	k, c := *m, *m.Content
	c.Structure, c.Overlay, c.Auth, c.wrapped = slices.Clone(c.Structure), slices.Clone(c.Overlay), slices.Clone(c.Auth), slices.Clone(c.wrapped)
	c.runs = slices.Clone(c.runs)
	k.Content = &c
	return k
}

func readBody(t testing.TB, in *Inbox, m *Message) []byte {
	t.Helper()
	b, err := in.OpenBody(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	data, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// number reads one number from the database.
func (ts *testStore) number(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	err := ts.read(context.Background(), func(r *reads) error { return r.row(query, args...).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDepositRoundTrip(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	d := letter(7)
	d.Flags, d.Keywords = Seen|InjectionSuspected, []string{"Blue", "$Junk", "blue"}
	d.Received = ts.clock.now()
	body := []byte("Subject: hello\r\n\r\nworld\r\n")
	watch := in.Watch(inbox)
	defer watch.Stop()
	uid := ts.deposit(t, in, inbox, body, d)
	select {
	case <-watch.Hint():
	default:
		t.Error("no hint after a commit")
	}
	m, err := in.Mailbox(t.Context(), inbox)
	if err != nil {
		t.Fatal(err)
	}
	if uid != 1 || m.UIDNext != 2 || m.Messages != 1 || m.Unseen != 0 || m.Bytes != d.Size || m.Modseq != 2 {
		t.Errorf("UID %d, mailbox %+v", uid, m)
	}
	if !slices.Equal(m.Keywords, []string{"Blue"}) {
		t.Errorf("keywords %q", m.Keywords)
	}
	all := scanAll(t, in, inbox)
	got, c := all[0], all[0].Content
	want := Seen | InjectionSuspected | Tainting | Junk | 1<<FirstKeyword
	if got.UID != 1 || got.ID != d.ID || got.Size != d.Size || !got.Received.Equal(d.Received) || got.Flags != want || got.Mailbox != inbox {
		t.Errorf("got %+v", got)
	}
	if !bytes.Equal(c.Structure, d.Structure) || string(c.Overlay) != "overlay" || string(c.Auth) != "auth" || c.Verdict != Suspicious ||
		c.Score != 0.5 || c.Model != "m1" || c.MessageID != d.MessageID || c.Origin != OriginMX || c.SHA256 != sha256.Sum256(body) {
		t.Errorf("content %+v", c)
	}
	if !bytes.Equal(readBody(t, in, &got), body) {
		t.Error("the body came back changed")
	}
	names := got.Flags.Names(m.Keywords)
	if !slices.Equal(names, []string{`\Seen`, "$InjectionSuspected", "$Junk", "Blue"}) {
		t.Errorf("names %q", names)
	}
	events, err := ts.Events(t.Context(), EventQuery{Inbox: in.ID(), Verbs: []audit.Verb{audit.MessageReceived}})
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	e := events[0]
	if n, _ := e.Fields.Int(audit.KeyUID); n != 1 || e.Mailbox != inbox || e.Org != in.Org() || e.Object != d.ID {
		t.Errorf("event %+v", e)
	}
}

// TestBodyShared: one body for several inboxes, with the key wrapped for each;
// it goes with the last message that refers to it.
func TestBodyShared(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	_, _, rec := ts.addOrg(t, "example.net", "sales")
	other := ts.openInbox(t, rec)
	otherbox := ts.role(t, other, RoleInbox).ID
	for _, size := range []int{4000, 3 * inlineLimit} {
		body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		g := ts.stage(t, body)
		err := ts.Write(t.Context(), System, func(tx *Tx) error {
			ref, err := tx.AddBody(g)
			if err != nil {
				return err
			}
			for _, to := range []struct {
				in  *Inbox
				box uuid.UUID
			}{{in, inbox}, {other, otherbox}, {in, inbox}} {
				d := letter(1)
				d.Body = ref
				if _, err := tx.Deposit(tx.Record(audit.Event{Verb: audit.MessageReceived}), to.in, to.box, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		g.Discard()
		mine, theirs := scanAll(t, in, inbox), scanAll(t, other, otherbox)
		if !bytes.Equal(readBody(t, other, &theirs[0]), body) || !bytes.Equal(readBody(t, in, &mine[1]), body) {
			t.Error("a body came back changed")
		}
		if _, err := in.OpenBody(t.Context(), &theirs[0]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("another inbox's content opened a body: %v", err)
		}
		for i, box := range []struct {
			in  *Inbox
			box uuid.UUID
		}{{in, inbox}, {other, otherbox}} {
			if n := ts.number(t, "SELECT COUNT(*) FROM body"); n != 1 {
				t.Errorf("%d bodies before expunge %d", n, i)
			}
			ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
				_, err := tx.Expunge(e, box.in, box.box, nil, false)
				return err
			})
		}
		ts.bodies.removals.Wait()
		if n := ts.number(t, "SELECT COUNT(*) FROM body") + ts.number(t, "SELECT COUNT(*) FROM body_ref") + len(ts.files(t)); n != 0 {
			t.Errorf("%d bodies, counters or files are left", n)
		}
		if _, err := other.OpenBody(t.Context(), &theirs[0]); !errors.Is(err, ErrNotFound) {
			t.Errorf("open after expunge: %v", err)
		}
	}
}

// TestBodyNumberUsedAgain: the newest number is given again when its body went
// and the store was opened anew; who still holds the old reference finds
// nothing.
func TestBodyNumberUsedAgain(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.deposit(t, in, inbox, []byte("old"), letter(1))
	old := scanAll(t, in, inbox)[0]
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, inbox, nil, false)
		return err
	})
	ts.Close()
	ts.open(t)
	in = ts.openInbox(t, in.record)
	ts.deposit(t, in, inbox, []byte("new"), letter(2))
	m := scanAll(t, in, inbox)[0]
	if m.Content.Body.No != old.Content.Body.No || m.UID != 2 {
		t.Fatalf("body %d and UID %d after body %d", m.Content.Body.No, m.UID, old.Content.Body.No)
	}
	if b, err := in.OpenBody(t.Context(), &old); err != ErrNotFound {
		t.Errorf("the old reference: %v, %v", b, err)
	}
}

// TestIsolation: a mailbox of another inbox and one that does not exist give the
// same answer everywhere (AC-5, AC-19, invariant 14).
func TestIsolation(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	_, _, rec := ts.addOrg(t, "example.net", "sales")
	other := ts.openInbox(t, rec)
	theirs := ts.role(t, other, RoleInbox).ID
	ts.deposit(t, other, theirs, []byte("x"), letter(1))
	g := ts.stage(t, []byte("y"))
	defer g.Discard()
	ctx := t.Context()
	one := []UIDRange{{First: 1, Last: 1}}
	for _, box := range []uuid.UUID{theirs, newID()} {
		reads := map[string]error{}
		_, reads["Mailbox"] = in.Mailbox(ctx, box)
		_, _, reads["UIDs"] = in.UIDs(ctx, box)
		_, reads["Changes"] = in.Changes(ctx, box, 0)
		_, reads["ReadBy"] = in.ReadBy(ctx, newID(), box)
		reads["Scan"] = in.Scan(ctx, box, allUIDs, true, func(*Message) error { t.Error("a foreign message"); return nil })
		for name, err := range reads {
			if err != ErrNotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		writes := map[string]func(tx *Tx, e *audit.Event) error{
			"Deposit": func(tx *Tx, e *audit.Event) error {
				ref, err := tx.AddBody(g)
				if err != nil {
					return err
				}
				_, err = tx.Deposit(e, in, box, Deposit{Content: Content{Body: ref}})
				return err
			},
			"SetFlags": func(tx *Tx, e *audit.Event) error {
				_, err := tx.SetFlags(e, in, box, one, AddFlags, Seen, nil)
				return err
			},
			"SetFlags with keyword": func(tx *Tx, e *audit.Event) error {
				_, err := tx.SetFlags(e, in, box, one, AddFlags, 0, []string{"k"})
				return err
			},
			"Copy from": func(tx *Tx, e *audit.Event) error { _, _, err := tx.CopyMessages(e, in, box, one, inbox); return err },
			"Copy to":   func(tx *Tx, e *audit.Event) error { _, _, err := tx.CopyMessages(e, in, inbox, one, box); return err },
			"Move from": func(tx *Tx, e *audit.Event) error { _, _, err := tx.MoveMessages(e, in, box, one, inbox); return err },
			"Expunge":   func(tx *Tx, e *audit.Event) error { _, err := tx.Expunge(e, in, box, nil, false); return err },
			"Rename":    func(tx *Tx, e *audit.Event) error { return tx.RenameMailbox(e, in, box, "new") },
			"Delete":    func(tx *Tx, e *audit.Event) error { return tx.DeleteMailbox(e, in, box) },
			"Subscribe": func(tx *Tx, e *audit.Event) error { return tx.SetSubscribed(e, in, box, true) },
			"RecordRead": func(tx *Tx, e *audit.Event) error {
				return tx.RecordRead(e, in, newID(), box, one)
			},
		}
		for name, fn := range writes {
			err := ts.Write(ctx, System, func(tx *Tx) error { return fn(tx, tx.Record(audit.Event{Verb: audit.MessageFlagged})) })
			if err != ErrNotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := ts.OpenInbox(ctx, in.Org(), rec.ID); err != ErrNotFound {
		t.Errorf("an inbox of another organization: %v", err)
	}
	if n := len(scanAll(t, other, theirs)); n != 1 {
		t.Errorf("%d messages in the other inbox", n)
	}
	watch := in.Watch(theirs)
	defer watch.Stop()
	ts.deposit(t, other, theirs, []byte("x"), letter(2))
	if len(watch.Hint()) != 0 {
		t.Error("a hint about a foreign mailbox")
	}
}

func TestQuarantineHasNoName(t *testing.T) {
	ts, in, _ := newMailStore(t)
	q := ts.role(t, in, RoleQuarantine)
	if _, err := in.MailboxByName(t.Context(), q.Name); err != ErrNotFound {
		t.Errorf("the quarantine was found by its name: %v", err)
	}
	ts.write(t, audit.MailboxCreate, func(tx *Tx, e *audit.Event) error {
		_, err := tx.CreateMailbox(e, in, q.Name, RoleNone)
		return err
	})
	m, err := in.MailboxByName(t.Context(), q.Name)
	if err != nil || m.ID == q.ID || m.Role != RoleNone {
		t.Errorf("mailbox of the same name: %+v, %v", m, err)
	}
}

// TestUIDValidityGrows: a mailbox that is made again differs from what a client
// remembers, also within a second and under a clock that was set back (RFC 9051,
// section 2.3.1.1; invariant 13).
func TestUIDValidityGrows(t *testing.T) {
	ts, in, _ := newMailStore(t)
	var last uint32
	for i := range 5 {
		if i == 3 {
			ts.clock.advance(-48 * 3600 * 1e9)
		}
		var m Mailbox
		ts.write(t, audit.MailboxCreate, func(tx *Tx, e *audit.Event) (err error) {
			m, err = tx.CreateMailbox(e, in, "Work", RoleNone)
			return err
		})
		if m.UIDValidity <= last {
			t.Errorf("UIDVALIDITY %d after %d", m.UIDValidity, last)
		}
		last = m.UIDValidity
		ts.write(t, audit.MailboxRename, func(tx *Tx, e *audit.Event) error { return tx.RenameMailbox(e, in, m.ID, "Play") })
		if again, err := in.MailboxByName(t.Context(), "Play"); err != nil || again.UIDValidity != last || again.ID != m.ID {
			t.Errorf("after renaming: %+v, %v", again, err)
		}
		ts.write(t, audit.MailboxDelete, func(tx *Tx, e *audit.Event) error { return tx.DeleteMailbox(e, in, m.ID) })
	}
}

func TestMailboxNames(t *testing.T) {
	ts, in, _ := newMailStore(t)
	create := func(name string) error {
		return ts.Write(t.Context(), System, func(tx *Tx) error {
			_, err := tx.CreateMailbox(tx.Record(audit.Event{Verb: audit.MailboxCreate}), in, name, RoleNone)
			return err
		})
	}
	for name, want := range map[string]error{
		"Work": nil, "work": nil, "Work/2026": nil, "Größe/日本": nil, "inbox/x": nil,
		"": ErrName, "/": ErrName, "a/": ErrName, "/a": ErrName, "a//b": ErrName, "a\nb": ErrName, "a\x00": ErrName, "\xff": ErrName,
		string(bytes.Repeat([]byte("a"), MaxMailboxName+1)): ErrName,
		"INBOX": ErrConflict, "inbox": ErrConflict, "Sent": ErrConflict, "INBOX/x": ErrConflict,
	} {
		if name == "INBOX/x" {
			continue // after inbox/x, below
		}
		if err := create(name); !errors.Is(err, want) {
			t.Errorf("create %q: %v, want %v", name, err, want)
		}
	}
	if err := create("INBOX/x"); !errors.Is(err, ErrConflict) {
		t.Errorf("INBOX/x beside inbox/x: %v", err)
	}
	work, err := in.MailboxByName(t.Context(), "Work")
	if err != nil {
		t.Fatal(err)
	}
	rename := func(name string) error {
		return ts.Write(t.Context(), System, func(tx *Tx) error {
			return tx.RenameMailbox(tx.Record(audit.Event{Verb: audit.MailboxRename}), in, work.ID, name)
		})
	}
	for name, want := range map[string]error{"Work/2026/x": ErrConflict, "Work": ErrConflict, "work": ErrConflict, "a//b": ErrName} {
		if err := rename(name); !errors.Is(err, want) {
			t.Errorf("rename to %q: %v", name, err)
		}
	}
	if err := rename("Old/Work"); err != nil {
		t.Fatal(err)
	}
	if _, err := in.MailboxByName(t.Context(), "Old/Work/2026"); err != nil {
		t.Errorf("the mailbox below did not come along: %v", err)
	}
	all, err := in.Mailboxes(t.Context())
	if err != nil || all[0].Role != RoleInbox {
		t.Errorf("first of %d: %+v, %v", len(all), all[0], err)
	}
	for range MaxMailboxes {
		if err = create(newID().String()); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrLimit) {
		t.Errorf("one mailbox too many: %v", err)
	}
}

func TestRenameInbox(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	for i := range 3 {
		ts.deposit(t, in, inbox, []byte("x"), letter(i))
	}
	ts.write(t, audit.MailboxRename, func(tx *Tx, e *audit.Event) error { return tx.RenameMailbox(e, in, inbox, "Old") })
	old, err := in.MailboxByName(t.Context(), "Old")
	if err != nil || old.Messages != 3 || old.Role != RoleNone {
		t.Errorf("Old: %+v, %v", old, err)
	}
	m, err := in.MailboxByName(t.Context(), "inbox")
	if err != nil || m.ID != inbox || m.Messages != 0 || m.UIDNext != 4 || m.Bytes != 0 {
		t.Errorf("INBOX: %+v, %v", m, err)
	}
	if n := len(scanAll(t, in, old.ID)); n != 3 {
		t.Errorf("%d messages", n)
	}
}

// TestKeywordsFull: the table of a mailbox is bounded; deposits and copies leave
// behind what finds no room.
func TestKeywordsFull(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	uid := ts.deposit(t, in, inbox, []byte("x"), harmless(1))
	set := func(op FlagOp, keywords ...string) (changed []MessageFlags, err error) {
		err = ts.Write(t.Context(), System, func(tx *Tx) error {
			changed, err = tx.SetFlags(tx.Record(audit.Event{Verb: audit.MessageFlagged}), in, inbox, []UIDRange{{First: uid, Last: uid}}, op, 0, keywords)
			return err
		})
		return changed, err
	}
	var names []string
	for i := range MaxKeywords {
		names = append(names, fmt.Sprintf("k%d", i))
	}
	if changed, err := set(AddFlags, names...); err != nil || changed[0].Flags != ^fixedFlags {
		t.Fatalf("%v, %v", changed, err)
	}
	if _, err := set(AddFlags, "one-more"); !errors.Is(err, ErrLimit) {
		t.Errorf("one keyword too many: %v", err)
	}
	if changed, err := set(RemoveFlags, "unknown"); err != nil || changed != nil {
		t.Errorf("removing what is not there: %v, %v", changed, err)
	}
	for _, bad := range []string{"", "a b", `\x`, "a(b", "é", "a]"} {
		if _, err := set(AddFlags, bad); !errors.Is(err, ErrName) && !errors.Is(err, ErrLimit) {
			t.Errorf("keyword %q: %v", bad, err)
		}
	}
	if changed, err := set(ReplaceFlags, "K3", "$Held", "$Important"); err != nil || changed[0].Flags != 1<<(FirstKeyword+3)|Important {
		t.Errorf("%v, %v", changed, err)
	}
	d := harmless(2)
	d.Keywords = []string{"no-room", "k0"}
	ts.deposit(t, in, inbox, []byte("y"), d)
	if all := scanAll(t, in, inbox); all[1].Flags != 1<<FirstKeyword {
		t.Errorf("flags %x", all[1].Flags)
	}
}

// TestReadHistory: what a credential has read is merged (invariant 3).
func TestReadHistory(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	cred, other := newID(), newID()
	read := func(c uuid.UUID, ranges ...UIDRange) {
		t.Helper()
		ts.write(t, audit.MessageRead, func(tx *Tx, e *audit.Event) error { return tx.RecordRead(e, in, c, inbox, ranges) })
	}
	ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) error {
		return tx.exec("UPDATE mailbox SET uidnext = 20001 WHERE id = $1", inbox[:])
	})
	read(cred, UIDRange{First: 5, Last: 9})
	read(cred, UIDRange{First: 1, Last: 1}, UIDRange{First: 3, Last: 3})
	read(cred, UIDRange{First: 2, Last: 2}, UIDRange{First: 4000, Last: 1 << 31})
	read(other, UIDRange{First: 7, Last: 7})
	got, err := in.ReadBy(t.Context(), cred, inbox)
	if want := []UIDRange{{First: 1, Last: 3}, {First: 5, Last: 9}, {First: 4000, Last: 20000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("history %v, %v", got, err)
	}
	if got, _ := in.ReadBy(t.Context(), other, inbox); !slices.Equal(got, []UIDRange{{First: 7, Last: 7}}) {
		t.Errorf("history of the other %v", got)
	}
	events, err := ts.Events(t.Context(), EventQuery{Verbs: []audit.Verb{audit.MessageRead}})
	if err != nil || len(events) != 4 || events[2].Fields.Text(audit.KeyUIDs) != "2,4000:20000" || events[2].Mailbox != inbox {
		t.Errorf("events %+v, %v", events, err)
	}
}

func TestReceipt(t *testing.T) {
	ts, in, _ := newMailStore(t)
	_, _, rec := ts.addOrg(t, "example.net", "sales")
	other := ts.openInbox(t, rec)
	seen := func(in *Inbox, parts ...string) (seen bool) {
		t.Helper()
		var bs [][]byte
		for _, p := range parts {
			bs = append(bs, []byte(p))
		}
		ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) (err error) {
			seen, err = tx.Receipt(in, bs...)
			return err
		})
		return seen
	}
	if seen(in, "a", "b") || !seen(in, "a", "b") || seen(in, "ab", "") || seen(other, "a", "b") {
		t.Error("a message is equal when inbox and all parts are")
	}
	ts.clock.advance(receiptAge + 1e9)
	if seen(in, "a", "b") || !seen(in, "a", "b") {
		t.Error("after three days it is a new one, and remembered again")
	}
	many := func(name string) {
		ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) error {
			for i := range 1000 {
				if _, err := tx.Receipt(in, []byte(name), fmt.Append(nil, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	many("old")
	ts.clock.advance(receiptAge + 1e9)
	many("new")
	if n := ts.number(t, "SELECT COUNT(*) FROM receipt WHERE at < $1", micros(ts.clock.now().Add(-receiptAge))); n > 200 {
		t.Errorf("%d receipts that nobody needs", n) // a thousand new ones leave a few, by chance
	}
}

// TestHugeChangeSplitsEvents: an event is bounded; what has more ranges is said
// in several.
func TestHugeChangeSplitsEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("25,000 messages")
	}
	ts, in, inbox := newMailStore(t)
	const n = 2*eventRanges + 5000
	ts.fill(t, in, inbox, n, 100)
	var odd []UIDRange
	for uid := uint32(1); uid <= n; uid += 2 {
		odd = append(odd, UIDRange{First: uid, Last: uid})
	}
	ts.write(t, audit.MessageFlagged, func(tx *Tx, e *audit.Event) error {
		changed, err := tx.SetFlags(e, in, inbox, odd, AddFlags, Deleted, nil)
		if len(changed) != n/2 {
			t.Errorf("%d changed", len(changed))
		}
		return err
	})
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		gone, err := tx.Expunge(e, in, inbox, nil, true)
		if len(gone) != n/2 {
			t.Errorf("%d gone", len(gone))
		}
		return err
	})
	for _, v := range []audit.Verb{audit.MessageFlagged, audit.MessageExpunged} {
		events, err := ts.Events(t.Context(), EventQuery{Verbs: []audit.Verb{v}})
		if err != nil || len(events) != 2 {
			t.Fatal(len(events), err)
		}
		var all audit.UIDs
		for _, e := range events {
			set, _ := e.Fields.UIDs(audit.KeyUIDs)
			for _, r := range set {
				all.Add(r.First, r.Last)
			}
		}
		if all.Count() != n/2 {
			t.Errorf("%s: %d UIDs in the events", v, all.Count())
		}
	}
	c, err := in.Changes(t.Context(), inbox, 0)
	if err != nil || len(c.New) != n/2 || len(c.Vanished) != n/2 {
		t.Errorf("%d new, %d vanished, %v", len(c.New), len(c.Vanished), err)
	}
}

// fill deposits n messages that share a body, many in a transaction.
func (ts *testStore) fill(t testing.TB, in *Inbox, mailbox uuid.UUID, n, structure int) {
	t.Helper()
	d := letter(1)
	d.Structure = bytes.Repeat([]byte("s"), structure)
	for n > 0 {
		g := ts.stage(t, []byte("body"))
		part := min(n, 2000)
		err := ts.Write(context.Background(), System, func(tx *Tx) (err error) {
			if d.Body, err = tx.AddBody(g); err != nil {
				return err
			}
			for range part {
				if _, err := tx.Deposit(tx.Record(audit.Event{Verb: audit.MessageReceived}), in, mailbox, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		g.Discard()
		n -= part
	}
}
