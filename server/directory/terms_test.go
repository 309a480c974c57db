package directory_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

const day = 24 * time.Hour

// ada is a person's session.
var ada = audit.Actor{Kind: audit.Person, ID: uuid.MustParse("0198c0de-0000-7000-8000-00000000ada0"), Name: "ada@example.com as root"}

// governed is one with a policy that the test changes.
func governed(t testing.TB) (w *world, in storage.InboxRecord, a storage.Agent, c storage.Credential, secret string, set func(directory.Terms)) {
	w, in, a, c, secret = one(t)
	var mu sync.Mutex
	var terms directory.Terms
	w.dir = directory.New(w.store, directory.Options{Now: w.clock,
		Terms: func(context.Context, uuid.UUID, uuid.UUID, uuid.UUID, uuid.UUID, uuid.UUID) (directory.Terms, error) {
			mu.Lock()
			defer mu.Unlock()
			return terms, nil
		}})
	return w, in, a, c, secret, func(t directory.Terms) {
		mu.Lock()
		defer mu.Unlock()
		terms = t
	}
}

// TestAC7_TighterAgeEndsOlderCredentials holds that policy's maximum age counts at creation, at a login and for those
// that are connected, also when it was set after the credential was made.
func TestAC7_TighterAgeEndsOlderCredentials(t *testing.T) {
	w, in, a, _, secret, set := governed(t)
	w.advance(40 * day)
	p, err := w.login("scout", secret, home)
	w.must(err)
	cut := make(chan string, 1)
	w.dir.Register(p, func(reason string) { cut <- reason })
	set(directory.Terms{MaxAge: 30 * day})
	if n := w.dir.Expire(); n != 1 || <-cut != "over-age" {
		t.Errorf("%d sessions ended by a tighter policy", n)
	}
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrExpired) {
		t.Errorf("a credential older than policy allows: %v", err)
	}
	if e := w.events(audit.SessionRefused); len(e) != 1 || e[0].Fields.Text(audit.KeyRule) != "over-age" {
		t.Errorf("events %+v", e)
	}
	spec := directory.CredentialSpec{Agent: a.ID, Scopes: []storage.Scope{{Inbox: in.ID, Verbs: storage.Read}}, Expires: w.clock().Add(31 * day)}
	if _, _, err := w.dir.CreateCredential(t.Context(), admin, w.org, spec); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("a credential for longer: %v", err)
	}
	c, _ := w.credential(a, directory.CredentialSpec{Scopes: spec.Scopes})
	if life := c.Expires.Sub(c.Created).Round(time.Hour); life != 30*day {
		t.Errorf("a credential of policy's own length lives %v", life)
	}
	set(directory.Terms{})
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("after policy was loosened again: %v", err)
	}
}

// TestAC11_TighterSessionsEnd holds that live sessions end when policy allows shorter ones, or fewer: of these the
// youngest.
func TestAC11_TighterSessionsEnd(t *testing.T) {
	w, _, _, _, secret, set := governed(t)
	var ended []string
	for _, name := range []string{"first", "second", "third"} {
		p, err := w.login("scout", secret, home)
		w.must(err)
		w.dir.Register(p, func(reason string) {
			ended = append(ended, name+" "+reason)
			go w.dir.End(p, reason)
		})
		w.advance(time.Hour)
	}
	set(directory.Terms{Sessions: 2})
	if n := w.dir.Expire(); n != 1 || !slices.Equal(ended, []string{"third sessions"}) {
		t.Errorf("%d ended: %q", n, ended)
	}
	set(directory.Terms{Sessions: 2, SessionLength: 150 * time.Minute})
	if n := w.dir.Expire(); n != 1 || ended[1] != "first session-length" {
		t.Errorf("%d ended: %q", n, ended)
	}
}

