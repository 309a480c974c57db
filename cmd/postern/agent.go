package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
)

func agentCommand(t *talk) *cobra.Command {
	return noun("agent", "Programs with an identity of their own",
		agentCreate(t), agentList(t), agentShow(t), agentDay(t),
		agentChange(t, "suspend", "Stop an agent until it is resumed; its sessions end now", (*control.Client).SuspendAgent),
		agentChange(t, "resume", "Let a suspended agent act again", (*control.Client).ResumeAgent),
		agentChange(t, "decommission", "End an agent for good and revoke its credentials", (*control.Client).DecommissionAgent))
}

func agentCreate(t *talk) *cobra.Command {
	var q control.AgentCreate
	c := &cobra.Command{
		Use: "create NAME --owner EMAIL", Short: "Create an agent", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Owner == "" {
				return misused(cmd, usage("--owner is missing: the person who is responsible for the agent"))
			}
			q.Name = args[0]
			a, err := t.client().CreateAgent(cmd.Context(), q)
			if err != nil {
				return err
			}
			defer t.say("Next: postern credential create %s --scope read,flag,send:ADDRESS", args[0])
			return t.agent(a)
		},
	}
	c.Flags().StringVar(&q.Owner, "owner", "", "mail address of the person who is responsible")
	c.Flags().StringVar(&q.Purpose, "purpose", "", "what it is for, in the owner's words")
	return c
}

func agentList(t *talk) *cobra.Command {
	var q control.AgentQuery
	c := &cobra.Command{
		Use: "list [--match TEXT]", Short: "List all agents", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q.Page, t.client().Agents(cmd.Context(), q), func(a *control.Agent) uuid.UUID { return a.ID }), "There is no agent yet. Create one: postern agent create NAME --owner EMAIL",
				[]string{"AGENT", "STATE", "OWNER", "CREATED", "PURPOSE"}, func(a control.Agent) []string {
					return []string{a.Name, string(a.State), a.Owner, instant(a.Created), shorten(a.Purpose, 60)}
				})
		},
	}
	c.Flags().StringVar(&q.Match, "match", "", "only those with this in their name, owner or purpose")
	pageFlags(c, &q.Page)
	return c
}

func agentDay(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "day NAME", Short: "Say what an agent did in each of the last 24 hours", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := t.client().AgentDay(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			pairs := []pair{{"agent", d.Name}, {"since", instant(d.Since)}}
			for _, h := range d.Hours {
				pairs = append(pairs, pair{instant(d.Since.Add(time.Duration(h.Hour) * time.Hour)), fmt.Sprintf(
					"%d sent, %d refused, %d recipients for the first time, shown what may steer it %d times", h.Sent, h.Refused, h.FirstTime, h.Tainted)})
			}
			return t.show(d, pairs...)
		},
	}
}

func agentShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show one agent, by its name or id", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := t.client().Agent(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.agentShown(a)
		},
	}
}

// agentShown shows one agent with what it may do.
func (t *talk) agentShown(a control.AgentShown) error {
	pairs := append(agentPairs(a.Agent), pair{"last used", instant(a.LastUsed)}, pair{"sessions open", decimal(int64(a.Open))})
	for _, g := range a.May {
		text := g.Verbs
		if g.Unused != "" {
			text += " (not used in 90 days: " + g.Unused + ")"
		}
		pairs = append(pairs, pair{"may on " + g.Inbox, text})
	}
	return t.show(a, pairs...)
}

func agentChange(t *talk, verb, short string, do func(*control.Client, context.Context, control.AgentChange) (control.Stopped, error)) *cobra.Command {
	var q control.AgentChange
	c := &cobra.Command{
		Use: verb + " NAME", Short: short, Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Agent = args[0]
			done, err := do(t.client(), cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.stopped(done)
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}

// agent shows one agent.
func (t *talk) agent(a control.Agent) error { return t.show(a, agentPairs(a)...) }

func agentPairs(a control.Agent) []pair {
	return []pair{{"agent", a.Name}, {"id", a.ID.String()}, {"state", string(a.State)}, {"owner", a.Owner}, {"purpose", a.Purpose}, {"created", instant(a.Created)}}
}

// stopped shows what a change of state did.
func (t *talk) stopped(s control.Stopped) error {
	return t.show(s, pair{"id", s.ID.String()}, pair{"state", s.State}, pair{"sessions cut", decimal(int64(s.Sessions))})
}
