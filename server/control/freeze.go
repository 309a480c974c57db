package control

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
)

// FreezeChange asks to freeze something, or to lift a freeze. // EV-4
type FreezeChange struct {
	Kind   storage.FreezeKind `json:"kind"`           // credential, agent, domain, organization, all
	Name   string             `json:"name,omitempty"` // of the credential, agent or domain, as elsewhere
	Reason string             `json:"reason"`
}

// Frozen says what a freeze, or its end, did.
type Frozen struct {
	Kind     storage.FreezeKind `json:"kind"`
	ID       uuid.UUID          `json:"id,omitzero"`
	State    string             `json:"state"` // frozen, active
	Sessions int                `json:"sessions_cut"`
	Open     int                `json:"sessions_open,omitempty"` // of these, still ending
	Millis   int64              `json:"millis"`                  // until the last session was over
}

// Freeze is a freeze that holds.
type Freeze struct {
	Freeze uuid.UUID          `json:"freeze"` // its own id
	Kind   storage.FreezeKind `json:"kind"`
	ID     uuid.UUID          `json:"id,omitzero"` // of what it stops
	Name   string             `json:"name,omitempty"`
	Reason string             `json:"reason"`
	At     time.Time          `json:"frozen_at"`
}

// FreezeQuery asks for freezes, in the order in which they began.
type FreezeQuery struct {
	// Of are ids of agents, credentials and domains, at most 1,000: only what stops one of
	// them is listed, a freeze of its own or one of all. It takes no Page.
	Of []uuid.UUID `json:"of,omitempty"`
	Page
}

// maxOf bounds of how many things at once one may ask what stops them.
const maxOf = 1000

func (s *Server) freezeCommands() {
	answer(s, "freeze.set", s.freezeSet)
	answer(s, "freeze.lift", s.freezeLift)
	lines(s, "freeze.list", s.freezeList)
}

// Freeze stops a credential, agent, domain, organization or everything.
func (c *Client) Freeze(ctx context.Context, q FreezeChange) (Frozen, error) {
	return ask[FreezeChange, Frozen](ctx, c, "freeze.set", q)
}

func (s *Server) freezeSet(ctx context.Context, by caller, q FreezeChange) (Frozen, error) {
	if q.Reason == "" {
		return Frozen{}, invalid("a freeze needs a reason")
	}
	if wide := q.Kind == storage.FreezeAll || q.Kind == storage.FreezeOrganization; wide && by.person != nil {
		if err := by.proved(directory.ActOperate); err != nil {
			return Frozen{}, err
		}
	}
	target, err := s.target(ctx, by, q)
	if err != nil {
		return Frozen{}, err
	}
	cut, err := s.Directory.Freeze(ctx, by.Actor, by.org, target, q.Reason)
	if err != nil {
		return Frozen{}, err
	}
	return Frozen{Kind: q.Kind, ID: target.ID, State: "frozen", Sessions: cut.Sessions, Open: cut.Open, Millis: cut.Took.Milliseconds()}, nil
}

// Unfreeze lifts a freeze. It needs a person's session.
func (c *Client) Unfreeze(ctx context.Context, q FreezeChange) (Frozen, error) {
	return ask[FreezeChange, Frozen](ctx, c, "freeze.lift", q)
}

func (s *Server) freezeLift(ctx context.Context, by caller, q FreezeChange) (Frozen, error) {
	if q.Reason == "" {
		return Frozen{}, invalid("to lift a freeze needs a reason")
	}
	target, err := s.target(ctx, by, q)
	if err != nil {
		return Frozen{}, err
	}
	if err := s.Directory.Unfreeze(ctx, by.Actor, by.org, target, q.Reason); err != nil {
		return Frozen{}, err
	}
	s.Queue.Kick()
	return Frozen{Kind: q.Kind, ID: target.ID, State: "active"}, nil
}

// target finds what is to be frozen, in the caller's organization. // AC-19
func (s *Server) target(ctx context.Context, by caller, q FreezeChange) (directory.Target, error) {
	t := directory.Target{Kind: q.Kind, Name: q.Name}
	switch q.Kind {
	case storage.FreezeCredential:
		c, err := s.credential(ctx, by, q.Name)
		t.ID = c.ID
		return t, err
	case storage.FreezeAgent:
		a, err := s.agent(ctx, by, q.Name)
		t.ID = a.ID
		return t, err
	case storage.FreezeDomain:
		d, err := s.Directory.Domain(ctx, by.org, q.Name)
		t.ID = d.ID
		return t, missing(err, "domain", q.Name)
	case storage.FreezeOrganization, storage.FreezeAll:
		if q.Name != "" {
			return t, invalid("to freeze %s names nothing more", q.Kind)
		}
		if q.Kind == storage.FreezeOrganization {
			t.ID = by.org
		}
		return t, nil
	}
	return t, invalid("%q cannot be frozen: it is credential, agent, domain, organization or all", q.Kind)
}

// Freezes lists what is frozen.
func (c *Client) Freezes(ctx context.Context, q FreezeQuery) iter.Seq2[Freeze, error] {
	return rows[FreezeQuery, Freeze](ctx, c, "freeze.list", q)
}

func (s *Server) freezeList(ctx context.Context, by caller, q FreezeQuery, emit func(Freeze) error) error {
	read := func(after uuid.UUID, step int) ([]storage.Freeze, error) {
		return s.Directory.Freezes(ctx, by.org, after, step)
	}
	if len(q.Of) > 0 {
		if len(q.Of) > maxOf || q.Page != (Page{}) {
			return invalid("what stops something is asked of at most %d things, and all of it", maxOf)
		}
		all, err := s.Directory.FreezesOf(ctx, by.org, append(q.Of, by.org, uuid.Nil)...)
		if err != nil {
			return err
		}
		q.Limit = len(all)
		read = func(uuid.UUID, int) ([]storage.Freeze, error) { return all, nil }
	}
	names := s.newNames(by)
	return paged(q.Page, read, func(f *storage.Freeze) uuid.UUID { return f.ID }, func(f *storage.Freeze) (bool, error) {
		name, err := names.frozen(ctx, f)
		if err != nil {
			return false, err
		}
		return true, emit(Freeze{Freeze: f.ID, Kind: f.Kind, ID: f.Target, Name: name, Reason: f.Reason, At: f.At})
	})
}

// frozen is what people call the target of a freeze.
func (n *names) frozen(ctx context.Context, f *storage.Freeze) (string, error) {
	switch f.Kind {
	case storage.FreezeCredential:
		return n.credential(ctx, f.Target)
	case storage.FreezeAgent:
		return n.agent(ctx, f.Target)
	case storage.FreezeDomain:
		return n.domain(ctx, f.Target)
	}
	return "", nil
}
