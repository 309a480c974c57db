package main

import (
	"strings"

	"github.com/spf13/cobra"

	"postern/server"
)

func configCommand(t *talk) *cobra.Command {
	return noun("config", "The configuration file", configShow(t), configCheck(t))
}

// sources is the flags that say what is configured.
type sources struct {
	file string
	set  []string
}

func (s *sources) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.file, "config", "", "configuration file (POSTERN_CONFIG, "+server.DefaultConfigFile+")")
	c.Flags().StringArrayVar(&s.set, "set", nil, "one setting, as listen.smtp=:2525; counts before environment and file; may be repeated")
}

func (s *sources) load(cmd *cobra.Command) (server.Config, error) {
	flags := map[string]string{}
	known := map[string]bool{}
	defaults := server.DefaultConfig()
	for _, x := range defaults.Settings() {
		known[x.Key] = true
	}
	for _, kv := range s.set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok || !known[key] {
			return server.Config{}, misused(cmd, usage("--set %s is not KEY=VALUE of a setting; `postern config show` lists them", kv))
		}
		flags[key] = value
	}
	return server.LoadConfig(server.Sources{File: s.file, Flags: flags})
}

func configShow(t *talk) *cobra.Command {
	var s sources
	c := &cobra.Command{
		Use: "show", Short: "Show each effective setting and where it came from", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, wrong := s.load(cmd)
			err := list(t, given(cfg.Settings()), "", []string{"SETTING", "VALUE", "FROM"},
				func(x server.Setting) []string { return []string{x.Key, orDash(x.Value), x.Origin} })
			if wrong != nil {
				return wrong
			}
			return err
		},
	}
	s.flags(c)
	return c
}

func configCheck(t *talk) *cobra.Command {
	var s sources
	c := &cobra.Command{
		Use: "check", Short: "Say whether the configuration is sound", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := s.load(cmd); err != nil {
				return err
			}
			t.say("The configuration is sound.")
			return nil
		},
	}
	s.flags(c)
	return c
}
