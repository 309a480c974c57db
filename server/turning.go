package server

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/dns/zone"
	"postern/server/directory"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
)

// turning is what the rotation of signing keys is handed: eyes, and what policy says.
func (s *Server) turning(names *zone.Checker) directory.Keys {
	return directory.Keys{Sight: s.sightBy(names), Age: s.keyAge, Life: queue.Expiry}
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

// sightBy asks all servers of the zone, and the resolver, for the record of a key.
func (s *Server) sightBy(names *zone.Checker) func(context.Context, *storage.Domain, string, string) (dkim.Sighting, time.Duration) {
	if names == nil {
		return nil // a resolver of a test's own, and nobody who asks servers
	}
	return func(ctx context.Context, domain *storage.Domain, selector, record string) (dkim.Sighting, time.Duration) {
		f, err := s.facts(ctx, *domain)
		var state zone.State
		var keep time.Duration
		if err == nil {
			state, keep, err = names.Key(ctx, f, zone.Key{Selector: selector, Record: record})
		}
		switch {
		case err != nil || state == zone.Unknown:
			return dkim.Unknown, 0
		case state == zone.OK:
			return dkim.Visible, 0
		}
		return dkim.Absent, keep
	}
}
