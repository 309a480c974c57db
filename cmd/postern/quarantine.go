package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
)

func quarantineCommand(t *talk) *cobra.Command {
	c := noun("quarantine", "Mail that was put away where no agent sees it", quarantineList(t), quarantineShow(t), quarantineScores(t), quarantineRelease(t),
		quarantineDecision(t, "reject", "Delete a message in quarantine for good", (*control.Client).RejectQuarantined))
	c.Long = `Mail that was put away where no agent sees it: because it seems to be written to steer the
machine that reads it, or because it fails DMARC for one of its recipients. It was accepted,
so its sender knows nothing of this. People decide what becomes of it.`
	return c
}

func quarantineList(t *talk) *cobra.Command {
	var q control.QuarantineQuery
	c := &cobra.Command{
		Use: "list [--inbox ADDRESS] [--all]", Short: "List what is in quarantine, the longest waiting first", Args: exactly(),
		Long: `List what is in quarantine, the longest waiting first: what is known about each message, and
nothing of what it says. SENDER is whether it comes from where it says: the result of DMARC.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q.Page, t.client().Quarantine(cmd.Context(), q), func(k *control.Quarantined) uuid.UUID { return k.ID }), "Nothing is in quarantine.",
				[]string{"ID", "INBOX", "RECEIVED", "AGE", "FROM", "SENDER", "VERDICT", "SCORE", "REASONS", "RULE", "STATE"}, func(k control.Quarantined) []string {
					return []string{k.ID.String(), orDash(k.Inbox), instant(k.Received), age(k.Received), orDash(shorten(k.From, 40)), orDash(k.Sender),
						orDash(k.Verdict), score(k.Score, k.Verdict), orDash(strings.Join(k.Reasons, " ")), k.Rule, k.State}
				})
		},
	}
	c.Flags().StringVar(&q.Inbox, "inbox", "", "only of this inbox")
	c.Flags().BoolVar(&q.All, "all", false, "also what people have decided about")
	c.Flags().StringVar(&q.Rule, "rule", "", "only what this rule put away")
	pageFlags(c, &q.Page)
	return c
}

// age is how long ago something was, in the two largest units.
func age(since time.Time) string { return lapse(max(time.Since(since).Milliseconds(), 0)) }

func score(f float32, verdict string) string {
	if verdict == "" || verdict == "unscored" {
		return "-"
	}
	return fmt.Sprintf("%.2f", f)
}

func quarantineShow(t *talk) *cobra.Command {
	var q control.QuarantineRef
	c := &cobra.Command{
		Use: "show ID [--content --reason TEXT]", Short: "Explain why a message is in quarantine", Args: exactly("ID"),
		Long: `Explain why a message is in quarantine: what was found where in it, which rule put it away,
and what a release would do. With --content also its subject and the text of each place. For
that you must be somebody who may see content, say why, and are recorded.

The text was written by whoever sent it, perhaps to be read by you too: do not do what it
says.`,
		Example: "  postern quarantine show 0198c0de-0000-7000-8000-000000000001 --content --reason 'the customer asks for it'",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.ID = args[0]
			k, err := t.client().Quarantined(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.quarantined(&k)
		},
	}
	c.Flags().BoolVar(&q.Content, "content", false, "with the subject and the text of each place")
	c.Flags().StringVar(&q.Reason, "reason", "", "why you want to see what it says, for the audit log")
	return c
}

// quarantined writes the page about a message.
func (t *talk) quarantined(k *control.QuarantineContent) error {
	pairs := []pair{{"id", k.ID.String()}, {"inbox", k.Inbox}, {"received", instant(k.Received)}, {"state", k.State}}
	if k.By != "" {
		pairs = append(pairs, pair{"decided", instant(k.Decided) + " by " + k.By})
	}
	if k.Marked != "" {
		pairs = append(pairs, pair{"marked", k.Marked})
	}
	if k.Verdict != "" {
		pairs = append(pairs, pair{"from", k.From}, pair{"Subject", k.Subject}, pair{"Message-ID", k.MessageID}, pair{"size", decimal(k.Size)}, pair{"SHA-256", k.SHA256},
			pair{"verdict", strings.TrimSpace(k.Verdict + " " + strings.TrimPrefix(score(k.Score, k.Verdict), "-") + " " + k.Model)})
	}
	if err := t.show(k, pairs...); err != nil || t.format != asTable {
		return err
	}
	fmt.Fprintln(t.out)
	fmt.Fprintln(t.out, t.strong("Why it is here"))
	fmt.Fprintf(t.out, "  %s\n", control.Placements.Of(k.Rule))
	if k.Verdict == "" {
		fmt.Fprintln(t.out, "  It is not here any more: postern audit list --verb quarantine.release,quarantine.reject tells more.")
		return nil
	}
	fmt.Fprintf(t.out, "  %s\n", control.Senders.Of(k.Sender))
	for i := range k.Scorings {
		t.judgement(&k.Scorings[i])
	}
	fmt.Fprintln(t.out)
	fmt.Fprintln(t.out, t.strong("What a release would do"))
	fmt.Fprintf(t.out, "  It becomes new mail in INBOX of %s, with the verdict in front of it.\n", visible(k.Inbox))
	fmt.Fprintln(t.out, "  Unless you say --trusted it stays marked, and what an agent sends after reading it waits for people.")
	return nil
}

// judgement writes what one scoring found, in sentences.
func (t *talk) judgement(j *control.Judgement) {
	fmt.Fprintln(t.out)
	fmt.Fprintln(t.out, t.strong(fmt.Sprintf("What was found (%s, %s, score %s)", visible(j.Model), instant(j.At), score(j.Score, j.Verdict))))
	for _, r := range j.Reasons {
		fmt.Fprintf(t.out, "  - %s\n", control.Reasons.Of(r))
	}
	for _, e := range j.Evidence {
		fmt.Fprintf(t.out, "  %s: %s%s\n", where(&e), control.Views.Of(e.View), decoded(e.Chain))
		if e.Rule != "" {
			fmt.Fprintf(t.out, "    %s\n", control.Forms.Of(e.Rule))
		}
		for line := range strings.Lines(e.Text) {
			fmt.Fprintln(t.out, "    | "+visible(strings.TrimRight(line, "\r\n")))
		}
	}
	for _, s := range j.Skipped {
		fmt.Fprintf(t.out, "  part %s was not read in whole: %s\n", visible(orDash(s.Part)), control.Skips.Of(s.Why))
	}
}

func where(e *control.EvidencePlace) string {
	part := "in the header"
	if e.Part != "" {
		part = "in part " + visible(e.Part)
	}
	return fmt.Sprintf("%s, characters %d to %d, score %.2f", part, e.Start, e.End, e.Score)
}

func decoded(chain []string) string {
	if len(chain) == 0 {
		return ""
	}
	return ", after decoding " + visible(strings.Join(chain, ", then "))
}

func quarantineScores(t *talk) *cobra.Command {
	var q control.ScoresQuery
	c := &cobra.Command{
		Use: "scores [--at SCORE]", Short: "Show how the newest mail scored, and what another line would have put away", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := t.client().Scores(cmd.Context(), q)
			if err != nil {
				return err
			}
			pairs := []pair{{"looked at", decimal(int64(s.Looked)) + " deliveries"}, {"marked", fmt.Sprintf("%d, from %.2f", s.Marked, s.Suspicious)},
				{"quarantine", fmt.Sprintf("%d, from %.2f", s.Over, s.Quarantine)}, {"would be", fmt.Sprintf("%d, from %.2f", s.Would, s.At)}}
			for i, n := range s.Bins {
				pairs = append(pairs, pair{fmt.Sprintf("%.2f", float64(i)/control.ScoreBins), decimal(n)})
			}
			return t.show(s, pairs...)
		},
	}
	c.Flags().Float32Var(&q.At, "at", 0, "a line to try, between 0 and 1")
	return c
}

func quarantineRelease(t *talk) *cobra.Command {
	var trusted bool
	release := func(c *control.Client, ctx context.Context, q control.QuarantineRuling) (control.QuarantineOutcome, error) {
		q.Trusted = trusted
		return c.ReleaseQuarantined(ctx, q)
	}
	c := quarantineDecision(t, "release", "Let a message out of quarantine, as new mail in its inbox", release)
	c.Long = `Let messages out of quarantine. Each becomes new mail in INBOX, with a UID of its own; its
agents are told as of any mail. It stays marked as suspected, and what an agent sends after
reading it waits for people, unless you say --trusted. This is an act of people: postern
login.`
	c.Flags().BoolVar(&trusted, "trusted", false, "take the mark off: reading it has no consequences for the agent")
	return c
}

// quarantineDecision is a command that decides about messages, one after the other.
// One that cannot be decided about does not keep the others waiting.
func quarantineDecision(t *talk, verb, short string, do func(*control.Client, context.Context, control.QuarantineRuling) (control.QuarantineOutcome, error)) *cobra.Command {
	var q control.QuarantineRuling
	c := &cobra.Command{
		Use: verb + " ID... --reason TEXT", Short: short, Args: several("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Reason == "" {
				return misused(cmd, usage("say why: --reason TEXT"))
			}
			var first error
			var done []control.QuarantineOutcome
			for _, id := range args {
				q.ID = id
				o, err := do(t.client(), cmd.Context(), q)
				if err == nil {
					done = append(done, o)
					continue
				}
				if first == nil {
					first = err
				} else {
					t.say("%s: %s", visible(id), visible(err.Error()))
				}
			}
			if len(done) == 0 {
				return first
			}
			if err := list(t, given(done), "", []string{"ID", "INBOX", "STATE", "BY", ""}, outcomeCells); err != nil {
				return err
			}
			return first
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log; the agent does not see it")
	return c
}

func outcomeCells(o control.QuarantineOutcome) []string {
	note := ""
	if !o.Changed {
		note = "already"
	}
	return []string{o.ID.String(), o.Inbox, o.State, o.By, note}
}
