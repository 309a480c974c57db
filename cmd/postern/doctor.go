package main

import (
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/server/setup"
)

func doctorCommand(t *talk) *cobra.Command {
	var q control.Doctor
	var changes bool
	c := &cobra.Command{
		Use: "doctor", Short: "Say how each part of the installation is, and what to do", Args: exactly(),
		Long: `Say how each part of the installation is: set-up, network, DNS, TLS, storage, keys, queue,
clock, backup, audit, version; each with one sentence, what was found, and what to do. Exit
status 4 when something fails; what one should only look at does not count.

With --changes it says instead what became worse or better within the last 24 hours. The
server looks by itself every five minutes: little room on the disk, a clock that jumped,
mail that waits for hours, an old backup and a certificate that ends are alerts, which end
by themselves when it is good again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if changes && q.Redact {
				return misused(cmd, usage("--changes names domains: leave --redact out, or --changes"))
			}
			if changes {
				return doctorChanges(t, cmd)
			}
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
			if err == nil {
				err = t.sayChanges(cmd)
			}
			if err != nil || bad == 0 {
				return err
			}
			return problems(bad)
		},
	}
	c.Flags().BoolVar(&changes, "changes", false, "what changed since yesterday")
	c.Flags().BoolVar(&q.Redact, "redact", false, "without names and addresses, to show to others")
	c.Flags().BoolVar(&q.Look, "look", false, "ask the network anew")
	return c
}

// doctorChanges lists what became worse or better within a day.
func doctorChanges(t *talk, cmd *cobra.Command) error {
	all, err := t.client().Changes(cmd.Context())
	if err != nil {
		return err
	}
	return list(t, given(all), "Nothing changed since yesterday.", []string{"", "SECTION", "ABOUT", "WAS", "IS", "SINCE", "STATE OF THINGS"}, func(c control.Change) []string {
		return []string{changeMark(c), c.Section, c.Name, orDash(string(c.Was)), orDash(string(c.Is)), instant(c.At), c.Text}
	})
}

func changeMark(c control.Change) string {
	if c.Better {
		return "better"
	}
	return "worse"
}

// sayChanges ends the list for a person with how many things changed.
func (t *talk) sayChanges(cmd *cobra.Command) error {
	all, err := t.client().Changes(cmd.Context())
	if err != nil || len(all) == 0 {
		return err
	}
	worse := 0
	for _, c := range all {
		if !c.Better {
			worse++
		}
	}
	t.say("Since yesterday: %d worse, %d better. See: postern doctor --changes", worse, len(all)-worse)
	return nil
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
