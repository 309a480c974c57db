package main

import (
	"github.com/spf13/cobra"

	"postern/server"
)

func serveCommand() *cobra.Command {
	var s sources
	var rollback string
	c := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: exactly(),
		Long: `Run the server until it gets TERM or INT: it then stops accepting, lets what is under way
finish, and ends. HUP reads the certificates again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.load(cmd)
			if err != nil {
				return err
			}
			cfg.AcceptRollback = rollback
			return server.Serve(cmd.Context(), cfg)
		},
	}
	s.flags(c)
	c.Flags().StringVar(&rollback, "accept-rollback", "", "reason to open data that is older than the witness says; it is recorded")
	return c
}
