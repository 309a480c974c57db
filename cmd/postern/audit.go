package main

import (
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage/audit"
)

func auditCommand(t *talk) *cobra.Command {
	return noun("audit", "The log: list, export, and verify it without trusting the server",
		auditList(t), auditExport(t), auditVerify(t), auditKey(t))
}

// selection is the flags that select events.
type selection struct {
	control.EventQuery
	since, until string
}

func (s *selection) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.Agent, "agent", "", "only events about this agent, by its name or id")
	c.Flags().StringVar(&s.Credential, "credential", "", "only events about this token, by its id or public id")
	c.Flags().StringVar(&s.Inbox, "inbox", "", "only events about this inbox, by its address")
	c.Flags().StringSliceVar(&s.Verbs, "verb", nil, "only these events, as message.received,message.read")
	c.Flags().StringVar(&s.MessageID, "message-id", "", "only events that name this Message-ID")
	c.Flags().StringVar(&s.since, "since", "", "not before: a time, or how long ago, as 2026-01-02 or 24h")
	c.Flags().StringVar(&s.until, "until", "", "before: a time, or how long ago")
	var verbs []cobra.Completion
	for _, v := range audit.Verbs() {
		verbs = append(verbs, v.String())
	}
	c.RegisterFlagCompletionFunc("verb", cobra.FixedCompletions(verbs, cobra.ShellCompDirectiveNoFileComp))
}

// query reads the times.
func (s *selection) query(cmd *cobra.Command) (q control.EventQuery, err error) {
	now := time.Now()
	if s.Since, err = parseTime(s.since, now); err != nil {
		return q, misused(cmd, err)
	}
	if s.Until, err = parseTime(s.until, now); err != nil {
		return q, misused(cmd, err)
	}
	if !s.Until.IsZero() && s.Until.Before(s.Since) {
		return q, misused(cmd, usage("--until is before --since"))
	}
	return s.EventQuery, nil
}

// filtered reports whether something other than times selects.
func (s *selection) filtered() bool {
	return s.Agent != "" || s.Credential != "" || s.Inbox != "" || s.MessageID != "" || len(s.Verbs) > 0
}

func auditList(t *talk) *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use: "list", Short: "List events", Args: exactly(),
		Long: "List events, the oldest first. That they were listed is an event itself.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := s.query(cmd)
			if err != nil {
				return err
			}
			return list(t, named(t.client().Events(cmd.Context(), q)), "There is no such event.",
				[]string{"SEQ", "TIME", "EVENT", "OUTCOME", "WHO", "ABOUT", "DETAIL"}, func(e logged) []string {
					return []string{decimal(int64(e.Seq)), instant(e.Time), e.Verb, e.Outcome, e.who(), e.about(), shorten(e.detail(), 120)}
				})
		},
	}
	s.flags(c)
	c.Flags().IntVar(&s.Limit, "limit", 0, "only the newest so many (all)")
	return c
}

// named joins events with the names that came with them and with those before.
func named(rows iter.Seq2[control.LoggedEvent, error]) iter.Seq2[logged, error] {
	return func(yield func(logged, error) bool) {
		names := map[string]string{}
		for row, err := range rows {
			maps.Copy(names, row.Names)
			if !yield(logged{row.Event, names}, err) {
				return
			}
		}
	}
}

func auditExport(t *talk) *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use: "export FILE", Short: "Write events to a file that anybody can verify", Args: exactly("FILE"),
		Long: `Write a range of the log to a file (- for standard output) that anybody can verify with
the public key alone. With other flags than --since and --until the file holds only the
events that they select: it then proves that these are in the log, and not that there
are no others.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := s.query(cmd)
			if err != nil {
				return err
			}
			export := func(w io.Writer) error { return t.client().Export(cmd.Context(), q, w) }
			if args[0] == "-" {
				return export(t.out)
			}
			if err := replaceFile(args[0], export); err != nil {
				return err
			}
			if s.filtered() {
				t.say("The file proves that these events are in the log, and not that there are no others.")
			}
			t.say("Verify it with: postern audit verify %s --key KEYFILE  (postern audit key > KEYFILE)", args[0])
			return nil
		},
	}
	s.flags(c)
	return c
}

// replaceFile writes a file that only its owner may read. Who looks sees the old
// one or all of the new one.
func replaceFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func auditKey(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the public key that verifies the log", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := t.client().AuditKey(cmd.Context())
			if err != nil {
				return err
			}
			if t.format != asTable {
				return t.encode(key)
			}
			_, err = io.WriteString(t.out, key.Key+"\n")
			return err
		},
	}
}
