package control

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
)

// LimitState is a limit that a credential stands under, and how far it is used up.
type LimitState struct {
	Scope string    `json:"scope"` // whose limit it is: what everything below it sends counts
	Key   string    `json:"key"`
	Limit int64     `json:"limit"`
	Used  int64     `json:"used"`
	Left  int64     `json:"left"`
	Reset time.Time `json:"resets_at,omitzero"` // when nothing counts any more, if nothing more is sent
}

// limits are those of a credential, of its agent, and of each inbox that it may
// send from with what that inbox stands under; each once.
func (s *Server) limits(ctx context.Context, by caller, c *storage.Credential) ([]LimitState, error) {
	var all []LimitState
	names, seen := s.newNames(by), map[uuid.UUID]bool{}
	for _, scope := range c.Scopes {
		in, err := s.Store.InboxRecord(ctx, by.org, scope.Inbox)
		if errors.Is(err, storage.ErrNotFound) || scope.Verbs&storage.Send == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		subjects := policy.Subjects{Organization: by.org, Domain: in.Domain, Agent: c.Agent, Credential: c.ID, Inbox: in.ID}
		rules, err := policy.Load(ctx, s.Store, subjects)
		if err != nil {
			return nil, err
		}
		usage, err := s.Store.Usage(ctx, subjects.IDs()...)
		if err != nil {
			return nil, err
		}
		for _, state := range rules.States(usage) {
			if seen[state.Subject] {
				continue
			}
			view, err := s.limitView(ctx, names, state)
			if err != nil {
				return nil, err
			}
			all = append(all, view)
		}
		for _, level := range rules.Levels {
			seen[level.Subject] = true
		}
	}
	return all, nil
}

func (s *Server) limitView(ctx context.Context, names *names, state policy.State) (LimitState, error) {
	scope, err := names.policy(ctx, state.Level, state.Subject)
	v := LimitState{Scope: scope, Key: string(state.Key), Limit: state.Max, Used: state.Used, Left: max(0, state.Max-state.Used)}
	if state.Reset > 0 {
		v.Reset = s.Now().Add(state.Reset).UTC().Truncate(time.Second)
	}
	return v, err
}