// TestAC7_Waiver holds that only a person waives policy's maximum age, with a reason, that both are on record, and that
// neither a shorter life nor a successor has one.
func TestAC7_Waiver(t *testing.T) {
	w, in, a, _, _, set := governed(t)
	ctx := t.Context()
	spec := directory.CredentialSpec{Agent: a.ID, Scopes: []storage.Scope{{Inbox: in.ID, Verbs: storage.Read}}, Expires: w.clock().Add(400 * day)}
	if _, _, err := w.dir.CreateCredential(ctx, ada, w.org, spec); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("a person without a reason: %v", err)
	}
	spec.Waiver = "sealed device"
	if _, _, err := w.dir.CreateCredential(ctx, admin, w.org, spec); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("no person: %v", err)
	}
	c, secret, err := w.dir.CreateCredential(ctx, ada, w.org, spec)
	w.must(err)
	if c.Waiver == nil || c.Waiver.Person != ada.ID || c.Waiver.Name != ada.Name || c.Waiver.Reason != "sealed device" {
		t.Errorf("waiver %+v", c.Waiver)
	}
	if e := w.events(audit.CredentialWaive); len(e) != 1 || e[0].Actor.ID != ada.ID || e[0].Credential != c.ID || e[0].Personal.Text(audit.KeyNote) != "sealed device" {
		t.Errorf("events %+v", e)
	}
	set(directory.Terms{MaxAge: 10 * day})
	w.advance(200 * day)
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("in its waived life: %v", err)
	}
	r, err := w.dir.RotateCredential(ctx, admin, w.org, c.ID, directory.Rotation{Overlap: day})
	w.must(err)
	if life := r.Successor.Expires.Sub(r.Successor.Created).Round(time.Hour); r.Successor.Waiver != nil || life != 10*day {
		t.Errorf("a successor that inherits a waiver: %+v for %v", r.Successor.Waiver, life)
	}
	w.advance(2 * day)
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrExpired) {
		t.Errorf("a waived credential after its overlap: %v", err)
	}
	again, err := w.dir.RotateCredential(ctx, ada, w.org, r.Successor.ID, directory.Rotation{Overlap: day, Life: 300 * day, Waiver: "until the move"})
	w.must(err)
	if again.Successor.Waiver == nil || len(w.events(audit.CredentialWaive)) != 2 {
		t.Error("a rotation with a waiver has none on record")
	}
	spec.Expires, spec.Waiver = w.clock().Add(day), "not needed"
	if c, _, err := w.dir.CreateCredential(ctx, ada, w.org, spec); err != nil || c.Waiver != nil {
		t.Errorf("a waiver that nobody needs: %+v, %v", c.Waiver, err)
	}
}

// TestAC8_DueCredentials holds which credentials a scheduler rotates, and that one whose successor was lost gets another.
func TestAC8_DueCredentials(t *testing.T) {
	w, in, a, c, secret := one(t)
	ctx := t.Context()
	short, _ := w.credential(a, directory.CredentialSpec{Scopes: c.Scopes, Expires: w.clock().Add(10 * day)})
	gone, _ := w.credential(a, directory.CredentialSpec{Scopes: c.Scopes, Expires: w.clock().Add(10 * day)})
	_, err := w.dir.RevokeCredential(ctx, admin, w.org, gone.ID, "lost")
	w.must(err)
	due := func(within time.Duration) (ids []uuid.UUID) {
		all, err := w.dir.DueCredentials(ctx, &a, within)
		w.must(err)
		for _, c := range all {
			ids = append(ids, c.ID)
		}
		return ids
	}
	if ids := due(14 * day); !slices.Equal(ids, []uuid.UUID{short.ID}) {
		t.Errorf("due within 14 days: %v, want %v", ids, short.ID)
	}
	if ids := due(90 * day); !slices.Equal(ids, []uuid.UUID{c.ID, short.ID}) {
		t.Errorf("due within 90 days: %v", ids)
	}
	r, err := w.dir.RotateCredential(ctx, admin, w.org, c.ID, directory.Rotation{Overlap: overlap})
	w.must(err)
	if ids := due(80 * day); !slices.Equal(ids, []uuid.UUID{short.ID}) {
		t.Errorf("due after a rotation: %v", ids)
	}
	_, err = w.dir.RevokeCredential(ctx, admin, w.org, r.Successor.ID, "its secret went astray")
	w.must(err)
	second, err := w.dir.RotateCredential(ctx, admin, w.org, c.ID, directory.Rotation{Overlap: overlap})
	w.must(err)
	if life := second.Successor.Expires.Sub(second.Successor.Created).Round(time.Hour); life != directory.DefaultMaxAge {
		t.Errorf("the second successor lives %v", life)
	}
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("the predecessor meanwhile: %v", err)
	}
	_, _, err = w.dir.RemoveInbox(ctx, admin, w.org, in.Address, "", true)
	w.must(err)
	if _, err := w.dir.RotateCredential(ctx, admin, w.org, second.Successor.ID, directory.Rotation{}); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("a successor that would open nothing: %v", err)
	}
}
