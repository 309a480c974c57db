package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// tamper changes the database behind the store's back, as an attacker with the
// file would.
func (ts *testStore) tamper(t testing.TB, query string, args ...any) {
	t.Helper()
	ts.write(t, audit.ServerStart, func(tx *Tx, e *audit.Event) error { return tx.exec(query, args...) })
}

// place is the key before that of a mailbox's first message.
func (ts *testStore) place(t testing.TB, mailbox uuid.UUID) int {
	return ts.number(t, "SELECT no FROM mailbox WHERE id = $1", mailbox[:]) << 32
}

// TestCorruptContent: a content that was damaged, exchanged with another's or
// cut off fails closed, and its neighbours stay readable (invariant 9).
func TestCorruptContent(t *testing.T) {
	for name, attack := range map[string]struct {
		query string
		bad   []uint32
	}{
		"damaged":   {"UPDATE content SET sealed = sealed || x'00' WHERE place = $1 + 3", []uint32{3}},
		"cut":       {"UPDATE content SET sealed = x'' WHERE place = $1 + 3", []uint32{3}},
		"missing":   {"DELETE FROM content WHERE place = $1 + 3", []uint32{3}},
		"moved":     {"UPDATE content SET place = $1 + 1000 WHERE place = $1 + 2", []uint32{2}},
		"copied":    {"UPDATE content SET sealed = (SELECT sealed FROM content WHERE place = $1 + 2) WHERE place = $1 + 3", []uint32{3}},
		"suspicion": {"UPDATE message SET flags = flags & ~256 WHERE place = $1 + 4", []uint32{4}},
		"trust":     {"UPDATE message SET flags = flags | 512 WHERE place = $1 + 4", []uint32{4}},
	} {
		t.Run(name, func(t *testing.T) {
			ts, in, inbox := newMailStore(t)
			for i := range 5 {
				d := letter(i)
				d.Flags = InjectionSuspected
				ts.deposit(t, in, inbox, []byte("x"), d)
			}
			ts.tamper(t, attack.query, ts.place(t, inbox))
			var good []uint32
			err := in.Scan(t.Context(), inbox, allUIDs, true, func(m *Message) error { good = append(good, m.UID); return nil })
			var ce *CorruptError
			if !errors.Is(err, ErrCorrupt) || !errors.As(err, &ce) || !slices.Equal(ce.UIDs, attack.bad) {
				t.Fatalf("%v", err)
			}
			if want := slices.DeleteFunc([]uint32{1, 2, 3, 4, 5}, func(u uint32) bool { return slices.Contains(attack.bad, u) }); !slices.Equal(good, want) {
				t.Errorf("readable: %v", good)
			}
		})
	}
}

// TestSwappedContents: two rows that exchange their sealed columns are both
// refused.
func TestSwappedContents(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	for i := range 3 {
		ts.deposit(t, in, inbox, []byte("x"), letter(i))
	}
	for _, step := range [][2]int{{1, 100}, {2, 1}, {100, 2}} {
		ts.tamper(t, "UPDATE content SET place = $1 + $2 WHERE place = $1 + $3", ts.place(t, inbox), step[1], step[0])
	}
	var ce *CorruptError
	err := in.Scan(t.Context(), inbox, allUIDs, true, func(m *Message) error { return nil })
	if !errors.As(err, &ce) || !slices.Equal(ce.UIDs, []uint32{1, 2}) {
		t.Errorf("%v", err)
	}
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		_, _, err := tx.CopyMessages(tx.Record(audit.Event{Verb: audit.MessageCopied}), in, inbox, allUIDs, inbox)
		return err
	})
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("copying what does not open: %v", err)
	}
}

