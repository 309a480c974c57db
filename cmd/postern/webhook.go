package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage"
)

func webhookCommand(t *talk) *cobra.Command {
	c := noun("webhook", "Programs elsewhere that are told of alerts, over HTTPS",
		webhookCreate(t), webhookList(t),
		webhookOne(t, "show", "Show one webhook", (*talk).showWebhook),
		webhookOne(t, "remove", "Tell a webhook nothing more", (*talk).removeWebhook),
		webhookRotate(t),
		webhookOne(t, "enable", "Put a disabled webhook to work again", (*talk).enableWebhook),
		webhookOne(t, "test", "Tell a webhook something now, and see whether it listens", (*talk).testWebhook))
	c.Long = `Programs elsewhere that are told of alerts, as Standard Webhooks says (standardwebhooks.com).
They are told ids, kinds of alerts and names of agents; never what stands in mail.`
	return c
}

func webhookCreate(t *talk) *cobra.Command {
	var kinds []string
	c := &cobra.Command{
		Use: "create URL", Short: "Tell a URL of alerts; its secret is shown once", Args: exactly("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := control.NewWebhook{URL: args[0]}
			for _, k := range kinds {
				q.Kinds = append(q.Kinds, storage.AlertKind(k))
			}
			w, err := t.client().CreateWebhook(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.webhook(w)
		},
	}
	c.Flags().StringSliceVar(&kinds, "kind", nil, "kind of alert, repeated; without: all ("+strings.Join(alertKindNames(), ", ")+")")
	return c
}

func alertKindNames() (all []string) {
	for _, k := range storage.AlertKinds() {
		all = append(all, string(k))
	}
	return all
}

func webhookList(t *talk) *cobra.Command {
	var q control.Page
	c := &cobra.Command{
		Use: "list", Short: "List the webhooks", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, part(t, q, t.client().Webhooks(cmd.Context(), q), func(w *control.Webhook) uuid.UUID { return w.ID }), "There is no webhook.",
				[]string{"ID", "STATE", "URL", "KINDS", "WAITING", "FAILING SINCE"}, func(w control.Webhook) []string {
					return []string{w.ID.String(), string(w.State), shorten(w.URL, 60), webhookKinds(w), decimal(int64(w.Waiting)), instant(w.Failing)}
				})
		},
	}
	pageFlags(c, &q)
	return c
}

// webhookOne is a command about one webhook.
func webhookOne(t *talk, verb, short string, do func(t *talk, cmd *cobra.Command, id string) error) *cobra.Command {
	return &cobra.Command{Use: verb + " ID", Short: short, Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error { return do(t, cmd, args[0]) }}
}

func (t *talk) showWebhook(cmd *cobra.Command, id string) error {
	w, err := t.client().Webhook(cmd.Context(), id)
	if err != nil {
		return err
	}
	return t.webhook(w)
}

func (t *talk) removeWebhook(cmd *cobra.Command, id string) error {
	if err := t.client().RemoveWebhook(cmd.Context(), id); err != nil {
		return err
	}
	t.say("It is told nothing more.")
	return nil
}

func (t *talk) enableWebhook(cmd *cobra.Command, id string) error {
	w, err := t.client().EnableWebhook(cmd.Context(), id)
	if err != nil {
		return err
	}
	return t.webhook(w)
}

// testWebhook ends with the status of a check that found problems where the other
// side did not listen.
func (t *talk) testWebhook(cmd *cobra.Command, id string) error {
	r, err := t.client().TestWebhook(cmd.Context(), id)
	if err != nil {
		return err
	}
	if err := t.show(r, pair{"listens", yesNo(r.OK)}, pair{"result", r.Rule}, pair{"status", code(r.Code)}, pair{"milliseconds", decimal(r.Millis)}); err != nil || r.OK {
		return err
	}
	return &failure{status: exitProblems, err: fmt.Errorf("the webhook does not listen: %s", r.Rule), next: "See: postern audit list --verb webhook.attempt"}
}

func webhookRotate(t *talk) *cobra.Command {
	var overlap string
	c := &cobra.Command{
		Use: "rotate ID", Short: "Give a webhook a new secret; for the overlap both sign", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := parseAge(overlap)
			if err != nil {
				return misused(cmd, err)
			}
			w, err := t.client().RotateWebhook(cmd.Context(), control.WebhookRef{ID: args[0], Overlap: int64(d / time.Second)})
			if err != nil {
				return err
			}
			return t.webhook(w)
		},
	}
	c.Flags().StringVar(&overlap, "overlap", "1d", "how long both secrets sign")
	return c
}

func webhookKinds(w control.Webhook) string {
	if len(w.Kinds) == 0 {
		return "all"
	}
	var all []string
	for _, k := range w.Kinds {
		all = append(all, string(k))
	}
	return strings.Join(all, ",")
}

func (t *talk) webhook(w control.Webhook) error {
	pairs := []pair{{"id", w.ID.String()}, {"url", w.URL}, {"state", string(w.State)}, {"kinds", webhookKinds(w)}, {"secret", w.Secret},
		{"waiting", decimal(int64(w.Waiting))}, {"created", instant(w.Created)}}
	if !w.Both.IsZero() {
		pairs = append(pairs, pair{"both secrets sign until", instant(w.Both)})
	}
	if !w.Failing.IsZero() {
		pairs = append(pairs, pair{"failing since", instant(w.Failing)})
	}
	return t.show(w, pairs...)
}
