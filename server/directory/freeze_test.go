package directory_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// TestEV4_Freeze freezes at each level: sessions end and are counted, nobody logs in, queued mail waits, and all of it
// is over when a person lifts it.
func TestEV4_Freeze(t *testing.T) {
	w, in, a, c, secret := one(t)
	other := w.domain(w.org, "example.org")
	elsewhere := w.inbox("clerk@example.org", storage.Live)
	clerk := w.agent("clerk")
	_, clerks := w.credential(clerk, directory.CredentialSpec{Scopes: []storage.Scope{{Inbox: elsewhere.ID, Verbs: storage.Read}}})
	mail := storage.Outgoing{Head: storage.Head{Org: w.org}, Inbox: in.ID, Agent: a.ID, Credential: c.ID}
	for _, step := range []struct {
		target directory.Target
		cut    int
		both   bool // the clerk too
	}{
		{directory.Target{Kind: storage.FreezeCredential, ID: c.ID, Name: c.PublicID}, 1, false},
		{directory.Target{Kind: storage.FreezeAgent, ID: a.ID, Name: a.Name}, 1, false},
		{directory.Target{Kind: storage.FreezeDomain, ID: in.Domain, Name: "example.com"}, 1, false},
		{directory.Target{Kind: storage.FreezeOrganization, ID: w.org, Name: "default"}, 2, true},
		{directory.Target{Kind: storage.FreezeAll}, 2, true},
	} {
		cut := make(chan string, 2)
		for login, token := range map[string]string{"scout": secret, "clerk": clerks} {
			p, err := w.login(login, token, home)
			w.must(err)
			w.dir.Register(p, func(reason string) { cut <- reason; go w.dir.End(p, reason) })
			defer w.dir.End(p, "closed")
		}
		got, err := w.dir.Freeze(t.Context(), admin, w.org, step.target, "odd")
		w.must(err)
		if got.Sessions != step.cut || got.Open != 0 || <-cut != "frozen" {
			t.Errorf("%s: %d sessions cut, %d open, want %d", step.target.Kind, got.Sessions, got.Open, step.cut)
		}
		e := w.events(audit.FreezeSet)
		last := e[len(e)-1]
		if n, _ := last.Fields.Int(audit.KeyCount); n != int64(step.cut) || last.Fields.Get(audit.KeyMillis) == nil ||
			last.Fields.Text(audit.KeyKind) != string(step.target.Kind) || last.Personal.Text(audit.KeyNote) != "odd" {
			t.Errorf("%s: event %+v", step.target.Kind, last)
		}
		if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrCredentials) {
			t.Errorf("%s: a frozen login: %v", step.target.Kind, err)
		}
		if _, err := w.login("clerk", clerks, home); (err != nil) != step.both {
			t.Errorf("%s: the other agent: %v", step.target.Kind, err)
		}
		if !w.dir.Frozen(t.Context(), &mail) {
			t.Errorf("%s: queued mail goes out", step.target.Kind)
		}
		if _, err := w.dir.Freeze(t.Context(), admin, w.org, step.target, "again"); !errors.Is(err, directory.ErrState) {
			t.Errorf("%s: frozen twice: %v", step.target.Kind, err)
		}
		w.must(w.dir.Unfreeze(t.Context(), ada, w.org, step.target, "explained"))
		if w.dir.Frozen(t.Context(), &mail) {
			t.Errorf("%s: queued mail waits after the freeze was lifted", step.target.Kind)
		}
		w.dir.Expire()
		for _, s := range w.dir.Sessions() { // the clerk's, of steps that did not concern it
			w.dir.End(&directory.Principal{Session: s.Session}, "closed")
		}
	}
	if _, err := w.dir.Freeze(t.Context(), admin, w.org, directory.Target{Kind: storage.FreezeDomain, ID: other.ID}, "odd"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("another domain is frozen: %v", err)
	}
}

// TestEV4_FreezeLasts holds that a freeze survives the process, and that only a person with a reason lifts it.
func TestEV4_FreezeLasts(t *testing.T) {
	w, _, a, _, secret := one(t)
	target := directory.Target{Kind: storage.FreezeAgent, ID: a.ID, Name: a.Name}
	if _, err := w.dir.Freeze(t.Context(), admin, w.org, target, ""); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("a freeze without a reason: %v", err)
	}
	if _, err := w.dir.Freeze(t.Context(), admin, w.org, directory.Target{Kind: storage.FreezeAgent}, "odd"); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("a freeze of no agent, which would be of all: %v", err)
	}
	_, err := w.dir.Freeze(t.Context(), storage.System, w.org, target, "spike")
	w.must(err)
	w.dir = directory.New(w.store, directory.Options{Now: w.clock}) // as after a restart
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("a frozen login after a restart: %v", err)
	}
	for _, actor := range []audit.Actor{storage.System, admin, {Kind: audit.Agent, ID: a.ID}, {Kind: audit.Stranger}} {
		if err := w.dir.Unfreeze(t.Context(), actor, w.org, target, "please"); !errors.Is(err, directory.ErrRefused) {
			t.Errorf("lifted by %s: %v", actor.Kind, err)
		}
	}
	if err := w.dir.Unfreeze(t.Context(), ada, w.org, target, ""); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("lifted without a reason: %v", err)
	}
	w.must(w.dir.Unfreeze(t.Context(), ada, w.org, target, "explained"))
	if err := w.dir.Unfreeze(t.Context(), ada, w.org, target, "again"); !errors.Is(err, directory.ErrState) {
		t.Errorf("lifted twice: %v", err)
	}
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("after the freeze: %v", err)
	}
	if e := w.events(audit.FreezeLift); len(e) != 1 || e[0].Actor.Name != ada.Name {
		t.Errorf("events %+v", e)
	}
}

// TestInvariant4_UnrecordedFreezeHolds holds that what cannot be recorded stays frozen.
func TestInvariant4_UnrecordedFreezeHolds(t *testing.T) {
	w, _, _, _, secret := one(t)
	p, err := w.login("scout", secret, home)
	w.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the record fails, and the act has been done
	target := directory.Target{Kind: storage.FreezeAll, ID: uuid.Nil}
	if cut, err := w.dir.Freeze(ctx, admin, w.org, target, "fire"); err == nil || cut.Sessions != 1 {
		t.Errorf("%+v, %v", cut, err)
	}
	if err := w.dir.Check(p); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("a session goes on: %v", err)
	}
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("a login: %v", err)
	}
	w.must(w.dir.Unfreeze(t.Context(), ada, w.org, target, "over"))
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("after the freeze: %v", err)
	}
}
