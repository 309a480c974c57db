package storage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// AgentState is where an agent stands in its life. Only an active one may act.
type AgentState string

const (
	AgentActive         AgentState = "active"
	AgentSuspended      AgentState = "suspended"
	AgentDecommissioned AgentState = "decommissioned"
)

// Agent is an employee that is a program: it has an owner, a person.
type Agent struct {
	Head
	Name    string     `json:"name"`
	Owner   string     `json:"owner"` // mail address of the responsible person
	Purpose string     `json:"purpose,omitempty"`
	State   AgentState `json:"state"`
	Created time.Time  `json:"created"`
}

// hashAgent finds an agent by name inside its organization.
func (s *Store) hashAgent(ctx context.Context, org uuid.UUID, name string) ([]byte, error) {
	key, err := s.orgKey(ctx, org)
	if err != nil {
		return nil, err
	}
	return key.Hash("agent", []byte(name)), nil
}

// CreateAgent adds an agent; ErrConflict when the organization has the name.
func (tx *Tx) CreateAgent(e *audit.Event, a *Agent) error {
	a.Created = tx.now
	a.State = AgentActive
	hash, err := tx.store().hashAgent(context.Background(), a.Org, a.Name)
	if err != nil {
		return err
	}
	sealed, err := tx.sealRecord(e, "agent", a)
	if err != nil {
		return err
	}
	e.Org, e.Agent, e.Object = a.Org, a.ID, a.ID
	return tx.exec("INSERT INTO agent (id, org, version, event, name_hash, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
		a.ID[:], a.Org[:], a.Version, a.Event[:], hash, sealed)
}

// UpdateAgent writes an agent that was read before; ErrConflict when somebody
// else wrote it in between.
func (tx *Tx) UpdateAgent(e *audit.Event, a *Agent) error {
	was := a.Version
	sealed, err := tx.sealRecord(e, "agent", a)
	if err != nil {
		return err
	}
	e.Org, e.Agent, e.Object = a.Org, a.ID, a.ID
	n, err := tx.execN("UPDATE agent SET version = $1, event = $2, sealed = $3 WHERE id = $4 AND version = $5",
		a.Version, a.Event[:], sealed, a.ID[:], was)
	return changed(n, err)
}

// changed turns "no row" into ErrConflict.
func changed(n int64, err error) error {
	if err == nil && n == 0 {
		return ErrConflict
	}
	return err
}

// Agent finds an agent of an organization.
func (s *Store) Agent(ctx context.Context, org, id uuid.UUID) (Agent, error) {
	return knownByID(ctx, s, &s.known.agents, "agent", org, id)
}

// AgentByName finds an agent by its name.
func (s *Store) AgentByName(ctx context.Context, org uuid.UUID, name string) (Agent, error) {
	hash, err := s.hashAgent(ctx, org, name)
	if err != nil {
		return Agent{}, err
	}
	a, err := find[Agent](ctx, s, "agent", "name_hash = $1", hash)
	if err == nil && (a.Name != name || a.Org != org) {
		return Agent{}, ErrCorrupt
	}
	return a, err
}

// Agents lists an organization's agents after an id.
func (s *Store) Agents(ctx context.Context, org, after uuid.UUID, limit int) ([]Agent, error) {
	return list[Agent](ctx, s, "agent", "org = $1"+page, org[:], after[:], limit)
}
