package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func overviewCommand(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "overview", Short: "Say what happened in the last 24 hours, and what waits for somebody", Args: exactly(),
		Long: "Say what happened in the last 24 hours, and what waits for somebody. With -o json,\nalso which ways the mail went, and what each agent did by the hour.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := t.client().Overview(cmd.Context())
			if err != nil {
				return err
			}
			return t.show(o, overviewPairs(&o)...)
		},
	}
}

func overviewPairs(o *control.Overview) []pair {
	pairs := []pair{{"since", instant(o.Since)}}
	for _, f := range o.Figures {
		text := decimal(f.Now)
		if f.Before != nil {
			text += fmt.Sprintf(", %d a week earlier", *f.Before)
		}
		pairs = append(pairs, pair{f.Name, text})
	}
	for _, a := range o.Agents {
		if a.Sent+a.Refused+a.Tainted > 0 {
			pairs = append(pairs, pair{"agent " + a.Name, fmt.Sprintf("%d sent, %d refused, shown what may steer it %d times", a.Sent, a.Refused, a.Tainted)})
		}
	}
	for _, d := range o.Todo {
		pairs = append(pairs, pair{"to do", todoText(&d)})
	}
	if o.Uncounted > 0 {
		pairs = append(pairs, pair{"not counted yet", decimal(int64(o.Uncounted)) + " events of the log"})
	}
	return pairs
}

// todoText says what somebody should see to, and with which command.
func todoText(d *control.Todo) string {
	switch d.Kind {
	case "approvals":
		return fmt.Sprintf("%d waiting for approval: postern approval list", d.Count)
	case "quarantine":
		return fmt.Sprintf("%d in quarantine: postern quarantine list", d.Count)
	case "alert":
		return shorten(d.Text, 80) + ": postern alert show " + d.Alert.ID.String()
	}
	return d.Name + ": " + d.Text
}
