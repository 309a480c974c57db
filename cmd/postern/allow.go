package main

import (
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func allowCommand(t *talk) *cobra.Command {
	c := noun("allow", "Senders whose mail is not put away because of its score", allowAdd(t), allowList(t), allowRemove(t))
	c.Long = `Senders whose mail is not put into quarantine because of its score. It is delivered, marked,
with the verdict that it has. That holds for mail that provably comes from the sender: its
domain vouches for it (DMARC), or an agent of this organization sent it. What is hidden from
who reads a message is put away whoever sends it.`
	return c
}

func allowAdd(t *talk) *cobra.Command {
	var q control.AllowanceAdd
	var expires string
	c := &cobra.Command{
		Use: "add --inbox ADDRESS --sender ADDRESS|DOMAIN --reason-code CODE --reason TEXT [--expires 90d]", Short: "Allow a sender", Args: exactly(),
		Long: `Allow a sender: an address, or a domain and not those below it. CODE is own-system, partner,
newsletter, research or false-positive. This is an act of people, and of as many as
hold-persons says: each of them gives the same command.`,
		Example: "  postern allow add --inbox desk@example.com --sender partner.example --reason-code partner --reason 'orders' --expires 180d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if expires != "" {
				age, err := parseAge(expires)
				if err != nil {
					return misused(cmd, err)
				}
				q.Expires = ending(time.Now(), age)
			}
			a, err := t.client().Allow(cmd.Context(), q)
			if err != nil {
				return err
			}
			if a.State == "waiting" && t.format == asTable {
				t.say("Nothing has changed yet: %d of %d people agree. Another person gives the same command within 24 hours.", a.Have, a.Need)
			}
			return t.allowance(a)
		},
	}
	f := c.Flags()
	f.StringVar(&q.Inbox, "inbox", "", "for mail to this inbox")
	f.StringVar(&q.Sender, "sender", "", "from this address, or from all of this domain")
	f.StringVar(&q.Code, "reason-code", "", "own-system, partner, newsletter, research or false-positive")
	f.StringVar(&q.Reason, "reason", "", "why, for the audit log")
	f.StringVar(&expires, "expires", "", "for how long, to the day; without it until it is removed")
	return c
}

// ending is a time from now on, to the day, or if that is near to the hour: so that
// several people who say the same mean the same.
func ending(now time.Time, age time.Duration) time.Time {
	step := time.Hour
	if age >= 48*time.Hour {
		step = 24 * time.Hour
	}
	return now.UTC().Add(age + step - 1).Truncate(step)
}

func (t *talk) allowance(a control.Allowance) error {
	id := a.ID.String()
	if a.State == "waiting" {
		id = "-"
	}
	return t.show(a, pair{"id", id}, pair{"inbox", a.Inbox}, pair{"sender", a.Sender}, pair{"reason code", a.Code},
		pair{"until", instant(a.Expires)}, pair{"allowed by", a.By}, pair{"state", a.State})
}

func allowList(t *talk) *cobra.Command {
	var q control.AllowanceQuery
	c := &cobra.Command{
		Use: "list [--inbox ADDRESS]", Short: "List the senders that are allowed", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, t.client().Allowances(cmd.Context(), q), "No sender is allowed.",
				[]string{"ID", "INBOX", "SENDER", "REASON CODE", "BY", "SINCE", "UNTIL", "STATE"}, func(a control.Allowance) []string {
					return []string{a.ID.String(), orDash(a.Inbox), a.Sender, a.Code, a.By, instant(a.Created), instant(a.Expires), a.State}
				})
		},
	}
	c.Flags().StringVar(&q.Inbox, "inbox", "", "only for this inbox")
	return c
}

func allowRemove(t *talk) *cobra.Command {
	var q control.AllowanceRef
	c := &cobra.Command{
		Use: "remove ID --reason TEXT", Short: "Take an exception away", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.ID = args[0]
			a, err := t.client().Disallow(cmd.Context(), q)
			if err != nil {
				return err
			}
			return t.allowance(a)
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}
