package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"postern/server"
)

func devCommand(t *talk) *cobra.Command {
	o := server.DevOptions{Out: t.out}
	c := &cobra.Command{
		Use: "dev", Short: "Run a laboratory on this machine: no root, no DNS, no configuration", Args: exactly(),
		Long: `Run a laboratory on loopback: the whole server with every control on, a DNS and a
certificate of its own, the domain dev.test, two agents, and sample mail, one of it hostile.
Mail to the outside is looped back; temperror@, permerror@ and timeout@ fail as they say.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Dir != "" { // what the ready file names is found from anywhere
				if o.Dir, err = filepath.Abs(o.Dir); err != nil {
					return err
				}
			}
			return server.Dev(cmd.Context(), o)
		},
	}
	c.Flags().StringVar(&o.Dir, "data", "", "directory that keeps the state (a temporary one)")
	c.Flags().StringVar(&o.ReadyFile, "ready-file", "", "file that is written once every listener accepts")
	c.Flags().IntVar(&o.PortBase, "port-base", 10000, "ports are this and the standard port")
	c.Flags().BoolVar(&o.NoSamples, "no-samples", false, "leave the inboxes empty")
	return c
}
