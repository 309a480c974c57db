package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"postern/server"
	"postern/server/control"
	"postern/storage"
	"postern/storage/seal"
)

// TestCommandsAreWhole holds the habits of the command line: every command says
// in a line what it does, judges its arguments, and stands in the manual.
func TestCommandsAreWhole(t *testing.T) {
	var page bytes.Buffer
	root := newRoot(&talk{out: &page, err: &page})
	(&manual{w: &page}).write(root)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || strings.ContainsAny(c.Short, "\n") || strings.HasSuffix(c.Short, ".") || c.Args == nil || c.RunE == nil {
			t.Errorf("%s: no line about it, a full stop, or arguments that are not judged", c.CommandPath())
		}
		for _, line := range strings.Split(c.Long, "\n") {
			if len(line) > 100 {
				t.Errorf("%s: a line of its help has %d columns", c.CommandPath(), len(line))
			}
		}
		if len(c.Commands()) == 0 && !strings.Contains(page.String(), "\n.SS "+roff(c.Parent().CommandPath()+" "+c.Use)+"\n") {
			t.Errorf("%s is not in the manual", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// TestExitStatuses holds the contract with scripts and systemd.
func TestExitStatuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{&control.Error{Code: control.Taken}, 1},
		{&control.Error{Code: control.State}, 1},
		{&control.Error{Code: control.Failed}, 1},
		{&control.Error{Code: control.Interrupted}, 1},
		{storage.ErrLocked, 1},
		{usage("x"), 2},
		{&control.Error{Code: control.Invalid}, 2},
		{&control.Error{Code: control.NotFound, Noun: "agent"}, 3},
		{fmt.Errorf("x: %w", fs.ErrNotExist), 3},
		{problems(2), 4},
		{&control.Error{Code: control.Refused}, 5},
		{&control.Error{Code: control.Unreachable}, 69},
		{&server.ConfigError{Text: "x", Err: fs.ErrNotExist}, 78},
		{fmt.Errorf("x: %w", seal.ErrNoRootKey), 78},
		{&seal.KeyFileError{}, 78},
		{&seal.WrongKeyError{}, 78},
	} {
		var said bytes.Buffer
		if got := (&talk{err: &said}).report(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
		if (said.Len() > 0) != (c.err != nil) {
			t.Errorf("%v was told as %q", c.err, said.String())
		}
	}
}
