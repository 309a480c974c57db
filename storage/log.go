package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// signer signs checkpoints and remembers the last one.
type signer struct {
	*audit.Signer
	mu   sync.Mutex // one checkpoint at a time, so that the witness never goes back
	last uint64     // size of the newest checkpoint
}

// RollbackError: the log does not extend the checkpoint that the witness holds.
// An older copy of the data was put back, or its tail was cut, or it was edited.
type RollbackError struct {
	Witness uint64 // size of the tree when the witness was written
	Size    uint64 // size of the tree now
	Cause   string
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("storage: the audit log (%d events) does not extend the witnessed checkpoint (%d events): %s", e.Size, e.Witness, e.Cause)
}

// originPrefix begins the log's name, which the instance's id ends.
const originPrefix = "postern/"

// loadTree opens the tree as the last commit left it and checks its newest
// leaves against the events.
func (s *Store) loadTree(ctx context.Context) (*audit.Tree, error) {
	var size uint64
	var frontier []byte
	var events sql.NullInt64
	err := s.read(ctx, func(r *reads) error {
		err := r.row("SELECT size, frontier FROM tree WHERE id = 1").Scan(&size, &frontier)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return classify(err)
		}
		return classify(r.row("SELECT MAX(seq) FROM event").Scan(&events))
	})
	if err != nil {
		return nil, err
	}
	if have := uint64(events.Int64 + 1); events.Valid && have != size || !events.Valid && size != 0 {
		return nil, fmt.Errorf("%w: the audit log's tree has %d leaves and its last event is number %d", ErrCorrupt, size, events.Int64)
	}
	tree, err := audit.NewTree(size, frontier, s.Tiles(ctx))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return tree, nil
}

// tiles reads the tree's stored hashes for proofs.
type tiles struct {
	ctx context.Context
	s   *Store
}

// Tiles reads the log's tree.
func (s *Store) Tiles(ctx context.Context) audit.Tiles { return tiles{ctx, s} }

// Tile returns a stored tile.
func (t tiles) Tile(level int, n uint64) (hashes []byte, err error) {
	err = t.s.read(t.ctx, func(r *reads) error {
		return found(r.row("SELECT hashes FROM tile WHERE level = $1 AND n = $2", level, n).Scan(&hashes))
	})
	return hashes, err
}

// Leaves hashes the events past the last full tile.
func (t tiles) Leaves(from, to uint64) (hashes []byte, err error) {
	err = t.s.read(t.ctx, func(r *reads) error {
		rows, err := r.rows("SELECT canonical FROM event WHERE seq >= $1 AND seq < $2 ORDER BY seq", from, to)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var canonical []byte
			if err := rows.Scan(&canonical); err != nil {
				return classify(err)
			}
			h := audit.LeafHash(canonical)
			hashes = append(hashes, h[:]...)
		}
		return classify(rows.Err())
	})
	return hashes, err
}

// loadInstance reads what this installation is, or makes it at the first start:
// the index key and the note of which root key opens it all.
func (s *Store) loadInstance(ctx context.Context) error {
	var wrapped []byte
	err := s.read(ctx, func(r *reads) error {
		return found(r.row("SELECT value FROM meta WHERE name = 'index'").Scan(&wrapped))
	})
	if errors.Is(err, ErrNotFound) {
		return s.createInstance(ctx)
	}
	if err != nil {
		return err
	}
	s.index, err = s.cfg.Root.Key().Unwrap(wrapped, indexIdentity)
	if err != nil {
		return fmt.Errorf("%w: index key: %v", ErrCorrupt, err)
	}
	return nil
}

var indexIdentity = seal.Identity{Table: "meta", ID: []byte("index"), Purpose: "wrap"}

func (s *Store) createInstance(ctx context.Context) error {
	s.index = seal.NewKey()
	wrapped := s.cfg.Root.Key().Wrap(s.index, indexIdentity)
	return s.Write(ctx, System, func(tx *Tx) error {
		e := tx.Record(audit.Event{Verb: audit.KeyCreate, Fields: audit.Fields{
			audit.Word(audit.KeyPurpose, "index"), audit.Word(audit.KeyRootKeyID, s.cfg.Root.ID())}})
		tx.wrote(e, "meta", []byte("index"), 1, wrapped)
		if err := tx.exec("INSERT INTO meta (name, value) VALUES ('root', $1)", []byte(s.cfg.Root.ID())); err != nil {
			return err
		}
		return tx.exec("INSERT INTO meta (name, value) VALUES ('index', $1)", wrapped)
	})
}

// loadSigner opens the signing key, or makes it at the first start.
func (s *Store) loadSigner(ctx context.Context) error {
	private, err := s.keys.secret(ctx, "signer")
	if errors.Is(err, ErrNotFound) {
		private, err = s.createSigner(ctx)
	}
	if err != nil {
		return err
	}
	sg, err := audit.OpenSigner(string(private))
	if err != nil {
		return fmt.Errorf("%w: signing key: %v", ErrCorrupt, err)
	}
	s.instance, err = uuid.Parse(strings.TrimPrefix(sg.Name(), originPrefix))
	if err != nil {
		return fmt.Errorf("%w: signing key: %v", ErrCorrupt, err)
	}
	s.signer = &signer{Signer: sg}
	return s.read(ctx, func(r *reads) error {
		return classify(r.row("SELECT COALESCE(MAX(size), 0) FROM checkpoint").Scan(&s.signer.last))
	})
}

// createSigner makes the log's signing key. A log that has checkpoints and no
// key lost keys.db: making another key would hide that.
func (s *Store) createSigner(ctx context.Context) ([]byte, error) {
	var checkpoints int
	err := s.read(ctx, func(r *reads) error {
		return classify(r.row("SELECT COUNT(*) FROM checkpoint").Scan(&checkpoints))
	})
	if err != nil {
		return nil, err
	}
	if checkpoints > 0 {
		return nil, fmt.Errorf("%w: %s does not hold the key that signed this log: put the newest copy of it back", ErrCorrupt, keysFile)
	}
	private, public, err := audit.NewSigner(originPrefix + newID().String())
	if err != nil {
		return nil, err
	}
	if err := s.keys.putSecret(ctx, "signer", []byte(private)); err != nil {
		return nil, err
	}
	keyID := strings.Split(public, "+")[1]
	return []byte(private), s.Write(ctx, System, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.KeyCreate, Fields: audit.Fields{
			audit.Word(audit.KeyPurpose, "signer"), audit.Word(audit.KeyKeyID, keyID)}})
		return nil
	})
}

// PublicKey is the text of the key that verifies this log's checkpoints.
func (s *Store) PublicKey() string { return s.signer.PublicKey() }

// Checkpoint signs the tree as it is, if it grew since the last one, and gives
// the note to the database, the journal and the witness.
func (s *Store) Checkpoint(ctx context.Context) error {
	if s.signer == nil {
		return nil
	}
	s.signer.mu.Lock()
	defer s.signer.mu.Unlock()
	var text string
	var size uint64
	err := s.Upkeep(ctx, func(u *Upkeep) (err error) {
		text, size, err = u.checkpoint(s.signer)
		return err
	})
	if err != nil || text == "" {
		return err
	}
	s.signer.last = size
	s.log.Info("checkpoint", "size", size, "note", text)
	if s.cfg.Witness == "" {
		return nil
	}
	err = writeFile(s.cfg.Witness, []byte(text))
	s.unwitnessed.Store(err != nil)
	return err
}

// checkpoint signs the tree of the last commit: what a checkpoint states is
// already durable.
func (u *Upkeep) checkpoint(sg *signer) (text string, size uint64, err error) {
	tree := u.tx.w.tree
	size = tree.Size()
	if size == sg.last {
		return "", size, nil
	}
	text, err = audit.Checkpoint{Size: size, Root: tree.Root(), Time: u.tx.now}.Sign(sg.Signer)
	if err != nil {
		return "", 0, err
	}
	return text, size, u.tx.exec("INSERT INTO checkpoint (size, at, note) VALUES ($1, $2, $3) ON CONFLICT (size) DO NOTHING", size, micros(u.tx.now), text)
}

// holdAgainstWitness refuses a tree that does not extend the checkpoint beside
// the root key.
func (s *Store) holdAgainstWitness(ctx context.Context) error {
	if s.cfg.Witness == "" {
		return nil
	}
	text, err := os.ReadFile(s.cfg.Witness)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("storage: witness: %w", err)
	}
	broken := s.extends(ctx, s.writer.tree, string(text))
	if broken == nil {
		return nil
	}
	if s.cfg.AcceptRollback == "" {
		return broken
	}
	return s.Write(ctx, System, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.LogRollback, Fields: audit.Fields{
			audit.Int(audit.KeyTreeSize, broken.Size), audit.Int(audit.KeyFromSeq, broken.Witness)},
			Personal: audit.Fields{audit.Text(audit.KeyNote, s.cfg.AcceptRollback)}})
		return nil
	})
}

