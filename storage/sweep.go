package storage

import (
	"context"
	"errors"
	"io"
	"io/fs"
)

// sweepStep is how many names the sweep reads at a time.
const sweepStep = 256

// SweepBodies removes the files below bodies/ that neither a row refers to nor
// a Stage owns, and returns how many: what a crash between file and commit, or
// between commit and removal, left behind.
func (s *Store) SweepBodies(ctx context.Context) (n int, err error) {
	dir, err := s.bodies.root.Open(".")
	if err != nil {
		return 0, diskError(err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(sweepStep)
		for _, entry := range entries {
			swept, err := s.sweepBody(ctx, entry.Name())
			if err != nil {
				return n, err
			}
			if swept {
				n++
			}
		}
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, diskError(err)
		}
	}
}

// sweepBody removes one file unless it is needed. Who owns it is asked first: a
// stage lets go of its file after the commit, so that whoever finds it free
// also finds the row. The other order would remove the file of a stage that
// commits between the two questions.
func (s *Store) sweepBody(ctx context.Context, name string) (swept bool, err error) {
	if s.bodies.owns(name) {
		return false, nil
	}
	referred, err := s.refersTo(ctx, name)
	if referred || err != nil {
		return false, err
	}
	err = s.bodies.remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // its own removal came first
	}
	return err == nil, diskError(err)
}

// refersTo reports whether a row names the file.
func (s *Store) refersTo(ctx context.Context, file string) (bool, error) {
	var one int
	err := s.read(ctx, func(r *reads) error {
		return found(r.row("SELECT 1 FROM body WHERE file = $1", file).Scan(&one))
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
