package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/dns"
	"postern/server/directory"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
)

// turning is what the rotation of signing keys is handed: eyes, and what policy says.
func (s *Server) turning(resolver dns.Resolver) directory.Keys {
	return directory.Keys{Sight: sightBy(resolver), Age: s.keyAge, Life: queue.Expiry}
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

// sightBy asks the resolver for the record of a key.
func sightBy(resolver dns.Resolver) func(ctx context.Context, domain *storage.Domain, selector, record string) (dkim.Sighting, time.Duration) {
	return func(ctx context.Context, domain *storage.Domain, selector, record string) (dkim.Sighting, time.Duration) {
		found, err := resolver.LookupTXT(ctx, dkim.RecordName(selector, domain.Name))
		var no *dns.Error
		switch {
		case err == nil && len(found.Records) == 1 && found.Records[0] == record:
			return dkim.Visible, 0
		case err == nil:
			return dkim.Absent, found.TTL
		case errors.Is(err, dns.ErrNotFound) && errors.As(err, &no):
			return dkim.Absent, no.TTL
		}
		return dkim.Unknown, 0
	}
}
