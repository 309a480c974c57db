package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"postern/storage/audit"
)

// Tx is a write transaction: a savepoint of its own inside the writer's batch.
// It is valid until the function that got it returns. That function may run a
// second time in another batch, so it has no effect outside the transaction.
type Tx struct {
	w   *writer
	op  *op
	now time.Time

	fresh []*freshBody // bodies that the transaction brings along
}

// Write runs fn in a transaction and returns after its commit was flushed to
// disk. It rolls back when fn fails, and when fn recorded no event (ErrNoEvent).
// The context counts until fn's turn comes; after that the answer is always what
// really happened.
func (s *Store) Write(ctx context.Context, actor audit.Actor, fn func(tx *Tx) error) error {
	return s.writer.submit(&op{ctx: ctx, actor: actor, fn: fn})
}

// WritePatiently is Write for work that is many: a backlog that is worked off. It
// has its turn when nobody else was served for some milliseconds, and for as long as
// somebody always is, every 25 ms. // AV-2
func (s *Store) WritePatiently(ctx context.Context, actor audit.Actor, fn func(tx *Tx) error) error {
	return s.writer.submit(&op{ctx: ctx, actor: actor, fn: fn, patient: true})
}

// Now is the time of the transaction, in microseconds UTC.
func (tx *Tx) Now() time.Time { return tx.now }

// Record adds an event to the transaction. Id, time, actor and salt are filled
// in; the caller and the methods that write may complete the event until the
// transaction's function returns.
func (tx *Tx) Record(e audit.Event) *audit.Event { return tx.RecordAs(tx.op.actor, e) }

// RecordAs is Record for what is another's doing than the transaction's.
func (tx *Tx) RecordAs(actor audit.Actor, e audit.Event) *audit.Event {
	e.ID = newID()
	e.Time = tx.now
	e.Actor = actor
	rand.Read(e.Salt[:])
	tx.op.events = append(tx.op.events, &e)
	return &e
}

func (tx *Tx) store() *Store { return tx.w.store }

// exec runs a statement, prepared once on the writer's connection.
func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.execN(query, args...)
	return err
}

// execN is exec that says how many rows it changed.
func (tx *Tx) execN(query string, args ...any) (int64, error) {
	st, err := tx.w.stmts.get(query)
	if err != nil {
		return 0, classify(err)
	}
	res, err := st.Exec(args...)
	if err != nil {
		return 0, classify(err)
	}
	return res.RowsAffected()
}

// row runs a query for one row.
func (tx *Tx) row(query string, args ...any) rowScanner {
	st, err := tx.w.stmts.get(query)
	if err != nil {
		return failedRow{err}
	}
	return st.QueryRow(args...)
}

// rows runs a query for many rows; the caller closes them before the next statement.
func (tx *Tx) rows(query string, args ...any) (*sql.Rows, error) {
	st, err := tx.w.stmts.get(query)
	if err != nil {
		return nil, classify(err)
	}
	rows, err := st.Query(args...)
	return rows, classify(err)
}

// afterCommit runs fn when, and only when, the transaction was committed. It
// must not block: the writer waits for it.
func (tx *Tx) afterCommit(fn func()) { tx.op.after = append(tx.op.after, fn) }

// wrote notes a decisive row in the event that accounts for it: the digest of
// its sealed form, or zero when it was deleted. The log is replayed against the
// rows by these.
func (tx *Tx) wrote(e *audit.Event, table string, id []byte, version uint64, sealed []byte) {
	w := audit.Write{Table: table, ID: append([]byte(nil), id...), Version: version}
	if sealed != nil {
		w.Digest = sha256.Sum256(sealed)
	}
	e.Writes = append(e.Writes, w)
	tx.store().known.forget(tx, table)
}

// rowScanner is a row that may have failed before it was asked.
type rowScanner interface{ Scan(dest ...any) error }

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return classify(r.err) }

