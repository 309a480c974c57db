package storage

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"postern/storage/audit"
)

func (ts *testStore) putPolicy(t *testing.T, p *Policy, values map[string]string) {
	t.Helper()
	ts.write(t, audit.PolicySet, func(tx *Tx, e *audit.Event) error {
		p.Values = values
		return tx.PutPolicy(e, p)
	})
}

// TestAV1_PoliciesAreRecords holds that a policy is found as it was last written, also from memory, that two who
// change it do not undo each other, and that the verifier names one that was taken out or pointed elsewhere.
func TestAV1_PoliciesAreRecords(t *testing.T) {
	ts := newTestStore(t)
	org, domain, _ := ts.addOrg(t, "example.com", "support")
	agent := newID()
	read := func(org uuid.UUID, want ...string) {
		t.Helper()
		all, err := ts.Policies(t.Context(), org, org, uuid.Nil, agent)
		if err != nil || len(all) != len(want) {
			t.Fatalf("%+v, %v, want %v", all, err, want)
		}
		for i := range all {
			if all[i].Values["messages-per-hour"] != want[i] {
				t.Errorf("%+v, want %v", all[i], want)
			}
		}
	}
	read(org.ID)
	p := Policy{Head: Head{Org: org.ID}, Level: LevelAgent, Target: agent}
	ts.putPolicy(t, &p, map[string]string{"messages-per-hour": "5"})
	read(org.ID, "5")
	stale := p
	ts.putPolicy(t, &p, map[string]string{"messages-per-hour": "6"})
	read(org.ID, "6")
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.PolicySet}), &stale)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a change of what was changed meanwhile: %v", err)
	}
	second := Policy{Head: Head{Org: org.ID}, Level: LevelAgent, Target: agent, Values: map[string]string{"sessions": "1"}}
	err = ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.PolicySet}), &second)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a second policy of a target: %v", err)
	}
	other, _, _ := ts.addOrg(t, "example.net", "support")
	if all, err := ts.Policies(t.Context(), other.ID, agent); err != nil || len(all) != 0 {
		t.Errorf("AC-19: another organization reads %+v, %v", all, err)
	}
	whole := Policy{Head: Head{Org: org.ID}, Level: LevelOrganization, Target: org.ID}
	ts.putPolicy(t, &whole, map[string]string{"messages-per-hour": "100"})
	ofDomain := Policy{Head: Head{Org: org.ID}, Level: LevelDomain, Target: domain.ID}
	ts.putPolicy(t, &ofDomain, map[string]string{"inside-only": "yes"})
	ts.Close()
	ts.open(t)
	read(org.ID, "100", "6")
	ts.putPolicy(t, &whole, nil)
	read(org.ID, "6")
	ts.Close()
	r, err := VerifyData(t.Context(), ts.cfg)
	if err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, edit := range []string{"UPDATE policy SET target = randomblob(16)", "DELETE FROM policy"} {
		tamper(t, ts.cfg.Dir, edit)
		if r, err := VerifyData(t.Context(), ts.cfg); err != nil || r.OK() {
			t.Errorf("%s: %+v, %v", edit, r, err)
		}
	}
}

// TestPolicyPointedElsewhere: a column that leads to another's policy is not believed.
func TestPolicyPointedElsewhere(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	p := Policy{Head: Head{Org: org.ID}, Level: LevelAgent, Target: newID()}
	ts.putPolicy(t, &p, map[string]string{"messages-per-hour": "1000"})
	ts.Close()
	thief := newID()
	tamper(t, ts.cfg.Dir, fmt.Sprintf("UPDATE policy SET target = x'%x'", thief[:]))
	ts.open(t)
	if got, err := ts.Policies(t.Context(), org.ID, thief); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPolicyIsReadAfterItsCommit: whoever was told that a policy is written reads it, and nothing older, however
// many read beside it.
func TestPolicyIsReadAfterItsCommit(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	p := Policy{Head: Head{Org: org.ID}, Level: LevelAgent, Target: newID()}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := ts.Policies(t.Context(), org.ID, p.Target, org.ID); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for n := range 100 {
		want := string(rune('a' + n%26))
		ts.putPolicy(t, &p, map[string]string{"k": want})
		if got, err := ts.Policies(t.Context(), org.ID, p.Target); err != nil || got[0].Values["k"] != want {
			t.Fatalf("%+v, %v, want %s", got, err, want)
		}
	}
	close(stop)
	readers.Wait()
}
