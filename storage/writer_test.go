package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"postern/storage/audit"
)

// tamper edits the database of a stopped server behind its back.
func tamper(t testing.TB, dir, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

// copyFiles keeps the files of a stopped server's directory.
func copyFiles(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = b
		}
	}
	return files
}

func restoreFiles(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for _, name := range []string{databaseFile + "-wal", databaseFile + "-shm", keysFile + "-wal", keysFile + "-shm"} {
		os.Remove(filepath.Join(dir, name))
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func beat(tx *Tx) error {
	tx.Record(audit.Event{Verb: audit.ServerHeartbeat})
	return nil
}

// TestInvariant2_WriteWithoutEvent: a transaction that recorded nothing rolls back.
func TestInvariant2_WriteWithoutEvent(t *testing.T) {
	ts := newTestStore(t)
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.exec("INSERT INTO meta (name, value) VALUES ('x', x'00')")
	})
	if !errors.Is(err, ErrNoEvent) {
		t.Errorf("a write without an event: %v, want ErrNoEvent", err)
	}
	if n := ts.count(t, "meta WHERE name = 'x'"); n != 0 {
		t.Error("its change stayed")
	}
}

func (ts *testStore) count(t testing.TB, from string) (n int) {
	t.Helper()
	err := ts.read(context.Background(), func(r *reads) error { return r.row("SELECT COUNT(*) FROM " + from).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNeighboursOfAFailure: one that fails, panics or breaks a constraint hurts
// nobody in its batch, and leaves nothing of its own.
func TestNeighboursOfAFailure(t *testing.T) {
	ts := newTestStore(t)
	fail := errors.New("no")
	before := ts.writer.tree.Size()
	var wg sync.WaitGroup
	errs := make([]error, 90)
	for i := range errs {
		wg.Go(func() {
			errs[i] = ts.Write(context.Background(), System, func(tx *Tx) error {
				beat(tx)
				if err := tx.exec("INSERT INTO meta (name, value) VALUES ($1, x'00')", fmt.Sprint("n", i)); err != nil {
					return err
				}
				switch i % 3 {
				case 1:
					return fail
				case 2:
					if i%2 == 0 {
						panic("boom")
					}
					return tx.exec("INSERT INTO meta (name, value) VALUES ('index', x'00')")
				}
				return nil
			})
		})
	}
	wg.Wait()
	for i, err := range errs {
		if (i%3 == 0) != (err == nil) {
			t.Errorf("%d: %v", i, err)
		}
		if i%6 == 5 && !errors.Is(err, ErrConflict) {
			t.Errorf("%d: %v, want ErrConflict", i, err)
		}
	}
	if n := ts.count(t, "meta WHERE name LIKE 'n%'"); n != 30 {
		t.Errorf("%d rows stayed, want 30", n)
	}
	if n := ts.writer.tree.Size() - before; n != 30 {
		t.Errorf("the tree grew by %d, want 30", n)
	}
	ts.reopen(t)
}

// reopen stops as a kill would and opens again, which checks the tree.
func (ts *testStore) reopen(t testing.TB) {
	t.Helper()
	if err := ts.Abandon(); err != nil {
		t.Fatal(err)
	}
	ts.open(t)
}

// TestBatchDestroyedByOne: an error that rolls back the whole transaction,
// savepoints included, fails only the one that caused it. max_page_count makes
// a disk that is full for large writes alone.
func TestBatchDestroyedByOne(t *testing.T) {
	ts := newTestStore(t)
	var pages int
	if err := ts.writer.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if err := ts.writer.conn.QueryRowContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+40)).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	go ts.Write(context.Background(), System, func(tx *Tx) error { <-hold; return beat(tx) })
	time.Sleep(10 * time.Millisecond) // let the holder take its turn alone, so that the rest forms one batch
	const n = 20
	errs := make([]error, n)
	runs := make([]int, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			errs[i] = ts.Write(context.Background(), System, func(tx *Tx) error {
				runs[i]++
				size := 10
				if i == n/2 {
					size = 64 * pageSize
				}
				beat(tx)
				return tx.exec("INSERT INTO meta (name, value) VALUES ($1, $2)", fmt.Sprint("n", i), make([]byte, size))
			})
		})
	}
	time.Sleep(10 * time.Millisecond)
	close(hold)
	wg.Wait()
	for i, err := range errs {
		if i == n/2 {
			if !errors.Is(err, ErrFull) {
				t.Errorf("the large one: %v, want ErrFull", err)
			}
		} else if err != nil {
			t.Errorf("%d: %v after %d runs", i, err, runs[i])
		}
	}
	if got := ts.count(t, "meta WHERE name LIKE 'n%'"); got != n-1 {
		t.Errorf("%d rows, want %d", got, n-1)
	}
	ts.reopen(t)
}

// TestCancelledBeforeItsTurn: a context counts until the turn comes and is never
// seen by a statement.
func TestCancelledBeforeItsTurn(t *testing.T) {
	ts := newTestStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	entered, hold := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- ts.Write(ctx, System, func(tx *Tx) error { close(entered); <-hold; return beat(tx) })
	}()
	<-entered
	second := make(chan error, 1)
	go func() { second <- ts.Write(ctx, System, beat) }()
	cancel()
	close(hold)
	if err := <-first; err != nil {
		t.Errorf("cancelled inside its turn: %v, want what happened: a commit", err)
	}
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before its turn: %v", err)
	}
}

// TestLockedByAnotherProcess: a foreign lock is a temporary failure.
func TestLockedByAnotherProcess(t *testing.T) {
	ts := newTestStore(t)
	if _, err := ts.writer.conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 50"); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(ts.cfg.Dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if err := ts.Write(t.Context(), System, beat); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a write under a foreign lock: %v, want ErrUnavailable", err)
	}
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := ts.Write(t.Context(), System, beat); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// TestUpkeepNeedsNoEvent: operational columns alone change without one.
func TestUpkeepNeedsNoEvent(t *testing.T) {
	ts := newTestStore(t)
	size := ts.writer.tree.Size()
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.Used(newID(), u.Now()) }); err != nil {
		t.Error(err)
	}
	if ts.writer.tree.Size() != size {
		t.Error("upkeep made an event")
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("%dproducers", n), func(b *testing.B) {
			ts := newTestStore(b)
			b.SetParallelism((n + 1) / 2) // GOMAXPROCS is 2 where this is measured
			if n == 1 {
				for b.Loop() {
					if err := ts.Write(context.Background(), System, beat); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := ts.Write(context.Background(), System, beat); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
