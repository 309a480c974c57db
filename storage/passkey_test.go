package storage

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// addPasskey stores a passkey of a person.
func (ts *testStore) addPasskey(t *testing.T, p Person, credential string) Passkey {
	t.Helper()
	k := Passkey{Head: Head{Org: p.Org}, Person: p.ID, Name: "ada's phone", Host: "mail.example.com", Credential: []byte(credential), Key: []byte(`{"count":1}`)}
	ts.write(t, audit.PasskeyAdd, func(tx *Tx, e *audit.Event) error { return tx.CreatePasskey(e, &k) })
	return k
}

// addInvitation stores a link for a person.
func (ts *testStore) addInvitation(t *testing.T, p Person, token string) Invitation {
	t.Helper()
	in := Invitation{Head: Head{Org: p.Org}, Person: p.ID, TokenHash: ts.HashInvitation(token), Expires: ts.clock.now()}
	ts.write(t, audit.PersonInvite, func(tx *Tx, e *audit.Event) error { return tx.CreateInvitation(e, &in) })
	return in
}

// TestPasskeyIsOfOnePerson: a credential is found by its id, belongs to one, and of
// two answers at a time one counts.
func TestPasskeyIsOfOnePerson(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	ada, _ := ts.addPerson(t, org, "ada@example.com")
	bob, _ := ts.addPerson(t, org, "bob@example.com")
	k := ts.addPasskey(t, ada, "credential of ada")
	if got, err := ts.PasskeyByCredential(t.Context(), k.Credential); err != nil || got.ID != k.ID || got.Person != ada.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ts.PasskeyByCredential(t.Context(), []byte("another")); !errors.Is(err, ErrNotFound) {
		t.Errorf("a credential that nobody has: %v", err)
	}
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		again := Passkey{Head: Head{Org: org.ID}, Person: bob.ID, Credential: k.Credential}
		return tx.CreatePasskey(tx.Record(audit.Event{Verb: audit.PasskeyAdd}), &again)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a credential of two people: %v", err)
	}
	first, second := k, k
	ts.write(t, audit.PersonLogin, func(tx *Tx, e *audit.Event) error { return tx.UpdatePasskey(e, &first) })
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.UpdatePasskey(tx.Record(audit.Event{Verb: audit.PersonLogin}), &second)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("two answers at a time: %v", err)
	}
	ts.write(t, audit.PasskeyRemove, func(tx *Tx, e *audit.Event) error { return tx.DeletePasskey(e, &first) })
	if all, err := ts.Passkeys(t.Context(), org.ID, ada.ID); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := ts.Passkeys(t.Context(), uuid.Nil, ada.ID); err != nil {
		t.Error(err)
	}
}

// TestInvitationWorksOnce: a newer link ends the one before, and of two who use one
// at a time, one does.
func TestInvitationWorksOnce(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	ada, _ := ts.addPerson(t, org, "ada@example.com")
	ts.addInvitation(t, ada, "first")
	in := ts.addInvitation(t, ada, "second")
	if _, err := ts.InvitationByHash(t.Context(), ts.HashInvitation("first")); !errors.Is(err, ErrNotFound) {
		t.Errorf("the link before: %v", err)
	}
	if got, err := ts.InvitationByHash(t.Context(), in.TokenHash); err != nil || got.Person != ada.ID {
		t.Errorf("%+v, %v", got, err)
	}
	ts.write(t, audit.PersonWelcome, func(tx *Tx, e *audit.Event) error { return tx.DeleteInvitation(e, &in) })
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.DeleteInvitation(tx.Record(audit.Event{Verb: audit.PersonWelcome}), &in)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a link that was used: %v", err)
	}
}

// TestSessionGetsAnotherToken: what opened the session before opens nothing.
func TestSessionGetsAnotherToken(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	_, ps := ts.addPerson(t, org, "ada@example.com")
	was := ps.TokenHash
	ps.TokenHash = ts.HashSession("another")
	ts.write(t, audit.PersonRenew, func(tx *Tx, e *audit.Event) error { return tx.UpdatePersonSession(e, &ps) })
	if _, err := ts.PersonSessionByHash(t.Context(), was); !errors.Is(err, ErrNotFound) {
		t.Errorf("the token before: %v", err)
	}
	if got, err := ts.PersonSessionByHash(t.Context(), ps.TokenHash); err != nil || got.ID != ps.ID || got.LastUsed.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestAC6_DumpYieldsNoPasskey looks for what lets people in in the database's files.
func TestAC6_DumpYieldsNoPasskey(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	ada, _ := ts.addPerson(t, org, "ada@example.com")
	ts.addPasskey(t, ada, "credential of ada")
	ts.addInvitation(t, ada, "secret of a link")
	ts.Close()
	for path, b := range copyFiles(t, ts.cfg.Dir) {
		for _, text := range []string{"credential of ada", "ada's phone", "secret of a link", `"count"`} {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s holds %q", path, text)
			}
		}
	}
}
