package storage

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"iter"
	"time"

	"postern/storage/audit"
)

// Export selects what Store.Export writes.
type Export struct {
	Since, Until time.Time // a contiguous range of the sequence by time; zero: from the first, to the last
	// Keep filters; nil keeps all, and only then does the bundle prove that
	// nothing is missing.
	Keep func(*audit.Event) bool
}

// Export writes a bundle that anybody can verify with the public key, and
// records that it did. The bundle ends at a checkpoint that is signed now, so it
// is not older than Until.
func (s *Store) Export(ctx context.Context, actor audit.Actor, w io.Writer, x Export) error {
	from, to, err := s.seqRange(ctx, x.Since, x.Until)
	if err != nil {
		return err
	}
	err = s.Write(ctx, actor, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.AuditExported, Fields: audit.Fields{
			audit.Int(audit.KeyFromSeq, from), audit.Int(audit.KeyToSeq, to), audit.Bool(audit.KeyFiltered, x.Keep != nil)}})
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.Checkpoint(ctx); err != nil {
		return err
	}
	note, err := s.newestCheckpoint(ctx)
	if err != nil {
		return err
	}
	return audit.WriteBundle(w, bundleSource{tiles{ctx, s}}, audit.Export{From: from, To: to, Checkpoint: note, Keep: x.Keep})
}

// seqRange is the contiguous hull of the events of a period.
func (s *Store) seqRange(ctx context.Context, since, until time.Time) (from, to uint64, err error) {
	end := int64(1<<63 - 1)
	if !until.IsZero() {
		end = micros(until)
	}
	var first, last sql.NullInt64
	err = s.read(ctx, func(r *reads) error {
		return classify(r.row("SELECT MIN(seq), MAX(seq) FROM event WHERE at >= $1 AND at < $2", micros(since), end).Scan(&first, &last))
	})
	if err != nil || !first.Valid {
		return 0, 0, err
	}
	return uint64(first.Int64), uint64(last.Int64) + 1, nil
}

func (s *Store) newestCheckpoint(ctx context.Context) (note string, err error) {
	err = s.read(ctx, func(r *reads) error {
		return found(r.row("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1").Scan(&note))
	})
	return note, err
}

// bundleSource reads the log in short chunks.
type bundleSource struct{ tiles }

// exportChunk is how many events one short read takes.
const exportChunk = 500

// Events yields events in order; a missing number ends it with an error of the
// bundle writer's.
func (b bundleSource) Events(from, to uint64) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for from < to {
			chunk, err := b.s.eventRows(b.ctx, from, min(to, from+exportChunk))
			if err != nil {
				yield(audit.Entry{}, err)
				return
			}
			for i := range chunk {
				personal, err := b.s.openPersonal(b.ctx, &chunk[i])
				if err != nil {
					yield(audit.Entry{}, err)
					return
				}
				if !yield(audit.Entry{Seq: chunk[i].seq, Canonical: chunk[i].canonical, Personal: personal}, nil) {
					return
				}
			}
			from += exportChunk
		}
	}
}

// eventRows reads the rows of [from, to).
func (s *Store) eventRows(ctx context.Context, from, to uint64) (chunk []sealedEvent, err error) {
	err = s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT "+eventColumns+" FROM event WHERE seq >= $1 AND seq < $2 ORDER BY seq", from, to)
		if err != nil {
			return err
		}
		chunk, err = scanEvents(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("storage: events %d to %d: %w", from, to, err)
	}
	return chunk, nil
}

// Checkpoints yields the signed checkpoints with from < size < to.
func (b bundleSource) Checkpoints(from, to uint64) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			var size uint64
			var note string
			err := b.s.read(b.ctx, func(r *reads) error {
				return found(r.row("SELECT size, note FROM checkpoint WHERE size > $1 AND size < $2 ORDER BY size LIMIT 1", from, to).Scan(&size, &note))
			})
			if err == ErrNotFound {
				return
			}
			if !yield(note, err) || err != nil {
				return
			}
			from = size
		}
	}
}
