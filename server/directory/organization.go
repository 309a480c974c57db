package directory

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

var zeroID uuid.UUID

// defaultOrganization is the name of the organization that an installation has
// from its first start.
const defaultOrganization = "default"

// Organization returns the installation's first organization, and creates it at
// the first start. Who runs one organization never sees another.
func (d *Directory) Organization(ctx context.Context) (storage.Organization, error) {
	d.defaultMu.Lock()
	defer d.defaultMu.Unlock()
	if d.defaultID != zeroID {
		return d.organization(ctx, d.defaultID)
	}
	all, err := d.store.Organizations(ctx)
	if err != nil {
		return storage.Organization{}, err
	}
	if len(all) == 0 {
		o, err := d.CreateOrganization(ctx, storage.System, defaultOrganization)
		if err != nil {
			return storage.Organization{}, err
		}
		all = []storage.Organization{o}
	}
	d.defaultID = all[0].ID
	return all[0], nil
}

func (d *Directory) organization(ctx context.Context, id uuid.UUID) (storage.Organization, error) {
	all, err := d.store.Organizations(ctx)
	if err != nil {
		return storage.Organization{}, err
	}
	for _, o := range all {
		if o.ID == id {
			return o, nil
		}
	}
	return storage.Organization{}, storage.ErrNotFound
}

// CreateOrganization adds an organization with a key of its own.
func (d *Directory) CreateOrganization(ctx context.Context, actor audit.Actor, name string) (storage.Organization, error) {
	if err := checkName("organization", name, 100); err != nil {
		return storage.Organization{}, err
	}
	var o storage.Organization
	err := d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		o = storage.Organization{Name: name}
		e := tx.Record(audit.Event{Verb: audit.OrganizationCreate, Outcome: audit.OK, Personal: audit.Fields{
			audit.Text(audit.KeyName, name), audit.Text(audit.KeyAfter, name)}})
		return tx.CreateOrganization(e, &o)
	})
	return o, taken(err, "organization")
}

// checkName holds what a person calls something to one line of visible text.
func checkName(what, name string, limit int) error {
	if name == "" || len(name) > limit || !utf8.ValidString(name) || strings.TrimSpace(name) != name {
		return fmt.Errorf("%w: the name of the %s needs 1 to %d bytes without space around", ErrInvalid, what, limit)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: the name of the %s has a character that is not seen", ErrInvalid, what)
		}
	}
	return nil
}
