package directory_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// TestAC11_SessionsAreLimited holds that 64 logins at a time get exactly as many sessions as there are, that a refusal
// is no failure of the network, and that each end makes room for one.
func TestAC11_SessionsAreLimited(t *testing.T) {
	w, in, a, _, secret := one(t)
	_, second := w.credential(a, directory.CredentialSpec{Scopes: []storage.Scope{{Inbox: in.ID, Verbs: storage.Read}}})
	var all sync.WaitGroup
	var in50, refused atomic.Int64
	var some atomic.Pointer[directory.Principal]
	for range 64 {
		all.Go(func() {
			p, err := w.login("scout", secret, home)
			switch {
			case err == nil:
				in50.Add(1)
				some.Store(p)
			case errors.Is(err, directory.ErrTooManySessions):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if in50.Load() != directory.DefaultSessions || refused.Load() != 64-directory.DefaultSessions {
		t.Errorf("%d sessions, %d refused", in50.Load(), refused.Load())
	}
	if n := len(w.events(audit.SessionRefused)); n != int(refused.Load()) {
		t.Errorf("AU-13: %d refusals on record", n)
	}
	if _, err := w.login("scout", second, home); err != nil {
		t.Errorf("another credential of the agent: %v", err)
	}
	w.dir.End(some.Load(), "logout")
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("a login in the place of one that ended: %v", err)
	}
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrTooManySessions) {
		t.Errorf("one more: %v", err)
	}
}

// TestAC11_SessionsEnd holds that a session lasts a day at the most, and that the credential may open another.
func TestAC11_SessionsEnd(t *testing.T) {
	w, _, _, _, secret := one(t)
	p, err := w.login("scout", secret, home)
	w.must(err)
	cut := make(chan string, 1)
	w.dir.Register(p, func(reason string) { cut <- reason })
	w.advance(directory.DefaultSessionLength - time.Minute)
	if n := w.dir.Expire(); n != 0 {
		t.Errorf("%d sessions ended before their time", n)
	}
	w.must(w.dir.Check(p))
	w.advance(time.Minute)
	if err := w.dir.Check(p); !errors.Is(err, directory.ErrExpired) {
		t.Errorf("a session of over a day: %v", err)
	}
	if n := w.dir.Expire(); n != 1 || <-cut != "session-length" {
		t.Errorf("%d sessions ended, want 1", n)
	}
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("another session: %v", err)
	}
}
