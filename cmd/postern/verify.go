package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postern/server"
	"postern/server/control"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// verification is the command line of audit verify.
type verification struct {
	key, checkpoint string // files
	strict          bool
	now             bool
	data            string // directory of a stopped server
	rootKey         string
	witness         string
	config          string
}

func auditVerify(t *talk) *cobra.Command {
	var v verification
	c := &cobra.Command{
		Use:   "verify FILE | verify --now | verify --data DIR",
		Short: "Verify an export, the log of this server, or the data of a stopped one", Args: upTo("FILE"),
		Long: `Verify a file of audit export (- for standard input), without a server and without
trusting it: that no event was changed, dropped, moved or back-dated. Exit status 4 and
the sequence numbers say what is wrong. Give the public key with --key, or signatures are
not checked; give a checkpoint that was kept elsewhere, and even who has the signing key
cannot rewrite what it covers.

With --now, the running server computes its tree anew from all events and compares it
with all that it signed; that is an event. Who does not trust the server verifies an export.

With --data, verify a stopped server's database: every event against the tree and its
checkpoints, and every row that decides something against the events.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case v.now && v.data == "" && len(args) == 0:
				return t.verifyNow(cmd)
			case v.now: // and something else
			case v.data != "" && len(args) == 0:
				return t.verifyData(cmd, &v)
			case v.data == "" && len(args) == 1:
				return t.verifyFile(args[0], &v)
			}
			return misused(cmd, usage("either FILE, or --now, or --data DIR"))
		},
	}
	c.Flags().BoolVar(&v.now, "now", false, "have the running server verify its log")
	c.Flags().StringVar(&v.key, "key", "", "file with the public key of the log")
	c.Flags().StringVar(&v.checkpoint, "checkpoint", "", "file with a signed checkpoint that was kept elsewhere")
	c.Flags().BoolVar(&v.strict, "strict", false, "an interval without events is a problem")
	c.Flags().StringVar(&v.data, "data", "", "data directory of a stopped server")
	c.Flags().StringVar(&v.rootKey, "root-key", "", "with --data: file of the root key (as configured)")
	c.Flags().StringVar(&v.witness, "witness", "", "with --data: file of the newest checkpoint (as configured, or beside the root key)")
	c.Flags().StringVar(&v.config, "config", "", "with --data: configuration file")
	return c
}

// verifyFile verifies an export.
func (t *talk) verifyFile(path string, v *verification) error {
	opts, err := v.options()
	if err != nil {
		return err
	}
	in := t.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	report, err := audit.VerifyBundle(in, opts)
	if err != nil {
		return err
	}
	if err := t.bundleReport(&report); err != nil {
		return err
	}
	if !report.OK() {
		return problems(len(report.Problems))
	}
	if !report.Signed {
		t.say("Signatures were not checked: give the public key with --key.")
	}
	return nil
}

// maxKeyText bounds the files of a key and a checkpoint.
const maxKeyText = 16 << 10

func (v *verification) options() (audit.VerifyOptions, error) {
	key, err := readText(v.key)
	if err != nil {
		return audit.VerifyOptions{}, err
	}
	checkpoint, err := readText(v.checkpoint)
	return audit.VerifyOptions{PublicKey: strings.TrimSpace(key), Checkpoint: checkpoint, Strict: v.strict}, err
}

// readText reads a small file; no path, no text.
func readText(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyText))
	if err == nil && len(b) == 0 {
		err = fmt.Errorf("%s is empty", path)
	}
	return string(b), err
}

// bundle is a report for programs.
type bundle struct {
	OK       bool         `json:"ok"`
	Origin   string       `json:"origin"`
	Key      string       `json:"key"`
	From     uint64       `json:"from"`
	To       uint64       `json:"to"`
	Size     uint64       `json:"size"`
	Time     string       `json:"checkpoint_at,omitempty"`
	Filtered bool         `json:"filtered"`
	Signed   bool         `json:"signatures_checked"`
	Compared bool         `json:"checkpoint_compared"`
	Events   uint64       `json:"events"`
	Redacted uint64       `json:"redacted"`
	Silences uint64       `json:"silences"`
	Silent   []silence    `json:"silent"`
	Problems []difference `json:"problems"`
}

type silence struct {
	Seq    uint64 `json:"seq"`
	Start  string `json:"start"`
	End    string `json:"end"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// difference is a problem, with the events [from, to) that it is about.
type difference struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	Line int    `json:"line,omitempty"`
	Row  string `json:"row,omitempty"`
	What string `json:"what"`
}

func newBundle(r *audit.Report) bundle {
	b := bundle{OK: r.OK(), Origin: r.Origin, Key: r.Key, From: r.From, To: r.To, Size: r.Size, Filtered: r.Filtered, Signed: r.Signed,
		Compared: r.Compared, Events: r.Events, Redacted: r.Redacted, Silences: r.Silences, Silent: []silence{}, Problems: []difference{}}
	if !r.Time.IsZero() {
		b.Time = r.Time.Format(rfc3339)
	}
	for _, s := range r.Silent {
		b.Silent = append(b.Silent, silence{s.Seq, s.Start.Format(rfc3339), s.End.Format(rfc3339), s.Before.String(), s.After.String()})
	}
	for _, p := range r.Problems {
		b.Problems = append(b.Problems, difference{From: p.From, To: p.To, Line: p.Line, What: p.What})
	}
	return b
}

const rfc3339 = "2006-01-02T15:04:05.000000Z"

// bundleReport says what a file turned out to be.
func (t *talk) bundleReport(r *audit.Report) error {
	if t.format != asTable {
		return t.encode(newBundle(r))
	}
	proves := "these are all events of the range"
	if r.Filtered {
		proves = "these events are in the log; others may have been left out"
	}
	if !r.OK() {
		proves = "nothing: see below"
	}
	err := t.show(nil, pair{"log", r.Origin}, pair{"key", r.Key}, pair{"range", span(r.From, r.To)}, pair{"events", decimal(int64(r.Events))},
		pair{"checkpoint", fmt.Sprintf("%d events at %s", r.Size, instant(r.Time))}, pair{"signatures", checked(r.Signed)},
		pair{"kept checkpoint", compared(r.Compared)}, pair{"redacted", some(r.Redacted)}, pair{"proves", proves})
	if err != nil {
		return err
	}
	for _, s := range r.Silent {
		fmt.Fprintf(t.out, "silent for %s until event %d, %s: between %s and %s\n", s.End.Sub(s.Start).Round(1e9), s.Seq, instant(s.End), s.Before, s.After)
	}
	if more := r.Silences - uint64(len(r.Silent)); more > 0 {
		fmt.Fprintf(t.out, "and %d more silent intervals\n", more)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(t.out, "%s %s\n", t.strong("WRONG"), visible(p.String()))
	}
	return nil
}

func span(from, to uint64) string {
	if from == to {
		return "empty"
	}
	return fmt.Sprintf("%d to %d", from, to-1)
}

func checked(yes bool) string {
	if yes {
		return "checked"
	}
	return "not checked"
}

func compared(yes bool) string {
	if yes {
		return "agrees"
	}
	return ""
}

func some(n uint64) string {
	if n == 0 {
		return ""
	}
	return decimal(int64(n))
}

// verifyData verifies the data of a stopped server.
func (t *talk) verifyData(cmd *cobra.Command, v *verification) error {
	if v.key != "" || v.checkpoint != "" || v.strict {
		return misused(cmd, usage("--key, --checkpoint and --strict are for a FILE"))
	}
	cfg, err := v.storage()
	if err != nil {
		return err
	}
	report, err := storage.VerifyData(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	if err := t.dataReport(report); err != nil {
		return err
	}
	if !report.OK() {
		return problems(len(report.Problems))
	}
	return nil
}

// storage finds the root key and the witness of a data directory.
func (v *verification) storage() (storage.Config, error) {
	cfg, err := loadPaths(v.config, map[string]string{"data": v.data, "keys.root": v.rootKey, "keys.witness": v.witness})
	if err != nil {
		return storage.Config{}, err
	}
	root := v.rootKey
	if root == "" {
		if root, err = seal.FindRootKey(cfg.Keys.Root); err != nil {
			return storage.Config{}, &failure{status: exitConfig, next: "Name the key of this data with --root-key.", err: err}
		}
	}
	key, err := seal.LoadRootKey(root)
	if err != nil {
		return storage.Config{}, err
	}
	return storage.Config{Dir: cfg.Data, Root: key, Witness: cfg.WitnessFile()}, nil
}

// loadPaths reads the configuration for a command that needs its paths alone and
// must work where the server's name is not set.
func loadPaths(file string, flags map[string]string) (server.Config, error) {
	set := map[string]string{"host": "localhost.localdomain"}
	for key, value := range flags {
		if value != "" {
			set[key] = value
		}
	}
	return server.LoadConfig(server.Sources{File: file, Flags: set})
}

// dataReport says what the data turned out to be.
func (t *talk) dataReport(r *storage.DataReport) error {
	if t.format != asTable {
		all := []difference{}
		for _, p := range r.Problems {
			d := difference{Row: p.Row, What: p.What}
			if p.Seq != audit.NoEvent {
				d.From, d.To = p.Seq, p.Seq+1
			}
			all = append(all, d)
		}
		return t.encode(map[string]any{"ok": r.OK(), "events": r.Events, "checkpoints": r.Checkpoints, "rows": r.Rows, "messages": r.Messages, "problems": all})
	}
	err := t.show(nil, pair{"events", decimal(int64(r.Events))}, pair{"checkpoints", decimal(int64(r.Checkpoints))},
		pair{"deciding rows", decimal(int64(r.Rows))}, pair{"messages", decimal(int64(r.Messages))})
	for _, p := range r.Problems {
		_, e := fmt.Fprintf(t.out, "%s %s\n", t.strong("WRONG"), visible(p.String()))
		err = errors.Join(err, e)
	}
	return err
}

// verifyNow has the running server verify its log.
func (t *talk) verifyNow(cmd *cobra.Command) error {
	for v, err := range t.client().Verify(cmd.Context()) {
		switch {
		case err != nil:
			return err
		case !v.Done:
			t.say("%d of %d events", v.Checked, v.Size)
			continue
		}
		if err := t.show(v, pair{"events", decimal(int64(v.Size))}, pair{"root", v.Root}, pair{"checkpoints", decimal(int64(v.Checkpoints))},
			pair{"signed", signedTree(v.Signed)}, pair{"problem", v.Problem}); err != nil {
			return err
		}
		if !v.OK {
			return &failure{status: exitProblems, err: fmt.Errorf("the log is not the one that was signed: %s", v.Problem),
				next: "Stop the server, keep a copy of its data, and verify that: postern audit verify --data DIR"}
		}
	}
	return nil
}

// signedTree is the newest checkpoint in a line.
func signedTree(s *control.SignedTree) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("%d events at %s, root %s", s.Size, instant(s.Time), s.Root)
}