// found maps "no rows" to ErrNotFound and names the rest.
func found(err error) error {
	if err == sql.ErrNoRows {
		return ErrNotFound
	}
	return classify(err)
}

// readers is a pool of connections that only read. The one that was given back
// last is taken first: it has its pages in memory, and an installation opens no
// more connections than it needs at a time.
type readers struct {
	db     *sql.DB
	turns  chan struct{} // one for each read that may begin
	closed chan struct{} // no read begins any more
	once   sync.Once

	mu   sync.Mutex
	idle []*reads
}

// reads is one connection in the middle of a short read transaction.
type reads struct {
	conn  *sql.Conn
	stmts statements
}

// readerLimit bounds concurrent read transactions: enough to keep the
// processors busy, few enough that their page caches stay small.
const readerLimit = 8

func openReaders(ctx context.Context, path string) (*readers, error) {
	db, err := sql.Open("sqlite", dsn(path, "query_only(ON)", "cache_size(-4096)"))
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	r := &readers{db: db, turns: make(chan struct{}, readerLimit), closed: make(chan struct{})}
	for range readerLimit {
		r.turns <- struct{}{}
	}
	return r, nil
}

// open opens a first connection.
func (r *readers) open(ctx context.Context) error {
	rd, err := r.take(ctx)
	if err == nil {
		r.give(rd)
	}
	return err
}

// take waits for a turn and returns a connection.
func (r *readers) take(ctx context.Context) (*reads, error) {
	select {
	case <-r.turns:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.closed:
		return nil, fmt.Errorf("%w: closed", ErrUnavailable)
	}
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		rd := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return rd, nil
	}
	r.mu.Unlock()
	conn, err := r.db.Conn(context.Background())
	if err != nil {
		r.turns <- struct{}{}
		return nil, classify(err)
	}
	return &reads{conn: conn, stmts: statements{conn: conn}}, nil
}

// give ends a turn.
func (r *readers) give(rd *reads) {
	r.mu.Lock()
	r.idle = append(r.idle, rd)
	r.mu.Unlock()
	r.turns <- struct{}{}
}

// close waits for the reads that have begun. A second close does nothing.
func (r *readers) close() (err error) {
	r.once.Do(func() {
		close(r.closed)
		for range readerLimit {
			<-r.turns
		}
		for _, rd := range r.idle {
			rd.stmts.close()
			rd.conn.Close()
		}
		err = r.db.Close()
	})
	return err
}

// read runs fn in one short read transaction: all that fn sees is of one
// moment. fn never calls out, to the network or to a session.
func (s *Store) read(ctx context.Context, fn func(r *reads) error) error {
	return s.look(ctx, func(r *reads) error {
		if err := r.exec("BEGIN"); err != nil {
			return classify(err)
		}
		defer r.exec("ROLLBACK")
		return fn(r)
	})
}

// look is read for a single statement, which is a transaction by itself: two
// statements less, at every login and every recipient.
func (s *Store) look(ctx context.Context, fn func(r *reads) error) error {
	rd, err := s.readers.take(ctx)
	if err != nil {
		return err
	}
	defer s.readers.give(rd)
	return fn(rd)
}

func (r *reads) exec(query string) error {
	st, err := r.stmts.get(query)
	if err != nil {
		return err
	}
	_, err = st.Exec()
	return err
}

// row runs a query for one row.
func (r *reads) row(query string, args ...any) rowScanner {
	st, err := r.stmts.get(query)
	if err != nil {
		return failedRow{err}
	}
	return st.QueryRow(args...)
}

// rows runs a query for many rows.
func (r *reads) rows(query string, args ...any) (*sql.Rows, error) {
	st, err := r.stmts.get(query)
	if err != nil {
		return nil, classify(err)
	}
	rows, err := st.Query(args...)
	return rows, classify(err)
}

// asker is what a look-up needs; both kinds of transaction have it.
type asker interface {
	row(query string, args ...any) rowScanner
	rows(query string, args ...any) (*sql.Rows, error)
}
