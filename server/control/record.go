package control

import (
	"context"
	"time"

	"postern/dns/zone"
	"postern/storage"
)

// Record is a DNS record that a domain publishes.
type Record struct {
	Group    zone.Group   `json:"group"`    // receive, send, trust, optional
	Purpose  zone.Purpose `json:"purpose"`  // "mx", "spf", "dkim", …
	Name     string       `json:"name"`     // full, without the final dot
	Relative string       `json:"relative"` // as it is typed into the form of the zone; "@" is the zone itself
	Type     string       `json:"type"`
	TTL      int          `json:"ttl"`      // seconds
	Data     string       `json:"data"`     // of a TXT record the text itself, unquoted
	Required bool         `json:"required"` // mail does not work without it
	Why      string       `json:"why"`      // for people
}

// DomainRecords are what a domain publishes.
type DomainRecords struct {
	Domain  string   `json:"domain"`
	Host    string   `json:"host"`
	Zone    string   `json:"zone"`           // the zone that the relative names belong to
	Hint    string   `json:"hint,omitempty"` // what the form of its provider wants otherwise than others
	Records []Record `json:"records"`
}

// DomainRecords lists the records that a domain needs.
func (c *Client) DomainRecords(ctx context.Context, name string) (DomainRecords, error) {
	return ask[DomainRef, DomainRecords](ctx, c, "domain.records", DomainRef{name})
}

func (s *Server) domainRecords(ctx context.Context, by caller, q DomainRef) (DomainRecords, error) {
	d, err := s.Directory.Domain(ctx, by.org, q.Name)
	if err != nil {
		return DomainRecords{}, missing(err, "domain", q.Name)
	}
	plan, err := s.Directory.DomainRecords(ctx, d)
	if err != nil {
		return DomainRecords{}, err
	}
	check, err := s.Directory.DomainCheck(ctx, d.Org, d.ID)
	if err != nil {
		return DomainRecords{}, err
	}
	a := DomainRecords{Domain: d.Name, Host: s.Host, Zone: zoneOf(&d, &check), Hint: zone.ProviderOf(check.Servers).Hint}
	for _, r := range plan {
		a.Records = append(a.Records, recordView(r, a.Zone))
	}
	return a, nil
}

// zoneOf is the zone in which a domain's names are typed: what the last check found,
// or the domain's own.
func zoneOf(d *storage.Domain, check *storage.DomainCheck) string {
	if check.Zone != "" {
		return check.Zone
	}
	return d.Name
}

func recordView(r zone.Record, origin string) Record {
	return Record{Group: r.Group, Purpose: r.Purpose, Name: r.Name, Relative: r.Relative(origin), Type: r.Type, TTL: int(r.TTL / time.Second),
		Data: r.Value, Required: r.Required, Why: r.Purpose.Text()}
}

// Zone is the record as package zone writes it.
func (r Record) Zone() zone.Record {
	return zone.Record{Group: r.Group, Purpose: r.Purpose, Name: r.Name, Type: r.Type, Value: r.Data, TTL: time.Duration(r.TTL) * time.Second, Required: r.Required}
}
