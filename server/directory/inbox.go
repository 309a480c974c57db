package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// CreateInbox gives an address of one of the organization's domains an inbox
// with its standard mailboxes. The environment is fixed from then on. // AC-14
func (d *Directory) CreateInbox(ctx context.Context, actor audit.Actor, org uuid.UUID, address string, env storage.Environment) (storage.InboxRecord, error) {
	path, domain, err := d.address(ctx, org, address)
	if err != nil {
		return storage.InboxRecord{}, err
	}
	if path.Local == storage.ReportsLocal {
		return storage.InboxRecord{}, fmt.Errorf("%w: reports of other servers about the domain go to %s, which is no mailbox: postern report list shows them", ErrInvalid, path)
	}
	if env != storage.Live && env != storage.Test {
		return storage.InboxRecord{}, fmt.Errorf("%w: the environment is live or test", ErrInvalid)
	}
	if _, err := d.store.InboxByAddress(ctx, path.String()); !errors.Is(err, storage.ErrNotFound) {
		if err == nil {
			err = fmt.Errorf("%w: inbox", ErrTaken)
		}
		return storage.InboxRecord{}, err
	}
	id, err := d.store.NewInboxKey(ctx, org)
	if err != nil {
		return storage.InboxRecord{}, err
	}
	var in storage.InboxRecord
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		in = storage.InboxRecord{Head: storage.Head{ID: id, Org: org}, Domain: domain.ID, Address: path.String(), Env: env}
		e := tx.Record(audit.Event{Verb: audit.InboxCreate, Outcome: audit.OK,
			Fields:   audit.Fields{audit.Word(audit.KeyEnvironment, string(env))},
			Personal: audit.Fields{audit.Text(audit.KeyAddress, in.Address), audit.Text(audit.KeyAfter, in.Address)}})
		return tx.CreateInbox(e, &in)
	})
	return in, taken(err, "inbox")
}

// address reads an address as a person writes it and finds its domain.
func (d *Directory) address(ctx context.Context, org uuid.UUID, address string) (message.Path, storage.Domain, error) {
	path, err := message.ParseAddress(address)
	if err != nil {
		return path, storage.Domain{}, fmt.Errorf("%w: %q is no mail address: %v", ErrInvalid, address, err)
	}
	path = path.Canonical()
	domain, err := d.store.DomainByName(ctx, path.Domain)
	if errors.Is(err, storage.ErrNotFound) || err == nil && domain.Org != org {
		return path, domain, fmt.Errorf("%w: there is no domain %s: add it first", storage.ErrNotFound, path.Domain)
	}
	return path, domain, err
}

// Inbox finds an inbox of an organization by its address.
func (d *Directory) Inbox(ctx context.Context, org uuid.UUID, address string) (storage.InboxRecord, error) {
	path, err := message.ParseAddress(address)
	if err != nil {
		return storage.InboxRecord{}, fmt.Errorf("%w: %q is no mail address: %v", ErrInvalid, address, err)
	}
	in, err := d.store.InboxByAddress(ctx, path.Canonical().String())
	if err == nil && in.Org != org {
		return storage.InboxRecord{}, storage.ErrNotFound // AC-19
	}
	return in, err
}

// Inboxes lists an organization's inboxes after an id, at most limit.
func (d *Directory) Inboxes(ctx context.Context, org, after uuid.UUID, limit int) ([]storage.InboxRecord, error) {
	return d.store.InboxRecords(ctx, org, after, limit)
}
