package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// maxDecisions is how many decisions are looked at.
const maxDecisions = 1000

// decisionDays is how far back decisions are looked at.
const decisionDays = 30

// decisionWaits are the ends of the spans into which waiting times fall; the last span
// has none.
var decisionWaits = []struct {
	end  time.Duration
	name string
}{{time.Minute, "1 min"}, {5 * time.Minute, "5 min"}, {15 * time.Minute, "15 min"}, {time.Hour, "1 h"}, {4 * time.Hour, "4 h"}, {24 * time.Hour, "24 h"}}

// Decisions is what became of mail that waited for people: of the newest that were
// decided, as the audit log has it.
type Decisions struct {
	Looked int              `json:"looked"` // decisions, a thousand of the last 30 days at most
	Waits  []DecisionWait   `json:"waits"`
	Agents []AgentDecisions `json:"agents"` // those with most first
}

// Decided counts decisions by what they were.
type Decided struct {
	Released int `json:"released"`
	Rejected int `json:"rejected"`
	Expired  int `json:"expired"` // nobody decided in time: rejected
}

// DecisionWait is how much was decided within a span of waiting.
type DecisionWait struct {
	Under string `json:"under,omitempty"` // its end, as "15 min"; empty: it has none
	Decided
}

// AgentDecisions is what was decided about one agent's mail.
type AgentDecisions struct {
	Agent   string    `json:"agent"`
	AgentID uuid.UUID `json:"agent_id"`
	Decided
}

// Decisions asks how long held mail waited lately, and what was decided.
func (c *Client) Decisions(ctx context.Context) (Decisions, error) {
	return ask[None, Decisions](ctx, c, "approval.decisions", None{})
}

func (s *Server) approvalDecisions(ctx context.Context, by caller, _ None) (Decisions, error) {
	d := Decisions{Waits: make([]DecisionWait, len(decisionWaits)+1), Agents: []AgentDecisions{}}
	for i, w := range decisionWaits {
		d.Waits[i].Under = w.name
	}
	events, err := s.Store.Events(ctx, storage.EventQuery{Org: by.org, Since: s.Now().AddDate(0, 0, -decisionDays), Newest: true, Limit: maxDecisions,
		Verbs: []audit.Verb{audit.ApprovalRelease, audit.ApprovalReject, audit.ApprovalExpire}})
	if err != nil {
		return d, err
	}
	names := s.newNames(by)
	for i := range events {
		if err := d.add(ctx, names, &events[i]); err != nil {
			return d, err
		}
	}
	slices.SortFunc(d.Agents, func(a, b AgentDecisions) int {
		if n := b.Sum() - a.Sum(); n != 0 {
			return n
		}
		return strings.Compare(a.Agent, b.Agent)
	})
	return d, nil
}

// add counts one decision.
func (d *Decisions) add(ctx context.Context, names *names, e *audit.Event) error {
	held, ok := e.Fields.Int(audit.KeySince)
	if !ok {
		return nil
	}
	d.Looked++
	d.Waits[spanOf(e.Time.Sub(time.UnixMicro(held)))].count(e.Verb)
	of := slices.IndexFunc(d.Agents, func(a AgentDecisions) bool { return a.AgentID == e.Agent })
	if of < 0 {
		name, err := names.agent(ctx, e.Agent)
		if err != nil {
			return err
		}
		of, d.Agents = len(d.Agents), append(d.Agents, AgentDecisions{Agent: name, AgentID: e.Agent})
	}
	d.Agents[of].count(e.Verb)
	return nil
}

// spanOf is the span that a waiting time falls into.
func spanOf(waited time.Duration) int {
	for i, w := range decisionWaits {
		if waited < w.end {
			return i
		}
	}
	return len(decisionWaits)
}

func (d *Decided) count(v audit.Verb) {
	switch v {
	case audit.ApprovalRelease:
		d.Released++
	case audit.ApprovalReject:
		d.Rejected++
	case audit.ApprovalExpire:
		d.Expired++
	}
}

// Sum is how many decisions there were.
func (d Decided) Sum() int { return d.Released + d.Rejected + d.Expired }
