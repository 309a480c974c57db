package servertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/dns/nameserver"
	"postern/dns/zone"
	"postern/server"
	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// otherOrganization makes a second organization.
func otherOrganization(t *testing.T, p *servertest.Postern) uuid.UUID {
	t.Helper()
	other := storage.Organization{Name: "other"}
	err := p.Server().Store().Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		return tx.CreateOrganization(tx.Record(audit.Event{Verb: audit.OrganizationCreate}), &other)
	})
	if err != nil {
		t.Fatal(err)
	}
	return other.ID
}

// verbs are how often each verb was recorded.
func verbs(t *testing.T, p *servertest.Postern) map[audit.Verb]int {
	t.Helper()
	counts := map[audit.Verb]int{}
	for next := uint64(0); ; {
		events, err := p.Server().Store().Events(t.Context(), storage.EventQuery{From: next})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return counts
		}
		for _, e := range events {
			counts[e.Verb]++
			next = e.Seq + 1
		}
	}
}

// TestFirstProofWins: a name that one organization typed does not keep it from who
// proves that it is theirs; once proved it is nobody else's.
func TestFirstProofWins(t *testing.T) {
	p := servertest.New(t, servertest.Options{})
	dir, ctx := p.Server().Directory(), t.Context()
	other := otherOrganization(t, p)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.World.Names.SetZone(nameserver.Zone{Origin: "wanted.test", Nameservers: []string{"ns.test"}}))
	add := func(org uuid.UUID, name string) error {
		_, _, err := dir.AddDomain(ctx, storage.System, org, name, directory.AssumeOwned{})
		return err
	}
	must(add(other, "wanted.test"))
	record, text := dir.Challenge(p.Org.ID, "wanted.test")
	if err := add(p.Org.ID, "wanted.test"); !errors.Is(err, directory.ErrTaken) || !strings.Contains(err.Error(), record+" with the text "+text) {
		t.Fatalf("without a proof: %v", err)
	}
	must(p.World.Publish(zone.Record{Name: record, Type: "TXT", Value: text}))

	in, err := dir.CreateInbox(ctx, storage.System, other, "a@wanted.test", storage.Live)
	must(err)
	if err := add(p.Org.ID, "wanted.test"); !errors.Is(err, directory.ErrTaken) || !strings.Contains(err.Error(), "has inboxes") {
		t.Fatalf("while the other has inboxes: %v", err)
	}
	_, _, err = dir.RemoveInbox(ctx, storage.System, other, in.Address, "not theirs", true)
	must(err)

	must(add(p.Org.ID, "wanted.test"))
	d, check, err := dir.CheckDomain(ctx, storage.System, p.Org.ID, "wanted.test")
	must(err)
	if !d.Owned || d.Proof != storage.ProofChallenge || len(check.Records) == 0 {
		t.Errorf("after the proof: %+v", d)
	}
	if n := verbs(t, p); n[audit.DomainDisplace] != 1 || n[audit.DomainProve] != 1 {
		t.Errorf("%d times displaced, %d times proved", n[audit.DomainDisplace], n[audit.DomainProve])
	}
	for _, name := range []string{"wanted.test", "below.wanted.test"} {
		if err := add(other, name); !errors.Is(err, directory.ErrTaken) {
			t.Errorf("%s belongs to one who proved it: %v", name, err)
		}
	}
}

// TestAU11_DomainsAreWatched: a domain is looked at by itself, often while something
// changes and then daily, as it was due before a restart; what could not be asked is
// not missing.
func TestAU11_DomainsAreWatched(t *testing.T) {
	p := servertest.New(t, servertest.Options{Configure: func(c *server.Config) { c.DNS.Check = true }})
	ctx := t.Context()
	domain, err := p.Server().Directory().Domain(ctx, p.Org.ID, p.Domain)
	if err != nil {
		t.Fatal(err)
	}
	check := func() storage.DomainCheck {
		c, err := p.Server().Directory().DomainCheck(ctx, p.Org.ID, domain.ID)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	await := func(what string, is func(storage.DomainCheck) bool) storage.DomainCheck {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			c := check()
			if is(c) {
				return c
			}
			if time.Now().After(end) {
				t.Fatalf("%s: it is %s", what, states(c))
			}
		}
	}
	first := await("a first check", func(c storage.DomainCheck) bool { return c.Version > 0 })
	if wait := first.Due.Sub(first.Checked); wait != 10*time.Second {
		t.Errorf("with something to do the next check is after %s", wait)
	}
	plan, err := p.Server().Directory().DomainRecords(ctx, domain)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.World.Publish(plan...); err != nil {
		t.Fatal(err)
	}
	if err := p.Down(); err != nil {
		t.Fatal(err)
	}
	if err := p.Up(); err != nil {
		t.Fatal(err)
	}
	if err := p.World.Advance(time.Minute); err != nil {
		t.Fatal(err)
	}
	good := await("all in place", func(c storage.DomainCheck) bool {
		return !strings.Contains(states(c), "missing") && !strings.Contains(states(c), "wrong")
	})
	if wait := good.Due.Sub(good.Checked); wait != 24*time.Hour {
		t.Errorf("when all is well the next check is after %s", wait)
	}
	before := verbs(t, p)[audit.DomainRecord]
	if err := p.World.Names.Stop(context.WithoutCancel(ctx)); err != nil {
		t.Fatal(err)
	}
	if err := p.World.Advance(25 * time.Hour); err != nil {
		t.Fatal(err)
	}
	silent := await("a check that nobody answers", func(c storage.DomainCheck) bool { return c.Checked.After(good.Checked) })
	if states(silent) != states(good) || verbs(t, p)[audit.DomainRecord] != before {
		t.Errorf("nobody could be asked, and what was\n%s\nis\n%s", states(good), states(silent))
	}
}

// states are those of all records, one on a line.
func states(c storage.DomainCheck) string {
	var b strings.Builder
	for _, r := range c.Records {
		fmt.Fprintf(&b, "%s %s %s\n", r.State, r.Purpose, r.Name)
	}
	return b.String()
}
