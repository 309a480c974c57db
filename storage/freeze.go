package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// FreezeKind says what a freeze stops.
type FreezeKind string

const (
	FreezeCredential   FreezeKind = "credential"
	FreezeAgent        FreezeKind = "agent"
	FreezeDomain       FreezeKind = "domain" // every agent on the inboxes of a domain
	FreezeOrganization FreezeKind = "organization"
	FreezeAll          FreezeKind = "all"
)

// Freeze is a stop that holds until a person lifts it: as long as the record is
// there, what it names neither logs in nor sends. // EV-4
type Freeze struct {
	Head
	Kind   FreezeKind `json:"kind"`
	Target uuid.UUID  `json:"target"` // what is frozen; zero for FreezeAll
	Reason string     `json:"reason"`
	At     time.Time  `json:"at"`
}

// CreateFreeze adds a freeze; ErrConflict when its target has one.
func (tx *Tx) CreateFreeze(e *audit.Event, f *Freeze) error {
	f.At = tx.now
	sealed, err := tx.sealRecord(e, "freeze", f)
	if err != nil {
		return err
	}
	f.name(e)
	return tx.exec("INSERT INTO freeze (id, org, version, event, target, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
		f.ID[:], f.Org[:], f.Version, f.Event[:], f.Target[:], sealed)
}

// DeleteFreeze lifts a freeze that was read before; ErrConflict when somebody
// else lifted it in between.
func (tx *Tx) DeleteFreeze(e *audit.Event, f *Freeze) error {
	f.name(e)
	tx.forget(e, "freeze", f)
	n, err := tx.execN("DELETE FROM freeze WHERE id = $1 AND version = $2", f.ID[:], f.Version)
	return changed(n, err)
}

// name says in an event what the freeze is of.
func (f *Freeze) name(e *audit.Event) {
	e.Org, e.Object = f.Org, f.Target
	switch f.Kind {
	case FreezeCredential:
		e.Credential = f.Target
	case FreezeAgent:
		e.Agent = f.Target
	}
}

// Freezes lists what is frozen, of all organizations, by the time it was.
func (s *Store) Freezes(ctx context.Context) ([]Freeze, error) {
	return list[Freeze](ctx, s, "freeze", "1 = 1 ORDER BY id")
}

// FreezesIn lists the freezes that concern an organization after an id, its own and that
// of everything, by the time they began, at most limit.
func (s *Store) FreezesIn(ctx context.Context, org, after uuid.UUID, limit int) ([]Freeze, error) {
	all, err := list[Freeze](ctx, s, "freeze", "(org = $1 OR target = $2) AND id > $3 ORDER BY id LIMIT $4", org[:], uuid.Nil[:], after[:], limit)
	for i := range all {
		if all[i].Org != org && all[i].Kind != FreezeAll {
			return nil, fmt.Errorf("%w: freeze %s: its column target is not that of its record", ErrCorrupt, all[i].ID)
		}
	}
	return all, err
}

// FreezeOf finds the freeze of a target; ErrNotFound when it has none.
func (s *Store) FreezeOf(ctx context.Context, target uuid.UUID) (Freeze, error) {
	f, err := find[Freeze](ctx, s, "freeze", "target = $1", target[:])
	if err == nil && f.Target != target {
		return Freeze{}, fmt.Errorf("%w: freeze %s: its column target is not that of its record", ErrCorrupt, f.ID)
	}
	return f, err
}
