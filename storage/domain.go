package storage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Domain is a mail domain of an organization.
type Domain struct {
	Head
	Name    string    `json:"name"` // A-labels, lower case
	Created time.Time `json:"created"`
	// Owned says that ownership is proved or was assumed by a person; without it
	// the domain receives and delivers locally, but neither signs nor sends outside.
	Owned bool `json:"owned"`
	// Proof says how it came to be owned, Proved when.
	Proof  DomainProof `json:"proof,omitempty"`
	Proved time.Time   `json:"proved,omitzero"`
	// Names says who keeps the domain's names, as the last check found.
	Names DomainNames `json:"names,omitempty"`
}

// DomainProof says how a domain came to be owned.
type DomainProof string

// The ways.
const (
	ProofNone       DomainProof = ""           // it is not, or was assumed before this was noted
	ProofAssumed    DomainProof = "assumed"    // a person's word
	ProofChallenge  DomainProof = "challenge"  // the TXT record that was asked for stood in the DNS
	ProofDelegation DomainProof = "delegation" // its zone, or a zone above it that is owned, is delegated to this server
)

// DomainNames says who keeps the names of a domain.
type DomainNames string

// The ways.
const (
	NamesByHand    DomainNames = ""          // its owner, at a provider; nothing is delegated
	NamesDelegated DomainNames = "delegated" // this server: the whole zone is delegated to it
	NamesDKIM      DomainNames = "dkim"      // this server has _domainkey.DOMAIN, by NS; the rest is kept by hand
	NamesCNAME     DomainNames = "cname"     // by hand, with selectors that point here by CNAME
)

// CreateDomain adds a domain; ErrConflict when any organization has it.
func (tx *Tx) CreateDomain(e *audit.Event, d *Domain) error {
	d.Created = tx.now
	sealed, err := tx.sealRecord(e, "domain", d)
	if err != nil {
		return err
	}
	e.Org, e.Object = d.Org, d.ID
	return tx.exec("INSERT INTO domain (id, org, version, event, name_hash, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
		d.ID[:], d.Org[:], d.Version, d.Event[:], tx.store().hashName("domain", d.Name), sealed)
}

// UpdateDomain writes a domain that was read before; ErrConflict when somebody
// else did in between. Its name stays.
func (tx *Tx) UpdateDomain(e *audit.Event, d *Domain) error {
	was := d.Version
	sealed, err := tx.sealRecord(e, "domain", d)
	if err != nil {
		return err
	}
	e.Org, e.Object = d.Org, d.ID
	n, err := tx.execN("UPDATE domain SET version = $1, event = $2, sealed = $3 WHERE id = $4 AND version = $5",
		d.Version, d.Event[:], sealed, d.ID[:], was)
	return changed(n, err)
}

// DeleteDomain removes a domain and its keys; ErrConflict while it has inboxes.
func (tx *Tx) DeleteDomain(e *audit.Event, d *Domain) error {
	var inboxes int
	if err := tx.row("SELECT COUNT(*) FROM inbox WHERE domain = $1", d.ID[:]).Scan(&inboxes); err != nil {
		return classify(err)
	}
	if inboxes > 0 {
		return ErrConflict
	}
	if err := tx.deleteDKIMKeys(e, d.ID); err != nil {
		return err
	}
	if err := tx.dropPolicy(e, d.ID); err != nil {
		return err
	}
	if err := tx.dropDomainCheck(e, d.ID); err != nil {
		return err
	}
	tx.forget(e, "domain", d)
	e.Org, e.Object = d.Org, d.ID
	return tx.exec("DELETE FROM domain WHERE id = $1", d.ID[:])
}

// DomainByName finds a domain by its name in A-labels, lower case.
func (s *Store) DomainByName(ctx context.Context, name string) (Domain, error) {
	return s.known.domains.ask(name, func() (Domain, error) {
		d, err := find[Domain](ctx, s, "domain", "name_hash = $1", s.hashName("domain", name))
		if err == nil && d.Name != name {
			return Domain{}, ErrCorrupt // the index hint points to another record
		}
		return d, err
	})
}

// Domain finds a domain of an organization.
func (s *Store) Domain(ctx context.Context, org, id uuid.UUID) (Domain, error) {
	return knownByID(ctx, s, &s.known.domainsByID, "domain", org, id)
}

// Domains lists an organization's domains after an id (zero: from the first).
func (s *Store) Domains(ctx context.Context, org, after uuid.UUID, limit int) ([]Domain, error) {
	return list[Domain](ctx, s, "domain", "org = $1"+page, org[:], after[:], limit)
}
