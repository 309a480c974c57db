package storage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"postern/storage/audit"
)

// TestInvariant9_CertificateFiles: what the certificate authority's client keeps is found by name and listed in order,
// each write has its event, and neither a name nor a key can be read in any file of the data directory.
func TestInvariant9_CertificateFiles(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	other, _, _ := ts.addOrg(t, "example.net", "sales")
	put := func(name, value string, of *Organization) CertificateFile {
		t.Helper()
		f := CertificateFile{Head: Head{Org: of.ID}, Name: name, Value: []byte(value)}
		ts.write(t, audit.KeyCreate, func(tx *Tx, e *audit.Event) error { e.Org = of.ID; return tx.PutCertificateFile(e, &f) })
		return f
	}
	put("certificates/ca/canary.example.com/b.key", "canary-private-key", &org)
	put("certificates/ca/canary.example.com/a.crt", "chain", &org)
	put("acme/account.json", "{}", &org)
	first := put("certificates/ca/other", "1", &org)
	if again := put("certificates/ca/other", "2", &org); again.ID != first.ID || again.Version != 2 {
		t.Errorf("written again: %+v, after %+v", again.Head, first.Head)
	}
	if moved := put("certificates/ca/other", "3", &other); moved.ID == first.ID || moved.Org != other.ID {
		t.Errorf("of another organization: %+v, after %+v", moved.Head, first.Head)
	}

	files, err := ts.CertificateFiles(t.Context(), "certificates/ca/canary.example.com/")
	if err != nil || len(files) != 2 || files[0].Name != "certificates/ca/canary.example.com/a.crt" || string(files[1].Value) != "canary-private-key" {
		t.Errorf("%+v, %v", files, err)
	}
	f, err := ts.CertificateFile(t.Context(), "certificates/ca/other")
	if err != nil || string(f.Value) != "3" {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := ts.CertificateFile(t.Context(), "certificates"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	ts.write(t, audit.KeyCreate, func(tx *Tx, e *audit.Event) error { return tx.DeleteCertificateFile(e, &f) })
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.DeleteCertificateFile(tx.Record(audit.Event{Verb: audit.KeyCreate, Outcome: audit.OK}), &f)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("deleted twice: %v", err)
	}
	nowhere(t, ts.cfg.Dir, "canary")
}

// nowhere holds that no file of a directory has a text.
func nowhere(t *testing.T, dir, text string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(text)) {
			t.Errorf("%s has %q in clear", f.Name(), text)
		}
	}
}

// TestCertificateLocks: one owner at a time, for as long as it said.
func TestCertificateLocks(t *testing.T) {
	ts := newTestStore(t)
	one, two := newID(), newID()
	lock := func(owner [16]byte) (got bool) {
		t.Helper()
		err := ts.Upkeep(t.Context(), func(u *Upkeep) (err error) {
			got, err = u.LockCertificate("issue_example.com", owner, u.Now().Add(time.Minute))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := []bool{lock(one), lock(two), lock(one)}
	ts.clock.advance(2 * time.Minute)
	got = append(got, lock(two), lock(one))
	for _, owner := range [][16]byte{one, two} {
		if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.UnlockCertificate("issue_example.com", owner) }); err != nil {
			t.Fatal(err)
		}
		got = append(got, lock(one))
	}
	if want := []bool{true, false, true, true, false, false, true}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestCertificateAttempts: failures are remembered over a start, and read by nobody without the key.
func TestCertificateAttempts(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	due := ts.clock.now().Add(time.Hour)
	for n, name := range []string{"canary.example.com", "autoconfig.example.com", "canary.example.com"} {
		err := ts.Upkeep(t.Context(), func(u *Upkeep) error {
			return u.PutCertificateAttempt(CertificateAttempt{Name: name, Org: org.ID, Failures: n + 1, Due: due, Problem: "canary"})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := ts.CertificateAttempts(t.Context())
	if err != nil || len(all) != 2 || all[1].Name != "canary.example.com" || all[1].Failures != 3 || all[1].Problem != "canary" ||
		!all[1].Due.Equal(due.UTC().Truncate(time.Microsecond)) {
		t.Fatalf("%+v, %v", all, err)
	}
	nowhere(t, ts.cfg.Dir, "canary")
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.DropCertificateAttempt("canary.example.com") }); err != nil {
		t.Fatal(err)
	}
	if all, err = ts.CertificateAttempts(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}
