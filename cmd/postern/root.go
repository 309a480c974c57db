package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/server"
	"postern/server/control"
)

// Groups of the help text.
const (
	groupServer   = "server"
	groupNames    = "names"
	groupPeople   = "people"
	groupMail     = "mail"
	groupEvidence = "evidence"
)

func newRoot(t *talk) *cobra.Command {
	root := noun("postern", "A mail server appliance for AI agents")
	root.Long = `Postern is a mail server appliance for AI agents: each has an identity of its own,
the least privilege that works, and a record that an auditor can verify offline.

Try it on this machine, without root, DNS or configuration:  postern dev`
	root.SilenceUsage, root.SilenceErrors = true, true // run reports
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return t.checkFormat(cmd) }
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misused(cmd, err) })
	root.PersistentFlags().StringVar(&t.socket, "control", defaultSocket(), "socket of the running server (POSTERN_CONTROL)")
	root.PersistentFlags().StringVar(&t.file, "session", "", "file with the session of a person, or none (POSTERN_SESSION_FILE; where postern login left it)")
	root.PersistentFlags().StringVarP(&t.format, "output", "o", asTable, "table, json or jsonl")
	root.AddGroup(&cobra.Group{ID: groupServer, Title: "Server:"}, &cobra.Group{ID: groupNames, Title: "Who and where:"},
		&cobra.Group{ID: groupPeople, Title: "People:"}, &cobra.Group{ID: groupMail, Title: "Mail:"}, &cobra.Group{ID: groupEvidence, Title: "Evidence:"})
	root.AddCommand(
		in(groupServer, serveCommand(t), setupCommand(t), setupLinkCommand(t), doctorCommand(t), devCommand(t), keyCommand(t), configCommand(t), backupCommand(t), restoreCommand(t), certificateCommand(t), overviewCommand(t), healthzCommand(t), versionCommand(t))...)
	root.AddCommand(in(groupNames, domainCommand(t), dkimCommand(t), inboxCommand(t), agentCommand(t), credentialCommand(t), freezeCommand(t), unfreezeCommand(t), policyCommand(t), allowCommand(t))...)
	root.AddCommand(in(groupPeople, adminCommand(t), loginCommand(t), logoutCommand(t), whoamiCommand(t))...)
	root.AddCommand(in(groupMail, messageCommand(t), quarantineCommand(t), glassCommand(t), injectionCommand(t), queueCommand(t), approvalCommand(t))...)
	root.AddCommand(in(groupEvidence, auditCommand(t), alertCommand(t), webhookCommand(t), reportCommand(t))...)
	root.AddCommand(manCommand())
	root.SetHelpCommandGroupID(groupServer)
	root.SetCompletionCommandGroupID(groupServer)
	return root
}

func in(group string, commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		c.GroupID = group
	}
	return commands
}

// defaultSocket is where the command looks for the server.
func defaultSocket() string {
	if path := os.Getenv("POSTERN_CONTROL"); path != "" {
		return path
	}
	return server.DefaultConfig().Control
}

// moreFormats is the annotation of commands that know further formats.
const moreFormats = "formats"

// checkFormat refuses a format that the command does not know.
func (t *talk) checkFormat(cmd *cobra.Command) error {
	known := []string{asTable, asJSON, asLines}
	if more := cmd.Annotations[moreFormats]; more != "" {
		known = append(known, more)
	}
	if !slices.Contains(known, t.format) {
		return misused(cmd, usage("--output %q is none of %s", t.format, strings.Join(known, ", ")))
	}
	return nil
}

// client asks the running server, in the session of whoever is logged in.
func (t *talk) client() *control.Client {
	return control.NewClient(t.socket).AsFound(func() (string, error) {
		s, err := t.session()
		return s.token, err
	})
}

// noun is a command that only has others below it.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		f := &failure{status: exitUsage, next: "See: " + cmd.CommandPath() + " --help", err: fmt.Errorf("there is no command \"%s %s\"", cmd.CommandPath(), args[0])}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			f.next = "Did you mean: " + cmd.CommandPath() + " " + near[0]
		}
		return f
	}}
	c.AddCommand(verbs...)
	return c
}

// exactly is a command line with as many arguments as names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return misused(cmd, usage("%s is missing", names[len(args)]))
		case len(args) > len(names):
			return misused(cmd, usage("%q is too much", args[len(names)]))
		}
		return nil
	}
}

// upTo is a command line with as many arguments as names, or fewer.
func upTo(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return misused(cmd, usage("%q is too much", args[len(names)]))
		}
		return nil
	}
}

// several is a command line with one argument or more, all of which are of one name.
func several(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return misused(cmd, usage("%s is missing", name))
		}
		return nil
	}
}

// misused is a wrong command line, with the way to the right one.
func misused(cmd *cobra.Command, err error) error {
	return &failure{status: exitUsage, err: err, next: "See: " + cmd.CommandPath() + " --help"}
}
