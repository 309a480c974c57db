package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"postern/storage/audit"
)

// Observer is told what commits made durable, to be counted. Its functions run in the
// writer, after the commit and before anybody is answered: they take no time to speak
// of, and neither change nor keep what they are given. Nil functions are not called.
type Observer struct {
	Event  func(e *audit.Event)                       // each event of a commit
	Commit func(transactions int, took time.Duration) // each commit, from its begin to its end
}

// tell tells the observer about a commit.
func (o *Observer) tell(turn []*op, began time.Time) {
	if o.Commit != nil {
		o.Commit(len(turn), time.Since(began))
	}
	if o.Event == nil {
		return
	}
	for _, one := range turn {
		if one.err != nil {
			continue // it was undone
		}
		for _, e := range one.events {
			o.Event(e)
		}
	}
}

// probe asks the writer whether it still works, once at a time: where it hangs, one
// question hangs with it, and not as many as are asked.
type probe struct {
	mu  sync.Mutex
	now *probed
}

type probed struct {
	done chan struct{}
	err  error
}

// Writable reports whether the store takes writes: there is room for mail, and the
// writer commits. It writes nothing. The context bounds the wait.
func (s *Store) Writable(ctx context.Context) error {
	if err := s.Room(); err != nil {
		return err
	}
	p := &s.probe
	p.mu.Lock()
	if p.now == nil {
		p.now = &probed{done: make(chan struct{})}
		go s.tryWriter(p.now)
	}
	now := p.now
	p.mu.Unlock()
	select {
	case <-now.done:
		return now.err
	case <-ctx.Done():
		return errors.Join(ErrUnavailable, ctx.Err())
	}
}

// tryWriter goes through the writer with nothing to do.
func (s *Store) tryWriter(p *probed) {
	p.err = s.Upkeep(context.Background(), func(*Upkeep) error { return nil })
	s.probe.mu.Lock()
	s.probe.now = nil
	s.probe.mu.Unlock()
	close(p.done)
}

// LogState is how far the audit log is, and its proofs.
type LogState struct {
	Events    uint64
	Unsigned  uint64    // of these, those that no checkpoint covers yet
	Signed    time.Time // when the newest checkpoint was made; zero: never
	Witnessed bool      // the newest checkpoint is in the witness's file, or there is none to be
}

// LogState says how far the log is.
func (s *Store) LogState(ctx context.Context) (l LogState, err error) {
	cp, _, err := s.Signed(ctx)
	if err != nil {
		return l, err
	}
	if l.Events, err = s.logSize(ctx); err != nil {
		return l, err
	}
	l.Unsigned, l.Signed, l.Witnessed = l.Events-min(l.Events, cp.Size), cp.Time, !s.unwitnessed.Load()
	return l, nil
}

// Sizes are bytes on disk, by part of the store.
type Sizes struct {
	Database int64 // with everything that is not apart
	Journal  int64 // the write-ahead log of it
	Keys     int64 // the file of keys, with its own
	Bodies   int64 // the files of large messages, as they were at most bodiesAge ago
}

// bodiesAge is how old a sum over the files of bodies may be: there may be many.
const bodiesAge = 5 * time.Minute

// bodiesSum is the sum, and when it was made.
type bodiesSum struct {
	mu    sync.Mutex
	at    time.Time
	bytes int64
}

// Sizes says how much there is on disk. A file that is not there is empty.
func (s *Store) Sizes() (z Sizes, err error) {
	size := func(names ...string) (n int64) {
		for _, name := range names {
			if info, err := os.Stat(filepath.Join(s.cfg.Dir, name)); err == nil {
				n += info.Size()
			}
		}
		return n
	}
	z = Sizes{Database: size(databaseFile), Journal: size(databaseFile + "-wal"), Keys: size(keysFile, keysFile+"-wal")}
	b := &s.bodiesSum
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.at) > bodiesAge {
		if b.bytes, err = folderSize(filepath.Join(s.cfg.Dir, bodiesDir)); err != nil {
			return z, err
		}
		b.at = time.Now()
	}
	z.Bodies = b.bytes
	return z, nil
}

// folderSize sums the files below a folder. One that vanishes meanwhile is empty.
func folderSize(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return ignoreGone(err)
	})
	return n, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
