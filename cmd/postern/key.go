package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"postern/storage"
	"postern/storage/seal"
)

func keyCommand(t *talk) *cobra.Command {
	return noun("key", "The root key, which everything is sealed under", keyInit(t), keyRecovery(t), keyRecover(t))
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
	t.say("Keep a copy of " + path + " where neither the data nor its backups are: without it nothing can be read again.")
	return t.rootKey(key, path, true)
}

func (t *talk) rootKey(key *seal.RootKey, path string, created bool) error {
	return t.show(struct {
		ID      string `json:"id"`
		Path    string `json:"path"`
		Created bool   `json:"created"`
	}{key.ID(), path, created}, pair{"key", key.ID()}, pair{"path", path})
}

func keyRecovery(t *talk) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: "recovery --file FILE", Short: "Make a new recovery key, which opens the root key", Args: exactly(),
		Long: `Make a new recovery key and leave it in a file that does not exist yet. With it and keys.db of
the data directory the root key can be opened when its file is lost: postern key recover. The
recovery key before opens nothing any more.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return misused(cmd, usage("--file is missing: where the key is to be left"))
			}
			key, err := t.keepRecovery(cmd.Context(), t.client(), path)
			if err != nil {
				return err
			}
			t.say("Keep it where neither this machine nor its backups are, and remove it here.")
			return t.show(struct {
				ID   string `json:"id"`
				Path string `json:"path"`
			}{key.ID, path}, pair{"key", key.ID}, pair{"path", path})
		},
	}
	c.Flags().StringVar(&path, "file", "", "file that gets the key")
	return c
}

func keyRecover(t *talk) *cobra.Command {
	var config, path, data string
	c := &cobra.Command{
		Use: "recover", Short: "Open the root key with the recovery key, when its file is lost", Args: exactly(),
		Long: `Write the root key of the data anew, from the copy in its keys.db that the recovery key opens.
The recovery key is asked for, or taken from POSTERN_RECOVERY_KEY or the file that
POSTERN_RECOVERY_KEY_FILE names. No server runs meanwhile: none can without the root key.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadPaths(config, map[string]string{"keys.root": path, "data": data})
			if err != nil {
				return err
			}
			text, err := t.secret("POSTERN_RECOVERY_KEY", "recovery key", false)
			if err != nil {
				return err
			}
			key, err := seal.ParseRecoveryKey(text)
			if err != nil {
				return &failure{status: exitUsage, err: err, next: "Compare it with the paper, character by character."}
			}
			return t.recoverKey(cmd.Context(), key, cmp.Or(path, cfg.Keys.Root), cfg.Data)
		},
	}
	c.Flags().StringVar(&config, "config", "", "configuration file")
	c.Flags().StringVar(&path, "path", "", "where the root key is to be (as configured)")
	c.Flags().StringVar(&data, "data", "", "data directory that it is for (as configured)")
	return c
}

// recoverKey writes the root key that a recovery key opens. A file that exists is left
// alone.
func (t *talk) recoverKey(ctx context.Context, key seal.RecoveryKey, path, data string) error {
	root, err := storage.Recover(ctx, data, key)
	if errors.Is(err, storage.ErrNotFound) {
		return &failure{status: exitNotFound, err: err, next: "A recovery key counts until another is confirmed, and for its own installation alone."}
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := root.Save(path); err != nil {
		return err
	}
	t.say("The root key is back. Now start the server, and look whether it is this file's owner.")
	return t.rootKey(root, path, true)
}
