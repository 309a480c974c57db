package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func injectionEvaluate(t *talk) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "evaluate [--model FILE]", Short: "Score the messages that people marked, and count", Args: exactly(),
		Long: `Score the messages that people marked (postern message mark) with the model that is in use,
or with another one, and count what it makes of them. It changes nothing: neither a verdict
nor a threshold.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var q control.EvaluationRequest
			if file != "" {
				var err error
				if q.Model, err = os.ReadFile(file); err != nil {
					return err
				}
			}
			e, err := t.client().EvaluateInjection(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.evaluation(&e)
		},
	}
	c.Flags().StringVar(&file, "model", "", "another model, as the trainer writes it")
	return c
}

func (t *talk) evaluation(e *control.Evaluation) error {
	err := t.show(e, pair{"model", e.Model}, pair{"marked", decimal(int64(e.Marked))}, pair{"gone", decimal(int64(e.Gone))})
	if err != nil || t.format != asTable || e.Marked == 0 {
		return err
	}
	fmt.Fprintln(t.out)
	type row struct {
		label string
		n     control.LabelCounts
	}
	err = list(t, given([]row{{"injection", e.Injection}, {"harmless", e.Harmless}}), "", []string{"MARKED", "MESSAGES", "CLEAN", "SUSPICIOUS", "QUARANTINE", "PARTIAL"}, func(r row) []string {
		return append([]string{r.label}, decimals(r.n.Messages, r.n.Clean, r.n.Suspicious, r.n.Quarantine, r.n.Partial)...)
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	return list(t, given(e.Changed), "None has another verdict than when it was marked.", []string{"MESSAGE", "MARKED", "WAS", "NOW", "SCORE"}, func(r control.Reassessed) []string {
		return []string{r.Message.String(), r.Label, r.Was, r.Now, score(r.Score, r.Now)}
	})
}

func decimals(all ...int) []string {
	var texts []string
	for _, n := range all {
		texts = append(texts, decimal(int64(n)))
	}
	return texts
}

func injectionReport(t *talk) *cobra.Command {
	var q control.InjectionQuery
	var since string
	columns := []string{"DAY", "MESSAGES", "CLEAN", "SUSPICIOUS", "QUARANTINE", "PARTIAL", "UNSCORED", "PUT AWAY", "REPORTED", "ALLOWED"}
	for _, step := range control.ScoreSteps {
		columns = append(columns, fmt.Sprintf(">%g", step))
	}
	c := &cobra.Command{
		Use: "report [--inbox ADDRESS] [--since TIME]", Short: "Count by day what came in, by verdict, and what the bands do about it", Args: exactly(),
		Long: `Count by day what came in, by verdict. A column is what goes into quarantine when the band of
its name says so: SUSPICIOUS with injection-suspicious quarantine, QUARANTINE with
injection-quarantine quarantine, PARTIAL and UNSCORED with injection-partial quarantine. PUT
AWAY is what was; REPORTED what would have been in an inbox that only reports; ALLOWED what
was let in because its sender is allowed. The last columns count scores above a threshold.
That the log was read for it is an event itself.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Since, err = parseTime(since, time.Now()); err != nil {
				return misused(cmd, err)
			}
			return list(t, t.client().InjectionReport(cmd.Context(), q), "Nothing came in.", columns, func(d control.InjectionDay) []string {
				row := append([]string{d.Day}, decimals(d.Messages, d.Clean, d.Suspicious, d.Quarantine, d.Partial, d.Unscored, d.PutAway, d.Reported, d.Allowed)...)
				return append(row, decimals(d.Above...)...)
			})
		},
	}
	c.Flags().StringVar(&q.Inbox, "inbox", "", "only of this inbox")
	c.Flags().StringVar(&since, "since", "", "from this time on, as 2026-01-02, or 24h for a day ago")
	return c
}
