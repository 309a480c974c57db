package storage

import (
	"errors"
	"testing"
	"time"

	"postern/dkim"
	"postern/storage/audit"
)

func (ts *testStore) putKey(t *testing.T, k *DKIMKey, due time.Time) {
	t.Helper()
	ts.write(t, audit.DKIMCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateDKIMKey(e, k, due) })
}

// TestAU11_KeysOfADomain holds that a key is found as it was last written, that two who change it do not undo each
// other, and that one which was moved to another domain signs for nobody.
func TestAU11_KeysOfADomain(t *testing.T) {
	ts := newTestStore(t)
	org, domain, _ := ts.addOrg(t, "example.com", "support")
	k := DKIMKey{Head: Head{Org: org.ID}, Domain: domain.ID, Selector: "e1", Algorithm: "ed25519", State: dkim.Prepared, Record: "v=DKIM1; k=ed25519; p=AA==", Private: []byte("private")}
	ts.putKey(t, &k, ts.now())
	if k.Since() != k.Created {
		t.Errorf("prepared since %v", k.Since())
	}
	stale := k
	ts.write(t, audit.DKIMCreate, func(tx *Tx, e *audit.Event) error {
		k.State, k.Retired, k.Private = dkim.Retired, tx.Now(), nil
		return tx.UpdateDKIMKey(e, &k)
	})
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.UpdateDKIMKey(tx.Record(audit.Event{Verb: audit.DKIMCreate}), &stale)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a change of what was changed meanwhile: %v", err)
	}
	keys, err := ts.DKIMKeys(t.Context(), domain.ID)
	if err != nil || len(keys) != 1 || keys[0].State != dkim.Retired || keys[0].Private != nil || keys[0].Since() != k.Retired || keys[0].Record != k.Record {
		t.Errorf("%+v, %v", keys, err)
	}
	_, other, _ := ts.addOrg(t, "example.net", "support")
	ts.tamper(t, "UPDATE dkim_key SET domain = ?", other.ID[:])
	if keys, err := ts.DKIMKeys(t.Context(), other.ID); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a key of another domain: %+v, %v", keys, err)
	}
}

// TestKeysFromBeforeTheyHadStates holds that such a key signs, since it was made.
func TestKeysFromBeforeTheyHadStates(t *testing.T) {
	ts := newTestStore(t)
	org, domain, _ := ts.addOrg(t, "example.com", "support")
	private, err := dkim.GenerateKey(dkim.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	ts.putKey(t, &DKIMKey{Head: Head{Org: org.ID}, Domain: domain.ID, Selector: "e1", Algorithm: "ed25519", Private: private.PKCS8()}, time.Time{})
	keys, err := ts.DKIMKeys(t.Context(), domain.ID)
	if err != nil || len(keys) != 1 || keys[0].State != dkim.Signing || keys[0].Since() != keys[0].Created || keys[0].Record != private.Record() {
		t.Errorf("%+v, %v", keys, err)
	}
}

// TestDueDKIM holds that each domain is due when its first key is, and no more once it is postponed.
func TestDueDKIM(t *testing.T) {
	ts := newTestStore(t)
	if at, err := ts.NextDKIMDue(t.Context()); !at.IsZero() || err != nil {
		t.Errorf("without a key: %v, %v", at, err)
	}
	org, domain, _ := ts.addOrg(t, "example.com", "support")
	now := ts.now()
	for _, due := range []time.Time{now.Add(time.Hour), now.Add(-time.Hour), now} {
		ts.putKey(t, &DKIMKey{Head: Head{Org: org.ID}, Domain: domain.ID, State: dkim.Signing}, due)
	}
	due, err := ts.DueDKIM(t.Context(), 10)
	if err != nil || len(due) != 1 || due[0] != (DueDKIM{org.ID, domain.ID}) {
		t.Errorf("%+v, %v", due, err)
	}
	later := now.Add(24 * time.Hour)
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.PostponeDKIM(domain.ID, later) }); err != nil {
		t.Fatal(err)
	}
	if due, err := ts.DueDKIM(t.Context(), 10); err != nil || len(due) != 0 {
		t.Errorf("postponed: %+v, %v", due, err)
	}
	if at, err := ts.NextDKIMDue(t.Context()); !at.Equal(later) || err != nil {
		t.Errorf("%v, %v", at, err)
	}
}
