package storage

import (
	"errors"
	"testing"

	"postern/storage/audit"
	"postern/storage/seal"
)

// TestSetupIsWrittenOnce: of two who write what both read, one has to read again.
func TestSetupIsWrittenOnce(t *testing.T) {
	s := newTestStore(t)
	first, _, _ := s.addOrg(t, "example.com", "a")
	org := first.ID
	put := func(u Setup) error {
		return s.Write(t.Context(), System, func(tx *Tx) error {
			return tx.PutSetup(tx.Record(audit.Event{Verb: audit.SetupChange, Outcome: audit.OK}), &u)
		})
	}
	if _, err := s.Setup(t.Context(), org); !errors.Is(err, ErrNotFound) {
		t.Fatalf("before anything: %v", err)
	}
	if err := put(Setup{Head: Head{Org: org}, Host: "mail.example.com"}); err != nil {
		t.Fatal(err)
	}
	if err := put(Setup{Head: Head{Org: org}}); !errors.Is(err, ErrConflict) {
		t.Errorf("a second first row: %v", err)
	}
	u, err := s.Setup(t.Context(), org)
	if err != nil || u.Host != "mail.example.com" {
		t.Fatalf("%+v, %v", u, err)
	}
	u.Host = "mx.example.com"
	if err := put(u); err != nil {
		t.Fatal(err)
	}
	if err := put(u); !errors.Is(err, ErrConflict) {
		t.Errorf("with what was read before: %v", err)
	}
}

// TestRecover: the key that a person keeps opens the root key of a directory whose key
// is lost; one that was never accepted does too until another is, and one that was
// replaced opens nothing.
func TestRecover(t *testing.T) {
	s := newTestStore(t)
	dir, want := s.Store.cfg.Dir, s.Store.cfg.Root.ID()
	recovers := func(key seal.RecoveryKey) bool {
		t.Helper()
		root, err := Recover(t.Context(), dir, key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil && root.ID() == want
	}
	offer := func() seal.RecoveryKey {
		t.Helper()
		key := seal.NewRecoveryKey()
		if err := s.OfferRecovery(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		return key
	}
	if err := s.AcceptRecovery(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing was offered: %v", err)
	}
	first := offer()
	if err := s.AcceptRecovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := offer()
	third := offer()
	if !recovers(first) || recovers(second) || !recovers(third) || recovers(seal.NewRecoveryKey()) {
		t.Error("before it is accepted, the old and the last offer count")
	}
	if err := s.AcceptRecovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	if recovers(first) || !recovers(third) {
		t.Error("afterwards that one alone")
	}
	if _, err := Recover(t.Context(), t.TempDir(), third); !errors.Is(err, ErrNotFound) {
		t.Errorf("where there is nothing: %v", err)
	}
}
