package storage

import (
	"slices"
	"testing"
	"time"

	"postern/dkim"
	"postern/storage/audit"
)

// TestDomainWatch: who watches is told of each change from which names follow, once
// it is committed, and of nothing else.
func TestDomainWatch(t *testing.T) {
	ts := newTestStore(t)
	w := ts.WatchDomains()
	expect := func(what string, want ...DomainRef) {
		t.Helper()
		if hints := len(w.Hint()); hints != min(1, len(want)) {
			t.Errorf("%s: %d hints", what, hints)
		}
		if len(w.Hint()) > 0 {
			<-w.Hint()
		}
		got := w.Take()
		slices.SortFunc(got, func(a, b DomainRef) int { return slices.Compare(a.Domain[:], b.Domain[:]) })
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	org, domain, _ := ts.addOrg(t, "example.com", "support")
	it, all := DomainRef{org.ID, domain.ID}, DomainRef{Org: org.ID}
	expect("a new domain", it)

	ts.write(t, audit.DomainAdd, func(tx *Tx, e *audit.Event) error { domain.Owned = true; return tx.UpdateDomain(e, &domain) })
	key := DKIMKey{Head: Head{Org: org.ID}, Domain: domain.ID, Selector: "s", State: dkim.Prepared}
	ts.putKey(t, &key, time.Time{})
	expect("the domain and a key", it)

	p := Policy{Head: Head{Org: org.ID}, Level: LevelAgent, Target: newID()}
	ts.putPolicy(t, &p, map[string]string{"x": "1"})
	expect("a policy of an agent")
	p = Policy{Head: Head{Org: org.ID}, Level: LevelDomain, Target: domain.ID}
	ts.putPolicy(t, &p, map[string]string{"x": "1"})
	expect("a policy of the domain", it)
	p = Policy{Head: Head{Org: org.ID}, Level: LevelOrganization, Target: org.ID}
	ts.putPolicy(t, &p, map[string]string{"x": "1"})
	expect("a policy of the organization", all)
	ts.putPolicy(t, &p, nil)
	expect("and its end", all)

	_ = ts.Write(t.Context(), System, func(tx *Tx) error {
		d := Domain{Head: Head{Org: org.ID}, Name: "undone.example"}
		if err := tx.CreateDomain(tx.Record(audit.Event{Verb: audit.DomainAdd}), &d); err != nil {
			return err
		}
		return errUndo
	})
	expect("a change that was undone")

	other := Domain{Head: Head{Org: org.ID}, Name: "second.example"}
	ts.write(t, audit.DomainAdd, func(tx *Tx, e *audit.Event) error { return tx.CreateDomain(e, &other) })
	ts.write(t, audit.DomainRemove, func(tx *Tx, e *audit.Event) error { return tx.DeleteDomain(e, &other) })
	expect("a domain that is gone again", DomainRef{org.ID, other.ID})

	w.Stop()
	ts.write(t, audit.DomainAdd, func(tx *Tx, e *audit.Event) error { return tx.UpdateDomain(e, &domain) })
	expect("after Stop")
}
