package storage

import (
	"postern/storage/seal"

	"github.com/google/uuid"
)

// Stage is a message on its way in. What is written is kept in memory while it
// is small, and goes sealed to a file below bodies/ as soon as it is not; no
// clear text ever reaches the disk. A Stage belongs to one goroutine. Call
// Discard when done, whatever happened.
type Stage struct{}

// Stage begins a new message.
func (s *Store) Stage() *Stage { panic("in the next commit") }

// Write adds bytes to the message. An error is that of the disk (ErrFull when
// it has no room) and final.
func (g *Stage) Write(p []byte) (int, error) { panic("in the next commit") }

// Finish seals what remains; for a file, it and its directory are on disk, fsynced,
// when Finish returns. Call it once, after the last Write and before ReadAt
// and AddBody.
func (g *Stage) Finish() error { panic("in the next commit") }

// Size is the number of bytes written.
func (g *Stage) Size() int64 { panic("in the next commit") }

// SHA256 is the digest of the bytes written.
func (g *Stage) SHA256() [32]byte { panic("in the next commit") }

// ReadAt reads the bytes that were written, after Finish; it has the semantics
// of io.ReaderAt, but for one goroutine.
func (g *Stage) ReadAt(p []byte, off int64) (int, error) { panic("in the next commit") }

// Discard frees what the stage holds, and removes its file unless a row refers
// to it: harmless after the commit, and when called again.
func (g *Stage) Discard() { panic("in the next commit") }

// BodyRef names a stored body, and the key that opens it.
type BodyRef struct {
	No   int64 // order of arrival
	ID   uuid.UUID
	Size int64 // bytes as received
	Key  seal.Key
}

// AddBody makes the body of a finished stage part of the transaction; once for
// each run of its function. A body that nothing in the transaction holds
// (Deposit, HoldBody) is not stored.
func (tx *Tx) AddBody(g *Stage) (BodyRef, error) { panic("in the next commit") }

// HoldBody counts one more row that refers to a body; ErrNotFound when there is
// no such body.
func (tx *Tx) HoldBody(no int64) error { panic("in the next commit") }

// DropBody counts one row less. With the last one the body is deleted, and its
// file removed after the commit.
func (tx *Tx) DropBody(no int64) error { panic("in the next commit") }
