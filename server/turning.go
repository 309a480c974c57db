package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/dns"
	"postern/dns/zone"
	"postern/server/directory"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
)

// turning is what the rotation of signing keys is handed: eyes, and what policy says.
func (s *Server) turning(resolver dns.Resolver, checker *zone.Checker) directory.Keys {
	return directory.Keys{Sight: s.sightBy(resolver, checker), Age: s.keyAge, Life: queue.Expiry}
}

// keyAge is how long policy lets a key of a domain sign.
func (s *Server) keyAge(ctx context.Context, org, domain uuid.UUID) (age time.Duration, said bool, err error) {
	rules, err := policy.Load(ctx, s.store, policy.Subjects{Organization: org, Domain: domain})
	switch rules.KeyAge {
	case 0:
		return 0, false, err
	case policy.Never:
		return 0, true, err
	}
	return rules.KeyAge, true, err
}

// sightBy asks the resolver for the record of a key, and where that shows it, every
// server of the zone: another resolver may ask another one.
func (s *Server) sightBy(resolver dns.Resolver, checker *zone.Checker) func(ctx context.Context, domain *storage.Domain, selector, record string) (dkim.Sighting, time.Duration) {
	return func(ctx context.Context, domain *storage.Domain, selector, record string) (dkim.Sighting, time.Duration) {
		found, err := resolver.LookupTXT(ctx, dkim.RecordName(selector, domain.Name))
		var no *dns.Error
		switch {
		case err == nil && len(found.Records) == 1 && found.Records[0] == record:
			return s.everywhere(ctx, checker, domain, selector, record)
		case err == nil:
			return dkim.Absent, found.TTL
		case errors.Is(err, dns.ErrNotFound) && errors.As(err, &no):
			return dkim.Absent, no.TTL
		}
		return dkim.Unknown, 0
	}
}

// everywhere asks the servers of the zone for the record of a key.
func (s *Server) everywhere(ctx context.Context, checker *zone.Checker, domain *storage.Domain, selector, record string) (dkim.Sighting, time.Duration) {
	if checker == nil {
		return dkim.Visible, 0
	}
	r := zone.Record{Group: zone.Send, Purpose: zone.PurposeDKIM, Name: dkim.RecordName(selector, domain.Name), Type: "TXT", Value: record, TTL: zone.TTL}
	switch state, err := checker.Shows(ctx, zone.Facts{Domain: domain.Name, Host: s.cfg.Host}, r); {
	case err != nil || state == zone.Unknown:
		return dkim.Unknown, 0
	case state != zone.OK:
		return dkim.Absent, zone.TTL
	}
	return dkim.Visible, 0
}
