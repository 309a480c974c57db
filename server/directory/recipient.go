package directory

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
)

// Local finds the domain of ours with a name as the envelope has it.
func (d *Directory) Local(ctx context.Context, domain string) (storage.Domain, bool, error) {
	found, err := d.store.DomainByName(ctx, message.CanonicalDomain(domain))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Domain{}, false, nil
	}
	return found, err == nil, err
}

// Recipient finds the inbox that receives mail for an envelope path.
// ErrNotLocal when the domain is not ours, ErrNoSuchInbox when it is and has no
// such address.
//
// Postmaster is always accepted, at each domain and bare (RFC 5321, section
// 4.5.1): where no inbox of that name exists, its mail goes to the oldest inbox
// of the organization, for somebody must see it.
func (d *Directory) Recipient(ctx context.Context, p message.Path) (storage.InboxRecord, error) {
	p = p.Canonical()
	if p.IsPostmaster() {
		org, err := d.Organization(ctx)
		if err != nil {
			return storage.InboxRecord{}, err
		}
		return d.postmaster(ctx, org)
	}
	in, err := d.store.InboxByAddress(ctx, p.String())
	if !errors.Is(err, storage.ErrNotFound) {
		return in, err
	}
	domain, ok, err := d.Local(ctx, p.Domain)
	switch {
	case err != nil:
		return storage.InboxRecord{}, err
	case !ok:
		return storage.InboxRecord{}, ErrNotLocal
	case p.Local == "postmaster":
		org, err := d.organization(ctx, domain.Org)
		if err != nil {
			return storage.InboxRecord{}, err
		}
		return d.postmaster(ctx, org)
	}
	return storage.InboxRecord{}, ErrNoSuchInbox
}

// Reports finds the domain of ours to whose address for reports a path leads:
// postern-reports at each of them. ErrNoSuchInbox when it is another address.
func (d *Directory) Reports(ctx context.Context, p message.Path) (storage.Domain, error) {
	if p = p.Canonical(); p.Local != storage.ReportsLocal {
		return storage.Domain{}, ErrNoSuchInbox
	}
	domain, ok, err := d.Local(ctx, p.Domain)
	if err == nil && !ok {
		err = ErrNotLocal
	}
	return domain, err
}

// Environment is that of an inbox of an organization.
func (d *Directory) Environment(ctx context.Context, org, inbox uuid.UUID) (storage.Environment, error) {
	in, err := d.store.InboxRecord(ctx, org, inbox)
	return in.Env, err
}

// DomainOf is the domain of an inbox.
func (d *Directory) DomainOf(ctx context.Context, org, inbox uuid.UUID) (storage.Domain, error) {
	in, err := d.store.InboxRecord(ctx, org, inbox)
	if err != nil {
		return storage.Domain{}, err
	}
	return d.store.Domain(ctx, org, in.Domain)
}

// postmaster is where mail for a postmaster without an inbox goes: to the
// postmaster of the organization's first domain, or to its oldest live inbox.
func (d *Directory) postmaster(ctx context.Context, org storage.Organization) (storage.InboxRecord, error) {
	domains, err := d.store.Domains(ctx, org.ID, zeroID, 1)
	if err != nil {
		return storage.InboxRecord{}, err
	}
	if len(domains) > 0 {
		in, err := d.store.InboxByAddress(ctx, "postmaster@"+domains[0].Name)
		if !errors.Is(err, storage.ErrNotFound) {
			return in, err
		}
	}
	inboxes, err := d.store.InboxRecords(ctx, org.ID, zeroID, 100)
	if err != nil {
		return storage.InboxRecord{}, err
	}
	for _, in := range inboxes {
		if in.Env == storage.Live {
			return in, nil
		}
	}
	return storage.InboxRecord{}, ErrNoSuchInbox
}
