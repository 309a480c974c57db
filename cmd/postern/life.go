package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func credentialReport(t *talk) *cobra.Command {
	var agent, since, until string
	c := &cobra.Command{
		Use: "report [--agent NAME] [--since TIME] [--until TIME]", Short: "Show the life cycle of every token in a period", Args: exactly(),
		Long: `Show the life cycle of every token whose life falls into a period: who issued it and when,
what it replaced and was replaced by, until when both worked and whether the old one was
still used then, its last login, and how it ended. With -o jsonl it is evidence: a line for
each token. That the log was read for it is an event itself.`,
		Example: "  postern credential report --since 2026-01-01 --until 2027-01-01 -o jsonl",
		RunE: func(cmd *cobra.Command, args []string) error {
			q := control.LifeQuery{Agent: agent}
			var err error
			if q.Since, err = parseTime(since, time.Now()); err != nil {
				return misused(cmd, err)
			}
			if q.Until, err = parseTime(until, time.Now()); err != nil {
				return misused(cmd, err)
			}
			return list(t, t.client().Lives(cmd.Context(), q), "There is no token in this time.",
				[]string{"PUBLIC ID", "AGENT", "ISSUED", "BY", "REPLACES", "REPLACED BY", "BOTH UNTIL", "LAST LOGIN", "LOGINS", "REFUSED", "ENDED", "WAIVER"}, lifeCells)
		},
	}
	c.Flags().StringVar(&agent, "agent", "", "only tokens of this agent")
	c.Flags().StringVar(&since, "since", "", "from this time on, as 2026-01-02, or 24h for a day ago")
	c.Flags().StringVar(&until, "until", "", "before this time")
	return c
}

func lifeCells(l control.Life) []string {
	ended := "-"
	if l.How != "" {
		ended = l.How + " " + instant(l.Ended)
	}
	waiver := "-"
	if l.Waiver != nil {
		waiver = l.Waiver.Person + ": " + l.Waiver.Reason
	}
	return []string{l.PublicID, l.Agent, instant(l.Issued), orDash(l.IssuedBy), orDash(l.Replaces), orDash(l.ReplacedBy), instant(l.Overlap),
		instant(l.LastUse), decimal(l.Logins), decimal(l.Refused), ended, waiver}
}

func credentialActivity(t *talk) *cobra.Command {
	var since string
	c := &cobra.Command{
		Use: "activity ID [--since TIME]", Short: "List all that a token did: what an incident begins with", Args: exactly("ID"),
		Long: `List all that a token did since a time, or since it was issued: how often it did what, where
it came from, whom it wrote to, and which messages it was shown. If it leaked, revoke it
first; postern credential revoke ID --reason TEXT --list-since TIME does both.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := control.ActivityQuery{Credential: args[0]}
			var err error
			if q.Since, err = parseTime(since, time.Now()); err != nil {
				return misused(cmd, err)
			}
			a, err := t.client().Activity(cmd.Context(), q)
			if err != nil {
				return err
			}
			if t.format != asTable {
				return t.encode(a)
			}
			return t.activity(&a)
		},
	}
	c.Flags().StringVar(&since, "since", "", "from this time on, as 2026-01-02, or 24h for a day ago (since it was issued)")
	return c
}

// activity writes what a token did on one page.
func (t *talk) activity(a *control.Activity) error {
	err := t.show(nil, pair{"token", a.PublicID}, pair{"agent", a.Agent}, pair{"since", instant(a.Since)}, pair{"until", instant(a.Until)},
		pair{"messages sent", decimal(int64(a.Submitted))}, pair{"recipients", decimal(int64(len(a.Recipients)))}, pair{"messages read", decimal(int64(a.Shown))})
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		rows []control.Deeds
	}{{"DID", a.Events}, {"CAME FROM", a.Networks}, {"WROTE TO", a.Recipients}} {
		fmt.Fprintln(t.out)
		err := list(t, given(part.rows), strings.ToLower(part.name)+": nothing", []string{part.name, "OUTCOME", "COUNT", "FIRST", "LAST"}, func(d control.Deeds) []string {
			return []string{d.What, orDash(d.Outcome), decimal(int64(d.Count)), instant(d.First), instant(d.Last)}
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(t.out)
	err = list(t, given(a.Read), "read: nothing", []string{"READ IN", "MAILBOX", "MESSAGES", "UIDS", "LAST"}, func(r control.Reads) []string {
		return []string{r.Inbox, r.Mailbox, decimal(int64(r.Messages)), shorten(r.UIDs, 60), instant(r.Last)}
	})
	if a.Truncated {
		t.say("There is more than fits: postern audit list --credential %s has it all.", a.PublicID)
	}
	return err
}
