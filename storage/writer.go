package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postern/storage/audit"
	"postern/storage/seal"
)

// batchLimit is how many functions share a commit at the most. Beyond it the
// flush is spread thinly enough, and the first of the batch should not wait.
const batchLimit = 128

// writer changes the database. All of it but the line belongs to who has the turn.
type writer struct {
	store *Store
	db    *sql.DB
	conn  *sql.Conn
	stmts statements

	line *line
	done chan struct{}

	counted map[uuid.UUID]bool // subjects of usage that this transaction wrote

	behind chan struct{} // there is something to copy out of the write-ahead log
	since  int           // functions since that was said

	tree   *audit.Tree
	dead   error         // once set, every write fails: a flush failed and nothing can be promised
	broken chan struct{} // closed when dead is set
}

// op is one function waiting for its turn.
type op struct {
	ctx    context.Context
	actor  audit.Actor
	fn     func(*Tx) error
	upkeep bool
	result chan error

	patient bool
	since   time.Time // in line

	events []*audit.Event // what fn recorded in the attempt that counts
	after  []func()
	err    error
}

// openWriter opens a database to write to it, makes it where there is none, and brings
// it to the newest schema.
func openWriter(ctx context.Context, path string, root *seal.RootKey) (*writer, error) {
	if err := format(ctx, path); err != nil {
		return nil, fmt.Errorf("storage: %w", classify(err))
	}
	// The cache is small: a batch touches few pages twice. The log of the
	// journal is cut back after a checkpoint so that a burst leaves no trace.
	db, err := sql.Open("sqlite", dsn(path, "cache_size(-4096)", fmt.Sprintf("wal_autocheckpoint(%d)", backfillBound), "journal_size_limit(33554432)", "foreign_keys(OFF)"))
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("storage: %s: %w", path, classify(err))
	}
	if err := upgrade(ctx, conn, path, root); err != nil {
		return nil, errors.Join(err, conn.Close(), db.Close())
	}
	return &writer{
		db: db, conn: conn, stmts: statements{conn: conn}, line: newLine(), done: make(chan struct{}), broken: make(chan struct{}),
		counted: map[uuid.UUID]bool{}, behind: make(chan struct{}, 1),
	}, nil
}

// start begins to serve a store, with the tree as the database has it.
func (w *writer) start(s *Store, tree *audit.Tree) {
	w.store, w.tree = s, tree
	go w.run()
}

func (w *writer) run() {
	defer close(w.done)
	for batch := w.line.next(); len(batch) > 0; batch = w.line.next() {
		w.turn(batch)
	}
}

// turn serves those that have their turn.
func (w *writer) turn(batch []*op) {
	defer w.line.leave()
	w.serve(batch)
}

// close finishes what was taken and stops.
func (w *writer) close() error {
	w.line.close()
	if w.tree != nil {
		<-w.done
	}
	w.stmts.close()
	return errors.Join(w.conn.Close(), w.db.Close())
}

// Broken is closed when a commit failed in a way that leaves open what the disk
// holds. Every write is refused from then on, and only a new process, which reads
// what is there, can go on.
func (s *Store) Broken() <-chan struct{} { return s.writer.broken }

// submit waits for the turn of one function and for its commit. The context is looked
// at before the turn comes and never after, for a deadline inside a batch would
// destroy it: the answer is always what really happened.
func (w *writer) submit(o *op) error {
	o.result, o.since = make(chan error, 1), time.Now()
	turn, err := w.line.enter(o)
	if err != nil {
		return err
	}
	if turn {
		w.turn([]*op{o})
	}
	return <-o.result
}

// serve commits a batch and answers everybody in it.
func (w *writer) serve(batch []*op) {
	var turn []*op
	for _, o := range batch {
		if err := o.ctx.Err(); err != nil {
			o.result <- err
			continue
		}
		turn = append(turn, o)
	}
	for len(turn) > 0 {
		turn = w.attempt(turn)
	}
}

// attempt runs the functions in one transaction. It answers those that are
// settled and returns those that must run once more, because the transaction
// died under them through no fault of theirs.
func (w *writer) attempt(turn []*op) (again []*op) {
	if w.dead != nil {
		answer(turn, w.dead)
		return nil
	}
	began := time.Now()
	if err := w.begin(); err != nil {
		answer(turn, err)
		return nil
	}
	clear(w.counted)
	tree := w.tree.Clone()
	leaves := newLeaves(tree)
	for i, o := range turn {
		run := w.runOne
		if i == 0 {
			run = w.runFirst
		}
		if run(o, leaves) {
			continue
		}
		// The guilty one alone fails; its elders are replayed, the younger
		// ones have their first turn.
		w.rollback()
		o.result <- o.err
		return append(append([]*op{}, turn[:i]...), turn[i+1:]...)
	}
	if err := w.commit(leaves); err != nil {
		w.rollback()
		if len(turn) == 1 || w.dead != nil {
			answer(turn, err)
			return nil
		}
		return w.oneByOne(turn)
	}
	if blockOf(tree.Size()) != blockOf(w.tree.Size()) {
		select {
		case w.store.full <- struct{}{}:
		default: // it is known already
		}
	}
	w.tree = tree
	w.wrote(len(turn))
	for _, o := range turn {
		if o.err == nil {
			for _, fn := range o.after {
				fn()
			}
		}
	}
	w.store.cfg.Observer.tell(turn, began)
	if len(leaves.hashes) > 0 {
		w.store.version.Add(1)
		w.store.feed.notify(uuid.Nil, uuid.Nil)
	}
	answerEach(turn)
	return nil
}

