package main

import (
	"strings"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func certificateCommand(t *talk) *cobra.Command {
	return noun("certificate", "The certificates that this server shows", certificateList(t), certificateRenew(t))
}

func certificateList(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the certificate of each name, and what was wrong where there is none", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(t, t.client().Certificates(cmd.Context()), "There are no certificates.",
				[]string{"NAME", "STATE", "SOURCE", "ENDS", "NEXT", "FAILURES", "PROBLEM"}, func(c control.Certificate) []string {
					return []string{c.Name, c.State, c.Source, instant(c.NotAfter), instant(c.Due), decimal(int64(c.Failures)), orDash(oneLine(c.Problem))}
				})
		},
	}
}

func certificateRenew(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "renew NAME", Short: "Get another certificate for a name now", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client().RenewCertificate(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.show(c, pair{"name", c.Name}, pair{"state", c.State}, pair{"source", c.Source}, pair{"authority", orDash(c.Authority)},
				pair{"SHA-256", c.Fingerprint}, pair{"from", instant(c.NotBefore)}, pair{"to", instant(c.NotAfter)}, pair{"next", instant(c.Due)})
		},
	}
}

// oneLine is a text without line ends, for a row of a table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
