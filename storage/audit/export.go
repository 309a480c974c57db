package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"golang.org/x/mod/sumdb/tlog"
)

// Entry is a stored event.
type Entry struct {
	Seq       uint64
	Canonical []byte
	Personal  []byte // opened; nil when there is none, its key is destroyed, or the reader may not see it
}

// Source is what an export reads. Iterators end at their first error.
type Source interface {
	Tiles
	// Events yields the events from up to, not including, to, in order and without a gap.
	Events(from, to uint64) iter.Seq2[Entry, error]
	// Checkpoints yields the signed checkpoints with from < size < to, by growing size.
	Checkpoints(from, to uint64) iter.Seq2[string, error]
}

// Export says what a bundle holds.
type Export struct {
	From, To   uint64            // the range of sequence numbers, To not included
	Checkpoint string            // a signed checkpoint that covers To
	Keep       func(*Event) bool // which events to keep; nil keeps all, and only then does the bundle prove completeness
}

// WriteBundle writes a bundle, line by line. It fails when the stored events cannot be what the log recorded: a
// number is missing, or an event does not decode; the error names the number.
func WriteBundle(w io.Writer, src Source, x Export) error {
	cover, key, err := readNote(x.Checkpoint, nil)
	if err != nil {
		return err
	}
	if x.From > x.To || x.To > cover.Size {
		return fmt.Errorf("audit: events %d to %d are not covered by a checkpoint of %d", x.From, x.To, cover.Size)
	}
	hashes, err := NewHashes(cover.Size, src)
	if err != nil {
		return err
	}
	b := &bundleWriter{w: w, sum: sha256.New(), src: src, Export: x, cover: cover, hashes: hashes}
	head := header{
		Format: bundleFormat, Origin: cover.Origin, Key: key, From: x.From, To: x.To, Size: cover.Size,
		Filtered: x.Keep != nil, Proves: provesRange, Left: []tlog.Hash{}, Checkpoint: x.Checkpoint,
	}
	foot := footer{Right: []tlog.Hash{}}
	if head.Filtered {
		head.Proves = provesInclusion
	} else {
		left, right, err := hashes.Range(cover.Size, x.From, x.To)
		if err != nil {
			return err
		}
		head.Left, foot.Right = append(head.Left, left...), append(foot.Right, right...)
	}
	if err := b.line(line{Header: &head}); err != nil {
		return err
	}
	if err := b.body(); err != nil {
		return err
	}
	foot.Events, foot.Checkpoints, foot.SHA256 = b.events, b.marks, hex.EncodeToString(b.sum.Sum(nil))
	return b.line(line{Footer: &foot})
}

type bundleWriter struct {
	Export
	w             io.Writer
	sum           hash.Hash
	src           Source
	cover         Checkpoint
	hashes        *Hashes
	buf           []byte
	events, marks uint64
}

func (b *bundleWriter) line(l line) error {
	text, err := l.render()
	if err != nil {
		return err
	}
	return b.write(text)
}

func (b *bundleWriter) write(text []byte) error {
	b.sum.Write(text)
	_, err := b.w.Write(text)
	return err
}

// body writes the events, and before each the checkpoints that were signed there. A filtered bundle has no use for
// those: its events carry proofs of their own.
func (b *bundleWriter) body() error {
	marks := func(yield func(string, error) bool) {}
	if b.Keep == nil {
		marks = b.src.Checkpoints(b.From, min(b.To+1, b.cover.Size))
	}
	next, stop := iter.Pull2(iter.Seq2[string, error](marks))
	defer stop()
	pending, err := nextMark(next)
	if err != nil {
		return err
	}
	seq := b.From
	for x, err := range b.src.Events(b.From, b.To) {
		if err != nil {
			return fmt.Errorf("audit: read event %d: %w", seq, err)
		}
		if x.Seq != seq {
			return fmt.Errorf("audit: event %d is missing from the log", seq)
		}
		for ; pending != nil && pending.Size <= seq; pending, err = nextMark(next) {
			if err := b.mark(pending); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if err := b.event(x); err != nil {
			return err
		}
		seq++
	}
	if seq != b.To {
		return fmt.Errorf("audit: event %d is missing from the log", seq)
	}
	for ; pending != nil; pending, err = nextMark(next) {
		if err := b.mark(pending); err != nil {
			return err
		}
	}
	return err
}

func nextMark(next func() (string, error, bool)) (*mark, error) {
	text, err, ok := next()
	if err != nil || !ok {
		return nil, err
	}
	c, _, err := readNote(text, nil)
	if err != nil {
		return nil, err
	}
	return newMark(c, text), nil
}

func (b *bundleWriter) mark(m *mark) error {
	b.marks++
	return b.line(line{Checkpoint: m})
}

func (b *bundleWriter) event(x Entry) error {
	e, err := DecodeEvent(x.Canonical, x.Personal)
	if err != nil {
		return fmt.Errorf("audit: event %d of the log: %w", x.Seq, err)
	}
	e.Seq = x.Seq
	var proof tlog.RecordProof
	if b.Keep != nil {
		if !b.Keep(e) {
			return nil
		}
		if proof, err = b.hashes.Inclusion(b.cover.Size, x.Seq); err != nil {
			return err
		}
	}
	b.events++
	b.buf = appendEventLine(b.buf[:0], e, x, proof)
	if len(b.buf) > MaxLine {
		return errors.New("audit: an event is too large for a bundle")
	}
	return b.write(b.buf)
}
