package directory_test

import (
	"errors"
	"testing"
	"time"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

const overlap = 7 * 24 * time.Hour

// TestAC8_RotationWithOverlap holds that predecessor and successor both work for the overlap, that which one a session
// used is on record, and that the predecessor then ends with its live sessions.
func TestAC8_RotationWithOverlap(t *testing.T) {
	w, in, _, old, oldSecret := one(t)
	w.advance(10 * 24 * time.Hour)
	r, err := w.dir.RotateCredential(t.Context(), admin, w.org, old.ID, directory.Rotation{Overlap: overlap})
	w.must(err)
	next := r.Successor
	if next.Predecessor != old.ID || r.Predecessor.Successor != next.ID || next.Env != old.Env || !next.May(in.ID, storage.Read|storage.Send) ||
		next.May(in.ID, storage.Delete) || next.Expires.Sub(next.Created).Round(time.Hour) != directory.DefaultMaxAge {
		t.Errorf("successor %+v of %+v", next, r.Predecessor)
	}
	if left := r.Predecessor.Expires.Sub(w.clock()).Round(time.Hour); left != overlap {
		t.Errorf("the predecessor works for another %v", left)
	}
	w.advance(overlap - time.Hour)
	cut := make(chan string, 2)
	for _, secret := range []string{oldSecret, r.Secret} {
		p, err := w.login("scout", secret, home)
		w.must(err)
		w.dir.Register(p, func(reason string) { cut <- reason; w.dir.End(p, reason) })
	}
	if logins := w.events(audit.SessionLogin); logins[0].Credential != old.ID || logins[1].Credential != next.ID {
		t.Errorf("which credential a session used: %+v", logins)
	}
	if n := w.dir.Expire(); n != 0 {
		t.Errorf("%d sessions lost during the overlap", n)
	}
	w.advance(time.Hour)
	if n := w.dir.Expire(); n != 1 || <-cut != "rotated" {
		t.Errorf("%d sessions ended after the overlap, want 1", n)
	}
	if _, err := w.login("scout", oldSecret, home); !errors.Is(err, directory.ErrExpired) {
		t.Errorf("the predecessor after the overlap: %v", err)
	}
	if _, err := w.login("scout", r.Secret, home); err != nil {
		t.Errorf("the successor: %v", err)
	}
	e := w.events(audit.CredentialRotate)
	if id, _ := e[0].Fields.ID(audit.KeyCredential); len(e) != 1 || e[0].Credential != old.ID || id != next.ID || len(e[0].Writes) != 2 {
		t.Errorf("event %+v", e)
	}
}

// TestAC8_RotationBounds holds what a rotation may not do.
func TestAC8_RotationBounds(t *testing.T) {
	w, _, a, old, secret := one(t)
	ctx := t.Context()
	w.advance(old.Expires.Sub(w.clock()) - 24*time.Hour)
	p, err := w.login("scout", secret, home)
	w.must(err)
	r, err := w.dir.RotateCredential(ctx, admin, w.org, old.ID, directory.Rotation{Overlap: overlap})
	w.must(err)
	if !r.Predecessor.Expires.Equal(old.Expires) {
		t.Errorf("an overlap moved an end from %v to %v", old.Expires, r.Predecessor.Expires)
	}
	if _, err := w.dir.RotateCredential(ctx, admin, w.org, old.ID, directory.Rotation{Overlap: overlap}); !errors.Is(err, directory.ErrState) {
		t.Errorf("a second successor: %v", err)
	}
	if _, err := w.dir.RotateCredential(ctx, admin, w.org, r.Successor.ID, directory.Rotation{Overlap: -1}); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("an overlap of less than nothing: %v", err)
	}
	if _, err := w.dir.RotateCredential(ctx, admin, storage.NewID(), r.Successor.ID, directory.Rotation{Overlap: 0}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("AC-19: a credential of another organization: %v", err)
	}
	third, err := w.dir.RotateCredential(ctx, admin, w.org, r.Successor.ID, directory.Rotation{Overlap: 0})
	w.must(err)
	if _, err := w.login("scout", r.Secret, home); !errors.Is(err, directory.ErrExpired) {
		t.Errorf("a predecessor without overlap: %v", err)
	}
	w.must(w.dir.Check(p)) // the first has its day still
	_, err = w.dir.RevokeCredential(ctx, admin, w.org, third.Successor.ID, "leaked")
	w.must(err)
	if _, err := w.dir.RotateCredential(ctx, admin, w.org, third.Successor.ID, directory.Rotation{Overlap: 0}); !errors.Is(err, directory.ErrState) {
		t.Errorf("a successor of a revoked credential: %v", err)
	}
	_, err = w.dir.DecommissionAgent(ctx, admin, w.org, a.ID, "done")
	w.must(err)
	if _, err := w.dir.RotateCredential(ctx, admin, w.org, old.ID, directory.Rotation{Overlap: 0}); !errors.Is(err, directory.ErrState) {
		t.Errorf("a successor for a decommissioned agent: %v", err)
	}
}

// TestAC7_AYearOfRotations holds over a year on the clock that no credential authenticates past its limit and that no
// day is without one that works.
func TestAC7_AYearOfRotations(t *testing.T) {
	w, _, _, current, secret := one(t)
	var past []string
	for day := range 365 {
		w.advance(24 * time.Hour)
		if day%80 == 79 {
			r, err := w.dir.RotateCredential(t.Context(), admin, w.org, current.ID, directory.Rotation{Overlap: overlap})
			w.must(err)
			past, current, secret = append(past, secret), r.Successor, r.Secret
		}
		w.dir.Expire()
		p, err := w.login("scout", secret, home)
		if err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		w.dir.End(p, "logout")
		if day%80 == 10 && len(past) > 0 {
			if _, err := w.login("scout", past[len(past)-1], home); !errors.Is(err, directory.ErrExpired) {
				t.Errorf("day %d: a predecessor logs in: %v", day, err)
			}
		}
	}
	if n := len(w.events(audit.CredentialRotate)); n != 4 {
		t.Errorf("%d rotations on record, want 4", n)
	}
}
