package storage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// InboxRecord is an address of a domain that receives mail: its inbox. What is
// inside is reached through an [Inbox].
type InboxRecord struct {
	Head
	Domain  uuid.UUID   `json:"domain"`
	Address string      `json:"address"` // canonical: lower case, domain in A-labels
	Env     Environment `json:"env"`
	Created time.Time   `json:"created"`
}

// NewInboxKey makes and commits the key of an inbox that is about to be
// created: a key is durable before the first row that uses it. An id whose
// inbox is never created leaves a key that opens nothing.
func (s *Store) NewInboxKey(ctx context.Context, org uuid.UUID) (inbox uuid.UUID, err error) {
	orgKey, err := s.orgKey(ctx, org)
	if err != nil {
		return uuid.Nil, err
	}
	inbox = newID()
	return inbox, s.keys.putInbox(ctx, org, inbox, orgKey, seal.NewKey())
}

// CreateInbox adds an inbox, whose id NewInboxKey gave, with its standard
// mailboxes; ErrConflict when the address is taken.
func (tx *Tx) CreateInbox(e *audit.Event, in *InboxRecord) error {
	in.Created = tx.now
	sealed, err := tx.sealRecord(e, "inbox", in)
	if err != nil {
		return err
	}
	e.Org, e.Inbox, e.Object = in.Org, in.ID, in.ID
	err = tx.exec("INSERT INTO inbox (id, org, domain, version, event, address_hash, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		in.ID[:], in.Org[:], in.Domain[:], in.Version, in.Event[:], tx.store().hashName("address", in.Address), sealed)
	if err != nil {
		return err
	}
	return tx.CreateMailboxes(e, in)
}

// InboxByAddress finds an inbox by its canonical address.
func (s *Store) InboxByAddress(ctx context.Context, address string) (InboxRecord, error) {
	return s.known.inboxes.ask(address, func() (InboxRecord, error) {
		in, err := find[InboxRecord](ctx, s, "inbox", "address_hash = $1", s.hashName("address", address))
		if err == nil && in.Address != address {
			return InboxRecord{}, ErrCorrupt // the row was given another address
		}
		return in, err
	})
}

// InboxRecord finds an inbox of an organization.
func (s *Store) InboxRecord(ctx context.Context, org, id uuid.UUID) (InboxRecord, error) {
	return knownByID(ctx, s, &s.known.inboxesByID, "inbox", org, id)
}

// InboxRecords lists an organization's inboxes after an id.
func (s *Store) InboxRecords(ctx context.Context, org, after uuid.UUID, limit int) ([]InboxRecord, error) {
	return list[InboxRecord](ctx, s, "inbox", "org = $1"+page, org[:], after[:], limit)
}
