package directory_test

import (
	"context"
	"errors"
	"testing"

	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// TestCO5_RemoveInbox: the address ends for everybody at once, its sessions with
// it, and the log says who did it.
func TestCO5_RemoveInbox(t *testing.T) {
	w, in, a, _, secret := one(t)
	ctx := t.Context()
	p, err := w.login(in.Address, secret, "192.0.2.1")
	w.must(err)
	cut := make(chan string, 1)
	w.dir.Register(p, func(reason string) { cut <- reason; w.dir.End(p, reason) })
	if _, _, err := w.dir.RemoveInbox(ctx, admin, w.org, "nobody@example.com", "", false); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an inbox that is not there: %v", err)
	}
	other := storage.NewID()
	if _, _, err := w.dir.RemoveInbox(ctx, admin, other, in.Address, "", false); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("AC-19: from another organization: %v", err)
	}
	removed, n, err := w.dir.RemoveInbox(ctx, admin, w.org, in.Address, "asked to", false)
	if err != nil || n != 1 || removed.ID != in.ID || <-cut != "inbox-removed" {
		t.Fatalf("%d sessions, %v", n, err)
	}
	if err := w.dir.Check(p); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("check of a session that is left: %v", err)
	}
	if _, err := w.login(in.Address, secret, "192.0.2.1"); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("a scope that names the inbox: %v", err)
	}
	path := message.Path{Local: "support", Domain: "example.com"}
	if _, err := w.dir.Recipient(ctx, path); !errors.Is(err, directory.ErrNoSuchInbox) {
		t.Errorf("mail for it: %v", err)
	}
	w.must(w.dir.Flush(ctx)) // the end of the session is written, though the key is gone
	if ends := w.events(audit.SessionEnd); len(ends) != 1 || !ends[0].Redacted() {
		t.Errorf("ends of sessions: %v", ends)
	}
	acts := w.events(audit.InboxRemove)
	if len(acts) != 1 || acts[0].Personal.Text(audit.KeyNote) != "asked to" || acts[0].Actor.Kind != admin.Kind {
		t.Errorf("who and why: %+v", acts)
	}
	if len(w.events(audit.InboxErased)) != 1 {
		t.Error("the erasure has no end")
	}
	again := w.inbox(in.Address, storage.Live)
	if _, err := w.login(in.Address, secret, "192.0.2.1"); again.ID == in.ID || err == nil {
		t.Errorf("AC-4: an old credential of agent %s opens the new inbox of an old address", a.Name)
	}
}

// TestCO5_RunFinishesAnErasure that was cut after its first step.
func TestCO5_RunFinishesAnErasure(t *testing.T) {
	w, in, _, _, _ := one(t)
	w.must(w.store.Write(t.Context(), admin, func(tx *storage.Tx) error {
		in := in
		return tx.RemoveInbox(tx.Record(audit.Event{Verb: audit.InboxRemove}), &in, false)
	}))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.dir.Run(ctx); close(done) }()
	for len(w.events(audit.InboxErased)) == 0 && t.Context().Err() == nil {
		if left, err := w.store.Erasures(t.Context()); err != nil {
			t.Fatal(err)
		} else if len(left) == 0 {
			break
		}
	}
	stop()
	<-done
	if len(w.events(audit.InboxErased)) != 1 {
		t.Error("the erasure was not ended")
	}
}
