package main

import (
	"iter"

	"github.com/spf13/cobra"

	"postern/dkim"
	"postern/server/control"
)

func dkimCommand(t *talk) *cobra.Command {
	c := noun("dkim", "Keys that sign a domain's mail, and their rotation",
		dkimList(t), dkimShow(t), dkimRotate(t), dkimRetire(t), dkimRevoke(t))
	c.Long = `Keys that sign a domain's mail, and their rotation. A key is prepared, published once its
record is seen in the DNS, signing, retiring while mail that it signed is under way, and
retired. Where this server keeps the domain's names it rotates keys by itself, as policy
says (postern policy set domain:DOMAIN dkim-rotate 90d); elsewhere it says which record to
publish, and the old key goes on signing until the new one is seen.`
	return c
}

func dkimList(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the keys of all domains", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.signingKeys(t.client().SigningKeys(cmd.Context()), true)
		},
	}
}

func dkimShow(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "show DOMAIN", Short: "Show a domain's keys, past ones too, and which records are safe to remove", Args: exactly("DOMAIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.signingKeys(t.client().KeysOf(cmd.Context(), args[0]), false)
		},
	}
}

func dkimRotate(t *talk) *cobra.Command {
	var q control.KeyOrder
	c := &cobra.Command{
		Use: "rotate DOMAIN", Short: "Make the next keys of a domain", Args: exactly("DOMAIN"),
		Long: `Make the next keys of a domain. They sign once their records are seen by all servers of the
zone and by the resolver, and nobody can hold an older answer any more. With --now the last
is not waited for: a receiver who asked for the new selector before it was there, which
nobody has a reason to, would not find the key for as long as the zone says.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Domain = args[0]
			return t.signingKeys(t.client().RotateKeys(cmd.Context(), q), false)
		},
	}
	c.Flags().BoolVar(&q.Now, "now", false, "sign as soon as the records are seen, and wait for no cache")
	c.Flags().StringVar(&q.Algorithm, "algorithm", "", "rsa or ed25519; without: both")
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log")
	return c
}

func dkimRetire(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "retire DOMAIN SELECTOR", Short: "End a key before its time", Args: exactly("DOMAIN", "SELECTOR"),
		Long: `End a key before its time. One that signs does so no more, and its record stays while mail
that it signed is under way; one that never signed is destroyed. The last key that signs
stays: make another one first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.signingKeys(t.client().RetireKey(cmd.Context(), control.KeyRef{Domain: args[0], Selector: args[1]}), false)
		},
	}
}

func dkimRevoke(t *talk) *cobra.Command {
	q := control.KeyRef{}
	c := &cobra.Command{
		Use: "revoke DOMAIN SELECTOR", Short: "End a key that somebody else may have", Args: exactly("DOMAIN", "SELECTOR"),
		Long: `End a key that somebody else may have. The private key is destroyed, the record says that the
key is not to be believed any more, and another key signs from now on.

What it costs: mail under way that the key signed arrives as if nobody had signed it, which
receivers of a strict DMARC policy may refuse. If the domain has no other key that signs,
the new one signs before its record was seen, and mail is unsigned for those who look
before it is there. Use retire for a key that nobody else has.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Reason == "" {
				return misused(cmd, usage("say --reason: why, for the audit log"))
			}
			q.Domain, q.Selector = args[0], args[1]
			return t.signingKeys(t.client().RevokeKey(cmd.Context(), q), false)
		},
	}
	c.Flags().StringVar(&q.Reason, "reason", "", "why, for the audit log; required")
	return c
}

// signingKeys lists keys, and then what people are to publish.
func (t *talk) signingKeys(keys iter.Seq2[control.SigningKey, error], domains bool) error {
	columns := []string{"SELECTOR", "ALGORITHM", "STATE", "SINCE", "NEXT"}
	if domains {
		columns = append([]string{"DOMAIN"}, columns...)
	}
	var paste []control.SigningKey
	seen := func(yield func(control.SigningKey, error) bool) {
		for k, err := range keys {
			if err == nil && k.ByHand && (k.State == dkim.Prepared || k.State == dkim.Revoked) {
				paste = append(paste, k)
			}
			if !yield(k, err) {
				return
			}
		}
	}
	err := list(t, seen, "There is no key.", columns, func(k control.SigningKey) []string {
		cells := []string{k.Selector, k.Algorithm, string(k.State), instant(k.Since), nextOf(k)}
		if domains {
			cells = append([]string{k.Domain}, cells...)
		}
		return cells
	})
	if err != nil || t.format != asTable {
		return err
	}
	for _, k := range paste {
		t.say("Publish: %s", k.Zone)
	}
	return nil
}

// nextOf says what happens to a key next.
func nextOf(k control.SigningKey) string {
	switch {
	case k.State == dkim.Retired:
		return "record safe to remove"
	case k.Awaits == dkim.AwaitRecord && k.ByHand:
		return "publish its record; looked for at " + instant(k.At)
	case k.Awaits == dkim.AwaitRecord:
		return "its record is looked for at " + instant(k.At)
	case k.Awaits == dkim.AwaitCaches:
		return "signs from " + instant(k.At)
	case k.Awaits == dkim.AwaitAge:
		return "its successor is made at " + instant(k.At)
	case k.Awaits == dkim.AwaitMail:
		return "record safe to remove after " + instant(k.Safe)
	case k.Awaits == dkim.AwaitSelector:
		return "a selector is free from " + instant(k.At)
	case k.State == dkim.Signing:
		return "signs until somebody rotates it"
	}
	return "-"
}
