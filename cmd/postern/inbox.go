package main

import (
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage"
)

func inboxCommand(t *talk) *cobra.Command {
	return noun("inbox", "Addresses that receive mail", inboxCreate(t), inboxList(t), inboxShow(t))
}

func inboxCreate(t *talk) *cobra.Command {
	var env string
	c := &cobra.Command{
		Use: "create ADDRESS", Short: "Give an address an inbox", Args: exactly("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := t.client().CreateInbox(cmd.Context(), control.InboxCreate{Address: args[0], Env: storage.Environment(env)})
			if err != nil {
				return err
			}
			return t.inbox(in)
		},
	}
	environmentFlag(c, &env)
	return c
}

// environmentFlag adds --env, which is fixed at creation. // AC-14
func environmentFlag(c *cobra.Command, env *string) {
	c.Flags().StringVar(env, "env", string(storage.Live), "live, or test: mail of which never leaves the machine")
	c.RegisterFlagCompletionFunc("env", cobra.FixedCompletions([]cobra.Completion{string(storage.Live), string(storage.Test)}, cobra.ShellCompDirectiveNoFileComp))
}

func inboxList(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all inboxes", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, t.client().Inboxes(cmd.Context()), "There is no inbox yet. Create one: postern inbox create ADDRESS",
				[]string{"ADDRESS", "ENV", "CREATED"},
				func(in control.Inbox) []string { return []string{in.Address, string(in.Env), instant(in.Created)} })
		},
	}
}

func inboxShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show ADDRESS", Short: "Show one inbox", Args: exactly("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := t.client().Inbox(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.inbox(in)
		},
	}
}

// inbox shows one inbox.
func (t *talk) inbox(in control.Inbox) error {
	return t.show(in, pair{"address", in.Address}, pair{"id", in.ID.String()}, pair{"env", string(in.Env)}, pair{"created", instant(in.Created)})
}