// extends says why the tree does not extend a witnessed note; nil when it does.
func (s *Store) extends(ctx context.Context, tree *audit.Tree, text string) *RollbackError {
	broken := &RollbackError{Size: tree.Size()}
	verifier, err := audit.OpenVerifier(s.signer.PublicKey())
	if err != nil {
		broken.Cause = err.Error()
		return broken
	}
	cp, err := audit.OpenCheckpoint(text, verifier)
	if err != nil {
		broken.Cause = "the witness was not signed by this log: " + err.Error()
		return broken
	}
	broken.Witness = cp.Size
	if cp.Size > tree.Size() {
		broken.Cause = "events are missing at its end"
		return broken
	}
	hashes, err := audit.NewHashes(tree.Size(), s.Tiles(ctx))
	if err == nil {
		err = hashes.Extends(cp)
	}
	if err != nil {
		broken.Cause = err.Error()
		return broken
	}
	return nil
}

// Signed is the newest checkpoint, and whether there is one.
func (s *Store) Signed(ctx context.Context) (cp audit.Checkpoint, ok bool, err error) {
	text, err := s.newestCheckpoint(ctx)
	if errors.Is(err, ErrNotFound) {
		return cp, false, nil
	}
	if err != nil {
		return cp, false, err
	}
	verifier, err := audit.OpenVerifier(s.signer.PublicKey())
	if err != nil {
		return cp, false, err
	}
	cp, err = audit.OpenCheckpoint(text, verifier)
	return cp, err == nil, err
}

// writeFile replaces a file so that after a crash it is the old or the new one.
func writeFile(path string, b []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// HeartbeatEvery is the interval of heartbeats and checkpoints. An interval
// without a heartbeat of three times as long is a silence that a verifier names.
const HeartbeatEvery = 60 * time.Second

// clockWatch compares the wall clock with the monotonic one.
type clockWatch struct {
	wall time.Time
	mono time.Time
}

// clockTolerance is how far the wall clock may drift between two heartbeats
// before that is called a step.
const clockTolerance = 2 * time.Second

// step returns how far the wall clock moved against the monotonic one since the
// last call.
func (c *clockWatch) step(wall, mono time.Time) time.Duration {
	defer func() { c.wall, c.mono = wall, mono }()
	if c.wall.IsZero() {
		return 0
	}
	if d := wall.Sub(c.wall) - mono.Sub(c.mono); d.Abs() > clockTolerance {
		return d
	}
	return 0
}

// Heartbeat records that the server lives, and a step of the clock if there was one.
func (s *Store) Heartbeat(ctx context.Context) error {
	s.clockMu.Lock()
	defer s.clockMu.Unlock()
	step := s.clock.step(s.now(), time.Now())
	return s.Write(ctx, System, func(tx *Tx) error {
		if step != 0 {
			tx.Record(audit.Event{Verb: audit.ClockStep, Fields: audit.Fields{audit.Int(audit.KeyStepMillis, step.Milliseconds())}})
		}
		tx.Record(audit.Event{Verb: audit.ServerHeartbeat})
		return nil
	})
}

// columnRest is how long others read and write between two blocks of which columns are
// made: a log of a million events that has none gets them within a minute.
const columnRest = 50 * time.Millisecond

// keepColumns makes columns of blocks that became full, and at first of all that have
// none, until the context ends.
func (s *Store) keepColumns(ctx context.Context) {
	for {
		if _, err := s.Columns(ctx, columnRest); err != nil && ctx.Err() == nil {
			s.log.Error("columns of the log", "error", err)
		}
		select {
		case <-s.full:
		case <-ctx.Done():
			return
		}
	}
}

// Keep records heartbeats, signs checkpoints, makes the columns by which the log is
// searched, and forgets, a little at a time, what nobody asks for any more, until the
// context ends. The first heartbeat is at once, so that a start is visible.
func (s *Store) Keep(ctx context.Context) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { s.keepColumns(ctx) })
	beside.Go(func() { s.keepBackfilled(ctx) })
	tick := time.NewTicker(HeartbeatEvery)
	defer tick.Stop()
	var forgotten uuid.UUID // the subject up to which usage was looked through
	for {
		if err := s.Heartbeat(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("heartbeat", "error", err)
		}
		if err := s.Checkpoint(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("checkpoint", "error", err)
		}
		next := forgotten
		err := s.Upkeep(ctx, func(u *Upkeep) (err error) {
			next, err = u.forgetUsage(forgotten)
			return err
		})
		if err == nil {
			forgotten = next
		} else if ctx.Err() == nil {
			s.log.Error("usage that is over could not be forgotten", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