// oneByOne finds out which function a failed commit was the fault of.
func (w *writer) oneByOne(turn []*op) []*op {
	for _, o := range turn {
		w.attempt([]*op{o})
	}
	return nil
}

// answerEach tells everybody what came of theirs.
func answerEach(turn []*op) {
	for _, o := range turn {
		o.result <- o.err
	}
}

func answer(turn []*op, err error) {
	for _, o := range turn {
		o.result <- err
	}
}

// runFirst runs the first function of a transaction. What it did is all that there
// is, and is undone with the transaction: it needs no savepoint, and most commits are
// of one function.
func (w *writer) runFirst(o *op, leaves *leaves) (alive bool) {
	o.events, o.after = nil, nil
	o.err = w.call(o, leaves)
	return o.err == nil
}

// runOne runs one function inside its savepoint and reports whether the
// transaction survived it.
func (w *writer) runOne(o *op, leaves *leaves) (alive bool) {
	o.events, o.after, o.err = nil, nil, nil
	if err := w.exec("SAVEPOINT op"); err != nil {
		o.err = classify(err)
		return false
	}
	mark := leaves.mark()
	o.err = w.call(o, leaves)
	if o.err == nil {
		if err := w.exec("RELEASE op"); err != nil {
			o.err = classify(err)
			return false
		}
		return true
	}
	leaves.reset(mark)
	// SQLite rolls back the whole transaction, savepoints included, on some
	// errors (a full disk, an interrupt, no memory): then the savepoint is gone.
	return w.exec("ROLLBACK TO op") == nil && w.exec("RELEASE op") == nil
}

// call runs fn and writes the events that it recorded.
func (w *writer) call(o *op, leaves *leaves) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.store.log.Error("panic in a write", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("storage: panic in a write: %v", p)
		}
	}()
	tx := &Tx{w: w, op: o, now: w.store.now()}
	if err := o.fn(tx); err != nil {
		return err
	}
	if len(o.events) == 0 && !o.upkeep {
		return ErrNoEvent
	}
	return tx.flushEvents(leaves)
}

func (w *writer) begin() error {
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return classify(err)
	}
	return nil
}

// rollback ends a transaction that may already have ended itself.
func (w *writer) rollback() { _ = w.exec("ROLLBACK") }

// commit writes the tree and makes everything durable. When the flush itself
// fails nobody can say what the disk holds, and a second flush would lie: the
// writer then refuses all work until the process is started again.
func (w *writer) commit(leaves *leaves) error {
	if err := leaves.store(w); err != nil {
		return classify(err)
	}
	err := w.exec("COMMIT")
	if err == nil {
		return nil
	}
	err = classify(err)
	if !errors.Is(err, ErrFull) && !errors.Is(err, errBusy) {
		w.dead = fmt.Errorf("%w: a commit failed: %v", ErrUnavailable, err)
		w.store.log.Error("a commit failed; no write is accepted until the server is started again", "error", err)
		close(w.broken)
		return w.dead
	}
	return err
}

func (w *writer) exec(query string, args ...any) error {
	st, err := w.stmts.get(query)
	if err != nil {
		return err
	}
	_, err = st.Exec(args...)
	return err
}

// statementLimit bounds what a connection keeps prepared: filters of the log
// make queries without end.
const statementLimit = 256

// statements keeps what a connection has prepared.
type statements struct {
	conn  *sql.Conn
	cache map[string]*sql.Stmt
}

func (s *statements) get(query string) (*sql.Stmt, error) {
	if st := s.cache[query]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	if len(s.cache) >= statementLimit {
		s.close()
		clear(s.cache)
	}
	if s.cache == nil {
		s.cache = map[string]*sql.Stmt{}
	}
	s.cache[query] = st
	return st, nil
}

func (s *statements) close() {
	for _, st := range s.cache {
		st.Close()
	}
}

// errBusy: another process holds the database's write lock.
var errBusy = fmt.Errorf("%w: the database is locked by another process", ErrUnavailable)

// classify gives SQLite's errors the names that callers know, and keeps the
// cause for the log.
func classify(err error) error {
	var se *sqlite.Error
	if err == nil || !errors.As(err, &se) {
		return err
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %v", ErrFull, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %v", errBusy, err)
	case sqlite3.SQLITE_CONSTRAINT:
		return fmt.Errorf("%w: %v", ErrConflict, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: %w: %v", ErrUnavailable, fs.ErrPermission, err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return err
}
