package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"postern/storage/audit"
	"postern/storage/seal"
)

// Files below the data directory.
const (
	databaseFile = "postern.db"
	keysFile     = "keys.db"
	lockFile     = "postern.lock"
	bodiesDir    = "bodies"
)

// Config says where a store lives and what opens it.
type Config struct {
	// Dir is the data directory, created with mode 0700 when absent.
	Dir string
	// Root opens everything. It comes from outside Dir.
	Root *seal.RootKey
	// Witness is the path of the file that keeps the newest checkpoint, beside
	// the root key or in a directory of its own; never inside Dir. Empty means
	// none: then an older copy of the whole directory cannot be told at start.
	Witness string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets what an operator should see; nil discards.
	Log *slog.Logger
	// Observer is told what commits made durable.
	Observer Observer
	// Reserve is the free space, in bytes, below which Room reports ErrFull.
	// Zero means DefaultReserve.
	Reserve int64
	// AcceptRollback, when not empty, is an operator's reason for opening a log
	// that does not extend the witness's checkpoint. It is recorded.
	AcceptRollback string
}

// DefaultReserve is the free space that is kept for the audit log, revocation
// and freeze when mail is no longer accepted.
const DefaultReserve = 64 << 20

// Store is an open data directory. Its methods are safe for concurrent use.
type Store struct {
	cfg      Config
	log      *slog.Logger
	lock     *os.File
	readers  *readers
	writer   *writer
	keys     *keyStore
	feed     *feed
	domains  domainFeed
	bodies   *bodyFiles
	policies policyCache
	known    knownRecords
	recent   recentReads
	built    builtBlocks
	full     chan struct{} // a block of the log became full
	space    space
	instance uuid.UUID
	index    seal.Key // equality lookups before the organization is known
	events   seal.Key // personal fields of events that belong to no organization
	signer   *signer
	safe     atomic.Bool // somebody has the safe view
	version  atomic.Uint64
	hourly   atomic.Bool // what is counted by the hour was there

	probe       probe
	bodiesSum   bodiesSum
	unwitnessed atomic.Bool // the newest checkpoint could not be written to the witness

	recomputing sync.Mutex // of the log's tree, one at a time

	closed  atomic.Bool
	backup  sync.Mutex // held while one is made
	clockMu sync.Mutex
	clock   clockWatch
}

// Errors that callers tell apart. What a peer is told is decided at the door.
var (
	// ErrNotFound: no such row, or none that the caller may know of.
	ErrNotFound = errors.New("storage: not found")
	// ErrConflict: the name is taken, or the row has another version.
	ErrConflict = errors.New("storage: conflict")
	// ErrCorrupt: a sealed record does not open, or contradicts its clear columns.
	ErrCorrupt = errors.New("storage: corrupt record")
	// ErrFull: the disk is full, or below the reserve.
	ErrFull = errors.New("storage: no space left")
	// ErrUnavailable: the database cannot be written now.
	ErrUnavailable = errors.New("storage: unavailable")
	// ErrNoEvent: a write transaction recorded no event and was rolled back.
	ErrNoEvent = errors.New("storage: a write without an event")
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("storage: the data directory is in use by another process")
)

// Open opens the data directory, creating and migrating the database as
// needed. It refuses a root key other than the one that sealed the directory
// (*[seal.WrongKeyError]), a newer schema (*[SchemaError]), a directory that
// another process has open (ErrLocked) and a log that does not extend the
// witness's checkpoint (*[RollbackError]).
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Reserve == 0 {
		cfg.Reserve = DefaultReserve
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, log: cfg.Log, feed: newFeed(), full: make(chan struct{}, 1)}
	s.space = space{dir: cfg.Dir, reserve: cfg.Reserve}
	if err := s.open(ctx); err != nil {
		s.closeFiles()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.openFiles(ctx); err != nil {
		return err
	}
	if err := s.openLog(ctx); err != nil {
		return err
	}
	if err := s.recallSafe(ctx); err != nil {
		return err
	}
	if err := s.resumeErasures(ctx); err != nil {
		return err
	}
	// No session is older than this: what vanished before it, nobody asks for.
	if err := s.forgetVanished(ctx); err != nil {
		return err
	}
	_, err := s.SweepBodies(ctx)
	return err
}

// openFiles takes the directory and opens both databases.
func (s *Store) openFiles(ctx context.Context) error {
	dir := s.cfg.Dir
	if err := os.MkdirAll(filepath.Join(dir, bodiesDir), 0o700); err != nil {
		return fmt.Errorf("storage: data directory: %w", err)
	}
	var err error
	if s.lock, err = takeLock(filepath.Join(dir, lockFile)); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, backupDir)); err != nil { // of a backup that was cut short
		return fmt.Errorf("storage: %w", err)
	}
	path := filepath.Join(dir, databaseFile)
	if s.writer, err = openWriter(ctx, path, s.cfg.Root); err != nil {
		return err
	}
	if s.readers, err = openReaders(ctx, path); err != nil {
		return err
	}
	var none error
	var first sync.WaitGroup
	first.Go(func() { none = s.readers.open(ctx) }) // it reads the schema, beside what follows
	err = s.openBeside(ctx, dir)
	first.Wait()
	return errors.Join(err, none)
}

// openBeside opens what the database points at.
func (s *Store) openBeside(ctx context.Context, dir string) (err error) {
	if s.keys, err = openKeys(ctx, filepath.Join(dir, keysFile), s.cfg.Root); err != nil {
		return err
	}
	if s.bodies, err = openBodyFiles(filepath.Join(dir, bodiesDir)); err != nil {
		return err
	}
	// The databases, their write-ahead logs and the lock are new names: a name
	// is durable only when its directory was flushed.
	return syncDir(dir)
}

// openLog opens what the instance is, holds the tree against the witness, and
// lets the writer take work.
func (s *Store) openLog(ctx context.Context) error {
	s.events = s.cfg.Root.Key().Derive("event")
	tree, err := s.loadTree(ctx)
	if err != nil {
		return err
	}
	s.writer.start(s, tree)
	if err := s.loadInstance(ctx); err != nil {
		return err
	}
	if err := s.loadSigner(ctx); err != nil {
		return err
	}
	return s.holdAgainstWitness(ctx)
}

// Close signs a last checkpoint and closes the databases. Work that the writer
// has taken is finished.
func (s *Store) Close() error {
	err := s.Checkpoint(context.Background())
	return errors.Join(err, s.closeFiles())
}

// Abandon closes the databases without a last checkpoint, as a killed process
// would; tests of recovery use it.
func (s *Store) Abandon() error { return s.closeFiles() }

func (s *Store) closeFiles() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.readers != nil {
		errs = append(errs, s.readers.close())
	}
	if s.keys != nil {
		errs = append(errs, s.keys.close())
	}
	if s.bodies != nil {
		errs = append(errs, s.bodies.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Instance is the id of this installation; the log's origin names it.
func (s *Store) Instance() uuid.UUID { return s.instance }

// now is the store's time: microseconds, UTC.
func (s *Store) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Microsecond) }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// newID makes an id that sorts by creation.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// NewID makes an id that sorts by creation: UUIDv7, RFC 9562, section 5.7.
func NewID() uuid.UUID { return newID() }

// takeLock keeps a second process out for as long as the file stays open.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("storage: lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("storage: lock: %w", err)
	}
	return f, nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("storage: flush directory: %w", err)
	}
	return nil
}

// space answers whether the disk has room, asking the kernel at most once a second.
type space struct {
	dir     string
	reserve int64

	mu    sync.Mutex
	asked time.Time
	err   error
}

// Room reports ErrFull when free space is below the reserve, so that doors can
// refuse mail while audit, revocation and freeze can still be written.
func (s *Store) Room() error {
	sp := &s.space
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if t := time.Now(); t.Sub(sp.asked) > time.Second {
		sp.asked, sp.err = t, freeSpace(sp.dir, sp.reserve)
	}
	return sp.err
}

func freeSpace(dir string, reserve int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	if int64(st.Bavail)*st.Bsize < reserve {
		return fmt.Errorf("%w: below the reserve of %d bytes", ErrFull, reserve)
	}
	return nil
}

// System is the actor of what Postern does by itself.
var System = audit.Actor{Kind: audit.System}

// nullable maps the zero id to NULL, so that partial indexes skip it.
func nullable(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}

// Space is the free and the whole space, in bytes, of the file system that the data is
// on.
func (s *Store) Space() (free, all int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.cfg.Dir, &st); err != nil {
		return 0, 0, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}
