package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/google/uuid"

	"postern/storage/seal"
)

// Body reads the stored bytes of a message: as they were received, without the
// overlay. It holds a file or a copy of the sealed bytes, and no transaction;
// what it reads is opened chunk by chunk. For one goroutine.
type Body struct {
	sealed *seal.Body
	file   *os.File // nil for a small body
}

// bodyIdentity binds a sealed body to its id. It names no organization: one
// body may belong to recipients in several, each of which has the key wrapped
// for itself.
func bodyIdentity(id uuid.UUID) seal.Identity {
	return seal.Identity{Table: "body", ID: id[:], Purpose: "body"}
}

// bodyRow is a row of the table body.
type bodyRow struct {
	id     uuid.UUID
	stored int64
	file   *string
	sealed []byte
}

// queryStored reads a body: as many rows as it lies in, of which the first says all that
// the others do but for its rest.
const queryStored = `SELECT b.id, b.stored, b.file, b.sealed, r.sealed FROM body b LEFT JOIN body_rest r
	ON r.place > b.no * 256 AND r.place < b.no * 256 + 256 WHERE b.no = $1 ORDER BY r.place`

func (s *Store) bodyRow(ctx context.Context, no int64) (row bodyRow, err error) {
	err = s.look(ctx, func(r *reads) error {
		row = bodyRow{}
		rows, err := r.rows(queryStored, no)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var first, rest sql.RawBytes
			if err := rows.Scan(&row.id, &row.stored, &row.file, &first, &rest); err != nil {
				return classify(err)
			}
			if n == 0 {
				row.sealed = append(make([]byte, 0, min(row.stored, inlineLimit)), first...)
			}
			row.sealed = append(row.sealed, rest...)
		}
		if err := rows.Err(); n > 0 || err != nil {
			return classify(err)
		}
		return ErrNotFound
	})
	return row, err
}

// openBody opens a body by its reference. A number that now names another body
// is ErrNotFound: the one that is meant is gone.
func (s *Store) openBody(ctx context.Context, ref BodyRef) (*Body, error) {
	row, err := s.bodyRow(ctx, ref.No)
	if err != nil {
		return nil, err
	}
	if row.id != ref.ID {
		return nil, ErrNotFound
	}
	if row.file == nil && int64(len(row.sealed)) != row.stored {
		return nil, fmt.Errorf("%w: body %d has another length", ErrCorrupt, ref.No)
	}
	b := &Body{}
	var at io.ReaderAt = bytes.NewReader(row.sealed)
	if row.file != nil {
		if b.file, err = s.openBodyFile(ctx, ref, *row.file); err != nil {
			return nil, err
		}
		at = b.file
	}
	return openSealed(b, at, row.stored, ref)
}

// openSealed opens the sealed bytes of a body, which must be the one that is
// meant.
func openSealed(b *Body, at io.ReaderAt, stored int64, ref BodyRef) (_ *Body, err error) {
	b.sealed, err = seal.OpenBody(at, stored, ref.Key, bodyIdentity(ref.ID))
	if err == nil && b.sealed.Size() != ref.Size {
		err = seal.ErrOpen
	}
	if err != nil {
		b.Close()
		return nil, bodyError(ref.No, err)
	}
	return b, nil
}

// openBodyFile opens the file of a body. When it is not there, either the body
// was dropped since its row was read, or somebody has removed the file.
func (s *Store) openBodyFile(ctx context.Context, ref BodyRef, name string) (*os.File, error) {
	f, err := s.bodies.open(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, diskError(err)
	}
	if _, err := s.bodyRow(ctx, ref.No); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: the file of body %d is missing", ErrCorrupt, ref.No)
}

func bodyError(no int64, err error) error {
	if errors.Is(err, seal.ErrOpen) {
		return fmt.Errorf("%w: body %d: %v", ErrCorrupt, no, err)
	}
	return err
}

// OpenBody opens the body of a message that was read with content. ErrNotFound
// when it was expunged meanwhile, ErrCorrupt when what is stored does not open.
func (in *Inbox) OpenBody(ctx context.Context, m *Message) (*Body, error) {
	ref := m.Content.Body
	var err error
	ref.Key, err = in.keys.key.Unwrap(m.Content.wrapped, in.dataKeyIdentity(ref.ID))
	if err != nil {
		return nil, fmt.Errorf("%w: key of body %d", ErrCorrupt, ref.No)
	}
	if len(m.Content.sealed) > 0 {
		return openSealed(&Body{}, bytes.NewReader(m.Content.sealed), int64(len(m.Content.sealed)), ref)
	}
	return in.store.openBody(ctx, ref)
}

// dataKeyIdentity binds the wrapped key of a body to inbox and body. It names no
// mailbox, so that copies share it.
func (in *Inbox) dataKeyIdentity(body uuid.UUID) seal.Identity {
	return seal.Identity{Org: in.record.Org, Table: "body", ID: body[:], Purpose: "wrap"}
}

// ReadAt has the semantics of io.ReaderAt. A part that does not open is
// ErrCorrupt.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.sealed.ReadAt(p, off)
	if errors.Is(err, seal.ErrOpen) {
		err = fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return n, err
}

// Size is the number of bytes as received.
func (b *Body) Size() int64 { return b.sealed.Size() }

// Close gives memory and file back.
func (b *Body) Close() error {
	if b.sealed != nil {
		b.sealed.Close()
	}
	if b.file != nil {
		return b.file.Close()
	}
	return nil
}

// bodyFiles is the directory of large bodies. A file is there, complete and
// flushed, before the row that names it, and goes after it.
type bodyFiles struct {
	root   *os.Root // no name in a row leads out of it
	inline int      // inlineLimit
	last   int64    // number of the newest body; the writer's

	mu    sync.Mutex
	owned map[string]struct{} // files of stages, which the sweep leaves alone
	keep  int                 // backups that are being made: nothing is removed
	due   []string            // to be removed after them

	removals sync.WaitGroup
}

func openBodyFiles(dir string) (*bodyFiles, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return &bodyFiles{root: root, inline: inlineLimit, owned: map[string]struct{}{}}, nil
}

func (b *bodyFiles) close() error {
	b.removals.Wait()
	return b.root.Close()
}

// create makes a new file under a random name, and owns it before it exists.
func (b *bodyFiles) create() (string, *os.File, error) {
	var random [16]byte
	rand.Read(random[:])
	name := hex.EncodeToString(random[:])
	b.mu.Lock()
	b.owned[name] = struct{}{}
	b.mu.Unlock()
	f, err := b.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		b.release(name)
		return "", nil, diskError(err)
	}
	return name, f, nil
}

func (b *bodyFiles) open(name string) (*os.File, error) { return b.root.Open(name) }

// flush makes the names in the directory durable.
func (b *bodyFiles) flush() error {
	d, err := b.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// remove removes a file, or notes it for when no backup needs it any more.
func (b *bodyFiles) remove(name string) error {
	if b.kept(name) {
		return nil
	}
	return b.root.Remove(name)
}

// removeLater removes a file that no row names any more, beside the writer. What
// a crash prevents, the sweep does.
func (b *bodyFiles) removeLater(name string) {
	b.removals.Go(func() { b.remove(name) })
}

func (b *bodyFiles) owns(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.owned[name]
	return ok
}

func (b *bodyFiles) release(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.owned, name)
}

// diskError gives the errors of files the names that callers know.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %v", ErrFull, err)
	case errors.Is(err, seal.ErrBodyTooLarge):
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
