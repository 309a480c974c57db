package control

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// names finds what people call the ids in events and rows, and remembers it for
// as long as one answer takes.
type names struct {
	s     *Server
	by    caller
	known map[uuid.UUID]string // empty for what is not there any more
}

func (s *Server) newNames(by caller) *names { return &names{s, by, map[uuid.UUID]string{}} }

// agent is the name of an agent, empty when there is none.
func (n *names) agent(ctx context.Context, id uuid.UUID) (string, error) {
	return n.find(id, func() (string, error) {
		a, err := n.s.Store.Agent(ctx, n.by.org, id)
		return a.Name, err
	})
}

// domain is the name of a domain, empty when it was removed.
func (n *names) domain(ctx context.Context, id uuid.UUID) (string, error) {
	return n.find(id, func() (string, error) {
		d, err := n.s.Store.Domain(ctx, n.by.org, id)
		return d.Name, err
	})
}

// inbox is the address of an inbox, empty when it was removed.
func (n *names) inbox(ctx context.Context, id uuid.UUID) (string, error) {
	return n.find(id, func() (string, error) {
		in, err := n.s.Store.InboxRecord(ctx, n.by.org, id)
		return in.Address, err
	})
}

// credential is the public id of a credential.
func (n *names) credential(ctx context.Context, id uuid.UUID) (string, error) {
	return n.find(id, func() (string, error) {
		c, err := n.s.Store.Credential(ctx, n.by.org, id)
		return c.PublicID, err
	})
}

func (n *names) find(id uuid.UUID, look func() (string, error)) (string, error) {
	if name, ok := n.known[id]; ok || id == uuid.Nil {
		return name, nil
	}
	name, err := look()
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", err
	}
	n.known[id] = name
	return name, nil
}

// fresh are the names in an event that were not asked for before, by id.
func (n *names) fresh(ctx context.Context, e *audit.Event) (map[string]string, error) {
	fresh := map[string]string{}
	add := func(id uuid.UUID, find func(context.Context, uuid.UUID) (string, error)) error {
		if _, known := n.known[id]; known {
			return nil
		}
		name, err := find(ctx, id)
		if name != "" {
			fresh[id.String()] = name
		}
		return err
	}
	var acting uuid.UUID
	if e.Actor.Kind == audit.Agent {
		acting = e.Actor.ID
	}
	return fresh, errors.Join(add(e.Agent, n.agent), add(acting, n.agent), add(e.Inbox, n.inbox),
		add(e.Credential, n.credential), add(e.Actor.Credential, n.credential))
}
