package control

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
)

// Domain is a mail domain.
type Domain struct {
	ID      uuid.UUID           `json:"id"`
	Name    string              `json:"name"`
	Owned   bool                `json:"owned"`               // it may sign and send outside
	Proof   storage.DomainProof `json:"proof,omitempty"`     // assumed, challenge, delegation
	Proved  time.Time           `json:"proved_at,omitzero"`  // or assumed
	Names   string              `json:"names"`               // who keeps its names: hand, delegated, dkim, cname
	Created time.Time           `json:"created_at"`          //
	DNS     DomainDNS           `json:"dns"`                 // what the last check found
	DKIM    []DKIMKey           `json:"dkim,omitempty"`      // not in lists
	Proving *Challenge          `json:"challenge,omitempty"` // what proves ownership; not in lists, and none once it is proved
}

// DomainDNS is a summary of the last check of a domain's records.
type DomainDNS struct {
	State    string    `json:"state"` // ok, problems, unchecked
	Problems int       `json:"problems"`
	Receives bool      `json:"receives"` // mail finds its way here
	Checked  time.Time `json:"checked_at,omitzero"`
}

// Challenge is the TXT record that proves ownership.
type Challenge struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// DKIMKey is the public side of a signing key.
type DKIMKey struct {
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"`
	Created   time.Time `json:"created_at"`
}

// DomainAdd asks for a new domain.
type DomainAdd struct {
	Name        string `json:"name"`
	AssumeOwned string `json:"assume_owned,omitempty"` // the reason; empty: not assumed
}

// DomainRef names a domain.
type DomainRef struct {
	Name string `json:"name"`
}

func (s *Server) domainCommands() {
	answer(s, "domain.add", s.domainAdd)
	lines(s, "domain.list", s.domainList)
	answer(s, "domain.show", s.domainShow)
	answer(s, "domain.records", s.domainRecords)
	answer(s, "domain.check", s.domainCheck)
	answer(s, "domain.checked", s.domainChecked)
	answer(s, "domain.remove", s.domainRemove)
}

// AddDomain adds a domain with its DKIM keys.
func (c *Client) AddDomain(ctx context.Context, q DomainAdd) (Domain, error) {
	return ask[DomainAdd, Domain](ctx, c, "domain.add", q)
}

func (s *Server) domainAdd(ctx context.Context, by caller, q DomainAdd) (Domain, error) {
	d, keys, err := s.Directory.AddDomain(ctx, by.Actor, by.org, q.Name, directory.AssumeOwned{Reason: q.AssumeOwned})
	if err != nil {
		return Domain{}, err
	}
	return s.domainView(ctx, &d, keys)
}

// Domains lists all domains.
func (c *Client) Domains(ctx context.Context, q Page) iter.Seq2[Domain, error] {
	return rows[Page, Domain](ctx, c, "domain.list", q)
}

func (s *Server) domainList(ctx context.Context, by caller, q Page, emit func(Domain) error) error {
	read := func(after uuid.UUID, step int) ([]storage.Domain, error) {
		return s.Directory.Domains(ctx, by.org, after, step)
	}
	return paged(q, read, func(d *storage.Domain) uuid.UUID { return d.ID }, func(d *storage.Domain) (bool, error) {
		view, err := s.domainView(ctx, d, nil)
		if err != nil {
			return false, err
		}
		return true, emit(view)
	})
}

// Domain shows one domain.
func (c *Client) Domain(ctx context.Context, name string) (Domain, error) {
	return ask[DomainRef, Domain](ctx, c, "domain.show", DomainRef{name})
}

func (s *Server) domainShow(ctx context.Context, by caller, q DomainRef) (Domain, error) {
	d, keys, err := s.domain(ctx, by, q.Name)
	if err != nil {
		return Domain{}, err
	}
	return s.domainView(ctx, &d, keys)
}

// RemoveDomain removes a domain without inboxes.
func (c *Client) RemoveDomain(ctx context.Context, name string) error {
	_, err := ask[DomainRef, None](ctx, c, "domain.remove", DomainRef{name})
	return err
}

func (s *Server) domainRemove(ctx context.Context, by caller, q DomainRef) (None, error) {
	return None{}, missing(s.Directory.RemoveDomain(ctx, by.Actor, by.org, q.Name), "domain", q.Name)
}

// domain finds a domain and its keys.
func (s *Server) domain(ctx context.Context, by caller, name string) (storage.Domain, []storage.DKIMKey, error) {
	d, err := s.Directory.Domain(ctx, by.org, name)
	if err != nil {
		return d, nil, missing(err, "domain", name)
	}
	keys, err := s.Directory.DKIMKeys(ctx, by.org, d.ID)
	return d, keys, err
}

// domainView shows a domain; with keys, all of it.
func (s *Server) domainView(ctx context.Context, d *storage.Domain, keys []storage.DKIMKey) (Domain, error) {
	check, err := s.Directory.DomainCheck(ctx, d.Org, d.ID)
	if err != nil {
		return Domain{}, fmt.Errorf("the last check of %s: %w", d.Name, err)
	}
	v := Domain{ID: d.ID, Name: d.Name, Owned: d.Owned, Proof: d.Proof, Proved: d.Proved, Names: namesView(d.Names), Created: d.Created, DNS: dnsView(&check)}
	for _, k := range keys {
		v.DKIM = append(v.DKIM, DKIMKey{Selector: k.Selector, Algorithm: k.Algorithm, Created: k.Created})
	}
	if !d.Owned && keys != nil {
		v.Proving = new(Challenge)
		v.Proving.Name, v.Proving.Text = s.Directory.Challenge(d.Org, d.Name)
	}
	return v, nil
}

func namesView(n storage.DomainNames) string {
	if n == storage.NamesByHand {
		return "hand"
	}
	return string(n)
}
