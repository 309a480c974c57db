package storage

import (
	"archive/tar"
	"compress/gzip"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"postern/storage/seal"
)

// unpackRelease unpacks the data of an older version, which a laboratory of its left.
func unpackRelease(t *testing.T, path string) Config {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(home, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(to, 0o700)
		} else {
			os.MkdirAll(filepath.Dir(to), 0o700)
			text, e := io.ReadAll(r)
			err = errors.Join(e, os.WriteFile(to, text, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := seal.LoadRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	return Config{Dir: filepath.Join(home, "data"), Root: root, Witness: filepath.Join(home, "witness")}
}

// Databases of earlier schemas are brought to the newest one, with all that was in
// them, and a copy is kept of how they were.
func TestUpgrade(t *testing.T) {
	releases, err := filepath.Glob("testdata/schema-*.tar.gz")
	if err != nil || len(releases) == 0 {
		t.Fatal("there is no database of an earlier version", err)
	}
	for _, release := range releases {
		t.Run(filepath.Base(release), func(t *testing.T) {
			cfg := unpackRelease(t, release)
			s, err := Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			report, err := VerifyData(t.Context(), cfg)
			if err != nil || !report.OK() || report.Messages == 0 {
				t.Errorf("%v %+v", err, report)
			}
			copies, err := filepath.Glob(filepath.Join(cfg.Dir, "postern.db.schema-*"))
			if err != nil || len(copies) != 1 {
				t.Fatalf("copies of what it was: %v, %v", copies, err)
			}
			old := cfg
			old.Dir = filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(old.Dir, os.DirFS(cfg.Dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(old.Dir, filepath.Base(copies[0])), filepath.Join(old.Dir, databaseFile)); err != nil {
				t.Fatal(err)
			}
			again, err := Open(t.Context(), Config{Dir: old.Dir, Root: old.Root})
			if err != nil {
				t.Fatalf("the copy does not open: %v", err)
			}
			again.Close()
		})
	}
}

// A migration that ends half-way leaves the schema that was there, so that the copy of
// the next try is one of what the old version wrote. AV-4
func TestUpgrade_CutShort(t *testing.T) {
	cfg := unpackRelease(t, "testdata/schema-16.tar.gz")
	path := filepath.Join(cfg.Dir, databaseFile)
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := steps(t.Context(), conn, append(files[16:18:18], "migrations/none.sql"), 19); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a migration that is not there: %v", err)
	}
	var have int
	if err := conn.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&have); err != nil || have != 16 {
		t.Errorf("the schema is %d, %v", have, err)
	}
	conn.Close()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if copies, err := filepath.Glob(path + ".schema-*"); err != nil || !slices.Equal(copies, []string{path + ".schema-0016"}) {
		t.Errorf("copies of what it was: %v, %v", copies, err)
	}
}

// Of copies of older schemas two are kept.
func TestOldCopies(t *testing.T) {
	ts, _, _ := newMailStore(t)
	path := filepath.Join(ts.cfg.Dir, databaseFile)
	conn, err := ts.keys.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for n := range 4 {
		if err := keepOld(t.Context(), conn, path, n+1); err != nil {
			t.Fatal(err)
		}
	}
	copies, err := filepath.Glob(path + ".schema-*")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(copies, []string{path + ".schema-0003", path + ".schema-0004"}) {
		t.Errorf("kept are %v", copies)
	}
}
