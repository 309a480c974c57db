package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/google/uuid"

	"postern/storage/seal"
)

// inlineLimit is the largest body, in bytes as received, that lies in the
// database. A file of its own costs two flushes, which at this size weigh as
// much as writing the body twice, to the log and to the database
// (BenchmarkBorder).
const inlineLimit = 128 << 10

// A small body lies in rows that fill no more than half a page with what stands beside
// it: one of 4 KB in a row of its own would leave the other half of its page empty. The
// places of the rest, of which the queries know, are more than inlineLimit needs.
const (
	pieceLimit = pageSize/2 - 64
	restPlaces = 256
)

// Stage is a message on its way in. What is written is kept in memory while it
// is small, and goes sealed to a file below bodies/ as soon as it is not; no
// clear text ever reaches the disk. A Stage belongs to one goroutine. Call
// Discard when done, whatever happened.
type Stage struct {
	store *Store
	id    uuid.UUID
	key   seal.Key
	sum   hash.Hash
	size  int64
	err   error // the first failure of the disk, for good

	small  []byte // the message, while it is small
	sealed []byte // a small one, sealed by Finish

	name   string // of the file of a large one
	file   *os.File
	writer *seal.BodyWriter
	stored int64      // sealed bytes, after Finish
	body   *seal.Body // reads the file back

	finished  bool
	added     bool // AddBody was called: a row may refer to the file
	committed bool // it does
}

// Stage begins a new message.
func (s *Store) Stage() *Stage {
	return &Stage{store: s, id: newID(), key: seal.NewKey(), sum: sha256.New()}
}

var (
	errStageFinished = errors.New("storage: write to a finished stage")
	errStageOpen     = errors.New("storage: the stage is not finished")
	errStageGone     = errors.New("storage: the stage was discarded")
)

// Write adds bytes to the message. An error is that of the disk (ErrFull when
// it has no room) or seal.ErrBodyTooLarge, and final.
func (g *Stage) Write(p []byte) (int, error) {
	if g.finished {
		return 0, errStageFinished
	}
	if g.err != nil {
		return 0, g.err
	}
	if g.writer == nil && len(g.small)+len(p) <= g.store.bodies.inline {
		g.small = append(g.small, p...)
	} else if g.err = g.spill(p); g.err != nil {
		return 0, g.err
	}
	g.sum.Write(p)
	g.size += int64(len(p))
	return len(p), nil
}

// spill writes to the file, and before that, the first time, what was kept in
// memory.
func (g *Stage) spill(p []byte) (err error) {
	if g.writer == nil {
		if g.name, g.file, err = g.store.bodies.create(); err != nil {
			return err
		}
		g.writer = seal.NewBodyWriter(g.file, g.key, bodyIdentity(g.id))
		if _, err := g.writer.Write(g.small); err != nil {
			return diskError(err)
		}
		g.small = nil
	}
	_, err = g.writer.Write(p)
	return diskError(err)
}

// Finish seals what remains; for a file, it and its directory are on disk,
// flushed, when Finish returns. Call it once, after the last Write and before
// ReadAt and AddBody.
func (g *Stage) Finish() error {
	if g.finished || g.err != nil {
		return g.err
	}
	if g.writer == nil {
		g.err = g.sealSmall()
	} else {
		g.err = g.flush()
	}
	g.finished = g.err == nil
	return g.err
}

func (g *Stage) sealSmall() error {
	out := bytes.NewBuffer(make([]byte, 0, len(g.small)+len(g.small)/256+2*seal.BodyOverhead))
	w := seal.NewBodyWriter(out, g.key, bodyIdentity(g.id))
	if _, err := w.Write(g.small); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	g.sealed, g.stored = out.Bytes(), int64(out.Len())
	return nil
}

// flush makes file and name durable: a commit may refer to them from now on.
func (g *Stage) flush() error {
	if err := g.writer.Close(); err != nil {
		return diskError(err)
	}
	g.stored = g.writer.SealedSize()
	if err := g.file.Sync(); err != nil {
		return diskError(err)
	}
	if err := g.store.bodies.flush(); err != nil {
		return diskError(err)
	}
	var err error
	g.body, err = seal.OpenBody(g.file, g.stored, g.key, bodyIdentity(g.id))
	return diskError(err)
}

// Size is the number of bytes written.
func (g *Stage) Size() int64 { return g.size }

// Small reports whether a finished message lies in the database and not in a file.
func (g *Stage) Small() bool { return g.file == nil }

// SHA256 is the digest of the bytes written.
func (g *Stage) SHA256() (sum [32]byte) {
	g.sum.Sum(sum[:0])
	return sum
}