// TestCorruptMailbox: name, role, UIDVALIDITY and keywords of a mailbox are
// sealed; clear columns that contradict them are refused.
func TestCorruptMailbox(t *testing.T) {
	for name, query := range map[string]string{
		"role":        "UPDATE mailbox SET role = 7 WHERE id = $1",
		"uidvalidity": "UPDATE mailbox SET uidvalidity = uidvalidity + 1 WHERE id = $1",
		"number":      "UPDATE mailbox SET no = no + 1000 WHERE id = $1",
		"version":     "UPDATE mailbox SET version = version + 1 WHERE id = $1",
		"sealed":      "UPDATE mailbox SET sealed = (SELECT sealed FROM mailbox m WHERE m.id <> $1 ORDER BY id LIMIT 1) WHERE id = $1",
		"event":       "UPDATE mailbox SET event = (SELECT id FROM event ORDER BY seq LIMIT 1) WHERE id = $1",
	} {
		ts, in, inbox := newMailStore(t)
		sent := ts.role(t, in, RoleSent)
		ts.tamper(t, query, inbox[:])
		if _, err := in.Mailbox(t.Context(), inbox); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := in.Mailbox(t.Context(), sent.ID); err != nil {
			t.Errorf("%s: the neighbour: %v", name, err)
		}
	}
	ts, in, inbox := newMailStore(t)
	sent := ts.role(t, in, RoleSent)
	ts.tamper(t, "UPDATE mailbox SET name_hash = x'00' WHERE id = $1", inbox[:])
	ts.tamper(t, "UPDATE mailbox SET name_hash = $1 WHERE id = $2", in.nameHash(inboxName, RoleNone), sent.ID[:])
	if _, err := in.MailboxByName(t.Context(), inboxName); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a row that was given another's name: %v", err)
	}
}

// TestCorruptBody: a body that was damaged, exchanged, or whose file is gone or
// was redirected, is refused.
func TestCorruptBody(t *testing.T) {
	for name, query := range map[string]string{
		"damaged":  "UPDATE body SET sealed = x'00' || sealed, stored = stored + 1 WHERE no = $1",
		"cut":      "UPDATE body SET sealed = x'01', stored = 1 WHERE no = $1",
		"size":     "UPDATE body SET stored = stored - 1 WHERE no = $1",
		"other":    "UPDATE body SET sealed = (SELECT sealed FROM body b WHERE b.no <> $1 AND b.sealed IS NOT NULL), stored = (SELECT stored FROM body b WHERE b.no <> $1 AND b.sealed IS NOT NULL) WHERE no = $1",
		"redirect": "UPDATE body SET file = '../postern.lock', sealed = NULL WHERE no = $1",
		"lost":     "UPDATE body SET file = '00112233445566778899aabbccddeeff', sealed = NULL WHERE no = $1",
	} {
		ts, in, inbox := newMailStore(t)
		ts.deposit(t, in, inbox, []byte("one"), letter(1))
		ts.deposit(t, in, inbox, []byte("two"), letter(2))
		all := scanAll(t, in, inbox)
		ts.tamper(t, query, all[0].Content.Body.No)
		b, err := in.OpenBody(t.Context(), &all[0])
		if !errors.Is(err, ErrCorrupt) && !(name == "redirect" && errors.Is(err, ErrUnavailable)) {
			t.Errorf("%s: %v, %v", name, b, err)
		}
		if string(readBody(t, in, &all[1])) != "two" {
			t.Errorf("%s: the neighbour does not open", name)
		}
	}
}

// TestScanRanges: whatever ranges a client asks for, each message comes once
// and in order, over the borders of chunks.
func TestScanRanges(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.fill(t, in, inbox, 1000, 6000) // 6 MB of content: several chunks by size
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, inbox, []UIDRange{{First: 100, Last: 149}, {First: 500, Last: 500}}, false)
		return err
	})
	var sparse []UIDRange
	for u := uint32(1); u < 1000; u += 20 {
		sparse = append(sparse, UIDRange{First: u, Last: u})
	}
	for name, ranges := range map[string][]UIDRange{
		"all": allUIDs, "none": nil, "gap": {{First: 110, Last: 120}}, "one": {{First: 777, Last: 777}}, "beyond": {{First: 990, Last: 2000}, {First: 1 << 31, Last: 1<<32 - 1}},
		"overlapping": {{First: 300, Last: 700}, {First: 200, Last: 400}, {First: 10, Last: 10}, {First: 10, Last: 20}}, "sparse": sparse,
		"close": {{First: 1, Last: 1}, {First: 3, Last: 3}, {First: 5, Last: 5}, {First: 20, Last: 30}, {First: 95, Last: 105}, {First: 145, Last: 155}}, "backwards": {{First: 9, Last: 3}, {First: 0, Last: 0}},
	} {
		for _, content := range []bool{false, true} {
			var want, got []uint32
			for u := uint32(1); u <= 1000; u++ {
				in := slices.ContainsFunc(ranges, func(r UIDRange) bool { return r.First <= u && u <= r.Last })
				if in && (u < 100 || u > 149) && u != 500 {
					want = append(want, u)
				}
			}
			err := in.Scan(t.Context(), inbox, ranges, content, func(m *Message) error {
				got = append(got, m.UID)
				if content != (m.Content != nil) || m.Size != 1001 || m.ID == uuid.Nil {
					t.Errorf("%s: message %+v", name, m)
				}
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s (content %v): %d messages, want %d, %v", name, content, len(got), len(want), err)
			}
		}
	}
	stop := errors.New("enough")
	n := 0
	if err := in.Scan(t.Context(), inbox, allUIDs, true, func(*Message) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("stopped by %v after %d", err, n)
	}
}

