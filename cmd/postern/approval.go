package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
)

func approvalCommand(t *talk) *cobra.Command {
	return noun("approval", "Messages that wait for people to decide", approvalList(t), approvalShow(t), approvalDecisions(t),
		approvalDecision(t, "release", "Let a held message go; where more people are needed, agree to it", (*control.Client).ReleaseApproval),
		approvalDecision(t, "reject", "End a held message; its agent gets a report", (*control.Client).RejectApproval))
}

func approvalList(t *talk) *cobra.Command {
	var q control.Page
	c := &cobra.Command{
		Use: "list", Short: "List what waits for people, the longest waiting first", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q, t.client().Approvals(cmd.Context(), q), func(a *control.Approval) uuid.UUID { return a.ID }), "Nothing waits for approval.",
				[]string{"ID", "AGENT", "TO", "RULES", "AGREED", "SINCE", "UNTIL"}, func(a control.Approval) []string {
					return []string{a.ID.String(), orDash(a.Agent), shorten(strings.Join(a.To, ", "), 60), strings.Join(a.Rules, " "), agreed(&a), instant(a.Created), instant(a.Expires)}
				})
		},
	}
	pageFlags(c, &q)
	return c
}

func approvalDecisions(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "decisions", Short: "Say how long held mail waited, and what was decided about it", Args: exactly(),
		Long: `Say how long mail waited for people, and what was decided: of the newest thousand decisions
of the last 30 days, as the audit log has them. Expired is what nobody decided in time.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := t.client().Decisions(cmd.Context())
			if err != nil {
				return err
			}
			pairs := []pair{{"decisions", decimal(int64(d.Looked))}}
			for i, w := range d.Waits {
				if w.Sum() > 0 {
					pairs = append(pairs, pair{waitedFor(d.Waits, i), decidedWords(w.Decided)})
				}
			}
			for _, a := range d.Agents {
				pairs = append(pairs, pair{"agent " + orDash(a.Agent), decidedWords(a.Decided)})
			}
			return t.show(d, pairs...)
		},
	}
}

// waitedFor words a span of waiting.
func waitedFor(all []control.DecisionWait, i int) string {
	if end := all[i].Under; end != "" {
		return "waited under " + end
	}
	return "waited " + all[i-1].Under + " or more"
}

func decidedWords(d control.Decided) string {
	return fmt.Sprintf("%d released, %d rejected, %d expired", d.Released, d.Rejected, d.Expired)
}

func agreed(a *control.Approval) string { return fmt.Sprintf("%d of %d", a.Agreed, a.Persons) }

func approvalShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a held message and the beginning of what it says", Args: exactly("ID"),
		Long: `Show a held message: its envelope, the rules that made it wait, where it comes from, and the
beginning of what it says. That you looked is an event itself.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := t.client().Approval(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.approval(&a)
		},
	}
}

func (t *talk) approval(a *control.ApprovalContent) error {
	pairs := []pair{{"id", a.ID.String()}, {"agent", a.Agent}, {"token", a.Credential}, {"inbox", a.Inbox}, {"from", a.From}}
	for _, to := range a.To {
		pairs = append(pairs, pair{"to", to})
	}
	pairs = append(pairs, pair{"Message-ID", a.MessageID}, pair{"Subject", a.Subject}, pair{"size", decimal(a.Size)}, pair{"SHA-256", a.SHA256},
		pair{"rules", strings.Join(a.Rules, " ")}, pair{"agreed", agreed(&a.Approval)}, pair{"since", instant(a.Created)}, pair{"until", instant(a.Expires)},
		pair{"obstacle", a.Obstacle})
	for _, name := range a.Attachments {
		pairs = append(pairs, pair{"attached", name})
	}
	if err := t.show(a, pairs...); err != nil || t.format != asTable {
		return err
	}
	if v := a.Provenance; v != nil {
		if err := (tracePage{t, &control.Trace{Provenance: v}, logged{names: a.Names}}).provenance(); err != nil {
			return err
		}
	}
	fmt.Fprintln(t.out)
	for _, line := range a.Lines {
		mark := "| "
		if line.Parts != nil {
			mark = "! "
		}
		fmt.Fprintln(t.out, mark+visible(line.Text))
	}
	if a.Quoting.Altered > 0 {
		t.say("The message that it answers does not say what stands after \"!\", though that is marked as quoted.")
	}
	if a.Truncated {
		t.say("It goes on.")
	}
	return nil
}

func approvalDecision(t *talk, verb, short string, do func(*control.Client, context.Context, control.ApprovalDecision) (control.ApprovalOutcome, error)) *cobra.Command {
	var q control.ApprovalDecision
	c := &cobra.Command{
		Use: verb + " ID", Short: short, Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.ID = args[0]
			o, err := do(t.client(), cmd.Context(), q)
			if err != nil {
				return err
			}
			if o.State == "waiting" {
				t.say("You agreed, as %d of %d. It goes when another person does the same.", o.Agreed, o.Persons)
			}
			return t.show(o, pair{"id", o.ID.String()}, pair{"state", o.State})
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log; the agent does not see it")
	return c
}
