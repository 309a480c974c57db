package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"postern/storage/audit"
)

// files lists the files of bodies.
func (ts *testStore) files(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(ts.cfg.Dir, bodiesDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// TestStageSizes: around the border between row and file, what was written is
// what is read, before and after the commit.
func TestStageSizes(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	for _, size := range []int{0, 1, 4096, inlineLimit - 1, inlineLimit, inlineLimit + 1, 1 << 20} {
		body := randomBytes(size)
		g := ts.Stage()
		for rest := body; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(40000))
			if _, err := g.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := g.Finish(); err != nil {
			t.Fatal(err)
		}
		if g.Size() != int64(size) || g.SHA256() != sha256.Sum256(body) {
			t.Errorf("size %d: size or digest differ", size)
		}
		read, err := io.ReadAll(io.NewSectionReader(g, 0, g.Size()))
		if err != nil || !bytes.Equal(read, body) {
			t.Errorf("size %d: reading the stage: %v", size, err)
		}
		if n, err := g.ReadAt(make([]byte, 10), int64(size)); n != 0 || err != io.EOF {
			t.Errorf("size %d: read at the end: %d, %v", size, n, err)
		}
		if want := min(1, size/(inlineLimit+1)); len(ts.files(t)) != want {
			t.Errorf("size %d: %d files", size, len(ts.files(t)))
		}
		d := letter(1)
		ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) (err error) {
			if d.Body, err = tx.AddBody(g); err != nil {
				return err
			}
			_, err = tx.Deposit(e, in, inbox, d)
			return err
		})
		if read, err = io.ReadAll(io.NewSectionReader(g, 0, g.Size())); err != nil || !bytes.Equal(read, body) {
			t.Errorf("size %d: reading the stage after the commit: %v", size, err)
		}
		g.Discard()
		g.Discard()
		all := scanAll(t, in, inbox)
		if !bytes.Equal(readBody(t, in, &all[len(all)-1]), body) {
			t.Errorf("size %d: the body came back changed", size)
		}
		ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
			_, err := tx.Expunge(e, in, inbox, nil, false)
			return err
		})
		ts.bodies.removals.Wait()
		if _, err := g.Write([]byte("x")); err == nil {
			t.Error("a discarded stage took bytes")
		}
	}
}

// TestStageRolledBack: without a commit nothing stays, neither row nor file.
func TestStageRolledBack(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	for _, size := range []int{100, 2 * inlineLimit} {
		g := ts.stage(t, randomBytes(size))
		err := ts.Write(t.Context(), System, func(tx *Tx) error {
			d := letter(1)
			var err error
			if d.Body, err = tx.AddBody(g); err != nil {
				return err
			}
			if _, err = tx.Deposit(tx.Record(audit.Event{Verb: audit.MessageReceived}), in, inbox, d); err != nil {
				return err
			}
			return errUndo
		})
		if err != errUndo {
			t.Fatal(err)
		}
		if n, err := ts.SweepBodies(t.Context()); n != 0 || err != nil {
			t.Errorf("the sweep took %d files of a stage, %v", n, err)
		}
		g.Discard()
		if n := len(ts.files(t)) + ts.number(t, "SELECT COUNT(*) FROM body"); n != 0 {
			t.Errorf("%d files or rows are left", n)
		}
	}
	// Added, but held by nothing.
	g := ts.stage(t, []byte("x"))
	ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) error { _, err := tx.AddBody(g); return err })
	if n := ts.number(t, "SELECT COUNT(*) FROM body"); n != 0 {
		t.Errorf("%d bodies that nothing refers to", n)
	}
}

// TestSweep: a crash between file and commit leaves an orphan, which the next
// start removes; files with rows stay, and so do those of running stages.
func TestSweep(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	kept := randomBytes(2 * inlineLimit)
	ts.deposit(t, in, inbox, kept, letter(1))
	ts.stage(t, kept) // finished, never committed
	g := ts.Stage()   // in the middle
	if _, err := g.Write(kept); err != nil {
		t.Fatal(err)
	}
	if n, err := ts.SweepBodies(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d files of running stages, %v", n, err)
	}
	ts.Abandon()
	if n := len(ts.files(t)); n != 3 {
		t.Errorf("%d files after the crash", n)
	}
	ts.open(t)
	if n := len(ts.files(t)); n != 1 {
		t.Errorf("%d files after the start", n)
	}
	in = ts.openInbox(t, in.record)
	all := scanAll(t, in, inbox)
	if !bytes.Equal(readBody(t, in, &all[0]), kept) {
		t.Error("the body came back changed")
	}
}

// TestSweepBesideStages: a sweep that runs all the time takes nothing that is
// about to be committed.
func TestSweepBesideStages(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.bodies.inline = 100
	ctx, stop := context.WithCancel(t.Context())
	swept := make(chan error)
	go func() {
		for {
			n, err := ts.SweepBodies(ctx)
			if err == nil && n > 0 {
				err = errors.New("the sweep found an orphan")
			}
			if err != nil || ctx.Err() != nil {
				swept <- err
				return
			}
		}
	}()
	for i := range 100 {
		ts.deposit(t, in, inbox, randomBytes(500), letter(i))
	}
	stop()
	if err := <-swept; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, m := range scanAll(t, in, inbox) {
		if len(readBody(t, in, &m)) != 500 {
			t.Errorf("message %d lost its body", m.UID)
		}
	}
}

// TestStageOutlivesStore: a session that is cut while its message waits finds a
// closed store, not one that never answers, and leaves its file to the sweep.
func TestStageOutlivesStore(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	g := ts.stage(t, randomBytes(2*inlineLimit))
	_ = ts.Write(t.Context(), System, func(tx *Tx) error {
		if _, err := tx.AddBody(g); err != nil {
			return err
		}
		return errUndo
	})
	ts.Close()
	g.Discard()
	if _, _, err := in.UIDs(t.Context(), inbox); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a read after closing: %v", err)
	}
	ts.open(t)
	if n := len(ts.files(t)); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// TestStageDiskErrors: a directory that cannot be written is a temporary failure
// at the first byte that needs it.
func TestStageDiskErrors(t *testing.T) {
	ts, _, _ := newMailStore(t)
	if err := os.RemoveAll(filepath.Join(ts.cfg.Dir, bodiesDir)); err != nil {
		t.Fatal(err)
	}
	g := ts.Stage()
	_, err := g.Write(randomBytes(2 * inlineLimit))
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("write: %v", err)
	}
	if err := g.Finish(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("finish: %v", err)
	}
	g.Discard()
}

// TestStageMemoryIsFlat: a message of 64 MiB passes through, is deposited and
// read in memory that does not know its size.
func TestStageMemoryIsFlat(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	var before, after runtime.MemStats
	part := randomBytes(32 << 10)
	runtime.GC()
	runtime.ReadMemStats(&before)
	g := ts.Stage()
	for range (64 << 20) / len(part) {
		if _, err := g.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Finish(); err != nil {
		t.Fatal(err)
	}
	d := letter(1)
	ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) (err error) {
		if d.Body, err = tx.AddBody(g); err != nil {
			return err
		}
		_, err = tx.Deposit(e, in, inbox, d)
		return err
	})
	g.Discard()
	m := scanAll(t, in, inbox)[0]
	b, err := in.OpenBody(t.Context(), &m)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := io.Copy(io.Discard, io.NewSectionReader(b, 0, b.Size())); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}
