package main

import (
	"github.com/spf13/cobra"

	"postern/server"
)

func serveCommand(t *talk) *cobra.Command {
	var s sources
	var rollback string
	c := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: exactly(),
		Long: `Run the server until it gets TERM or INT: it then stops accepting, lets what is under way
finish, and ends. HUP reads certificates and configuration again: where that says something else,
sessions end as at a stop, and who connects meanwhile waits and is served by what it says now.

Sockets that systemd hands over (LISTEN_FDS) are used in place of opening ports. Each is for the
listener of its name, as smtp or imaps, or of its port where it has only the name of its unit.

Where no configuration gives the server a name it runs in set-up mode: one port is open, for
the panel, and a link is printed by which it is set up. See: postern setup --help`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.load(cmd)
			if err != nil {
				return err
			}
			cfg.AcceptRollback = rollback
			return server.Serve(cmd.Context(), cfg, t.out)
		},
	}
	s.flags(c)
	c.Flags().StringVar(&rollback, "accept-rollback", "", "reason to open data that is older than the witness says; it is recorded")
	return c
}
