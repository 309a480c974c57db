package main

import (
	"strings"

	"github.com/spf13/cobra"

	"postern/server/control"
)

func healthzCommand(t *talk) *cobra.Command {
	var live, ready bool
	c := &cobra.Command{
		Use: "healthz", Short: "Say whether the running server is well", Args: exactly(),
		Long: `Say whether the running server is well: exit status 0, 4 when a check failed, 69 when no
server answers. A server that waits to be set up is well, and not ready.

With --live it is asked only whether it works, which a new start would mend if not; with
--ready, whether it takes mail: its doors are open, it can store, and it does not stop. The
same is told over HTTP at listen.metrics, by /healthz/live and /healthz/ready.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if live && ready {
				return misused(cmd, usage("--live and --ready are two questions: ask one"))
			}
			c := control.NewClient(t.socket)
			if live || ready {
				return probe(t, cmd, c, map[bool]control.Probe{true: control.ProbeLive, false: control.ProbeReady}[live])
			}
			h, err := c.Health(cmd.Context())
			if err != nil {
				return err
			}
			pairs := []pair{{"host", h.Host}, {"version", h.Version}, {"ready", map[bool]string{true: "yes", false: "no"}[h.Ready]}, {"sessions", decimal(int64(h.Sessions))}}
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
	c.Flags().BoolVar(&live, "live", false, "only whether it works")
	c.Flags().BoolVar(&ready, "ready", false, "only whether it takes mail")
	return c
}

// probe asks one thing and says the answer on one line.
func probe(t *talk, cmd *cobra.Command, c *control.Client, p control.Probe) error {
	h, err := c.ProbeHealth(cmd.Context(), p)
	if err != nil {
		return err
	}
	var pairs []pair
	for _, c := range h.Checks {
		pairs = append(pairs, pair{c.Name, map[bool]string{true: "yes", false: strings.TrimSpace("no " + c.Text)}[c.OK]})
	}
	if err := t.show(h, pairs...); err != nil || h.OK {
		return err
	}
	return problems(1)
}
