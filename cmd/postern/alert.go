package main

import (
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
)

func alertCommand(t *talk) *cobra.Command {
	return noun("alert", "What somebody should look at", alertList(t), alertShow(t), alertAcknowledge(t))
}

func alertList(t *talk) *cobra.Command {
	var q control.AlertList
	c := &cobra.Command{
		Use: "list", Short: "List the alerts that nobody has acknowledged", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q.Page, t.client().Alerts(cmd.Context(), q), func(a *control.Alert) uuid.UUID { return a.ID }), "There is no alert.",
				[]string{"ID", "KIND", "STATE", "AGENT", "COUNT", "FIRST", "DETAIL"}, func(a control.Alert) []string {
					return []string{a.ID.String(), string(a.Kind), string(a.State), orDash(a.Agent), decimal(a.Count), instant(a.First), shorten(a.Detail, 80)}
				})
		},
	}
	c.Flags().BoolVar(&q.All, "all", false, "those too that were acknowledged, or are over")
	pageFlags(c, &q.Page)
	return c
}

func alertShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one alert", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := t.client().Alert(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.alert(a)
		},
	}
}

func alertAcknowledge(t *talk) *cobra.Command {
	var q control.AlertRef
	c := &cobra.Command{
		Use: "acknowledge ID --reason TEXT", Short: "Say that you have seen an alert, and why it may rest", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Reason == "" {
				return misused(cmd, usage("--reason is missing: it stands in the audit log"))
			}
			q.ID = args[0]
			a, err := t.client().AcknowledgeAlert(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.alert(a)
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}

func (t *talk) alert(a control.Alert) error {
	pairs := []pair{{"id", a.ID.String()}, {"kind", string(a.Kind)}, {"state", string(a.State)}, {"agent", a.Agent}, {"credential", a.Credential},
		{"inbox", a.Inbox}, {"detail", a.Detail}, {"count", decimal(a.Count)}, {"first", instant(a.First)}, {"last", instant(a.Last)}}
	if !a.Acknowledged.IsZero() {
		pairs = append(pairs, pair{"acknowledged", instant(a.Acknowledged)}, pair{"by", a.By}, pair{"reason", a.Reason})
	}
	if !a.Resolved.IsZero() {
		pairs = append(pairs, pair{"resolved", instant(a.Resolved)})
	}
	return t.show(a, pairs...)
}
