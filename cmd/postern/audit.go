package main

import (
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/storage/audit"
)

func auditCommand(t *talk) *cobra.Command {
	return noun("audit", "The log: list, export, and verify it without trusting the server",
		auditList(t), auditExport(t), auditVerify(t), auditKey(t))
}

// selection is the flags and words that select events.
type selection struct {
	values map[string]*[]string // by key of the filter
	not    []string
	limit  int
}

// flagOf says what the flag of a key of filters is for.
var flagOf = map[string]struct{ flag, help string }{
	"agent":      {"agent", "only events about this agent, by its name or id"},
	"credential": {"credential", "only events about this token, by its id or public id"},
	"actor":      {"actor", "only what these did: agent, person, unix, system, stranger, or a name or id"},
	"verb":       {"verb", "only these events, as message.received,message.read, or message for all of them"},
	"inbox":      {"inbox", "only events about this inbox, by its address"},
	"message":    {"message-id", "only events that name this Message-ID"},
	"network":    {"network", "only what came from this address or network"},
	"result":     {"result", "only what ended so: ok, refused, failed, held"},
	"trigger":    {"trigger", "only what was caused so: message, schedule, user, event, agent, or what it was"},
	"object":     {"object", "only events about the thing with this id"},
	"since":      {"since", "not before: a time, or how long ago, as 2026-01-02 or 24h"},
	"until":      {"until", "before: a time, or how long ago"},
}

func (s *selection) flags(c *cobra.Command) {
	s.values = map[string]*[]string{}
	for key, f := range flagOf {
		s.values[key] = c.Flags().StringSlice(f.flag, nil, f.help)
	}
	c.Flags().StringArrayVar(&s.not, "not", nil, "leave out what this word of a filter finds, as verb:message.read")
	var verbs []cobra.Completion
	for _, v := range audit.Verbs() {
		verbs = append(verbs, v.String())
	}
	c.RegisterFlagCompletionFunc("verb", cobra.FixedCompletions(verbs, cobra.ShellCompDirectiveNoFileComp))
}

// filterHelp tells of the words of filters.
const filterHelp = `

A filter may be given as words too, as in the panel: agent:scout verb:message.read,message.submitted
network:10.0.0.0/8 since:24h. Commas stand between alternatives, a minus before what must
not be so (--not takes such a word without the minus; words with it stand after --), and
quotes around values with spaces.`

// query reads flags and words.
func (s *selection) query(cmd *cobra.Command, words []string) (q control.EventQuery, err error) {
	f, err := s.filter(words)
	if err == nil {
		_, _, err = f.Times(time.Now())
	}
	if err != nil {
		return q, misused(cmd, err)
	}
	return control.EventQuery{Query: f.String(), Limit: s.limit}, nil
}

func (s *selection) filter(words []string) (f control.Filter, err error) {
	keys, _ := control.FilterKeys()
	for _, key := range keys {
		if values := *s.values[key]; len(values) > 0 {
			if f, err = f.With(control.FilterTerm{Key: key, Values: values}); err != nil {
				return nil, err
			}
		}
	}
	for i, word := range slices.Concat(s.not, words) {
		some, err := control.ParseFilter(word)
		if err != nil {
			return nil, err
		}
		for _, t := range some {
			t.Not = t.Not || i < len(s.not)
			if f, err = f.With(t); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func auditList(t *talk) *cobra.Command {
	var s selection
	var detail bool
	c := &cobra.Command{
		Use: "list [FILTER...]", Short: "List events", Args: cobra.ArbitraryArgs,
		Long: "List events, the oldest first. That they were listed is an event itself." + filterHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := s.query(cmd, args)
			if err != nil {
				return err
			}
			columns, cells := []string{"SEQ", "TIME", "EVENT", "RESULT", "WHAT HAPPENED"}, logged.told
			if detail {
				columns, cells = []string{"SEQ", "TIME", "EVENT", "RESULT", "WHO", "ABOUT", "DETAIL"}, logged.facts
			}
			return list(t, named(t.client().Events(cmd.Context(), q)), "There is no such event.", columns, cells)
		},
	}
	s.flags(c)
	c.Flags().IntVar(&s.limit, "limit", 0, "only the newest so many (all)")
	c.Flags().BoolVar(&detail, "detail", false, "in a table, the facts of each event in place of a sentence")
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
		Use: "export FILE [FILTER...]", Short: "Write events to a file that anybody can verify", Args: several("FILE"),
		Long: `Write a range of the log to a file (- for standard output) that anybody can verify with
the public key alone. With other flags than --since and --until the file holds only the
events that they select: it then proves that these are in the log, and not that there
are no others.` + filterHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := s.query(cmd, args[1:])
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
			if filtered(q) {
				t.say("The file proves that these events are in the log, and not that there are no others.")
			}
			t.say("Verify it with: postern audit verify %s --key KEYFILE  (postern audit key > KEYFILE)", args[0])
			return nil
		},
	}
	s.flags(c)
	return c
}

// filtered reports whether something other than times selects.
func filtered(q control.EventQuery) bool {
	f, err := control.ParseFilter(q.Query)
	return err == nil && slices.ContainsFunc(f, func(t control.FilterTerm) bool { return t.Key != "since" && t.Key != "until" })
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
