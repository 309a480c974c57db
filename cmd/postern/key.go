package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"postern/storage/seal"
)

func keyCommand(t *talk) *cobra.Command {
	return noun("key", "The root key, which everything is sealed under", keyInit(t))
}

func keyInit(t *talk) *cobra.Command {
	var config, path, data string
	c := &cobra.Command{
		Use: "init", Short: "Make the root key of a new installation", Args: exactly(),
		Long: `Make the root key of a new installation. A key that exists is left alone. Where data
exists and the key does not, no new key is made: it could not open the data.`,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := loadPaths(config, map[string]string{"keys.root": path, "data": data})
			if err != nil {
				return err
			}
			if path == "" {
				path = cfg.Keys.Root
			}
			return t.initKey(path, cfg.Data)
		},
	}
	c.Flags().StringVar(&config, "config", "", "configuration file")
	c.Flags().StringVar(&path, "path", "", "where the key is to be (as configured)")
	c.Flags().StringVar(&data, "data", "", "data directory that it is for (as configured)")
	return c
}

// initKey makes a root key where there is neither key nor data.
func (t *talk) initKey(path, data string) error {
	if key, err := seal.LoadRootKey(path); !errors.Is(err, seal.ErrNoRootKey) {
		if err != nil {
			return err
		}
		t.say("The key exists already and was left alone.")
		return t.rootKey(key, path, false)
	}
	if found, err := filepath.Glob(filepath.Join(data, "*.db")); err != nil || len(found) > 0 {
		return &failure{status: exitConfig, next: "Put the key of this installation back in place; a new one could not open the data.",
			err: fmt.Errorf("there is data in %s and no root key at %s", data, path)}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	key, err := seal.CreateRootKey(path)
	if errors.Is(err, fs.ErrPermission) {
		return &failure{status: exitFailed, next: "Run it as root, or name another place with --path.", err: err}
	}
	if err != nil {
		return err
	}
	t.say("Keep a copy of this file where neither the data nor its backups are: without it nothing can be read again.")
	return t.rootKey(key, path, true)
}

func (t *talk) rootKey(key *seal.RootKey, path string, created bool) error {
	return t.show(struct {
		ID      string `json:"id"`
		Path    string `json:"path"`
		Created bool   `json:"created"`
	}{key.ID(), path, created}, pair{"key", key.ID()}, pair{"path", path})
}
