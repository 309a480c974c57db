package storage

import (
	"context"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// Organization owns domains, inboxes and agents. Its key seals their records;
// an installation for one organization never sees it.
type Organization struct {
	Head
	Name string `json:"name"`
}

// CreateOrganization adds an organization with a new key. o.Org is its own id.
func (tx *Tx) CreateOrganization(e *audit.Event, o *Organization) error {
	if o.ID == uuid.Nil {
		o.ID = newID()
	}
	o.Org = o.ID
	key := seal.NewKey()
	wrapped := tx.store().cfg.Root.Key().Wrap(key, orgKeyIdentity(o.ID))
	if _, err := tx.store().unwrapOrg(o.ID, wrapped); err != nil {
		return err
	}
	sealed, err := tx.sealRecord(e, "organization", o)
	if err != nil {
		return err
	}
	e.Org, e.Object = o.ID, o.ID
	return tx.exec("INSERT INTO organization (id, org, version, event, wrapped_key, sealed) VALUES ($1, $1, $2, $3, $4, $5)",
		o.ID[:], o.Version, o.Event[:], wrapped, sealed)
}

// Organizations lists all organizations by creation.
func (s *Store) Organizations(ctx context.Context) ([]Organization, error) {
	return list[Organization](ctx, s, "organization", "1 = 1 ORDER BY id")
}
