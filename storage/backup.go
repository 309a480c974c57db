package storage

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// Names in a backup.
const (
	BackupManifest = "manifest.json" // what is in it; the last entry, so that a backup without is not whole
	BackupKeys     = "keys.db"       // the keys of inboxes and of the log, which are kept apart from the rest
)

// backupDir is where a snapshot lies while it is sent away.
const backupDir = "backup.tmp"

// Backup is what a backup says of itself.
type Backup struct {
	Format     int          `json:"format"` // 1
	Version    string       `json:"version"`
	Instance   uuid.UUID    `json:"instance"`
	RootKey    string       `json:"root_key"` // id of the key that opens it
	Schema     int          `json:"schema"`
	At         time.Time    `json:"at"`
	Checkpoint string       `json:"checkpoint"` // of the log, signed
	Files      []BackupFile `json:"files"`
	// Seal is a keyed hash over all else under the root key: a backup whose parts do
	// not belong together is told before anything is replaced.
	Seal string `json:"seal"`
}

// BackupFile is one file of a backup.
type BackupFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // in hexadecimal digits
}

// Size is the number of bytes of all files.
func (b *Backup) Size() (n int64) {
	for _, f := range b.Files {
		n += f.Size
	}
	return n
}

// seal is the keyed hash of a backup.
func (b *Backup) seal(root *seal.RootKey) (string, error) {
	unsealed := *b
	unsealed.Seal = ""
	text, err := json.Marshal(unsealed)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(root.Key().Derive("backup").Hash("manifest", text)), nil
}

// Backup writes a consistent copy of everything to w, as a tar archive: the database,
// the keys, the large bodies, and last the manifest. Nothing in it can be read without
// the root key, which is not in it. The server goes on meanwhile; one backup at a time,
// or ErrConflict. It fails when the root key does not open the copy. // AV-4
func (s *Store) Backup(ctx context.Context, actor audit.Actor, version string, w io.Writer) error {
	if !s.backup.TryLock() {
		return fmt.Errorf("%w: a backup is being made", ErrConflict)
	}
	defer s.backup.Unlock()
	defer s.bodies.keepAll()()
	dir := filepath.Join(s.cfg.Dir, backupDir)
	defer os.RemoveAll(dir)
	b := Backup{Format: 1, Version: version, Instance: s.instance, RootKey: s.cfg.Root.ID(), At: s.now()}
	err := s.Write(ctx, actor, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.BackupCreate, Fields: audit.Fields{audit.Word(audit.KeyVersion, version)}})
		return nil
	})
	if err == nil {
		err = s.Checkpoint(ctx)
	}
	if err == nil {
		b.Checkpoint, err = s.newestCheckpoint(ctx)
	}
	if err == nil {
		err = s.snapshot(ctx, dir)
	}
	if err != nil {
		return err
	}
	files, err := provenFiles(ctx, Config{Dir: dir, Root: s.cfg.Root, Now: s.cfg.Now}, &b)
	if err != nil {
		return fmt.Errorf("storage: what the backup has in it cannot be opened: %w", err)
	}
	return s.sendBackup(ctx, dir, files, &b, w)
}

// snapshot copies both databases as they are at a moment. Keys come second: a new
// inbox has its key before its first row.
func (s *Store) snapshot(ctx context.Context, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return diskError(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, bodiesDir), 0o700); err != nil {
		return diskError(err)
	}
	db, err := sql.Open("sqlite", dsn(filepath.Join(s.cfg.Dir, databaseFile)))
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	defer db.Close()
	for _, part := range []struct {
		db   *sql.DB
		name string
	}{{db, databaseFile}, {s.keys.db, keysFile}} {
		if _, err := part.db.ExecContext(ctx, "VACUUM INTO $1", filepath.Join(dir, part.name)); err != nil {
			return fmt.Errorf("storage: copy of %s: %w", part.name, classify(err))
		}
	}
	return nil
}

