package storage

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBackfill: what was committed is copied into the database beside the writer, while others write, and the log begins
// anew.
func TestBackfill(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(ts.cfg.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	deposits := func(n int) {
		for i := range n {
			ts.deposit(t, in, inbox, noise(4096, uint64(i)), letter(i))
		}
	}
	before := size(databaseFile)
	deposits(backfillEvery)
	select {
	case <-ts.writer.behind:
	default:
		t.Fatal("nobody was called")
	}
	if err := ts.backfill(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, log := size(databaseFile), size(databaseFile+"-wal")
	if grown := after - before; grown < backfillEvery*4096 {
		t.Errorf("the database grew by %d bytes", grown)
	}
	deposits(backfillEvery / 2)
	if now := size(databaseFile + "-wal"); now != log {
		t.Errorf("the log had %d bytes and has %d: it did not begin anew", log, now)
	}

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); ts.keepBackfilled(ctx) }()
	for deadline := time.Now().Add(time.Minute); size(databaseFile) == after; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was copied")
		}
		deposits(backfillEvery)
	}
	stop()
	<-done
}
