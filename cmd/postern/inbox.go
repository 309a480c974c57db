package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage"
)

func inboxCommand(t *talk) *cobra.Command {
	return noun("inbox", "Addresses that receive mail", inboxCreate(t), inboxList(t), inboxShow(t), inboxRemove(t))
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
	var q control.InboxQuery
	c := &cobra.Command{
		Use: "list [--match TEXT]", Short: "List all inboxes", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q.Page, t.client().Inboxes(cmd.Context(), q), func(in *control.Inbox) uuid.UUID { return in.ID }), "There is no inbox yet. Create one: postern inbox create ADDRESS",
				[]string{"ADDRESS", "ENV", "CREATED", "MESSAGES", "BYTES", "SUSPECTED", "QUARANTINED"},
				func(in control.Inbox) []string {
					return []string{in.Address, string(in.Env), instant(in.Created), decimal(in.Messages), decimal(in.Bytes), decimal(in.Suspected), decimal(in.Quarantined)}
				})
		},
	}
	c.Flags().StringVar(&q.Match, "match", "", "only addresses with this in them")
	pageFlags(c, &q.Page)
	return c
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

func inboxRemove(t *talk) *cobra.Command {
	var q control.InboxRemove
	var yes bool
	c := &cobra.Command{
		Use: "remove ADDRESS", Short: "End an address and erase all its mail, for good", Args: exactly("ADDRESS"),
		Long: `End an address and erase all its mail, for good. It receives nothing from now on, its
live sessions end, and its key is destroyed: no backup brings its mail back. The audit
log stays whole, without what was personal. Mail that it has in the queue is not given
up unless --force says so.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := t.client().Inbox(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !yes {
				if err := t.confirm(cmd, in.Address); err != nil {
					return err
				}
			}
			q.Address = in.Address
			done, err := t.client().RemoveInbox(cmd.Context(), q)
			if err != nil {
				return queuedAdvice(err)
			}
			return t.stopped(done)
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	c.Flags().BoolVar(&q.Force, "force", false, "give up mail that the inbox has in the queue")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// confirm asks a person to type the name of what cannot be brought back.
func (t *talk) confirm(cmd *cobra.Command, name string) error {
	fmt.Fprintf(t.err, "All mail of %s will be erased, and nothing can bring it back.\nType the address to go on: ", visible(name))
	typed, err := bufio.NewReader(io.LimitReader(t.in, 1000)).ReadString('\n')
	if err != nil && typed == "" {
		fmt.Fprintln(t.err)
		return misused(cmd, usage("there is nobody to ask: --yes goes on without"))
	}
	if strings.TrimSpace(typed) != name {
		return &failure{status: exitFailed, err: errors.New("that is another address: nothing was removed")}
	}
	return nil
}

// queuedAdvice says what helps when the queue still has mail.
func queuedAdvice(err error) error {
	var answered *control.Error
	if errors.As(err, &answered) && answered.Code == control.Refused {
		return &failure{status: exitRefused, err: err, next: "Wait for it (postern queue list), or give it up with --force."}
	}
	return err
}

// inbox shows one inbox.
func (t *talk) inbox(in control.Inbox) error {
	return t.show(in, pair{"address", in.Address}, pair{"id", in.ID.String()}, pair{"env", string(in.Env)}, pair{"created", instant(in.Created)})
}
