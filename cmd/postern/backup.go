package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/server"
	"postern/server/control"
	"postern/storage"
	"postern/storage/seal"
)

func backupCommand(t *talk) *cobra.Command {
	return noun("backup", "Copies of everything, sealed as it is", backupCreate(t), backupVerify(t), backupList(t))
}

// Names in the folder of backups.
const (
	backupTime    = "20060102T150405.000Z" // a backup is named by when it was made, in UTC
	backupKeysDir = "keys"                 // the newest keys, for all backups
	backupPart    = ".part-"               // begins the name of one that is not whole
)

func backupCreate(t *talk) *cobra.Command {
	var to, keys string
	c := &cobra.Command{
		Use: "create --to DIR", Short: "Make a backup while the server runs", Args: exactly(),
		Long: `Make a backup of everything while the server runs: a folder in DIR, named by the time.
It is sealed as the data is, and useless without the root key, which is not in it: keep
that elsewhere. The keys of inboxes are kept apart, in DIR/keys or where --keys says, and
only the newest: so that an inbox that is erased is erased from old backups too.`,
		Example: "  postern backup create --to /var/backups/postern",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return misused(cmd, usage("--to is missing"))
			}
			if keys == "" {
				keys = filepath.Join(to, backupKeysDir)
			}
			b, err := receiveBackup(cmd.Context(), t.client(), to, keys)
			if err != nil {
				return err
			}
			t.say("Try that it can be restored: postern backup verify %s", b.Path)
			return t.show(b, pair{"backup", b.Path}, pair{"keys", b.Keys}, pair{"files", decimal(int64(b.Files))}, pair{"bytes", decimal(b.Bytes)})
		},
	}
	c.Flags().StringVar(&to, "to", "", "folder for backups")
	c.Flags().StringVar(&keys, "keys", "", "folder for the keys (DIR/keys)")
	return c
}

// madeBackup is a backup as a command shows it.
type madeBackup struct {
	Path  string    `json:"path"`
	Keys  string    `json:"keys"`
	At    time.Time `json:"at"`
	Files int       `json:"files"`
	Bytes int64     `json:"bytes"`
}

// receiveBackup takes a backup from the server into a folder of its own, which gets its
// name when everything in it is on the disk. What a run that was killed left behind is
// removed.
func receiveBackup(ctx context.Context, c *control.Client, to, keys string) (b madeBackup, err error) {
	for _, dir := range []string{to, keys} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return b, err
		}
	}
	if old, err := filepath.Glob(filepath.Join(to, backupPart+"*")); err == nil {
		for _, dir := range old {
			os.RemoveAll(dir)
		}
	}
	part, err := os.MkdirTemp(to, backupPart+"*")
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(part)
	out, in := io.Pipe()
	go func() { in.CloseWithError(c.Backup(ctx, in)) }()
	b.Files, b.Bytes, err = unpackBackup(out, part)
	out.CloseWithError(err)
	if err != nil {
		return b, err
	}
	b.At = time.Now().UTC()
	b.Path = filepath.Join(to, b.At.Format(backupTime))
	// Keys first: with newer keys an older backup opens as well as before.
	b.Keys = filepath.Join(keys, storage.BackupKeys)
	if err := move(filepath.Join(part, storage.BackupKeys), b.Keys); err != nil {
		return b, err
	}
	if err := move(part, b.Path); err != nil {
		return b, err
	}
	return b, nil
}

// unpackBackup writes the files of an archive into a folder, each flushed. An archive
// without its last file is not whole.
func unpackBackup(r io.Reader, dir string) (files int, size int64, err error) {
	whole := false
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if err == io.EOF && whole {
			_, err := io.Copy(io.Discard, r) // how it ended is told at the end
			return files, size, err
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return files, size, err
		}
		if !fs.ValidPath(h.Name) || h.Typeflag != tar.TypeReg || whole {
			return files, size, fmt.Errorf("the server sent %q in a backup", h.Name)
		}
		if err := writeFlushed(filepath.Join(dir, h.Name), in); err != nil {
			return files, size, err
		}
		files, size, whole = files+1, size+h.Size, h.Name == storage.BackupManifest
	}
}

// writeFlushed writes a new file, and the folder that it is in, to the disk.
func writeFlushed(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), flushDir(filepath.Dir(path)))
}

// move renames, and makes both names durable. Over file systems it copies.
func move(from, to string) error {
	err := os.Rename(from, to)
	if err != nil {
		if info, e := os.Stat(from); e != nil || info.IsDir() {
			return err
		}
		f, e := os.Open(from)
		if e != nil {
			return e
		}
		defer f.Close()
		if err := replaceFile(to, func(w io.Writer) error { _, err := io.Copy(w, f); return err }); err != nil {
			return err
		}
		os.Remove(from)
	}
	return errors.Join(flushDir(filepath.Dir(from)), flushDir(filepath.Dir(to)))
}

func flushDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// opening is where the root key of a backup, and its keys, are.
type opening struct{ config, root, keys string }

func (o *opening) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.config, "config", "", "configuration file")
	c.Flags().StringVar(&o.root, "root-key", "", "file of the root key (as configured)")
	c.Flags().StringVar(&o.keys, "keys", "", "folder with the newest keys (keys, beside the backup)")
}

