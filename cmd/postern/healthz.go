package main

import (
	"strings"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func healthzCommand(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "healthz", Short: "Say whether the running server is well", Args: exactly(),
		Long: "Say whether the running server is well: exit status 0, 4 when a check\nfailed, 69 when no server answers.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := control.NewClient(t.socket).Health(cmd.Context())
			if err != nil {
				return err
			}
			pairs := []pair{{"host", h.Host}, {"version", h.Version}, {"sessions", decimal(int64(h.Sessions))}}
			for _, q := range h.Queue {
				pairs = append(pairs, pair{"queue " + q.State, decimal(q.Count) + " since " + instant(q.Oldest)})
			}
			bad := 0
			for _, c := range h.Checks {
				state := "ok"
				if !c.OK {
					state = strings.TrimSpace("WRONG " + c.Text)
					bad++
				}
				pairs = append(pairs, pair{c.Name, state})
			}
			if err := t.show(h, pairs...); err != nil || bad == 0 {
				return err
			}
			return problems(bad)
		},
	}
}
