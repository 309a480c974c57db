package storage

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"postern/storage/audit"
	"postern/storage/seal"
)

// backup makes a backup into a folder, as the command does.
func (ts *testStore) backup(t testing.TB) (dir string) {
	t.Helper()
	var b bytes.Buffer
	if err := ts.Backup(t.Context(), System, "test", &b); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (ts *testStore) restoring(t testing.TB, dir string) Restoring {
	return Restoring{Backup: dir, Keys: filepath.Join(dir, BackupKeys), Dir: filepath.Join(t.TempDir(), "data"), Root: ts.cfg.Root, Version: "test", Now: ts.clock.now}
}

// A backup that is restored has all mail, and says in its log that it was.
func TestAV4_BackupRestored(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	large := make([]byte, 3<<20)
	rand.Read(large)
	ts.deposit(t, in, inbox, []byte("small"), letter(1))
	ts.deposit(t, in, inbox, large, letter(2))
	ts.enqueue(t, in.record, "outgoing", "ann@example.net")
	dir := ts.backup(t)
	later := ts.deposit(t, in, inbox, []byte("after the backup"), letter(3))

	r := ts.restoring(t, dir)
	done, err := Restore(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if done.Held != 1 {
		t.Errorf("%d messages that may have been sent already are held, of 1", done.Held)
	}
	report, err := VerifyData(t.Context(), Config{Dir: r.Dir, Root: r.Root, Now: r.Now})
	if err != nil || !report.OK() {
		t.Fatalf("%v %+v", err, report)
	}
	back, err := Open(t.Context(), Config{Dir: r.Dir, Root: r.Root, Now: r.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	events, err := back.Events(t.Context(), EventQuery{Verbs: []audit.Verb{audit.BackupRestore}})
	if err != nil || len(events) != 1 {
		t.Errorf("%d events of the restore, %v", len(events), err)
	}
	again, err := back.OpenInbox(t.Context(), in.record.Org, in.record.ID)
	if err != nil {
		t.Fatal(err)
	}
	var bodies [][]byte
	err = again.Scan(t.Context(), inbox, allUIDs, true, func(m *Message) error {
		body, err := again.OpenBody(t.Context(), m)
		if err != nil {
			return err
		}
		defer body.Close()
		text, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
		bodies = append(bodies, text)
		return err
	})
	if err != nil || len(bodies) != 2 || string(bodies[0]) != "small" || !bytes.Equal(bodies[1], large) {
		t.Errorf("%d messages came back, %v", len(bodies), err)
	}
	box, err := again.Mailbox(t.Context(), inbox)
	if err != nil || box.UIDNext <= later {
		t.Errorf("the next UID is %d, and %d was given to another message: %v", box.UIDNext, later, err)
	}
}

// A large body that is deleted while a backup is made is in it all the same, and gone
// from the disk afterwards.
func TestAV4_BackupBesideDeletion(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	large := make([]byte, 3<<20)
	rand.Read(large)
	ts.deposit(t, in, inbox, large, letter(1))
	end := ts.bodies.keepAll()
	name := ts.files(t)[0]
	if err := ts.bodies.remove(name); err != nil {
		t.Fatal(err)
	}
	if len(ts.files(t)) != 1 {
		t.Error("it was removed at once")
	}
	end()
	if n := len(ts.files(t)); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// Whatever is changed in a backup, it is told before anything is replaced.
func TestAV4_DamagedBackup(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	large := make([]byte, 3<<20)
	rand.Read(large)
	ts.deposit(t, in, inbox, large, letter(1))
	dir := ts.backup(t)
	body, err := filepath.Glob(filepath.Join(dir, bodiesDir, "*"))
	if err != nil || len(body) != 1 {
		t.Fatal(body, err)
	}
	for _, path := range []string{filepath.Join(dir, databaseFile), filepath.Join(dir, BackupManifest), filepath.Join(dir, BackupKeys), body[0]} {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, damaged := range map[string][]byte{
			"cut":     whole[:len(whole)/2],
			"changed": append(append(bytes.Clone(whole[:len(whole)/2]), whole[len(whole)/2]^1), whole[len(whole)/2+1:]...),
		} {
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			r := ts.restoring(t, dir)
			if err := os.MkdirAll(r.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			old := filepath.Join(r.Dir, "old")
			if err := os.WriteFile(old, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r.Replace = true
			if _, err := Restore(t.Context(), r); err == nil {
				if filepath.Base(path) == BackupKeys && what == "changed" {
					continue // a free page
				}
				t.Errorf("%s %s: it was restored", filepath.Base(path), what)
			}
			if _, err := os.Stat(old); err != nil {
				t.Errorf("%s %s: what was there is gone", filepath.Base(path), what)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAV4_RestoreNeedsItsKey(t *testing.T) {
	ts, _, _ := newMailStore(t)
	r := ts.restoring(t, ts.backup(t))
	other, err := seal.CreateRootKey(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	r.Root = other
	var wrong *seal.WrongKeyError
	if _, err := Restore(t.Context(), r); !errors.As(err, &wrong) {
		t.Errorf("with another key: %v", err)
	}
}

func TestAV4_RestoreReplacesOnlyWhenTold(t *testing.T) {
	ts, _, _ := newMailStore(t)
	r := ts.restoring(t, ts.backup(t))
	r.Dir = ts.cfg.Dir
	if _, err := Restore(t.Context(), r); !errors.Is(err, ErrLocked) {
		t.Errorf("below a running server: %v", err)
	}
	if err := ts.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), r); !errors.Is(err, ErrConflict) {
		t.Errorf("over data: %v", err)
	}
	r.Replace, r.Witness = true, ts.cfg.Witness
	done, err := Restore(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(done.Aside, databaseFile)); err != nil {
		t.Errorf("what was there is not aside: %v", err)
	}
	ts.open(t) // the witness knows that the log goes on from the backup
}

func TestAV4_Drill(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.deposit(t, in, inbox, []byte("small"), letter(1))
	r := ts.restoring(t, ts.backup(t))
	d, err := Drill(t.Context(), r)
	if err != nil || d.Messages != 1 || d.Bodies != 1 || d.Problems != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := os.Stat(r.Dir); !os.IsNotExist(err) {
		t.Errorf("the drill left its folder: %v", err)
	}
}
