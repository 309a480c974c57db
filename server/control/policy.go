package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// PolicyRef names what a policy is of: org, domain:NAME, agent:NAME, credential:ID
// or inbox:ADDRESS.
type PolicyRef struct {
	Scope string `json:"scope"`
}

// PolicyValue is one value that counts for a scope. Of some settings each level's
// own counts, so that a key may be there several times.
type PolicyValue struct {
	Key   string              `json:"key"`
	Value string              `json:"value"`
	Level storage.PolicyLevel `json:"level"` // at which it counts
	From  string              `json:"from"`  // "default", or the scope that it is set for
}

// PolicyKey is a setting of the vocabulary.
type PolicyKey struct {
	Key     string   `json:"key"`
	Kind    string   `json:"kind"`
	Levels  []string `json:"levels"`
	Default string   `json:"default,omitempty"`
	Help    string   `json:"help"`
}

// PolicyChange asks to set a value, or to take it away.
type PolicyChange struct {
	Scope string `json:"scope"`
	Key   string `json:"key"`
	Value string `json:"value,omitempty"` // of set; of a list, empty or none is the empty list
}

// PolicyChanged says what a change did.
type PolicyChanged struct {
	Scope  string `json:"scope"`
	Key    string `json:"key"`
	Before string `json:"before,omitempty"` // empty: it was not set
	After  string `json:"after,omitempty"`  // empty: it is not set
	State  string `json:"state"`            // set, unset, unchanged, waiting
	Have   int    `json:"have,omitempty"`   // of waiting: people who agreed
	Need   int    `json:"need,omitempty"`   // and whom it takes
}

func (s *Server) policyCommands() {
	lines(s, "policy.keys", s.policyKeys)
	lines(s, "policy.show", s.policyShow)
	answer(s, "policy.set", s.policySet)
	answer(s, "policy.unset", s.policyUnset)
}

// PolicyKeys lists the vocabulary.
func (c *Client) PolicyKeys(ctx context.Context) iter.Seq2[PolicyKey, error] {
	return rows[None, PolicyKey](ctx, c, "policy.keys", None{})
}

func (s *Server) policyKeys(_ context.Context, _ caller, _ None, emit func(PolicyKey) error) error {
	for _, k := range policy.Settings() {
		row := PolicyKey{Key: string(k.Key), Kind: string(k.Kind), Default: k.Default, Help: k.Help}
		for _, level := range k.Levels {
			row.Levels = append(row.Levels, string(level))
		}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

// Policy lists the values that count for a scope.
func (c *Client) Policy(ctx context.Context, scope string) iter.Seq2[PolicyValue, error] {
	return rows[PolicyRef, PolicyValue](ctx, c, "policy.show", PolicyRef{scope})
}

func (s *Server) policyShow(ctx context.Context, by caller, q PolicyRef, emit func(PolicyValue) error) error {
	scope, err := s.policyScope(ctx, by, q.Scope)
	if err != nil {
		return err
	}
	policies, err := s.Store.Policies(ctx, by.org, scope.above...)
	if err != nil {
		return err
	}
	names := s.newNames(by)
	for _, v := range policy.Explain(policies) {
		from, err := names.policy(ctx, v.Level, v.From)
		if err != nil {
			return err
		}
		if err := emit(PolicyValue{Key: string(v.Key), Value: v.Value, Level: v.Level, From: from}); err != nil {
			return err
		}
	}
	return nil
}

// SetPolicy gives a setting a value. It is an act of people; where it lets through
// what was stopped before, of as many as the policy asks for. // AC-2
func (c *Client) SetPolicy(ctx context.Context, q PolicyChange) (PolicyChanged, error) {
	return ask[PolicyChange, PolicyChanged](ctx, c, "policy.set", q)
}

func (s *Server) policySet(ctx context.Context, by caller, q PolicyChange) (PolicyChanged, error) {
	setting, err := policySetting(q.Key)
	if err != nil {
		return PolicyChanged{}, err
	}
	value, err := setting.Parse(q.Value)
	if err != nil {
		return PolicyChanged{}, invalid("%s", err)
	}
	return s.policyChange(ctx, by, q.Scope, setting, value)
}

// UnsetPolicy takes a value away.
func (c *Client) UnsetPolicy(ctx context.Context, q PolicyChange) (PolicyChanged, error) {
	return ask[PolicyChange, PolicyChanged](ctx, c, "policy.unset", q)
}

func (s *Server) policyUnset(ctx context.Context, by caller, q PolicyChange) (PolicyChanged, error) {
	setting, err := policySetting(q.Key)
	if err != nil {
		return PolicyChanged{}, err
	}
	if q.Value != "" {
		return PolicyChanged{}, invalid("to unset names no value")
	}
	return s.policyChange(ctx, by, q.Scope, setting, "")
}

func policySetting(key string) (policy.Setting, error) {
	setting, ok := policy.Lookup(key)
	if !ok {
		return setting, &Error{Code: NotFound, Message: fmt.Sprintf("there is no setting %q", key), Noun: "setting"}
	}
	return setting, nil
}

// policyChange brings a setting to a value, or to none, if people agree.
func (s *Server) policyChange(ctx context.Context, by caller, ref string, setting policy.Setting, after string) (PolicyChanged, error) {
	scope, err := s.policyScope(ctx, by, ref)
	if err != nil {
		return PolicyChanged{}, err
	}
	if !setting.At(scope.level) {
		return PolicyChanged{}, invalid("%s cannot be set for %s: its levels are %v", setting.Key, scope.text, setting.Levels)
	}
	p, err := s.policyOf(ctx, by, scope)
	if err != nil {
		return PolicyChanged{}, err
	}
	done := PolicyChanged{Scope: scope.text, Key: string(setting.Key), Before: p.Values[string(setting.Key)], After: after, State: "set"}
	switch after {
	case done.Before:
		done.State = "unchanged"
		return done, nil
	case "":
		done.State = "unset"
	}
	if setting.Weakens(scope.level, done.Before, after) {
		agreed, err := s.policyConsent(ctx, by, scope, &done)
		if err != nil || !agreed {
			return done, err
		}
	}
	err = s.putPolicy(ctx, by, p, done)
	if errors.Is(err, storage.ErrConflict) {
		return PolicyChanged{}, &Error{Code: Busy, Message: "somebody else changed this policy at the same moment: look at it and ask again", cause: err}
	}
	return done, err
}

// policyOf is what is set for a scope, or a policy that is still to be made.
func (s *Server) policyOf(ctx context.Context, by caller, scope policyScope) (storage.Policy, error) {
	p := storage.Policy{Head: storage.Head{Org: by.org}, Level: scope.level, Target: scope.id}
	all, err := s.Store.Policies(ctx, by.org, scope.id)
	if err == nil && len(all) > 0 {
		p = all[0]
	}
	return p, err
}

// putPolicy writes a change and its event. Both values are personal: lists name
// people, and what was one setting's clear value may be another's list.
func (s *Server) putPolicy(ctx context.Context, by caller, was storage.Policy, done PolicyChanged) error {
	values := maps.Clone(was.Values)
	if values == nil {
		values = map[string]string{}
	}
	e := audit.Event{Verb: audit.PolicySet, Outcome: audit.OK, Fields: audit.Fields{
		audit.Word(audit.KeySetting, done.Key), audit.Word(audit.KeyLevel, string(was.Level))}}
	if values[done.Key] = done.After; done.After == "" {
		delete(values, done.Key)
		e.Verb = audit.PolicyUnset
	}
	if done.Before != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyBefore, done.Before))
	}
	if done.After != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyAfter, done.After))
	}
	return s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		now := was
		now.Values = values
		return tx.PutPolicy(tx.Record(e), &now)
	})
}

// policyConsent asks whether enough people agree to weaken a policy.
func (s *Server) policyConsent(ctx context.Context, by caller, scope policyScope, done *PolicyChanged) (agreed bool, err error) {
	need, err := s.policyPersons(ctx, by, scope)
	if err != nil {
		return false, err
	}
	verb := "policy." + done.State
	act := fmt.Sprintf("%s %s:%s %s %s → %s", verb, scope.level, scope.id, done.Key, brief(done.Before), brief(done.After))
	have, agreed, err := s.Directory.Consent(ctx, by.Actor, by.org, act, need)
	if err == nil && !agreed {
		done.State, done.Have, done.Need = "waiting", have, need
	}
	return agreed, err
}

// brief is a value as a consent names it: by its digest where it is long.
func brief(value string) string {
	switch {
	case value == "":
		return "(unset)"
	case len(value) > 1000:
		return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(value)))
	}
	return value
}

