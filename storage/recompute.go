package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Recomputed is what became of a log whose tree was computed anew.
type Recomputed struct {
	Size        uint64 // events that were read
	Root        [32]byte
	Checkpoints int    // signed trees that were compared
	Problem     string // what is wrong; empty: nothing
	At          uint64 // the event, or the size of the tree, where that was found
}

// recomputeRest is how long others read and write between two chunks of a recomputation.
const recomputeRest = time.Millisecond

// ErrRecomputing is what Recompute returns while another one is under way.
var ErrRecomputing = errors.New("storage: the log is being verified already: wait for that")

// Recompute reads every event, computes the tree anew, and compares it with every
// signed checkpoint and with the stored tree. It calls progress with how far it has
// come, and records what it found. One is under way at a time. Against who has the
// signing key, hold the root against a checkpoint that is kept elsewhere. // AU-7
func (s *Store) Recompute(ctx context.Context, actor audit.Actor, org uuid.UUID, progress func(done, size uint64) error) (Recomputed, error) {
	if !s.recomputing.TryLock() {
		return Recomputed{}, ErrRecomputing
	}
	defer s.recomputing.Unlock()
	r, err := s.recompute(ctx, progress)
	if err != nil {
		return r, err
	}
	return r, s.Write(ctx, actor, func(tx *Tx) error {
		e := audit.Event{Verb: audit.AuditVerified, Org: org, Fields: audit.Fields{
			audit.Int(audit.KeyTreeSize, r.Size), audit.Digest(audit.KeyRoot, r.Root[:]), audit.Int(audit.KeyCount, r.Checkpoints)}}
		if r.Problem != "" {
			e.Outcome = audit.Failed
			e.Fields = append(e.Fields, audit.Int(audit.KeyFromSeq, r.At))
			e.Personal = audit.Fields{audit.Text(audit.KeyNote, r.Problem)}
		}
		tx.Record(e)
		return nil
	})
}

func (s *Store) recompute(ctx context.Context, progress func(done, size uint64) error) (r Recomputed, err error) {
	size, err := s.logSize(ctx)
	if err != nil {
		return r, err
	}
	verifier, err := audit.OpenVerifier(s.PublicKey())
	if err != nil {
		return r, err
	}
	tree, err := audit.NewTree(0, nil, nil)
	if err != nil {
		return r, err
	}
	notes := signedNotes{source: bundleSource{tiles{ctx, s}}, verifier: verifier}
	for r.Size < size && r.Problem == "" {
		end := min(size, r.Size+exportChunk)
		rows, err := s.eventRows(ctx, r.Size, end)
		if err != nil {
			return r, err
		}
		for i := range rows {
			if rows[i].seq != r.Size {
				break
			}
			tree.Append(audit.LeafHash(rows[i].canonical))
			r.Size++
			if err := notes.compare(tree, &r); err != nil {
				return r, err
			}
		}
		if r.Size < end && r.Problem == "" {
			r.Problem, r.At = fmt.Sprintf("event %d is missing", r.Size), r.Size
		}
		if err := progress(r.Size, size); err != nil {
			return r, err
		}
		time.Sleep(recomputeRest)
	}
	r.Root = tree.Root()
	return r, s.compareStored(ctx, &r)
}

// compareStored compares the root with that of the stored tree.
func (s *Store) compareStored(ctx context.Context, r *Recomputed) error {
	if r.Problem != "" {
		return nil
	}
	var now uint64
	err := s.look(ctx, func(rd *reads) error {
		return classify(rd.row("SELECT COALESCE(MAX(size), 0) FROM tree").Scan(&now))
	})
	if err != nil {
		return err
	}
	hashes, err := audit.NewHashes(now, s.Tiles(ctx))
	if err != nil {
		return err
	}
	root, err := hashes.Root(r.Size)
	if err != nil || root != r.Root {
		r.Problem, r.At = "the stored tree is not that of the events", r.Size
	}
	return nil
}

// signedNotes are the checkpoints by size, read one after the other.
type signedNotes struct {
	source   bundleSource
	verifier audit.Verifier
	next     audit.Checkpoint // not compared yet; of size zero: none is known
	ended    bool
}

// compare compares the tree with the checkpoint of its size, if there is one.
func (n *signedNotes) compare(tree *audit.Tree, r *Recomputed) error {
	if n.next.Size == 0 && !n.ended {
		n.ended = true
		for text, err := range n.source.Checkpoints(r.Size-1, 1<<62) {
			if err != nil {
				return err
			}
			n.ended = false
			if n.next, err = audit.OpenCheckpoint(text, n.verifier); err != nil {
				r.Problem, r.At = "a checkpoint after "+fmt.Sprint(r.Size-1)+" events is not signed by this log's key", r.Size
				return nil
			}
			break
		}
	}
	if n.next.Size != r.Size || r.Size == 0 || n.ended {
		return nil
	}
	if n.next.Root != tree.Root() {
		r.Problem, r.At = fmt.Sprintf("an event before %d is not the one that was signed", r.Size), r.Size
	}
	r.Checkpoints++
	n.next = audit.Checkpoint{}
	return nil
}

// logSize is how many events the log has.
func (s *Store) logSize(ctx context.Context) (size uint64, err error) {
	err = s.look(ctx, func(r *reads) error {
		return classify(r.row("SELECT COALESCE(MAX(seq) + 1, 0) FROM event").Scan(&size))
	})
	return size, err
}
