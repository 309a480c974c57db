package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"postern/dns/zone"
	"postern/storage"
	"postern/storage/audit"
)

// Challenge is the record that proves that an organization owns a domain: where it
// stands, and its text. It is the same before the domain is added.
func (d *Directory) Challenge(org uuid.UUID, name string) (record, text string) {
	return zone.ChallengeName(name), d.store.DomainChallenge(org, name)
}

// claim makes way for who can prove that a domain is theirs, where another
// organization has added it and never proved anything: a name that anybody may type
// is nobody's. The first proof wins. It reports whether the domain is proved and the
// name free; if not, the error says what to do.
func (d *Directory) claim(ctx context.Context, actor audit.Actor, org uuid.UUID, name string) error {
	holder, err := d.store.DomainByName(ctx, name)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil // it went meanwhile
	case err != nil:
		return err
	case holder.Org == org:
		return fmt.Errorf("%w: domain", ErrTaken)
	case holder.Owned:
		return fmt.Errorf("%w: another organization has it and has proved that it is theirs", ErrTaken)
	}
	record, text := d.Challenge(org, name)
	proved, err := d.provesClaim(ctx, org, name)
	if err != nil {
		return err
	}
	if !proved {
		return fmt.Errorf("%w: another organization has added it, without proof. To prove that it is yours, publish the TXT record %s with the text %s, and add the domain again", ErrTaken, record, text)
	}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error { return displace(tx, name, org) })
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: it is yours, but another organization has inboxes in it: an operator of this server must remove them first", ErrTaken)
	}
	return err
}

// provesClaim asks whether the challenge of an organization stands in the DNS of a
// domain that it does not have yet. What this server itself says counts for nothing.
func (d *Directory) provesClaim(ctx context.Context, org uuid.UUID, name string) (bool, error) {
	if d.names.Look == nil {
		return false, nil
	}
	facts, err := d.names.Facts(ctx, storage.Domain{Head: storage.Head{Org: org}, Name: name})
	if err != nil {
		return false, err
	}
	_, facts.Challenge = d.Challenge(org, name)
	report, err := d.names.Look(ctx, facts)
	return err == nil && report.Proof == string(storage.ProofChallenge), err
}

// displace removes a domain that nobody proved. ErrConflict while it has inboxes:
// what is in them is not thrown away because a name was typed by two.
func displace(tx *storage.Tx, name string, by uuid.UUID) error {
	holder, err := tx.DomainHolder(name)
	if err != nil {
		return err
	}
	if holder.Owned || holder.Org == by {
		return fmt.Errorf("%w: another organization has it and has proved that it is theirs", ErrTaken)
	}
	e := tx.Record(audit.Event{Verb: audit.DomainDisplace, Outcome: audit.OK, Org: holder.Org,
		Personal: audit.Fields{audit.Text(audit.KeyDomain, name), audit.Text(audit.KeyBefore, name)}})
	if err := tx.DeleteDomain(e, &holder); err != nil {
		return err
	}
	return tx.RaiseAlert(storage.Alert{Head: storage.Head{Org: holder.Org}, Kind: storage.AlertDomainBroken, Object: holder.ID,
		Detail: "Another organization has proved that the domain " + name + " is theirs; here it was never proved, and is gone"})
}
