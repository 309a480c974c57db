package storage

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// known remembers records that every login and every recipient asks for, opened and
// checked, by what they are found by, until one of their table is written. That there
// is no such record is not remembered: strangers ask for what there is not.
type known[K comparable, R any] struct {
	mu   sync.RWMutex
	of   map[K]R
	turn uint64 // how often it was emptied
}

// knownLimit bounds how many records of a kind are remembered, some hundred bytes each.
const knownLimit = 1 << 14

// ask returns what is remembered under a key, or finds it. What was read before a
// commit is not remembered after it.
func (k *known[K, R]) ask(key K, find func() (R, error)) (R, error) {
	k.mu.RLock()
	r, ok := k.of[key]
	turn := k.turn
	k.mu.RUnlock()
	if ok {
		return r, nil
	}
	r, err := find()
	if err != nil {
		return r, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.turn != turn {
		return r, nil
	}
	if k.of == nil || len(k.of) >= knownLimit {
		k.of = map[K]R{}
	}
	k.of[key] = r
	return r, nil
}

// set remembers what a commit made of a record.
func (k *known[K, R]) set(key K, r R) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn++
	if k.of == nil || len(k.of) >= knownLimit {
		k.of = map[K]R{}
	}
	k.of[key] = r
}

func (k *known[K, R]) empty() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.of = nil
	k.turn++
}

// A record is known by its name, address or keyed hash, or by its id in an
// organization; a mailbox by its role in an inbox.
type (
	idKey   struct{ org, id uuid.UUID }
	roleKey struct {
		inbox uuid.UUID
		role  Role
	}
)

// knownRecords are all that is remembered.
type knownRecords struct {
	domains       known[string, Domain]
	domainsByID   known[idKey, Domain]
	inboxes       known[string, InboxRecord]
	inboxesByID   known[idKey, InboxRecord]
	agents        known[idKey, Agent]
	credentials   known[string, Credential]
	roleMailboxes known[roleKey, uuid.UUID]
	usages        known[uuid.UUID, storedUsage]
}

// forget empties what is remembered of a table, when the transaction is committed
// and before anybody hears of it.
func (k *knownRecords) forget(tx *Tx, table string) {
	switch table {
	case "domain":
		tx.afterCommit(k.domains.empty)
		tx.afterCommit(k.domainsByID.empty)
	case "inbox":
		tx.afterCommit(k.inboxes.empty)
		tx.afterCommit(k.inboxesByID.empty)
	case "agent":
		tx.afterCommit(k.agents.empty)
	case "credential":
		tx.afterCommit(k.credentials.empty)
	case "mailbox":
		tx.afterCommit(k.roleMailboxes.empty)
	}
}

// knownByID finds a record of an organization by its id.
func knownByID[R any, P interface {
	*R
	record
}](ctx context.Context, s *Store, k *known[idKey, R], table string, org, id uuid.UUID) (R, error) {
	return k.ask(idKey{org, id}, func() (R, error) {
		return find[R, P](ctx, s, table, "org = $1 AND id = $2", org[:], id[:])
	})
}

// own is a copy of a credential that shares nothing with another.
func (c Credential) own() Credential {
	c.TokenHash, c.Scopes, c.Networks = slices.Clone(c.TokenHash), slices.Clone(c.Scopes), slices.Clone(c.Networks)
	if c.Waiver != nil {
		waiver := *c.Waiver
		c.Waiver = &waiver
	}
	return c
}
