package servertest

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"postern/storage"
	"postern/storage/audit"
)

// SetPolicy changes settings of a policy as if people had agreed to it; an empty
// value takes a setting away.
func (p *Postern) SetPolicy(ctx context.Context, org uuid.UUID, level storage.PolicyLevel, target uuid.UUID, values map[string]string) error {
	store := p.Server().Store()
	all, err := store.Policies(ctx, org, target)
	if err != nil {
		return err
	}
	was := storage.Policy{Head: storage.Head{Org: org}, Level: level, Target: target}
	if len(all) > 0 {
		was = all[0]
	}
	merged := maps.Clone(was.Values)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, values)
	maps.DeleteFunc(merged, func(_, v string) bool { return v == "" })
	return store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		now := was
		now.Values = merged
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.PolicySet}), &now)
	})
}

// policy HOST org|AGENT KEY=VALUE…
func (s *script) policy(ts *testscript.TestScript, args []string) error {
	h := s.find(ts, args[0])
	level, target := storage.LevelOrganization, h.Org.ID
	if args[1] != "org" {
		level, target = storage.LevelAgent, s.agent(ts, args[1]).Agent.ID
	}
	values := map[string]string{}
	for _, w := range args[2:] {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return fmt.Errorf("%q is not KEY=VALUE", w)
		}
		values[key] = value
	}
	return h.SetPolicy(s.ctx, h.Org.ID, level, target, values)
}
