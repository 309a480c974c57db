package control

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// Agent is a program with an identity of its own.
type Agent struct {
	ID      uuid.UUID          `json:"id"`
	Name    string             `json:"name"`
	Owner   string             `json:"owner"`
	Purpose string             `json:"purpose,omitempty"`
	State   storage.AgentState `json:"state"`
	Created time.Time          `json:"created_at"`
}

// AgentCreate asks for a new agent.
type AgentCreate struct {
	Name    string `json:"name"`
	Owner   string `json:"owner"`
	Purpose string `json:"purpose,omitempty"`
}

// AgentQuery asks for agents, in the order in which they were made.
type AgentQuery struct {
	Match string `json:"match,omitempty"` // only those with this in their name, owner or purpose
	Page
}

// AgentRef names an agent by its name or id.
type AgentRef struct {
	Agent string `json:"agent"`
}

// AgentChange asks for another state.
type AgentChange struct {
	Agent  string `json:"agent"`
	Reason string `json:"reason,omitempty"`
}

// Stopped says what a change of state or a revocation did.
type Stopped struct {
	ID       uuid.UUID `json:"id"`
	State    string    `json:"state"`
	Sessions int       `json:"sessions_cut"`
}

func (s *Server) agentCommands() {
	answer(s, "agent.create", s.agentCreate)
	lines(s, "agent.list", s.agentList)
	answer(s, "agent.show", s.agentShow)
	answer(s, "agent.day", s.agentDayOf)
	answer(s, "agent.suspend", s.agentSuspend)
	answer(s, "agent.resume", s.agentResume)
	answer(s, "agent.decommission", s.agentDecommission)
}

// CreateAgent makes an agent.
func (c *Client) CreateAgent(ctx context.Context, q AgentCreate) (Agent, error) {
	return ask[AgentCreate, Agent](ctx, c, "agent.create", q)
}

func (s *Server) agentCreate(ctx context.Context, by caller, q AgentCreate) (Agent, error) {
	a, err := s.Directory.CreateAgent(ctx, by.Actor, by.org, q.Name, q.Owner, q.Purpose)
	return agentView(&a), err
}

// Agents lists agents.
func (c *Client) Agents(ctx context.Context, q AgentQuery) iter.Seq2[Agent, error] {
	return rows[AgentQuery, Agent](ctx, c, "agent.list", q)
}

func (s *Server) agentList(ctx context.Context, by caller, q AgentQuery, emit func(Agent) error) error {
	match := strings.ToLower(strings.TrimSpace(q.Match))
	read := func(after uuid.UUID, step int) ([]storage.Agent, error) {
		return s.Directory.Agents(ctx, by.org, after, step)
	}
	return paged(q.Page, read, func(a *storage.Agent) uuid.UUID { return a.ID }, func(a *storage.Agent) (bool, error) {
		if !strings.Contains(strings.ToLower(a.Name+"\n"+a.Owner+"\n"+a.Purpose), match) {
			return false, nil
		}
		return true, emit(agentView(a))
	})
}

// AgentDay says what one agent did in each of the last 24 hours, as the overview does.
func (c *Client) AgentDay(ctx context.Context, agent string) (AgentDay, error) {
	return ask[AgentRef, AgentDay](ctx, c, "agent.day", AgentRef{agent})
}

func (s *Server) agentDayOf(ctx context.Context, by caller, q AgentRef) (AgentDay, error) {
	a, err := s.agent(ctx, by, q.Agent)
	if err != nil {
		return AgentDay{}, err
	}
	end := storage.HourOf(s.Now()) + 1
	return s.agentDay(ctx, by, a.ID, end-overviewHours, end)
}

func (s *Server) eachAgent(ctx context.Context, by caller, fn func(*storage.Agent) error) error {
	read := func(after uuid.UUID) ([]storage.Agent, error) { return s.Directory.Agents(ctx, by.org, after, page) }
	return pages(read, func(a *storage.Agent) uuid.UUID { return a.ID }, fn)
}

// Agent shows one agent, and what it may do.
func (c *Client) Agent(ctx context.Context, agent string) (AgentShown, error) {
	return ask[AgentRef, AgentShown](ctx, c, "agent.show", AgentRef{agent})
}

func (s *Server) agentShow(ctx context.Context, by caller, q AgentRef) (AgentShown, error) {
	a, err := s.agent(ctx, by, q.Agent)
	if err != nil {
		return AgentShown{}, err
	}
	return s.shownAgent(ctx, by, &a)
}

// SuspendAgent stops an agent until it is resumed. // AC-9
func (c *Client) SuspendAgent(ctx context.Context, q AgentChange) (Stopped, error) {
	return ask[AgentChange, Stopped](ctx, c, "agent.suspend", q)
}

func (s *Server) agentSuspend(ctx context.Context, by caller, q AgentChange) (Stopped, error) {
	a, err := s.agent(ctx, by, q.Agent)
	if err != nil {
		return Stopped{}, err
	}
	n, err := s.Directory.SuspendAgent(ctx, by.Actor, by.org, a.ID, q.Reason)
	return Stopped{a.ID, string(storage.AgentSuspended), n}, err
}

// ResumeAgent lets a suspended agent act again.
func (c *Client) ResumeAgent(ctx context.Context, q AgentChange) (Stopped, error) {
	return ask[AgentChange, Stopped](ctx, c, "agent.resume", q)
}

func (s *Server) agentResume(ctx context.Context, by caller, q AgentChange) (Stopped, error) {
	a, err := s.agent(ctx, by, q.Agent)
	if err != nil {
		return Stopped{}, err
	}
	return Stopped{a.ID, string(storage.AgentActive), 0}, s.Directory.ResumeAgent(ctx, by.Actor, by.org, a.ID, q.Reason)
}

// DecommissionAgent ends an agent and its credentials for good. // AC-9
func (c *Client) DecommissionAgent(ctx context.Context, q AgentChange) (Stopped, error) {
	return ask[AgentChange, Stopped](ctx, c, "agent.decommission", q)
}

func (s *Server) agentDecommission(ctx context.Context, by caller, q AgentChange) (Stopped, error) {
	a, err := s.agent(ctx, by, q.Agent)
	if err != nil {
		return Stopped{}, err
	}
	n, err := s.Directory.DecommissionAgent(ctx, by.Actor, by.org, a.ID, q.Reason)
	return Stopped{a.ID, string(storage.AgentDecommissioned), n}, err
}

// agent finds an agent by its name or id.
func (s *Server) agent(ctx context.Context, by caller, ref string) (storage.Agent, error) {
	a, err := s.Directory.Agent(ctx, by.org, ref)
	return a, missing(err, "agent", ref)
}

func agentView(a *storage.Agent) Agent {
	return Agent{ID: a.ID, Name: a.Name, Owner: a.Owner, Purpose: a.Purpose, State: a.State, Created: a.Created}
}
