package control

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Survey looks at the health of every organization: what is so bad that somebody
// should see to it becomes an alert, what is good again ends one, and what changed is
// noted. What is the installation's affair is told to the organization that was here
// first. // AV-5
func (s *Server) Survey(ctx context.Context) error {
	orgs, err := s.Store.Organizations(ctx)
	if err != nil {
		return err
	}
	for i := range orgs {
		facts, _, _, err := s.facts(ctx, caller{Actor: storage.System, org: orgs[i].ID})
		if err != nil {
			return err
		}
		if err := s.remember(ctx, orgs[i].ID, facts); err != nil {
			return err
		}
		for j := range facts {
			if i > 0 && facts[j].alert != storage.AlertQueueStuck {
				continue
			}
			if err := s.settle(ctx, orgs[i].ID, &facts[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle raises the alert that goes with a fact, or ends it. One that stands is not
// raised again, also when a person has seen it.
func (s *Server) settle(ctx context.Context, org uuid.UUID, f *Fact) error {
	if f.alert == "" || !f.rings && !f.over {
		return nil
	}
	standing, err := s.Store.StandingAlerts(ctx, org, f.alert)
	if err != nil {
		return err
	}
	if f.rings && len(standing) == 0 {
		return s.Store.RaiseAlert(ctx, storage.Alert{Head: storage.Head{Org: org}, Kind: f.alert, Detail: f.sentence()})
	}
	if !f.over {
		return nil
	}
	for i := range standing {
		if err := s.resolve(ctx, &standing[i]); err != nil {
			return err
		}
	}
	return nil
}

// resolve ends one alert. One that a person acknowledged in this moment ends the next
// time.
func (s *Server) resolve(ctx context.Context, a *storage.Alert) error {
	err := s.Store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		over := *a // the function may run twice
		return tx.ResolveAlert(tx.Record(audit.Event{Verb: audit.AlertResolve}), &over)
	})
	if errors.Is(err, storage.ErrConflict) {
		return nil
	}
	return err
}

// sentence is all that a fact says, for an alert: what is so, what was found, what to
// do, and by which command.
func (f *Fact) sentence() string {
	parts := []string{f.Text}
	if f.Found != "" {
		parts = append(parts, "Found: "+f.Found+".")
	}
	if f.Fix != "" {
		parts = append(parts, f.Fix)
	}
	if f.Command != "" {
		parts = append(parts, "See: "+f.Command)
	}
	return strings.Join(parts, " ")
}
