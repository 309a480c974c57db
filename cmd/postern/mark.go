package main

import (
	"github.com/spf13/cobra"

	"postern/server/control"
)

func messageMark(t *talk) *cobra.Command {
	var q control.MarkRequest
	var injection, harmless bool
	c := &cobra.Command{
		Use: "mark ID --injection|--harmless --reason TEXT", Short: "Say that a verdict was wrong, or right", Args: exactly("ID"),
		Long: `Say of a message whether it was written to steer the machine that reads it. ID is that of the
message in the log, or of its copy in quarantine. What people marked is what models are
compared on: postern injection evaluate. A mark changes no verdict and no threshold.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if injection == harmless {
				return misused(cmd, usage("say --injection or --harmless"))
			}
			q.ID, q.Label = args[0], "harmless"
			if injection {
				q.Label = "injection"
			}
			m, err := t.client().Mark(cmd.Context(), q)
			if err != nil {
				return err
			}
			if !m.Changed && t.format == asTable {
				t.say("It was marked so already.")
			}
			return t.show(m, pair{"message", m.Message.String()}, pair{"label", m.Label}, pair{"verdict", m.Verdict}, pair{"score", score(m.Score, m.Verdict)},
				pair{"model", m.Model}, pair{"by", m.By}, pair{"at", instant(m.At)})
		},
	}
	c.Flags().BoolVar(&injection, "injection", false, "it was written to steer a machine")
	c.Flags().BoolVar(&harmless, "harmless", false, "it was not")
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}

func messageMarks(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "marks", Short: "List the messages that people marked", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, t.client().Marks(cmd.Context()), "Nobody marked a message.",
				[]string{"MESSAGE", "INBOX", "LABEL", "VERDICT", "SCORE", "MODEL", "BY", "AT"}, func(m control.Mark) []string {
					return []string{m.Message.String(), orDash(m.Inbox), m.Label, m.Verdict, score(m.Score, m.Verdict), orDash(m.Model), m.By, instant(m.At)}
				})
		},
	}
}
