package main

import (
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
)

func messageCaptured(t *talk) *cobra.Command {
	return noun("captured", "Mail of test tokens that was kept here and never sent", capturedList(t), capturedShow(t))
}

func capturedList(t *talk) *cobra.Command {
	var q control.Page
	c := &cobra.Command{
		Use: "list", Short: "List what test tokens sent to others than test inboxes", Args: exactly(),
		Long: `List what test tokens sent to others than test inboxes: outside, live inboxes and addresses
that do not exist. The sender was told that it was accepted; no name was looked up and no
host was called. It is kept for 30 days.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return list(t, part(t, q, t.client().Captures(cmd.Context(), q), func(c *control.Captured) uuid.UUID { return c.ID }), "Nothing was captured.",
				[]string{"ID", "TIME", "AGENT", "TOKEN", "TO", "SIZE", "MESSAGE-ID"}, func(c control.Captured) []string {
					return []string{c.ID.String(), instant(c.At), c.Agent, c.Credential, c.To, decimal(c.Size), c.MessageID}
				})
		},
	}
	pageFlags(c, &q)
	return c
}

func capturedShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Write a captured message to standard output, as it would have left", Args: exactly("ID"),
		Long: `Write a captured message to standard output, as it would have left: its bytes, whatever -o
says. It is content, so it needs a person who may see content (postern login), and that
somebody looked is an event.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := uuid.Parse(args[0])
			if err != nil {
				return misused(cmd, usage("%q is no id: postern message captured list shows them", args[0]))
			}
			return t.client().ShowCaptured(cmd.Context(), id, t.out)
		},
	}
}