// provenFiles opens a snapshot with the root key, the log's signing key included, and
// lists the large bodies that it refers to.
func provenFiles(ctx context.Context, cfg Config, b *Backup) (files []string, err error) {
	s, err := openStopped(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer s.closeFiles()
	err = s.read(ctx, func(r *reads) error {
		if err := r.row("PRAGMA user_version").Scan(&b.Schema); err != nil {
			return classify(err)
		}
		rows, err := r.rows("SELECT file FROM body WHERE file IS NOT NULL ORDER BY no")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return classify(err)
			}
			files = append(files, name)
		}
		return classify(rows.Err())
	})
	return files, err
}

// sendBackup packs a snapshot and the bodies that belong to it.
func (s *Store) sendBackup(ctx context.Context, dir string, bodies []string, b *Backup, w io.Writer) error {
	pack := tar.NewWriter(w)
	for _, name := range []string{databaseFile, keysFile} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return diskError(err)
		}
		if err := b.pack(pack, name, f); err != nil {
			return err
		}
	}
	for _, name := range bodies {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := s.bodies.open(name)
		if err != nil {
			return fmt.Errorf("%w: a large body: %v", ErrCorrupt, err)
		}
		if err := b.pack(pack, bodiesDir+"/"+name, f); err != nil {
			return err
		}
	}
	var err error
	if b.Seal, err = b.seal(s.cfg.Root); err != nil {
		return err
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	if err := pack.WriteHeader(&tar.Header{Name: BackupManifest, Mode: 0o600, Size: int64(len(text)), ModTime: b.At, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if _, err := pack.Write(text); err != nil {
		return err
	}
	return pack.Close()
}

// pack adds a file to the archive and to the manifest, and closes it.
func (b *Backup) pack(w *tar.Writer, name string, f *os.File) error {
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return diskError(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: b.At, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, h), f); err != nil {
		return err
	}
	b.Files = append(b.Files, BackupFile{Name: name, Size: info.Size(), SHA256: hex.EncodeToString(h.Sum(nil))})
	return nil
}

// BackupVerified records that somebody restored a backup elsewhere and held it against
// its log: the drill that an auditor asks for.
func (s *Store) BackupVerified(ctx context.Context, actor audit.Actor, r DrillReport) error {
	outcome := audit.OK
	if r.Problems > 0 {
		outcome = audit.Failed
	}
	return s.Write(ctx, actor, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.BackupVerify, Outcome: outcome, Fields: audit.Fields{
			audit.Time(audit.KeyFirst, r.Made), audit.Int(audit.KeyTreeSize, r.Events), audit.Int(audit.KeyCount, r.Messages), audit.Int(audit.KeyCode, uint64(r.Problems))}})
		return nil
	})
}

// DrillReport is what the drill of a backup found.
type DrillReport struct {
	Made     time.Time `json:"made"`     // the backup
	Events   uint64    `json:"events"`   // of its log, all verified
	Messages uint64    `json:"messages"` // whose content opened
	Bodies   int       `json:"bodies"`   // of these, read to the end: a sample
	Problems int       `json:"problems"`
}

// keepAll puts off the removal of files of bodies until the function that it returns
// is called: a snapshot refers to what may be deleted after it.
func (b *bodyFiles) keepAll() (end func()) {
	b.mu.Lock()
	b.keep++
	b.mu.Unlock()
	return func() {
		b.mu.Lock()
		b.keep--
		var due []string
		if b.keep == 0 {
			due, b.due = b.due, nil
		}
		b.mu.Unlock()
		for _, name := range due {
			b.remove(name)
		}
	}
}

// kept notes a file for later while nothing may be removed.
func (b *bodyFiles) kept(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.keep == 0 {
		return false
	}
	b.due = append(b.due, name)
	return true
}

// ErrBackup: a backup is damaged, incomplete, or not one.
var ErrBackup = errors.New("storage: not a whole backup")