// restoring is what a backup in a folder needs to be restored.
func (o *opening) restoring(backup, data, witness string) (storage.Restoring, *server.Config, error) {
	cfg, err := loadPaths(o.config, map[string]string{"data": data, "keys.root": o.root, "keys.witness": witness})
	if err != nil {
		return storage.Restoring{}, nil, err
	}
	path := o.root
	if path == "" {
		if path, err = seal.FindRootKey(cfg.Keys.Root); err != nil {
			return storage.Restoring{}, nil, &failure{status: exitConfig, next: "Name the key of this backup with --root-key.", err: err}
		}
	}
	root, err := seal.LoadRootKey(path)
	if err != nil {
		return storage.Restoring{}, nil, err
	}
	keys := o.keys
	if keys == "" {
		keys = filepath.Join(filepath.Dir(filepath.Clean(backup)), backupKeysDir)
	}
	return storage.Restoring{Backup: backup, Keys: filepath.Join(keys, storage.BackupKeys), Dir: cfg.Data, Root: root, Version: server.Version()}, &cfg, nil
}

func backupVerify(t *talk) *cobra.Command {
	var o opening
	var scratch string
	c := &cobra.Command{
		Use: "verify BACKUP", Short: "Try whether a backup can be restored", Args: exactly("BACKUP"),
		Long: `Restore a backup into a folder for the purpose, verify every event of its log and
everything that decides something, read a sample of its messages to the end, and remove
the folder. The running server records it, as the drill that auditors ask for.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := os.MkdirTemp(scratch, "postern-drill-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			r, _, err := o.restoring(args[0], filepath.Join(dir, "data"), "")
			if err != nil {
				return err
			}
			d, err := storage.Drill(cmd.Context(), r)
			if err != nil {
				return damaged(err)
			}
			if err := t.client().BackupVerified(cmd.Context(), d); err != nil {
				t.say("The server did not record it: %v", err)
			}
			err = t.show(d, pair{"made", instant(d.Made)}, pair{"events", decimal(int64(d.Events))}, pair{"messages", decimal(int64(d.Messages))},
				pair{"read to the end", decimal(int64(d.Bodies))}, pair{"problems", decimal(int64(d.Problems))})
			if err != nil || d.Problems == 0 {
				return err
			}
			return problems(d.Problems)
		},
	}
	o.flags(c)
	c.Flags().StringVar(&scratch, "scratch", "", "folder with room for the data (TMPDIR)")
	return c
}

// damaged gives a backup that is not right its exit status.
func damaged(err error) error {
	if errors.Is(err, storage.ErrBackup) {
		return &failure{status: exitProblems, next: "Take another backup, and look after the disk that this one lies on.", err: err}
	}
	return err
}

func backupList(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "list DIR", Short: "List the backups in a folder", Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			entries, err := os.ReadDir(args[0])
			if err != nil {
				return err
			}
			var all []madeBackup
			for _, e := range entries {
				at, err := time.Parse(backupTime, e.Name())
				if err != nil || !e.IsDir() {
					continue
				}
				b := madeBackup{Path: filepath.Join(args[0], e.Name()), At: at}
				err = filepath.WalkDir(b.Path, func(_ string, f fs.DirEntry, err error) error {
					if err != nil || f.IsDir() {
						return err
					}
					info, err := f.Info()
					if err == nil {
						b.Files++
						b.Bytes += info.Size()
					}
					return err
				})
				if err != nil {
					return err
				}
				all = append(all, b)
			}
			slices.SortFunc(all, func(a, b madeBackup) int { return strings.Compare(a.Path, b.Path) })
			return list(t, given(all), "There is no backup in "+args[0]+".", []string{"MADE", "FILES", "BYTES", "PATH"}, func(b madeBackup) []string {
				return []string{instant(b.At), decimal(int64(b.Files)), decimal(b.Bytes), b.Path}
			})
		},
	}
}

func restoreCommand(t *talk) *cobra.Command {
	var o opening
	var data, witness string
	var replace bool
	c := &cobra.Command{
		Use: "restore BACKUP", Short: "Make the data directory from a backup", Args: exactly("BACKUP"),
		Long: `Make the data directory from a backup, while no server runs. Everything is proven first:
that the root key opens it, that each file is the one that was written, and that all of
it agrees with its log. Only then does it take the place of what was there, which is
moved aside. A restore that was cut short is begun anew by the same command.

What waited to be sent is held for a person to decide, since it may have been sent after
the backup was made. The log says that this server was restored, and from when.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, cfg, err := o.restoring(args[0], data, witness)
			if err != nil {
				return err
			}
			r.Replace, r.Witness = replace, cfg.WitnessFile()
			done, err := storage.Restore(cmd.Context(), r)
			switch {
			case errors.Is(err, storage.ErrConflict):
				return &failure{status: exitFailed, next: "Say --replace to move it aside.", err: err}
			case errors.Is(err, storage.ErrLocked):
				return &failure{status: exitFailed, next: "Stop the server first.", err: err}
			case err != nil:
				return damaged(err)
			}
			if done.Held > 0 {
				t.say("Messages that may have been sent already are held: see postern queue list, and release or bounce each.")
			}
			if os.Geteuid() == 0 {
				t.say("The files belong to root now. Under systemd the next start gives them to the server's user; elsewhere, chown %s.", r.Dir)
			}
			return t.show(struct {
				Data   string    `json:"data"`
				Made   time.Time `json:"made"`
				Events uint64    `json:"events"`
				Held   int       `json:"held"`
				Aside  string    `json:"aside,omitempty"`
			}{r.Dir, done.Made, done.Events, done.Held, done.Aside},
				pair{"data", r.Dir}, pair{"made", instant(done.Made)}, pair{"events", decimal(int64(done.Events))}, pair{"held", decimal(int64(done.Held))}, pair{"before", orDash(done.Aside)})
		},
	}
	o.flags(c)
	c.Flags().StringVar(&data, "data", "", "data directory to be (as configured)")
	c.Flags().StringVar(&witness, "witness", "", "file of the newest checkpoint (as configured, or beside the root key)")
	c.Flags().BoolVar(&replace, "replace", false, "move what is there aside")
	return c
}
