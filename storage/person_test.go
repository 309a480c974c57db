package storage

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"postern/storage/audit"
)

// addPerson stores an admin with a password, a factor and one session.
func (ts *testStore) addPerson(t *testing.T, org Organization, address string) (Person, PersonSession) {
	t.Helper()
	p := Person{Head: Head{Org: org.ID}, Address: address, Roles: []PersonRole{PersonAdmin},
		Password: &Password{Salt: []byte("salt of ada"), Hash: []byte("hash of ada's password"), Time: 1, Memory: 8, Threads: 1},
		TOTP:     []byte("secret of ada's phone")}
	ts.write(t, audit.PersonCreate, func(tx *Tx, e *audit.Event) error { return tx.CreatePerson(e, &p) })
	ps := PersonSession{Head: Head{Org: org.ID}, Person: p.ID, TokenHash: ts.HashSession("token of " + address), Door: "control",
		Factor: true, Expires: ts.clock.now().Add(time.Hour), Idle: 10 * time.Minute}
	ts.write(t, audit.PersonLogin, func(tx *Tx, e *audit.Event) error { return tx.CreatePersonSession(e, &ps) })
	return p, ps
}

func TestPersonIsWrittenByOneAtATime(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	p, _ := ts.addPerson(t, org, "ada@example.com")
	first, second := p, p
	first.Step = 7
	ts.write(t, audit.PersonLogin, func(tx *Tx, e *audit.Event) error { return tx.UpdatePerson(e, &first) })
	second.Step = 7
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.UpdatePerson(tx.Record(audit.Event{Verb: audit.PersonLogin}), &second)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a code used by two logins at a time: %v, want ErrConflict", err)
	}
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		again := Person{Head: Head{Org: org.ID}, Address: p.Address}
		return tx.CreatePerson(tx.Record(audit.Event{Verb: audit.PersonCreate}), &again)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("an address twice: %v, want ErrConflict", err)
	}
	if _, err := ts.Person(t.Context(), NewID(), p.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("AC-19: a person of another organization: %v", err)
	}
}

func TestPersonSessionEnds(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	_, ps := ts.addPerson(t, org, "ada@example.com")
	got, err := ts.PersonSessionByHash(t.Context(), ts.HashSession("token of ada@example.com"))
	if err != nil || got.ID != ps.ID || got.LastUsed.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	for after, want := range map[time.Duration]string{time.Minute: "", 10 * time.Minute: "idle", 2 * time.Hour: "expired"} {
		if cause := got.Ended(got.LastUsed.Add(after)); cause != want {
			t.Errorf("after %s it ended by %q, want %q", after, cause, want)
		}
	}
	used := got.LastUsed.Add(5 * time.Minute)
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.SessionUsed(ps.ID, used) }); err != nil {
		t.Fatal(err)
	}
	if all, err := ts.PersonSessions(t.Context(), org.ID, ps.Person); err != nil || len(all) != 1 || !all[0].LastUsed.Equal(used) {
		t.Errorf("%+v, %v", all, err)
	}
	ts.write(t, audit.PersonLogout, func(tx *Tx, e *audit.Event) error { return tx.DeletePersonSession(e, &ps) })
	if _, err := ts.PersonSessionByHash(t.Context(), ps.TokenHash); !errors.Is(err, ErrNotFound) {
		t.Errorf("a session that was ended: %v", err)
	}
}

// TestAC6_DumpYieldsNoPassword looks for what an account is made of in the
// database's files.
func TestAC6_DumpYieldsNoPassword(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	p, _ := ts.addPerson(t, org, "ada@example.com")
	ts.Close()
	for path, b := range copyFiles(t, ts.cfg.Dir) {
		for _, secret := range [][]byte{[]byte(p.Address), p.Password.Hash, p.TOTP, []byte("token of ada")} {
			if bytes.Contains(b, secret) {
				t.Errorf("%s holds %q", path, secret)
			}
		}
	}
}

func TestVerifyDataHoldsPeople(t *testing.T) {
	for table, sql := range map[string]string{
		"person":         "UPDATE person SET address_hash = x'00'",
		"person_session": "UPDATE person_session SET token_hash = x'00'",
		"consent":        "UPDATE consent SET act_hash = x'00'",
		"passkey":        "UPDATE passkey SET credential_hash = x'00'",
		"invitation":     "UPDATE invitation SET token_hash = x'00'",
	} {
		ts := newTestStore(t)
		org, _, _ := ts.addOrg(t, "example.com", "support")
		p, _ := ts.addPerson(t, org, "ada@example.com")
		ts.addPasskey(t, p, "credential of ada")
		ts.addInvitation(t, p, "secret of a link")
		ts.write(t, audit.ConsentGive, func(tx *Tx, e *audit.Event) error {
			c, err := tx.Consent(org.ID, "release it")
			if err != nil {
				return err
			}
			c.Given = []Consenter{{p.ID, tx.Now()}}
			return tx.PutConsent(e, &c)
		})
		ts.Close()
		if r, err := VerifyData(t.Context(), ts.cfg); err != nil || !r.OK() {
			t.Fatalf("%+v, %v", r, err)
		}
		tamper(t, ts.cfg.Dir, sql)
		if r, err := VerifyData(t.Context(), ts.cfg); err != nil || r.OK() {
			t.Errorf("a changed column of %s is not found: %v", table, err)
		}
	}
}
