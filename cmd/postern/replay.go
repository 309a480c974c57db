package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func injectionReplay(t *talk) *cobra.Command {
	var q control.ReplayQuery
	var model, since string
	c := &cobra.Command{
		Use: "replay [--inbox ADDRESS] [--domain NAME] [--since TIME] [--model FILE] [--apply --reason TEXT]", Short: "Score stored mail again", Args: exactly(),
		Long: `Score stored mail again, and list the messages whose verdict would be another: by ids, with
nothing of what they say. Without --model by the model in use, with it by another one: so you
see what a model would do before it judges new mail.

With --apply its verdicts become those of the messages: keywords and the record change, bytes
and header fields never do, and what you vouched for when you released it stays so. It moves
nothing: WOULD is where a message would go if it came now, and what lies in quarantine you
release yourself. A replay that was cut off goes on where it was when you ask again. To apply
needs a person who may change policy, and a reason.`,
		Example: "  postern injection replay --inbox support@example.com --since 168h\n  postern injection replay --apply --reason 'new model, looked at the list'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Since, err = parseTime(since, time.Now()); err != nil {
				return err
			}
			if model != "" {
				if q.Model, err = os.ReadFile(model); err != nil {
					return err
				}
			}
			return t.replay(cmd, q)
		},
	}
	f := c.Flags()
	f.StringVar(&q.Inbox, "inbox", "", "only mail in this inbox")
	f.StringVar(&q.Domain, "domain", "", "only mail in inboxes of this domain")
	f.StringVar(&since, "since", "", "only mail that came then or later, as 2026-01-02, or 24h for a day ago")
	f.StringVar(&model, "model", "", "file of a model, as cmd/injection-train writes it")
	f.BoolVar(&q.Apply, "apply", false, "make its verdicts those of the messages")
	f.StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}

// replay lists what changes, and sums up.
func (t *talk) replay(cmd *cobra.Command, q control.ReplayQuery) error {
	var sum *control.ReplaySummary
	changes := func(yield func(control.ReplayRow, error) bool) {
		for row, err := range t.client().Replay(cmd.Context(), q) {
			if row.Summary != nil {
				if sum = row.Summary; t.format == asTable {
					continue
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
	err := list(t, changes, "No verdict changes.", []string{"MESSAGE", "INBOX", "IN", "UID", "WAS", "VERDICT", "SCORE", "WOULD", "REASONS"}, func(r control.ReplayRow) []string {
		return []string{r.Message.String(), r.Inbox, orDash(r.Mailbox), decimal(int64(r.UID)), r.Was, r.Verdict, score(r.Score, r.Verdict), orDash(r.Would), orDash(strings.Join(r.Reasons, " "))}
	})
	if err != nil || sum == nil || t.format != asTable {
		return err
	}
	what := "would change"
	if sum.Applied {
		what = "changed"
	}
	t.say("%s: %s scored, %d verdicts %s, %d had been judged by it before, %d could not be read.", sum.Model, messages(int64(sum.Scored)), sum.Changed, what, sum.Same, sum.Failed)
	for _, kind := range slices.Sorted(maps.Keys(sum.Transitions)) {
		t.say("  %s: %d", kind, sum.Transitions[kind])
	}
	return nil
}

func injectionModel(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "model", Short: "Say what judges mail", Args: exactly(),
		Long: `Say what judges mail: the version of model and rules, the scores from which mail is suspicious
or put away, and what was judged since the server started. Since when it judges, the log says:
postern audit list --verb server.start. Which model judged a message, postern message trace.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := t.client().InjectionModel(cmd.Context())
			if err != nil {
				return err
			}
			return t.show(m, pair{"model", m.Model}, pair{"suspicious from", fmt.Sprintf("%.3f", m.Suspicious)}, pair{"quarantine from", fmt.Sprintf("%.3f", m.Quarantine)},
				pair{"judged", decimal(m.Judged)}, pair{"failed", decimal(m.Failed)}, pair{"turned away", decimal(m.Turned)})
		},
	}
}
