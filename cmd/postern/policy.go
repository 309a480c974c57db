package main

import (
	"strings"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func policyCommand(t *talk) *cobra.Command {
	c := noun("policy", "Limits, recipient rules, holds and terms", policyShow(t), policyKeys(t), policySet(t), policyUnset(t))
	c.Long = `Limits, recipient rules, holds and terms, for the whole organization or for a part of it.

A SCOPE is org, domain:NAME, agent:NAME, credential:ID or inbox:ADDRESS. A message has to
fit in all that it stands under: what is set further down can ask for more, never for less.`
	return c
}

func policyShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show SCOPE", Short: "Show the values that count, and where each is set", Args: exactly("SCOPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return list(t, t.client().Policy(cmd.Context(), args[0]), "Nothing is set.",
				[]string{"KEY", "VALUE", "FOR EACH", "SET FOR"}, func(v control.PolicyValue) []string {
					return []string{v.Key, shorten(v.Value, 60), string(v.Level), v.From}
				})
		},
	}
}

func policyKeys(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "keys", Short: "List what can be set, and for what", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, t.client().PolicyKeys(cmd.Context()), "There is none.",
				[]string{"KEY", "KIND", "DEFAULT", "LEVELS", "WHAT IT IS"}, func(k control.PolicyKey) []string {
					return []string{k.Key, k.Kind, orDash(k.Default), strings.Join(k.Levels, " "), k.Help}
				})
		},
	}
}

func policySet(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "set SCOPE KEY VALUE", Short: "Set a value", Args: exactly("SCOPE", "KEY", "VALUE"),
		Long: `Set a value. This is an act of people: postern login.

A list is written with commas: ada@example.com is that address, example.com that domain alone,
*.example.com every domain below it; none is the empty list. To let through what was stopped
before takes as many people as hold-persons says: each of them gives the same command.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := t.client().SetPolicy(cmd.Context(), control.PolicyChange{Scope: args[0], Key: args[1], Value: args[2]})
			if err != nil {
				return err
			}
			return t.policy(done)
		},
	}
}

func policyUnset(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "unset SCOPE KEY", Short: "Take a value away", Args: exactly("SCOPE", "KEY"),
		Long: `Take a value away, so that the default or what stands above holds. This is an act of
people, like policy set.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := t.client().UnsetPolicy(cmd.Context(), control.PolicyChange{Scope: args[0], Key: args[1]})
			if err != nil {
				return err
			}
			return t.policy(done)
		},
	}
}

// policy shows what a change did.
func (t *talk) policy(p control.PolicyChanged) error {
	if p.State == "waiting" && t.format == asTable {
		t.say("Nothing has changed yet: %d of %d people agree. Another person gives the same command within 24 hours.", p.Have, p.Need)
	}
	return t.show(p, pair{"scope", p.Scope}, pair{"key", p.Key}, pair{"state", p.State},
		pair{"before", p.Before}, pair{"after", p.After})
}