// ReadAt reads the bytes that were written, after Finish and before Discard; it
// has the semantics of io.ReaderAt, but for one goroutine.
func (g *Stage) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case !g.finished:
		return 0, errStageOpen
	case g.body != nil:
		return g.body.ReadAt(p, off)
	case off < 0:
		return 0, errors.New("storage: read at a negative offset")
	case off >= int64(len(g.small)):
		return 0, io.EOF
	}
	n := copy(p, g.small[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Discard frees what the stage holds, and removes its file unless a row refers
// to it: harmless after the commit, and when called again.
func (g *Stage) Discard() {
	g.small, g.sealed, g.finished, g.err = nil, nil, false, errStageGone
	if g.file == nil {
		return
	}
	if g.body != nil {
		g.body.Close()
		g.body = nil
	}
	g.file.Close()
	g.file = nil
	if !g.committed && !g.mayBeReferred() {
		g.store.bodies.remove(g.name)
	}
	g.store.bodies.release(g.name)
}

// mayBeReferred reports whether a row names the stage's file, or whether nobody
// can say: a commit that failed may still be found in the log by the next
// start. Then the file is left to the sweep.
func (g *Stage) mayBeReferred() bool {
	if !g.added {
		return false
	}
	referred, err := g.store.refersTo(context.Background(), g.name)
	return referred || err != nil
}

// BodyRef names a stored body, and the key that opens it.
type BodyRef struct {
	No   int64 // order of arrival
	ID   uuid.UUID
	Size int64 // bytes as received
	Key  seal.Key
}

// freshBody is a body that the transaction brings along.
type freshBody struct {
	no    int64
	stage *Stage
	held  bool // its row is written
}

// AddBody makes the body of a finished stage part of the transaction; once for
// each run of its function. A body that nothing in the transaction holds
// (Deposit, HoldBody) is not stored.
func (tx *Tx) AddBody(g *Stage) (BodyRef, error) {
	if !g.finished {
		return BodyRef{}, errStageOpen
	}
	no, err := tx.nextBody()
	if err != nil {
		return BodyRef{}, err
	}
	g.added = true
	tx.fresh = append(tx.fresh, &freshBody{no: no, stage: g})
	return BodyRef{No: no, ID: g.id, Size: g.size, Key: g.key}, nil
}

// nextBody takes a number from the writer's counter. Numbers of transactions
// that were rolled back stay unused.
func (tx *Tx) nextBody() (int64, error) {
	b := tx.store().bodies
	if b.last == 0 {
		if err := tx.row("SELECT COALESCE(MAX(no), 0) FROM body").Scan(&b.last); err != nil {
			return 0, classify(err)
		}
	}
	b.last++
	return b.last, nil
}

// HoldBody counts one more row that refers to a body; ErrNotFound when there is
// no such body. A counter exists only for bodies that are shared, in a row of
// its own, since one in the body's row would write the whole body again.
func (tx *Tx) HoldBody(no int64) error {
	for _, f := range tx.fresh {
		if f.no == no && !f.held {
			f.held = true
			return tx.insertBody(f)
		}
	}
	n, err := tx.execN("INSERT INTO body_ref (no, refs) SELECT no, 2 FROM body WHERE no = $1 ON CONFLICT (no) DO UPDATE SET refs = body_ref.refs + 1", no)
	if err == nil && n == 0 {
		err = fmt.Errorf("storage: body %d: %w", no, ErrNotFound)
	}
	return err
}

func (tx *Tx) insertBody(f *freshBody) error {
	g := f.stage
	var file, sealed any
	var rest []byte
	if g.name != "" {
		file = g.name
	} else {
		n := min(len(g.sealed), pieceLimit)
		sealed, rest = g.sealed[:n], g.sealed[n:]
	}
	err := tx.exec("INSERT INTO body (no, id, size, stored, file, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
		f.no, g.id[:], g.size, g.stored, file, sealed)
	for i := 1; len(rest) > 0 && err == nil; i++ {
		if i == restPlaces {
			return seal.ErrBodyTooLarge
		}
		n := min(len(rest), pieceLimit)
		err = tx.exec("INSERT INTO body_rest (place, sealed) VALUES ($1, $2)", f.no*restPlaces+int64(i), rest[:n])
		rest = rest[n:]
	}
	if err == nil {
		tx.afterCommit(func() { g.committed = true })
	}
	return err
}

// DropBody counts one row less. With the last one the body is deleted, and its
// file removed after the commit. ErrNotFound when there is no such body.
func (tx *Tx) DropBody(no int64) error {
	var refs int64
	err := found(tx.row("UPDATE body_ref SET refs = refs - 1 WHERE no = $1 RETURNING refs", no).Scan(&refs))
	switch {
	case err == nil && refs > 0:
		return nil
	case err == nil:
		err = tx.exec("DELETE FROM body_ref WHERE no = $1", no)
	case errors.Is(err, ErrNotFound):
		err = nil
	}
	if err != nil {
		return err
	}
	var file *string
	var rest int64
	err = found(tx.row("DELETE FROM body WHERE no = $1 RETURNING file, stored - COALESCE(LENGTH(sealed), stored)", no).Scan(&file, &rest))
	if err == nil && rest != 0 {
		err = tx.exec("DELETE FROM body_rest WHERE place > $1 AND place < $2", no*restPlaces, (no+1)*restPlaces)
	}
	if err != nil {
		return fmt.Errorf("storage: body %d: %w", no, err)
	}
	if file != nil {
		bodies := tx.store().bodies
		tx.afterCommit(func() { bodies.removeLater(*file) })
	}
	return nil
}
