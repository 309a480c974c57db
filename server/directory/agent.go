package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// CreateAgent adds an agent. Its owner is a person's mail address; purpose is in
// the owner's words and may be empty.
func (d *Directory) CreateAgent(ctx context.Context, actor audit.Actor, org uuid.UUID, name, owner, purpose string) (storage.Agent, error) {
	if err := checkName("agent", name, 64); err != nil {
		return storage.Agent{}, err
	}
	person, err := message.ParseAddress(owner)
	if err != nil {
		return storage.Agent{}, fmt.Errorf("%w: the owner %q is no mail address: %v", ErrInvalid, owner, err)
	}
	if len(purpose) > 1000 {
		return storage.Agent{}, fmt.Errorf("%w: the purpose is over 1000 bytes", ErrInvalid)
	}
	var a storage.Agent
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		a = storage.Agent{Head: storage.Head{Org: org}, Name: name, Owner: person.String(), Purpose: purpose}
		e := tx.Record(audit.Event{Verb: audit.AgentCreate, Outcome: audit.OK,
			Fields: audit.Fields{audit.Word(audit.KeyState, string(storage.AgentActive))},
			Personal: audit.Fields{audit.Text(audit.KeyName, name), audit.Text(audit.KeyOwner, a.Owner),
				audit.Text(audit.KeyNote, purpose), audit.Text(audit.KeyAfter, name)}})
		return tx.CreateAgent(e, &a)
	})
	return a, taken(err, "agent")
}

// SuspendAgent stops an agent until it is resumed: its sessions end now, and
// none of its credentials logs in. It says how many sessions were cut. // AC-9
func (d *Directory) SuspendAgent(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) (cut int, err error) {
	return d.stopAgent(ctx, actor, org, id, storage.AgentSuspended, reason)
}

// DecommissionAgent ends an agent for good and revokes its credentials. // AC-9
func (d *Directory) DecommissionAgent(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) (cut int, err error) {
	cut, err = d.stopAgent(ctx, actor, org, id, storage.AgentDecommissioned, reason)
	if err != nil {
		return cut, err
	}
	creds, err := d.store.Credentials(ctx, org, id)
	if err != nil {
		return cut, err
	}
	for _, c := range creds {
		if !c.Revoked.IsZero() {
			continue
		}
		n, err := d.RevokeCredential(ctx, actor, org, c.ID, "agent decommissioned")
		if cut += n; err != nil {
			return cut, err
		}
	}
	return cut, nil
}

// stopAgent acts in memory first: when the record fails, the agent stays cut.
func (d *Directory) stopAgent(ctx context.Context, actor audit.Actor, org, id uuid.UUID, to storage.AgentState, reason string) (int, error) {
	a, err := d.store.Agent(ctx, org, id)
	if err != nil {
		return 0, err
	}
	if a.State == storage.AgentDecommissioned || a.State == to {
		return 0, fmt.Errorf("%w: the agent is %s", ErrState, a.State)
	}
	cut := d.registry.cut(id, "agent-"+string(to)).wait()
	verb := audit.AgentSuspend
	if to == storage.AgentDecommissioned {
		verb = audit.AgentDecommission
	}
	return cut.Sessions, d.changeAgent(ctx, actor, a, to, verb, reason, cut.fields()...)
}

// ResumeAgent lets a suspended agent act again.
func (d *Directory) ResumeAgent(ctx context.Context, actor audit.Actor, org, id uuid.UUID, reason string) error {
	a, err := d.store.Agent(ctx, org, id)
	if err != nil {
		return err
	}
	if a.State != storage.AgentSuspended {
		return fmt.Errorf("%w: the agent is %s", ErrState, a.State)
	}
	if err := d.changeAgent(ctx, actor, a, storage.AgentActive, audit.AgentResume, reason); err != nil {
		return err
	}
	d.registry.revive(id)
	return nil
}

func (d *Directory) changeAgent(ctx context.Context, actor audit.Actor, was storage.Agent, to storage.AgentState, verb audit.Verb, reason string, more ...audit.Field) error {
	return d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		a := was
		a.State = to
		e := tx.Record(audit.Event{Verb: verb, Outcome: audit.OK,
			Fields: append(audit.Fields{audit.Word(audit.KeyState, string(to))}, more...),
			Personal: audit.Fields{audit.Text(audit.KeyName, a.Name), audit.Text(audit.KeyNote, reason),
				audit.Text(audit.KeyBefore, string(was.State)), audit.Text(audit.KeyAfter, string(to))}})
		return tx.UpdateAgent(e, &a)
	})
}

// Agent finds an agent of an organization by its name or its id.
func (d *Directory) Agent(ctx context.Context, org uuid.UUID, nameOrID string) (storage.Agent, error) {
	if id, err := uuid.Parse(nameOrID); err == nil {
		return d.store.Agent(ctx, org, id)
	}
	return d.store.AgentByName(ctx, org, nameOrID)
}

// Agents lists an organization's agents after an id, at most limit.
func (d *Directory) Agents(ctx context.Context, org, after uuid.UUID, limit int) ([]storage.Agent, error) {
	return d.store.Agents(ctx, org, after, limit)
}

// activeAgent is an agent that may get a credential.
func (d *Directory) activeAgent(ctx context.Context, org, id uuid.UUID) (storage.Agent, error) {
	a, err := d.store.Agent(ctx, org, id)
	if err == nil && a.State == storage.AgentDecommissioned {
		return a, fmt.Errorf("%w: the agent is %s", ErrState, a.State)
	}
	return a, err
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }
