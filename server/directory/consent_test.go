package directory_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// person stores a person with a session that has a second factor, and returns
// the actor that they are in it.
func (w *world) person(address string, roles ...storage.PersonRole) (storage.Person, audit.Actor, string) {
	w.t.Helper()
	var p storage.Person
	w.must(w.store.Write(w.t.Context(), admin, func(tx *storage.Tx) error {
		p = storage.Person{Head: storage.Head{Org: w.org}, Address: address, Roles: roles}
		return tx.CreatePerson(tx.Record(audit.Event{Verb: audit.PersonCreate}), &p)
	}))
	_, token, err := w.dir.StartSession(w.t.Context(), admin, p, directory.SessionSpec{Door: "control", Factor: true, Length: 1000 * time.Hour, Idle: -1})
	w.must(err)
	ps, err := w.dir.PersonSession(w.t.Context(), token)
	w.must(err)
	return p, ps.Actor("root", netip.MustParseAddr(home)), token
}

func TestConsentCollectsPeople(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, ada, _ := w.person("ada@example.com", storage.PersonAdmin)
	_, bob, _ := w.person("bob@example.com", storage.PersonAdmin)
	const act = "policy.set agent:scout messages-per-hour 600 → 900"
	ask := func(actor audit.Actor, act string, have int, done bool) {
		t.Helper()
		n, ok, err := w.dir.Consent(ctx, actor, w.org, act, 2)
		if err != nil || n != have || ok != done {
			t.Errorf("%s: %d, %v, %v; want %d, %v", actor.Name, n, ok, err, have, done)
		}
	}
	if _, _, err := w.dir.Consent(ctx, ada, w.org, act, 2); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("an account of today where two are needed: %v", err)
	}
	w.advance(25 * time.Hour)
	ask(ada, act, 1, false)
	ask(ada, act, 1, false)               // the same person twice is one
	ask(bob, act+"0", 1, false)           // another act
	ask(bob, act, 2, true)                // enough
	ask(bob, act, 1, false)               // for once
	w.advance(24*time.Hour + time.Second) // and it lapses
	ask(ada, act, 1, false)
	_, carl, _ := w.person("carl@example.com", storage.PersonAdmin)
	if _, _, err := w.dir.Consent(ctx, carl, w.org, act, 2); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("the second was made a moment ago: %v", err)
	}
	if n, ok, err := w.dir.Consent(ctx, carl, w.org, act, 1); n != 1 || !ok || err != nil {
		t.Errorf("where one is enough: %d, %v, %v", n, ok, err)
	}
	ask(bob, act, 2, true)
	events := w.events(audit.ConsentGive)
	if last := events[len(events)-1]; last.Personal.Text(audit.KeyText) != act || last.Actor.ID != bob.ID {
		t.Errorf("the last consent is on record as %+v", last)
	}
	for _, actor := range []audit.Actor{admin, storage.System, {Kind: audit.Agent, ID: ada.ID}} {
		if _, _, err := w.dir.Consent(ctx, actor, w.org, act, 1); !errors.Is(err, directory.ErrRefused) {
			t.Errorf("consent of %s: %v", actor.Kind, err)
		}
	}
}

func TestPersonSessionEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, actor, token := w.person("ada@example.com", storage.PersonAdmin)
	if ps, err := w.dir.PersonSession(ctx, token); err != nil || ps.Person.ID != p.ID {
		t.Fatalf("%+v, %v", ps, err)
	}
	for _, wrong := range []string{"", "root", token[:len(token)-1], token[:20] + "AAAA" + token[24:]} {
		if _, err := w.dir.PersonSession(ctx, wrong); !errors.Is(err, directory.ErrSession) {
			t.Errorf("session %q: %v", wrong, err)
		}
	}
	w.must(w.dir.EndPersonSession(ctx, actor, p, actor.Session, "logout"))
	if _, err := w.dir.PersonSession(ctx, token); !errors.Is(err, directory.ErrSession) {
		t.Errorf("a session after logout: %v", err)
	}
	_, token, err := w.dir.StartSession(ctx, admin, p, directory.SessionSpec{Door: "control"})
	w.must(err)
	w.advance(directory.PersonSessionIdle - time.Minute)
	if _, err := w.dir.PersonSession(ctx, token); err != nil {
		t.Errorf("a session that lay for almost its time: %v", err)
	}
	w.must(w.dir.Flush(ctx))
	w.advance(directory.PersonSessionIdle - time.Minute)
	if _, err := w.dir.PersonSession(ctx, token); err != nil {
		t.Errorf("a session that was used in between: %v", err)
	}
	w.advance(directory.PersonSessionIdle)
	if _, err := w.dir.PersonSession(ctx, token); !errors.Is(err, directory.ErrSession) {
		t.Errorf("a session that lay for too long: %v", err)
	}
	_, token, err = w.dir.StartSession(ctx, admin, p, directory.SessionSpec{Door: "control", Idle: -1})
	w.must(err)
	w.advance(directory.PersonSessionLength)
	if _, err := w.dir.PersonSession(ctx, token); !errors.Is(err, directory.ErrSession) {
		t.Errorf("a session beyond its time: %v", err)
	}
}

// TestAC15_RolesAndActs is the table of who may do what.
func TestAC15_RolesAndActs(t *testing.T) {
	table := map[directory.Act]string{
		directory.ActRelease: "admin reviewer", directory.ActWaive: "admin", directory.ActUnfreeze: "admin", directory.ActPolicy: "admin",
		directory.ActPeople: "admin", directory.ActContent: "admin reviewer", directory.ActOperate: "admin operator",
		directory.ActEvidence: "admin operator reviewer auditor", directory.ActSelf: "admin operator reviewer auditor",
	}
	for _, act := range directory.Acts() {
		var may string
		for _, role := range []storage.PersonRole{storage.PersonAdmin, storage.PersonOperator, storage.PersonReviewer, storage.PersonAuditor} {
			if directory.Allows([]storage.PersonRole{role}, act) {
				if may != "" {
					may += " "
				}
				may += string(role)
			}
		}
		if want, ok := table[act]; !ok || may != want {
			t.Errorf("%s is allowed to %q, want %q", act, may, want)
		}
		if directory.Allows(nil, act) || directory.Allows([]storage.PersonRole{"root"}, act) {
			t.Errorf("%s is allowed without a role", act)
		}
	}
	if !directory.Allows([]storage.PersonRole{storage.PersonAuditor, storage.PersonReviewer}, directory.ActRelease) {
		t.Error("two roles allow less than each")
	}
}
