package control

import (
	"cmp"
	"context"
	"time"

	"postern/dns/zone"
	"postern/storage"
)

// DomainCheck is what a check of a domain's records found.
type DomainCheck struct {
	Domain   string              `json:"domain"`
	Good     bool                `json:"good"` // nothing is left to do
	Owned    bool                `json:"owned"`
	Proof    storage.DomainProof `json:"proof,omitempty"`
	Names    string              `json:"names"`              // who keeps the names: hand, delegated, dkim, cname
	Zone     string              `json:"zone,omitempty"`     // that holds them
	Servers  []string            `json:"servers,omitempty"`  // of the zone
	Silent   []string            `json:"silent,omitempty"`   // servers that did not answer, or not for the zone
	Provider string              `json:"provider,omitempty"` // who keeps the zone
	Hint     string              `json:"hint,omitempty"`     // what the provider's form wants otherwise than others
	Signed   bool                `json:"signed"`             // by DNSSEC
	Checked  time.Time           `json:"checked_at"`         //
	Changed  time.Time           `json:"changed_at,omitzero"`
	Next     time.Time           `json:"next_at,omitzero"` // when it is looked at again
	Records  []CheckedRecord     `json:"records"`
}

// CheckedRecord is a record as it should be, and as it is.
type CheckedRecord struct {
	Record
	State zone.State `json:"state"`           // ok, missing, wrong, conflict, propagating, optional, unknown
	Found []string   `json:"found,omitempty"` // what stands there instead, or beside
	Hint  string     `json:"hint,omitempty"`  // what to do
	Since time.Time  `json:"since,omitzero"`
}

// CheckDomain asks the DNS now what a domain publishes.
func (c *Client) CheckDomain(ctx context.Context, name string) (DomainCheck, error) {
	return ask[DomainRef, DomainCheck](ctx, c, "domain.check", DomainRef{name})
}

func (s *Server) domainCheck(ctx context.Context, by caller, q DomainRef) (DomainCheck, error) {
	d, check, err := s.Directory.CheckDomain(ctx, by.Actor, by.org, q.Name)
	if err != nil {
		return DomainCheck{}, missing(err, "domain", q.Name)
	}
	return s.checkView(&d, &check), nil
}

// DomainChecked says what the last check found, and asks nobody.
func (c *Client) DomainChecked(ctx context.Context, name string) (DomainCheck, error) {
	return ask[DomainRef, DomainCheck](ctx, c, "domain.checked", DomainRef{name})
}

func (s *Server) domainChecked(ctx context.Context, by caller, q DomainRef) (DomainCheck, error) {
	d, err := s.Directory.Domain(ctx, by.org, q.Name)
	if err != nil {
		return DomainCheck{}, missing(err, "domain", q.Name)
	}
	check, err := s.Directory.DomainCheck(ctx, d.Org, d.ID)
	if err != nil || check.Checked.IsZero() {
		return DomainCheck{}, cmp.Or(err, error(&Error{Code: State, Message: d.Name + " was not looked at yet"}))
	}
	return s.checkView(&d, &check), nil
}

func (s *Server) checkView(d *storage.Domain, check *storage.DomainCheck) DomainCheck {
	provider := zone.ProviderOf(check.Servers)
	a := DomainCheck{Domain: d.Name, Good: dnsView(check).State == "ok", Owned: d.Owned, Proof: d.Proof, Names: namesView(d.Names),
		Zone: check.Zone, Servers: check.Servers, Silent: check.Silent, Provider: provider.Name, Hint: provider.Hint, Signed: check.Signed,
		Checked: check.Checked, Changed: check.Changed, Next: check.Due}
	for _, r := range check.Records {
		planned := zone.Record{Group: zone.Group(r.Group), Purpose: zone.Purpose(r.Purpose), Name: r.Name, Type: r.Type, Value: r.Expected, TTL: zone.TTL, Required: r.Required}
		a.Records = append(a.Records, CheckedRecord{Record: recordView(planned, zoneOf(d, check)),
			State: zone.State(r.State), Found: r.Found, Hint: r.Hint, Since: r.Since})
	}
	return a
}

// dnsView sums a check up.
func dnsView(check *storage.DomainCheck) DomainDNS {
	v := DomainDNS{State: "ok", Checked: check.Checked}
	if len(check.Records) == 0 {
		v.State = "unchecked"
	}
	for _, r := range check.Records {
		if !zone.State(r.State).Good() {
			v.State = "problems"
			v.Problems++
		}
		v.Receives = v.Receives || zone.Purpose(r.Purpose) == zone.PurposeMX && zone.State(r.State) == zone.OK
	}
	return v
}
