package main

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage"
)

// freezable are the kinds of things that can be frozen, with the name of the
// argument if there is one.
var freezable = []struct {
	kind     storage.FreezeKind
	argument string
	what     string
}{
	{storage.FreezeCredential, "ID", "one token"},
	{storage.FreezeAgent, "NAME", "one agent"},
	{storage.FreezeDomain, "DOMAIN", "all agents on the inboxes of a domain"},
	{storage.FreezeOrganization, "", "all agents of this organization"},
	{storage.FreezeAll, "", "everything"},
}

func freezeCommand(t *talk) *cobra.Command {
	c := noun("freeze", "Stop a token, an agent, a domain or everything at once", freezeList(t))
	c.Long = `Stop a token, an agent, a domain or everything at once: live sessions end within a second,
nobody logs in, queued mail waits. Mail is still received. It holds until: postern unfreeze.`
	for _, f := range freezable {
		c.AddCommand(freezeChange(t, f.kind, f.argument, "Stop "+f.what, (*control.Client).Freeze))
	}
	return c
}

func unfreezeCommand(t *talk) *cobra.Command {
	c := noun("unfreeze", "Lift a freeze")
	for _, f := range freezable {
		c.AddCommand(freezeChange(t, f.kind, f.argument, "Lift the freeze of "+f.what, (*control.Client).Unfreeze))
	}
	return c
}

func freezeChange(t *talk, kind storage.FreezeKind, argument, short string, do func(*control.Client, context.Context, control.FreezeChange) (control.Frozen, error)) *cobra.Command {
	q := control.FreezeChange{Kind: kind}
	names := strings.Fields(argument)
	c := &cobra.Command{
		Use: strings.Join(append(append([]string{string(kind)}, names...), "--reason TEXT"), " "), Short: short, Args: exactly(names...),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Reason == "" {
				return misused(cmd, usage("--reason is missing: it stands in the audit log"))
			}
			q.Name = strings.Join(args, "")
			done, err := do(t.client(), cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.frozen(done)
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}

func freezeList(t *talk) *cobra.Command {
	var q control.FreezeQuery
	c := &cobra.Command{
		Use: "list", Short: "List what is frozen", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q.Page, t.client().Freezes(cmd.Context(), q), func(f *control.Freeze) uuid.UUID { return f.Freeze }), "Nothing is frozen.",
				[]string{"KIND", "NAME", "SINCE", "REASON"}, func(f control.Freeze) []string {
					return []string{string(f.Kind), f.Name, instant(f.At), shorten(f.Reason, 60)}
				})
		},
	}
	pageFlags(c, &q.Page)
	return c
}

// frozen shows what a freeze or its end did.
func (t *talk) frozen(f control.Frozen) error {
	pairs := []pair{{"kind", string(f.Kind)}, {"state", f.State}}
	if f.ID != uuid.Nil {
		pairs = append(pairs, pair{"id", f.ID.String()})
	}
	if f.State == "frozen" {
		pairs = append(pairs, pair{"sessions cut", decimal(int64(f.Sessions))}, pair{"milliseconds", decimal(f.Millis)})
	}
	return t.show(f, pairs...)
}
