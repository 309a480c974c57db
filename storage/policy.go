package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// PolicyLevel says what kind of thing a policy is set for.
type PolicyLevel string

// The levels, from the widest to the narrowest.
const (
	LevelOrganization PolicyLevel = "organization"
	LevelDomain       PolicyLevel = "domain"
	LevelAgent        PolicyLevel = "agent"
	LevelCredential   PolicyLevel = "credential"
	LevelInbox        PolicyLevel = "inbox"
)

// Policy is what people set for one target: values by key, in canonical text.
// Which keys there are and what they mean is package policy's to say. A target
// for which nothing is set has no policy.
type Policy struct {
	Head
	Level  PolicyLevel       `json:"level"`
	Target uuid.UUID         `json:"target"`
	Values map[string]string `json:"values"`
}

// PutPolicy writes a policy: a new one when its ID is zero, else the one that was
// read before; ErrConflict when somebody else wrote it in between. One without
// values is deleted.
func (tx *Tx) PutPolicy(e *audit.Event, p *Policy) error {
	p.name(e)
	tx.afterCommit(tx.store().policies.empty)
	switch {
	case len(p.Values) > 0 && p.ID == uuid.Nil:
		return tx.insertPolicy(e, p)
	case len(p.Values) > 0:
		return tx.updatePolicy(e, p)
	case p.ID == uuid.Nil:
		return nil
	}
	tx.forget(e, "policy", p)
	n, err := tx.execN("DELETE FROM policy WHERE id = $1 AND version = $2", p.ID[:], p.Version)
	return changed(n, err)
}

func (tx *Tx) insertPolicy(e *audit.Event, p *Policy) error {
	sealed, err := tx.sealRecord(e, "policy", p)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO policy (id, org, version, event, target, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
		p.ID[:], p.Org[:], p.Version, p.Event[:], p.Target[:], sealed)
}

func (tx *Tx) updatePolicy(e *audit.Event, p *Policy) error {
	before := p.Version
	sealed, err := tx.sealRecord(e, "policy", p)
	if err != nil {
		return err
	}
	n, err := tx.execN("UPDATE policy SET version = $1, event = $2, sealed = $3 WHERE id = $4 AND version = $5",
		p.Version, p.Event[:], sealed, p.ID[:], before)
	return changed(n, err)
}

// dropPolicy deletes the policy of a target that ends, if it has one.
func (tx *Tx) dropPolicy(e *audit.Event, target uuid.UUID) error {
	row, err := scanHead(tx.row("SELECT "+headColumns+" FROM policy WHERE target = $1", target[:]))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	tx.forget(e, "policy", &Policy{Head: row.head})
	tx.afterCommit(tx.store().policies.empty)
	return tx.exec("DELETE FROM policy WHERE id = $1", row.head.ID[:])
}

// name says in an event what the policy is of.
func (p *Policy) name(e *audit.Event) {
	e.Org, e.Object = p.Org, p.Target
	switch p.Level {
	case LevelAgent:
		e.Agent = p.Target
	case LevelCredential:
		e.Credential = p.Target
	case LevelInbox:
		e.Inbox = p.Target
	}
}

// Policies finds the policies of targets, those that exist, in the order of
// targets; a zero target has none. They come from memory as they were at the last
// commit, also within a write transaction. The caller does not change their Values.
func (s *Store) Policies(ctx context.Context, org uuid.UUID, targets ...uuid.UUID) ([]Policy, error) {
	var all []Policy
	for _, target := range targets {
		if target == uuid.Nil {
			continue
		}
		p, err := s.policy(ctx, target)
		if err != nil {
			return nil, err
		}
		if p != nil && p.Org == org {
			all = append(all, *p)
		}
	}
	return all, nil
}

// PolicyEpoch changes whenever a policy does: who keeps what policy says asks
// whether it still says so.
func (s *Store) PolicyEpoch() uint64 {
	s.policies.mu.RLock()
	defer s.policies.mu.RUnlock()
	return s.policies.turn
}

// AllPolicies lists the policies of an organization, by when they were first set.
func (s *Store) AllPolicies(ctx context.Context, org uuid.UUID) ([]Policy, error) {
	return list[Policy](ctx, s, "policy", "org = $1 ORDER BY id", org[:])
}

// policy finds the policy of a target, nil when it has none.
func (s *Store) policy(ctx context.Context, target uuid.UUID) (*Policy, error) {
	p, known, turn := s.policies.get(target)
	if known {
		return p, nil
	}
	found, err := find[Policy](ctx, s, "policy", "target = $1", target[:])
	switch {
	case errors.Is(err, ErrNotFound):
		p = nil
	case err != nil:
		return nil, err
	case found.Target != target:
		return nil, fmt.Errorf("%w: policy %s: its column target is not that of its record", ErrCorrupt, found.ID)
	default:
		p = &found
	}
	s.policies.put(target, p, turn)
	return p, nil
}

// policyLimit bounds how many targets are remembered.
const policyLimit = 1 << 16

// policyCache remembers policies, and that a target has none, until one is
// written.
type policyCache struct {
	mu   sync.RWMutex
	of   map[uuid.UUID]*Policy
	turn uint64 // how often it was emptied
}

// get also returns the turn, which put wants back: what was read before a
// commit is not remembered after it.
func (c *policyCache) get(target uuid.UUID) (p *Policy, known bool, turn uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, known = c.of[target]
	return p, known, c.turn
}

func (c *policyCache) put(target uuid.UUID, p *Policy, turn uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn {
		return
	}
	if c.of == nil || len(c.of) >= policyLimit {
		c.of = map[uuid.UUID]*Policy{}
	}
	c.of[target] = p
}

func (c *policyCache) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of = nil
	c.turn++
}