// TestScanHoldsNoTransaction: fn of a scan may write, and a reader that stalls
// for ever does not keep the write-ahead log from being reset.
func TestScanHoldsNoTransaction(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.fill(t, in, inbox, 600, 500)
	stalled := make(chan struct{})
	release := make(chan struct{})
	done := make(chan error)
	for range 2 * readerLimit {
		go func() {
			first := true
			done <- in.Scan(context.Background(), inbox, allUIDs, true, func(m *Message) error {
				if first {
					first = false
					stalled <- struct{}{}
					<-release
				}
				return nil
			})
		}()
	}
	for range 2 * readerLimit {
		<-stalled
	}
	for i := range 300 {
		ts.deposit(t, in, inbox, randomBytes(60000), letter(i))
	}
	info, err := os.Stat(filepath.Join(ts.cfg.Dir, databaseFile+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 40<<20 {
		t.Errorf("the log grew to %d MiB", info.Size()>>20)
	}
	close(release)
	for range 2 * readerLimit {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestQueryPlans: no query that runs often scans a table or sorts by itself.
func TestQueryPlans(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.deposit(t, in, inbox, []byte("x"), letter(1))
	id := inbox[:]
	for _, q := range []struct {
		query string
		args  []any
	}{
		{selectMailbox, []any{id}},
		{selectMailbox + " AND id = $2", []any{id, id}},
		{selectMailbox + " AND name_hash = $2", []any{id, id}},
		{selectMailbox + " AND role = $2", []any{id, 1}},
		{"SELECT no FROM mailbox WHERE inbox = $1 AND id = $2", []any{id, id}},
		{"SELECT COALESCE(MAX(no), 0) + 1 FROM mailbox", nil},
		{queryUIDs, []any{1, 2}},
		{queryClear, []any{1, 2, 3}},
		{queryContent, []any{1, 2, 3}},
		{queryBody, []any{1, 2, 3}},
		{querySafeBody, []any{1, 2, 3}},
		{queryStored, []any{1}},
		{queryChanged, []any{1, 1}},
		{"SELECT uids FROM vanished WHERE mailbox = $1 AND modseq > $2 ORDER BY modseq", []any{id, 1}},
		{"SELECT 1 FROM body WHERE file = $1", []any{"x"}},
		{"SELECT COALESCE(MAX(no), 0) FROM body", nil},
		{"SELECT ranges FROM read_range WHERE mailbox = $1 AND credential = $2 ORDER BY block", []any{id, id}},
		{forgetReceipts, []any{id, 1}},
		{"DELETE FROM message WHERE place BETWEEN $1 AND $2", []any{1, 2}},
		{"UPDATE mailbox SET uidnext = uidnext + 1 WHERE id = $1 AND inbox = $2", []any{id, id}},
		{"DELETE FROM read_range WHERE mailbox = $1", []any{id}},
	} {
		for _, step := range ts.plan(t, q.query, q.args...) {
			if strings.HasPrefix(step, "SCAN") && !strings.Contains(q.query, "MAX(no)") || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s\n\t%s", q.query, step)
			}
		}
	}
}

func (ts *testStore) plan(t testing.TB, query string, args ...any) (steps []string) {
	t.Helper()
	err := ts.read(context.Background(), func(r *reads) error {
		rows, err := r.rows("EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, c int
			var step string
			if err := rows.Scan(&a, &b, &c, &step); err != nil {
				return err
			}
			steps = append(steps, step)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return steps
}
