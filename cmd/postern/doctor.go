package main

import (
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/server/setup"
)

func doctorCommand(t *talk) *cobra.Command {
	var q control.Doctor
	c := &cobra.Command{
		Use: "doctor", Short: "Say how each part of the installation is, and what to do", Args: exactly(),
		Long: `Say how each part of the installation is: set-up, network, DNS, TLS, storage, keys, queue,
clock, backup, audit, version; each with one sentence, what was found, and what to do. Exit
status 4 when something fails; what one should only look at does not count.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts, err := t.client().Doctor(cmd.Context(), q)
			if err != nil {
				return err
			}
			bad := 0
			for _, f := range facts {
				if f.State == setup.Bad {
					bad++
				}
			}
			err = list(t, given(facts), "", []string{"", "SECTION", "ABOUT", "STATE OF THINGS", "WHAT TO DO"}, func(f control.Fact) []string {
				return []string{factMarks[f.State], f.Section, f.Name, joinSentences(f.Text, f.Found), joinSentences(f.Fix, f.Command)}
			})
			if err != nil || bad == 0 {
				return err
			}
			return problems(bad)
		},
	}
	c.Flags().BoolVar(&q.Redact, "redact", false, "without names and addresses, to show to others")
	c.Flags().BoolVar(&q.Look, "look", false, "ask the network anew")
	return c
}

// factMarks are the states of facts at a glance, each beside its sentence.
var factMarks = map[setup.FindingState]string{setup.Good: "✓", setup.Warn: "!", setup.Bad: "✖", setup.Unknown: "?"}

// joinSentences puts what belongs together on one line.
func joinSentences(a, b string) string {
	switch {
	case b == "":
		return a
	case a == "":
		return b
	}
	return a + " " + b
}
