package storage

import (
	"errors"
	"testing"
	"time"

	"postern/storage/audit"
)

// TestAU11_DomainChecks holds that what was found of a domain is a record like any: two who check at a time do not undo
// each other, and what is due is named, who was never looked at first.
func TestAU11_DomainChecks(t *testing.T) {
	ts := newTestStore(t)
	org, domain, _ := ts.addOrg(t, "example.com", "support")
	due := func(want int) {
		t.Helper()
		all, _, err := ts.DomainsDue(t.Context(), ts.now(), 10)
		if err != nil || len(all) != want {
			t.Errorf("due are %v, %v, want %d", all, err, want)
		}
	}
	due(1)
	c := DomainCheck{Head: Head{ID: domain.ID, Org: org.ID}, Zone: "example.com", Due: ts.now().Add(time.Hour),
		Records: []RecordState{{Name: "example.com", Type: "MX", Purpose: "mx", State: "ok"}}}
	stale := c
	put := func(c *DomainCheck) error {
		return ts.Write(t.Context(), System, func(tx *Tx) error {
			return tx.PutDomainCheck(tx.Record(audit.Event{Verb: audit.DomainRecord}), c)
		})
	}
	if err := put(&c); err != nil {
		t.Fatal(err)
	}
	if err := put(&stale); !errors.Is(err, ErrConflict) {
		t.Errorf("a first check beside another: %v", err)
	}
	due(0)
	if got, err := ts.DomainCheck(t.Context(), org.ID, domain.ID); err != nil || len(got.Records) != 1 || got.Checked.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ts.DomainCheck(t.Context(), newID(), domain.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("of another organization: %v", err) // AC-19
	}
	if err := ts.Upkeep(t.Context(), func(u *Upkeep) error { return u.DomainChecked(domain.ID, u.Now()) }); err != nil {
		t.Fatal(err)
	}
	due(1)
	if a, b := ts.DomainChallenge(org.ID, "example.com"), ts.DomainChallenge(newID(), "example.com"); a == b || a != ts.DomainChallenge(org.ID, "example.com") {
		t.Errorf("challenges are %q and %q", a, b)
	}
}
