package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// freezes guards the records of what is frozen. What they say is in the
// registry, where every login and every act asks.
type freezes struct {
	mu     sync.Mutex // one act at a time
	loadMu sync.Mutex
	loaded bool
}

// Target is what a freeze stops.
type Target struct {
	Kind storage.FreezeKind
	ID   uuid.UUID // zero for storage.FreezeAll
	Name string    // as the log has it
}

// valid holds that nobody freezes everything who meant one thing.
func (t Target) valid() bool { return (t.ID == zeroID) == (t.Kind == storage.FreezeAll) }

// Freeze stops a credential, an agent, all agents on a domain's inboxes, an
// organization or everything, until a person lifts it: no login, no verb of a
// live session, no attempt for its queued mail. Mail for its inboxes is still
// received. It acts in memory, waits until the sessions are over, and records
// how many there were and how long it took. If the record fails the target stays
// frozen in this process, and the error says so. // EV-4, AC-9
func (d *Directory) Freeze(ctx context.Context, actor audit.Actor, org uuid.UUID, t Target, reason string) (*Cut, error) {
	if reason == "" || !t.valid() {
		return nil, fmt.Errorf("%w: a freeze needs a target and a reason", ErrInvalid)
	}
	cut := d.registry.freeze(t.ID).wait()
	d.freezes.mu.Lock()
	defer d.freezes.mu.Unlock()
	if _, err := d.store.FreezeOf(ctx, t.ID); err == nil {
		return cut, fmt.Errorf("%w: it is frozen", ErrState)
	}
	// A freeze that was lifted while this one waited took the mark away.
	again := d.registry.freeze(t.ID).wait()
	cut.Sessions, cut.Open = cut.Sessions+again.Sessions, cut.Open+again.Open
	err := d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		f := storage.Freeze{Head: storage.Head{Org: org}, Kind: t.Kind, Target: t.ID, Reason: reason}
		e := tx.Record(audit.Event{Verb: audit.FreezeSet, Outcome: audit.OK,
			Fields:   append(audit.Fields{audit.Word(audit.KeyKind, string(t.Kind)), audit.Word(audit.KeyState, "frozen")}, cut.fields()...),
			Personal: t.personal(reason, "active", "frozen")})
		return tx.CreateFreeze(e, &f)
	})
	if err != nil {
		d.log.Error("a freeze could not be recorded; it holds until this process ends", "kind", t.Kind, "target", t.ID, "error", err)
	}
	return cut, err
}

// fields are what the event of an act says about the sessions that it ended.
func (c *Cut) fields() audit.Fields {
	f := audit.Fields{audit.Int(audit.KeyCount, c.Sessions), audit.Int(audit.KeyMillis, c.Took.Milliseconds())}
	if c.Open > 0 {
		f = append(f, audit.Int(audit.KeyOpen, c.Open))
	}
	return f
}

func (t Target) personal(reason, before, after string) audit.Fields {
	return audit.Fields{audit.Text(audit.KeyName, t.Name), audit.Text(audit.KeyNote, reason),
		audit.Text(audit.KeyBefore, before), audit.Text(audit.KeyAfter, after)}
}

// Unfreeze lifts a freeze. Only a person in a session of their own may:
// ErrRefused for any other actor.
// The record comes first, so that what is not recorded stays frozen.
func (d *Directory) Unfreeze(ctx context.Context, actor audit.Actor, org uuid.UUID, t Target, reason string) error {
	switch {
	case actor.Kind != audit.Person:
		return fmt.Errorf("%w: only a person lifts a freeze", ErrRefused)
	case reason == "" || !t.valid():
		return fmt.Errorf("%w: to lift a freeze needs a target and a reason", ErrInvalid)
	}
	d.freezes.mu.Lock()
	defer d.freezes.mu.Unlock()
	f, err := d.store.FreezeOf(ctx, t.ID)
	unrecorded := errors.Is(err, storage.ErrNotFound)
	switch {
	case unrecorded && !d.registry.marked(t.ID):
		return fmt.Errorf("%w: it is not frozen", ErrState)
	case err != nil && !unrecorded:
		return err
	}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.FreezeLift, Outcome: audit.OK, Org: org, Object: t.ID,
			Fields:   audit.Fields{audit.Word(audit.KeyKind, string(t.Kind)), audit.Word(audit.KeyState, "active")},
			Personal: t.personal(reason, "frozen", "active")})
		if unrecorded {
			return nil
		}
		return tx.DeleteFreeze(e, &f)
	})
	if err == nil {
		d.registry.thaw(t.ID)
	}
	return err
}

// Freezes lists what is frozen and concerns an organization, its own and the freeze of
// everything, after an id, by the time it began, at most limit.
func (d *Directory) Freezes(ctx context.Context, org, after uuid.UUID, limit int) ([]storage.Freeze, error) {
	return d.store.FreezesIn(ctx, org, after, limit)
}

// FreezesOf lists the freezes of the targets that have one, in their order. Of another
// organization's it says nothing. // AC-19
func (d *Directory) FreezesOf(ctx context.Context, org uuid.UUID, targets ...uuid.UUID) (all []storage.Freeze, err error) {
	if err := d.loadFreezes(ctx); err != nil {
		return nil, err
	}
	for _, target := range targets {
		if !d.registry.marked(target) {
			continue
		}
		f, err := d.store.FreezeOf(ctx, target)
		if errors.Is(err, storage.ErrNotFound) {
			continue // lifted meanwhile, or never recorded
		}
		if err != nil {
			return nil, err
		}
		if f.Org == org || f.Kind == storage.FreezeAll {
			all = append(all, f)
		}
	}
	return all, nil
}

// Frozen reports whether a message in the queue must wait because what sent it is
// frozen. Where it cannot find out, it must.
func (d *Directory) Frozen(ctx context.Context, o *storage.Outgoing) bool {
	if err := d.loadFreezes(ctx); err != nil {
		d.log.Error("what is frozen cannot be read; queued mail waits", "error", err)
		return true
	}
	if !d.registry.anyFrozen() {
		return false
	}
	in, err := d.store.InboxRecord(ctx, o.Org, o.Inbox)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		d.log.Error("the inbox of a queued message cannot be read; it waits", "error", err)
		return true
	}
	r := d.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isFrozen(o.Credential, o.Agent, o.Org, in.Domain)
}

// loadFreezes reads, once, what was frozen before this process began. Until it
// has succeeded nobody logs in.
func (d *Directory) loadFreezes(ctx context.Context) error {
	d.freezes.loadMu.Lock()
	defer d.freezes.loadMu.Unlock()
	if d.freezes.loaded {
		return nil
	}
	all, err := d.store.Freezes(ctx)
	if err != nil {
		return err
	}
	for _, f := range all {
		d.registry.freeze(f.Target)
	}
	d.freezes.loaded = true
	return nil
}

// anyFrozen reports whether anything is frozen at all.
func (r *registry) anyFrozen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.frozen) > 0
}

// marked reports whether a target itself is frozen.
func (r *registry) marked(target uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, is := r.frozen[target]
	return is
}
