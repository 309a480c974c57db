package main

import (
	"slices"
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

// founded are the settings with what set-up says, where no configuration names the
// server and one runs that can be asked.
func (t *talk) founded(cmd *cobra.Command, all []server.Setting) []server.Setting {
	if i := slices.IndexFunc(all, func(x server.Setting) bool { return x.Key == "host" }); i < 0 || all[i].Value != "" {
		return all
	}
	c := t.client()
	defer c.Close()
	u, err := c.Setup(cmd.Context())
	if err != nil || !u.Managed {
		return all
	}
	said := map[string]string{"host": u.Host, "addresses": strings.Join(u.Addresses, ","), "acme.directory": u.Directory, "acme.contact": u.Contact}
	for i, x := range all {
		if value := said[x.Key]; value != "" {
			all[i].Value, all[i].Origin = value, "set-up"
		}
	}
	return all
}

func configShow(t *talk) *cobra.Command {
	var s sources
	c := &cobra.Command{
		Use: "show", Short: "Show each effective setting and where it came from", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, wrong := s.load(cmd)
			err := list(t, given(t.founded(cmd, cfg.Settings())), "", []string{"SETTING", "VALUE", "FROM"},
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
			cfg, err := s.load(cmd)
			if err != nil {
				return err
			}
			t.say("The configuration is sound.")
			if cfg.Host == "" {
				t.say("It names no server: until postern setup did, the server runs in set-up mode.")
			}
			return nil
		},
	}
	s.flags(c)
	return c
}
