package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/dns/zone"
	"postern/server/control"
)

// watchEvery is how long a watched domain is left alone between two looks.
const watchEvery = 5 * time.Second

func domainCheck(t *talk) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use: "check DOMAIN", Short: "Check whether a domain publishes what it needs", Args: exactly("DOMAIN"),
		Long: `Check whether a domain publishes what it needs. The servers of its zone are asked
themselves, and the resolver of this server. What is not as it should be is shown
with what was found. Ends with status 4 when something is left to do.

With --watch it looks again until nothing is.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			check, err := t.client().CheckDomain(cmd.Context(), args[0])
			for ; watch && err == nil && !check.Good; check, err = t.client().CheckDomain(cmd.Context(), args[0]) {
				t.say("%s", summary(check))
				if err := pause(cmd.Context(), watchEvery); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
			return t.check(check)
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "look again every few seconds, until nothing is left to do")
	return c
}

// pause waits, or fails when the context is done.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// summary says in a line what is left to do.
func summary(c control.DomainCheck) string {
	var left []string
	for _, r := range c.Records {
		if !r.State.Good() {
			left = append(left, string(r.Purpose)+" "+string(r.State))
		}
	}
	return c.Checked.UTC().Format("15:04:05Z") + " " + shorten(strings.Join(left, ", "), 120)
}

// check shows what a check found: a line for each record, and of those that are not
// as they should be what is there, what should be, and what to do.
func (t *talk) check(c control.DomainCheck) error {
	bad := 0
	for _, r := range c.Records {
		if !r.State.Good() {
			bad++
		}
	}
	if t.format != asTable {
		if err := t.encode(c); err != nil {
			return err
		}
	} else if err := t.checkTable(c); err != nil {
		return err
	}
	if bad > 0 {
		return problems(bad)
	}
	return nil
}

func (t *talk) checkTable(c control.DomainCheck) error {
	err := list(t, given(c.Records), "Nothing is known of this domain's records.", []string{"STATE", "FOR", "RECORD", "NAME", "TYPE"},
		func(r control.CheckedRecord) []string {
			return []string{string(r.State), string(r.Group), string(r.Purpose), r.Name, r.Type}
		})
	if err != nil {
		return err
	}
	for _, r := range c.Records {
		if r.State.Good() {
			continue
		}
		fmt.Fprintf(t.out, "\n%s: %s %s\n", r.State, visible(r.Name), r.Type)
		fmt.Fprintf(t.out, "  expected  %s\n", visible(r.Data))
		for _, found := range r.Found {
			fmt.Fprintf(t.out, "  found     %s\n", visible(found))
		}
		if len(r.Found) == 0 && r.State != zone.Unknown {
			fmt.Fprintln(t.out, "  found     nothing")
		}
		fmt.Fprintf(t.out, "  to do     %s\n", visible(r.Hint))
	}
	t.aboutZone(c)
	return nil
}

// aboutZone says to a person who keeps the zone, and what is odd about it.
func (t *talk) aboutZone(c control.DomainCheck) {
	switch {
	case c.Zone == "":
		t.say("The servers of the domain's zone could not be found; a resolver was asked.")
	case c.Provider != "":
		t.say("The zone %s is kept at %s (%s). %s", visible(c.Zone), c.Provider, visible(strings.Join(c.Servers, ", ")), c.Hint)
	default:
		t.say("The zone %s is kept by %s.", visible(c.Zone), visible(strings.Join(c.Servers, ", ")))
	}
	for _, s := range c.Silent {
		t.say("No answer from %s: others who ask it wait, too.", visible(s))
	}
	if !c.Owned {
		t.say("It is not proved that the domain is yours: it neither signs nor sends outside.")
	}
}
