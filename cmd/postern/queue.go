package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
)

func queueCommand(t *talk) *cobra.Command {
	retry := func(c *control.Client, ctx context.Context, q control.OutgoingRef) error {
		return c.RetryOutgoing(ctx, q.ID)
	}
	return noun("queue", "Mail on its way out, one row for each recipient",
		queueList(t), queueShow(t), queueDay(t),
		queueChange(t, "retry", "Try a row now", "It is tried now.", retry),
		queueChange(t, "hold", "Keep a row from being tried; when its time ends it is rejected", "It is held.", (*control.Client).HoldOutgoing),
		queueChange(t, "release", "Let a held row go", "It is tried now.", (*control.Client).ReleaseOutgoing),
		queueChange(t, "bounce", "End a row with a failure, of which the agent gets a report", "It was bounced; the agent gets a report.", (*control.Client).BounceOutgoing))
}

func queueList(t *talk) *cobra.Command {
	var q control.Page
	c := &cobra.Command{
		Use: "list", Short: "List what is on its way", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q, t.client().Queue(cmd.Context(), q), func(o *control.Outgoing) uuid.UUID { return o.ID }), "The queue is empty.",
				[]string{"ID", "STATE", "AGENT", "TO", "ATTEMPTS", "CODE", "DUE"}, func(o control.Outgoing) []string {
					return []string{o.ID.String(), o.State, orDash(o.Agent), o.To, decimal(int64(o.Attempts)), code(o.Code), instant(o.Due)}
				})
		},
	}
	pageFlags(c, &q)
	return c
}

func queueDay(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "day", Short: "Say how the queue was in each of the last 24 hours", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := t.client().QueueDay(cmd.Context())
			if err != nil {
				return err
			}
			pairs := []pair{{"waiting", decimal(d.Waiting)}, {"held", decimal(d.Held)}, {"oldest", instant(d.Oldest)}}
			for i, h := range d.Hours {
				if h != (control.QueueHour{}) {
					pairs = append(pairs, pair{instant(d.Since.Add(time.Duration(i) * time.Hour)), fmt.Sprintf(
						"%d came, %d left at the first attempt, %d at a later one, %d of them given up, %d waited at its end", h.Came, h.First, h.Later, h.GivenUp, h.Waiting)})
				}
			}
			return t.show(d, pairs...)
		},
	}
}

func queueShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one row", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := t.client().Outgoing(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			lane := "outside"
			if o.Local {
				lane = "here"
			}
			return t.show(o, pair{"id", o.ID.String()}, pair{"state", o.State}, pair{"agent", o.Agent}, pair{"from", o.From}, pair{"to", o.To},
				pair{"goes", lane}, pair{"Message-ID", o.MessageID}, pair{"size", decimal(o.Size)}, pair{"attempts", decimal(int64(o.Attempts))},
				pair{"last code", code(o.Code)}, pair{"created", instant(o.Created)}, pair{"due", instant(o.Due)}, pair{"expires", instant(o.Expires)},
				pair{"last TLS", secured(o.TLS)}, pair{"asks for", asksFor(o)})
		},
	}
}

// asksFor is what a message says about TLS on its way.
func asksFor(o control.Outgoing) string {
	switch {
	case o.RequireTLS:
		return "authenticated TLS at every hop (REQUIRETLS)"
	case o.TLSOptional:
		return "delivery, also without the TLS that the destination demands (TLS-Required: No)"
	}
	return "-"
}

// secured is what protected a connection, as in "TLS1.3, host proved by sts", or
// what was wrong, as in "-, certificate-expired (sts)".
func secured(t control.TLS) string {
	text := orDash(t.TLS)
	if t.Proof != "" && t.Proof != "none" {
		text += ", host proved by " + t.Proof
	}
	if t.Failure != "" {
		text += ", " + t.Failure
	}
	if t.Demand != "" && t.Failure != "" {
		text += " (" + t.Demand + ")"
	}
	return text
}

func queueChange(t *talk, verb, short, done string, do func(*control.Client, context.Context, control.OutgoingRef) error) *cobra.Command {
	var q control.OutgoingRef
	c := &cobra.Command{
		Use: verb + " ID", Short: short, Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.ID = args[0]
			if err := do(t.client(), cmd.Context(), q); err != nil {
				return err
			}
			t.say("%s", done)
			return nil
		},
	}
	if verb != "retry" {
		c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	}
	return c
}

// code is a reply code, or a dash before the first reply.
func code(n int) string {
	if n == 0 {
		return "-"
	}
	return decimal(int64(n))
}
