package storage

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/storage/audit"
)

// TestKnownRecords: what is remembered of a record is never older than the last commit that anybody heard of, also
// while others ask; and what is gone is gone.
func TestKnownRecords(t *testing.T) {
	ts := newTestStore(t)
	org, dom, _ := ts.addOrg(t, "example.com", "a")
	agent := Agent{Head: Head{Org: org.ID}, Name: "scout", Owner: "ada@example.com"}
	ts.write(t, audit.AgentCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateAgent(e, &agent) })

	done := make(chan struct{})
	var heard atomic.Uint64 // the version that somebody heard of
	heard.Store(agent.Version)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				last := heard.Load()
				a, err := ts.Agent(t.Context(), org.ID, agent.ID)
				if err != nil || a.Version < last {
					t.Errorf("version %d after %d: %v", a.Version, last, err)
					return
				}
			}
		})
	}
	for range 50 {
		ts.write(t, audit.AgentSuspend, func(tx *Tx, e *audit.Event) error { return tx.UpdateAgent(e, &agent) })
		heard.Store(agent.Version)
		if a, err := ts.Agent(t.Context(), org.ID, agent.ID); err != nil || a.Version != agent.Version {
			t.Fatalf("version %d after a commit of %d: %v", a.Version, agent.Version, err)
		}
	}
	close(done)
	readers.Wait()

	empty := Domain{Head: Head{Org: org.ID}, Name: "empty.example"}
	if _, err := ts.DomainByName(t.Context(), empty.Name); !errors.Is(err, ErrNotFound) {
		t.Errorf("a domain that is not there: %v", err)
	}
	ts.write(t, audit.DomainAdd, func(tx *Tx, e *audit.Event) error { return tx.CreateDomain(e, &empty) })
	if d, err := ts.DomainByName(t.Context(), empty.Name); err != nil || d.ID != empty.ID {
		t.Errorf("a domain that was added: %v", err)
	}
	if _, err := ts.Domain(t.Context(), org.ID, empty.ID); err != nil {
		t.Error(err)
	}
	ts.write(t, audit.DomainRemove, func(tx *Tx, e *audit.Event) error { return tx.DeleteDomain(e, &empty) })
	if _, err := ts.DomainByName(t.Context(), empty.Name); !errors.Is(err, ErrNotFound) {
		t.Errorf("a domain that was removed, by name: %v", err)
	}
	if _, err := ts.Domain(t.Context(), org.ID, empty.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a domain that was removed, by id: %v", err)
	}
	if d, err := ts.DomainByName(t.Context(), dom.Name); err != nil || d.ID != dom.ID {
		t.Errorf("another domain: %v", err)
	}
}

// TestKnownCredentials: who changes a credential that was found changes a copy.
func TestKnownCredentials(t *testing.T) {
	ts := newTestStore(t)
	org, _, in := ts.addOrg(t, "example.com", "a")
	agent := Agent{Head: Head{Org: org.ID}, Name: "scout", Owner: "ada@example.com"}
	ts.write(t, audit.AgentCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateAgent(e, &agent) })
	hash := ts.HashToken("token")
	cred := Credential{Head: Head{Org: org.ID}, Agent: agent.ID, PublicID: "one", TokenHash: hash, Scopes: []Scope{{in.ID, Read}},
		Env: Live, Expires: ts.clock.now().Add(time.Hour), Waiver: &Waiver{Name: "ada"}}
	ts.write(t, audit.CredentialCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateCredential(e, &cred) })
	c, err := ts.CredentialByHash(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	c.Scopes[0].Verbs, c.Waiver.Name, c.TokenHash[0] = Read|Send, "eve", ^c.TokenHash[0]
	again, err := ts.CredentialByHash(t.Context(), hash)
	if err != nil || again.May(in.ID, Send) || again.Waiver.Name != "ada" || again.TokenHash[0] != hash[0] {
		t.Errorf("%+v %v", again, err)
	}
}
