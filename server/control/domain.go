package control

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
)

// Domain is a mail domain.
type Domain struct {
	ID      uuid.UUID `json:"id"`
	Name    string    `json:"name"`
	Owned   bool      `json:"owned"` // it may sign and send outside
	Created time.Time `json:"created_at"`
	DKIM    []DKIMKey `json:"dkim,omitempty"` // not in lists
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

// DomainRecords are what a domain publishes.
type DomainRecords struct {
	Domain  string   `json:"domain"`
	Host    string   `json:"host"`
	Records []Record `json:"records"`
}

func (s *Server) domainCommands() {
	answer(s, "domain.add", s.domainAdd)
	lines(s, "domain.list", s.domainList)
	answer(s, "domain.show", s.domainShow)
	answer(s, "domain.records", s.domainRecords)
	answer(s, "domain.remove", s.domainRemove)
}

// AddDomain adds a domain with its DKIM keys.
func (c *Client) AddDomain(ctx context.Context, q DomainAdd) (Domain, error) {
	return ask[DomainAdd, Domain](ctx, c, "domain.add", q)
}

func (s *Server) domainAdd(ctx context.Context, by caller, q DomainAdd) (Domain, error) {
	d, keys, err := s.Directory.AddDomain(ctx, by.Actor, by.org, q.Name, directory.AssumeOwned{Reason: q.AssumeOwned})
	return domainView(&d, keys), err
}

// Domains lists all domains.
func (c *Client) Domains(ctx context.Context) iter.Seq2[Domain, error] {
	return rows[None, Domain](ctx, c, "domain.list", None{})
}

func (s *Server) domainList(ctx context.Context, by caller, _ None, emit func(Domain) error) error {
	read := func(after uuid.UUID) ([]storage.Domain, error) { return s.Directory.Domains(ctx, by.org, after, page) }
	id := func(d *storage.Domain) uuid.UUID { return d.ID }
	return pages(read, id, func(d *storage.Domain) error { return emit(domainView(d, nil)) })
}

// Domain shows one domain.
func (c *Client) Domain(ctx context.Context, name string) (Domain, error) {
	return ask[DomainRef, Domain](ctx, c, "domain.show", DomainRef{name})
}

func (s *Server) domainShow(ctx context.Context, by caller, q DomainRef) (Domain, error) {
	d, keys, err := s.domain(ctx, by, q.Name)
	return domainView(&d, keys), err
}

// DomainRecords lists the records that a domain needs.
func (c *Client) DomainRecords(ctx context.Context, name string) (DomainRecords, error) {
	return ask[DomainRef, DomainRecords](ctx, c, "domain.records", DomainRef{name})
}

func (s *Server) domainRecords(ctx context.Context, by caller, q DomainRef) (DomainRecords, error) {
	d, keys, err := s.domain(ctx, by, q.Name)
	if err != nil {
		return DomainRecords{}, err
	}
	plan, err := planRecords(d.Name, s.Host, keys)
	return DomainRecords{Domain: d.Name, Host: s.Host, Records: plan}, err
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

func domainView(d *storage.Domain, keys []storage.DKIMKey) Domain {
	v := Domain{ID: d.ID, Name: d.Name, Owned: d.Owned, Created: d.Created}
	for _, k := range keys {
		v.DKIM = append(v.DKIM, DKIMKey{Selector: k.Selector, Algorithm: k.Algorithm, Created: k.Created})
	}
	return v
}
