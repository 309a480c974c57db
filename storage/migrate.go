package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"postern/storage/seal"
)

// Migrations are numbered, and all that a database lacks run in one transaction: it
// is as the old version left it, with a copy beside it, or as the new one wants it. A
// file that has shipped never changes.
//
//go:embed migrations/*.sql
var migrations embed.FS

// SchemaError: the database was written by a newer Postern.
type SchemaError struct{ Have, Know int }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("storage: the database has schema %d and this version knows %d: install the version that wrote it", e.Have, e.Know)
}

// pageSize was measured: at 4096 a sealed 4 KB body wastes half a page.
const pageSize = 8192

// synchronous is what durability rests on: with FULL a commit returns after the
// write-ahead log was flushed. It is a variable for the linker alone, so that the
// test which traces flushes can show that it would notice another value.
var synchronous = "FULL"

// dsn opens a database with the settings that every connection shares.
// busy_timeout covers a foreign reader of the file, such as a backup tool.
func dsn(path string, pragmas ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "file:%s?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(%s)&_pragma=temp_store(MEMORY)", escapePath(path), synchronous)
	for _, p := range pragmas {
		fmt.Fprintf(&b, "&_pragma=%s", p)
	}
	return b.String()
}

func escapePath(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

// migrate brings a database that nothing has open to the newest schema.
func migrate(ctx context.Context, path string, root *seal.RootKey) error {
	w, err := openWriter(ctx, path, root)
	if err != nil {
		return err
	}
	return w.close()
}

// upgrade brings a database to the newest schema, over the connection that writes to it
// from then on: another one would read the whole schema again. An existing database is
// opened only with the root key that sealed it.
func upgrade(ctx context.Context, db *sql.Conn, path string, root *seal.RootKey) error {
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("storage: %s: %w", path, classify(err))
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if have > len(files) {
		return &SchemaError{Have: have, Know: len(files)}
	}
	if have > 0 {
		if err := checkRoot(ctx, db, root); err != nil {
			return err
		}
	}
	if have == len(files) {
		return nil
	}
	if have > 0 {
		if err := keepOld(ctx, db, path, have); err != nil {
			return fmt.Errorf("storage: a copy before the migration: %w", classify(err))
		}
	}
	if err := steps(ctx, db, files[have:], len(files)); err != nil {
		return fmt.Errorf("storage: migration: %w", classify(err))
	}
	return nil
}

// format gives a new database its page size. That must be said before the
// write-ahead log is asked for, and the driver sorts the pragmas of a data
// source name, so this is a connection of its own.
func format(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	f.Close()
	if err != nil || info.Size() > 0 {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+escapePath(path))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, pragma := range []string{fmt.Sprintf("PRAGMA page_size = %d", pageSize), "PRAGMA journal_mode = WAL"} {
		if _, err := db.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// oldCopies is how many copies of older schemas are kept.
const oldCopies = 2

// keepOld copies a database, sealed as it is, before it is migrated: should the new
// version not do, the old one has something to open. A copy gets its name when it is
// whole, and takes the place of one that an earlier try or an earlier upgrade left.
func keepOld(ctx context.Context, db *sql.Conn, path string, schema int) error {
	name := func(n int) string { return fmt.Sprintf("%s.schema-%04d", path, n) }
	fresh := path + ".copy"
	if err := os.RemoveAll(fresh); err != nil { // of a try that was cut short
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", fresh); err != nil {
		return err
	}
	if err := flushFile(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, name(schema)); err != nil {
		return err
	}
	old, err := filepath.Glob(path + ".schema-*")
	if err != nil {
		return err
	}
	slices.Sort(old)
	for _, o := range old[:max(0, len(old)-oldCopies)] {
		if err := os.Remove(o); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

// flushFile brings a file that somebody else wrote to the disk, and keeps it private.
func flushFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
}

// steps runs migrations and notes the schema that they lead to.
func steps(ctx context.Context, db *sql.Conn, files []string, schema int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, file := range files {
		text, err := migrations.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schema)); err != nil {
		return err
	}
	return tx.Commit()
}

// checkRoot says which key a database wants before anything else is tried.
func checkRoot(ctx context.Context, db *sql.Conn, root *seal.RootKey) error {
	var id []byte
	err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'root'").Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil // killed between the first migration and the first event
	case err != nil:
		return fmt.Errorf("storage: %w", classify(err))
	}
	return root.Check(string(id))
}

// WantedRootKey is the id of the root key that opens the data in dir: what to ask
// for when there is none. It is empty where there is no data.
func WantedRootKey(ctx context.Context, dir string) (id string, err error) {
	path := filepath.Join(dir, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	db, err := sql.Open("sqlite", dsn(path, "query_only(ON)"))
	if err != nil {
		return "", fmt.Errorf("storage: %w", err)
	}
	defer db.Close()
	var have []byte
	if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'root'").Scan(&have); err != nil {
		return "", fmt.Errorf("storage: %s: %w", path, classify(err))
	}
	return string(have), nil
}