// policyPersons is how many people it takes to weaken the policy of a scope: as
// many as any policy asks for whose agents it may reach.
func (s *Server) policyPersons(ctx context.Context, by caller, scope policyScope) (int, error) {
	var policies []storage.Policy
	var err error
	if scope.level == storage.LevelAgent || scope.level == storage.LevelCredential {
		policies, err = s.Store.Policies(ctx, by.org, scope.above...)
	} else {
		policies, err = s.Store.AllPolicies(ctx, by.org)
	}
	return policy.Effective(policy.Subjects{}, policies).Holds.Persons, err
}

// policyScope is what a policy is of.
type policyScope struct {
	level storage.PolicyLevel
	id    uuid.UUID
	text  string      // as people write it
	above []uuid.UUID // what it stands under, itself included, the widest first
}

// policyScope finds what a policy is of, in the caller's organization. // AC-19
func (s *Server) policyScope(ctx context.Context, by caller, text string) (p policyScope, err error) {
	kind, name, _ := strings.Cut(text, ":")
	switch {
	case text == "org":
		return policyScope{storage.LevelOrganization, by.org, text, []uuid.UUID{by.org}}, nil
	case name == "":
		return p, invalid("%q is no scope: write org, domain:NAME, agent:NAME, credential:ID or inbox:ADDRESS", text)
	}
	switch p.level = storage.PolicyLevel(kind); p.level {
	case storage.LevelDomain:
		d, err := s.Directory.Domain(ctx, by.org, name)
		return policyScope{p.level, d.ID, "domain:" + d.Name, []uuid.UUID{by.org, d.ID}}, missing(err, "domain", name)
	case storage.LevelInbox:
		in, err := s.inbox(ctx, by, name)
		return policyScope{p.level, in.ID, "inbox:" + in.Address, []uuid.UUID{by.org, in.Domain, in.ID}}, err
	case storage.LevelAgent:
		a, err := s.agent(ctx, by, name)
		if err != nil {
			return p, err
		}
		domains, err := s.domainsOf(ctx, by, a.ID, uuid.Nil)
		above := append(append([]uuid.UUID{by.org}, domains...), a.ID)
		return policyScope{p.level, a.ID, "agent:" + a.Name, above}, err
	case storage.LevelCredential:
		c, err := s.credential(ctx, by, name)
		if err != nil {
			return p, err
		}
		domains, err := s.domainsOf(ctx, by, c.Agent, c.ID)
		above := append(append([]uuid.UUID{by.org}, domains...), c.Agent, c.ID)
		return policyScope{p.level, c.ID, "credential:" + c.PublicID, above}, err
	}
	return p, invalid("%q is no scope: write org, domain:NAME, agent:NAME, credential:ID or inbox:ADDRESS", text)
}

// domainsOf are the domains of the inboxes that an agent may open, with one
// credential or, with none named, with any that has not ended.
func (s *Server) domainsOf(ctx context.Context, by caller, agent, credential uuid.UUID) (domains []uuid.UUID, err error) {
	creds, err := s.Directory.Credentials(ctx, by.org, agent)
	if err != nil {
		return nil, err
	}
	seen := map[uuid.UUID]bool{}
	for i := range creds {
		c := &creds[i]
		ended := !c.Revoked.IsZero() || !s.Now().Before(c.Expires)
		if c.ID != credential && (credential != uuid.Nil || ended) {
			continue
		}
		for _, scope := range c.Scopes {
			in, err := s.Store.InboxRecord(ctx, by.org, scope.Inbox)
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if !seen[in.Domain] {
				seen[in.Domain] = true
				domains = append(domains, in.Domain)
			}
		}
	}
	return domains, nil
}

// policy is the scope of a policy as people write it.
func (n *names) policy(ctx context.Context, level storage.PolicyLevel, id uuid.UUID) (name string, err error) {
	switch {
	case id == uuid.Nil:
		return "default", nil
	case level == storage.LevelOrganization:
		return "org", nil
	case level == storage.LevelDomain:
		name, err = n.domain(ctx, id)
	case level == storage.LevelAgent:
		name, err = n.agent(ctx, id)
	case level == storage.LevelCredential:
		name, err = n.credential(ctx, id)
	case level == storage.LevelInbox:
		name, err = n.inbox(ctx, id)
	}
	return string(level) + ":" + name, err
}
