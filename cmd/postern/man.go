package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern/server"
)

func manCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "man", Short: "Print the manual page, for man(1)", Args: exactly(), Example: "  postern man | man -l -",
		RunE: func(cmd *cobra.Command, _ []string) error {
			page := &manual{w: cmd.OutOrStdout()}
			page.write(cmd.Root())
			return page.err
		},
	}
	c.GroupID = groupServer
	return c
}

// manual writes one page with all commands, in the macros of man(7).
type manual struct {
	w   io.Writer
	err error
}

func (m *manual) line(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format+"\n", args...)
	}
}

func (m *manual) write(root *cobra.Command) {
	m.line(`.TH POSTERN 1 "" "Postern" "User Commands"`)
	m.line(".SH NAME\npostern \\- %s", roff(root.Short))
	m.line(".SH SYNOPSIS\n.B postern\n.I command\n[flags]")
	m.line(".SH DESCRIPTION")
	m.text(root.Long)
	m.line(".SH GLOBAL FLAGS")
	m.flags(root.PersistentFlags())
	m.line(".SH COMMANDS")
	m.commands(root)
	m.configuration()
	m.line(".SH EXIT STATUS")
	for _, s := range []struct {
		status int
		text   string
	}{
		{exitOK, "Done."}, {exitFailed, "Failed."}, {exitUsage, "The command line is wrong."}, {exitNotFound, "What was named does not exist."},
		{exitProblems, "A check found problems."}, {exitRefused, "Refused by policy."}, {exitUnreachable, "No server answers."},
		{exitConfig, "The configuration is wrong."},
	} {
		m.line(".TP\n.B %d\n%s", s.status, s.text)
	}
	m.line(".SH ENVIRONMENT\n.TP\n.B POSTERN_CONTROL\nSocket of the running server.\n.TP\n.B NO_COLOR\nNo bold text, when not empty.")
}

// configuration writes every setting of the configuration file.
func (m *manual) configuration() {
	m.line(".SH CONFIGURATION")
	m.text("A file in TOML, " + server.DefaultConfigFile + " where --config and POSTERN_CONFIG name no other. A setting may also be given " +
		"as --set KEY=VALUE, which counts before the environment, as POSTERN_LISTEN_SMTP for listen.smtp, which counts before the file.")
	defaults := server.DefaultConfig()
	for _, x := range defaults.Settings() {
		m.line(".TP\n.B %s\n%s", roff(x.Key), roff(x.About))
	}
}

// commands writes every command that does something, in the order of the help.
func (m *manual) commands(parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		if c.HasAvailableSubCommands() {
			m.commands(c)
			continue
		}
		m.line(".SS %s", roff(c.Parent().CommandPath()+" "+c.Use))
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		m.text(text)
		m.flags(c.LocalNonPersistentFlags())
	}
}

func (m *manual) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			m.line(".PP")
		}
		m.line("%s", roff(paragraph))
	}
}

func (m *manual) flags(set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		m.line(".TP\n.B %s\n%s", roff(name), roff(f.Usage))
	})
}

// roff escapes what troff would act on.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
