package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/server/injection"
	"postern/server/message"
)

func injectionCommand(t *talk) *cobra.Command {
	return noun("injection", "Judge mail for instructions to machines", injectionScore(t), injectionExplain(t), injectionReport(t), injectionEvaluate(t), injectionReplay(t), injectionModel(t))
}

func injectionScore(t *talk) *cobra.Command {
	explain := false
	c := &cobra.Command{
		Use: "score [FILE...]", Short: "Score messages", Args: cobra.ArbitraryArgs,
		Long: `Score messages with the model that this binary ships, without a server: each FILE is one
message as it came over the wire, - is standard input. Without FILE, or where the input
begins with {, it is JSON Lines: {"id": ..., and "text", "eml" or "eml_b64": ...}; so is the
output then. With --explain, also what was found where, with its text: it was written by
whoever sent the message, perhaps to be read by you too.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if explain {
				return t.explainAll(args)
			}
			if len(args) == 0 {
				return t.scoreLines(bufio.NewReader(t.in))
			}
			return t.scoreFiles(args)
		},
	}
	c.Flags().BoolVar(&explain, "explain", false, "show what was found where, with its text")
	return c
}

func injectionExplain(t *talk) *cobra.Command {
	return &cobra.Command{
		Use: "explain FILE", Short: "Explain how a message is judged, on one page", Args: exactly("FILE"),
		Long: `Explain how a message is judged, without a server: which texts it has for those who read it,
seen or unseen, which places in them speak for the verdict and why, and what was not looked
at. FILE is the message as it came over the wire, - is standard input. The text of places was
written by whoever sent the message, perhaps to be read by you too.`,
		RunE: func(_ *cobra.Command, args []string) error { return t.explainAll(args) },
	}
}

// judged is a message with its score, for programs.
type judged struct {
	ID       string        `json:"id"`
	Score    float32       `json:"score"`
	Verdict  string        `json:"verdict"`
	Reasons  []string      `json:"reasons"`
	Model    string        `json:"model,omitempty"`
	Skipped  []notLooked   `json:"skipped,omitempty"`
	Evidence []judgedPlace `json:"evidence,omitempty"`
	Texts    []judgedText  `json:"texts,omitempty"`
}

// notLooked is a part that was not looked at, or not in whole.
type notLooked struct {
	Part string `json:"part"`
	Why  string `json:"why"`
}

// judgedPlace is a place that speaks for the verdict.
type judgedPlace struct {
	View    string   `json:"view"`
	Part    string   `json:"part"`
	Start   int      `json:"start"`
	End     int      `json:"end"`
	Chain   []string `json:"chain"`
	Score   float32  `json:"score"`
	Rule    string   `json:"rule,omitempty"`
	Reasons []string `json:"reasons"`
	SHA256  string   `json:"sha256"`
	Text    string   `json:"text"`
}

// judgedText is a text of the message.
type judgedText struct {
	View  string   `json:"view"`
	Part  string   `json:"part"`
	Chain []string `json:"chain"`
	Words int      `json:"words"`
}

func newJudged(id string, r *injection.Result) judged {
	return judged{ID: id, Score: r.Score, Verdict: r.Verdict.String(), Reasons: append([]string{}, r.Reasons.Names()...)}
}

// maxJudged bounds one message that is scored, in bytes.
const maxJudged = 128 << 20

var errLong = errors.New("the message is longer than 128 MiB")

// scored judges a message.
func scored(s *injection.Scorer, b []byte) (injection.Input, injection.Result) {
	r := bytes.NewReader(b)
	in := injection.Input{Body: r, Structure: message.Parse(r, r.Size())}
	return in, s.Score(in)
}

// scoreFiles scores messages that are files.
func (t *talk) scoreFiles(paths []string) error {
	s := injection.NewScorer(nil)
	rows := func(yield func(judged, error) bool) {
		for _, path := range paths {
			for j, err := range t.judgedIn(s, path) {
				if !yield(j, err) || err != nil {
					return
				}
			}
		}
	}
	return list(t, iter.Seq2[judged, error](rows), "There was no message.", []string{"MESSAGE", "SCORE", "VERDICT", "REASONS"}, func(j judged) []string {
		return []string{j.ID, fmt.Sprintf("%.3f", j.Score), j.Verdict, orDash(strings.Join(j.Reasons, " "))}
	})
}

// judgedIn judges the message in a file, or the messages, when it is JSON Lines.
func (t *talk) judgedIn(s *injection.Scorer, path string) iter.Seq2[judged, error] {
	return func(yield func(judged, error) bool) {
		f, err := t.open(path)
		if err != nil {
			yield(judged{}, err)
			return
		}
		defer f.Close()
		r := bufio.NewReader(f)
		if first, _ := r.Peek(1); string(first) == "{" {
			linesJudged(s, r)(yield)
			return
		}
		b, err := readMessage(r)
		if err != nil {
			yield(judged{}, fmt.Errorf("%s: %w", path, err))
			return
		}
		_, result := scored(s, b)
		j := newJudged(path, &result)
		j.Model, j.Skipped = result.Model, skippedIn(&result)
		yield(j, nil)
	}
}

// open opens a file, or standard input.
func (t *talk) open(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(t.in), nil
	}
	return os.Open(path)
}

func readMessage(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxJudged+1))
	if err == nil && len(b) > maxJudged {
		err = errLong
	}
	return b, err
}

// scoreLines scores JSON Lines, whatever the format of other output is.
func (t *talk) scoreLines(r *bufio.Reader) error {
	w := bufio.NewWriter(t.out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for j, err := range linesJudged(injection.NewScorer(nil), r) {
		if err == nil {
			err = enc.Encode(j)
		}
		if err != nil {
			return errors.Join(err, w.Flush())
		}
		if r.Buffered() == 0 { // whoever writes line by line reads so, too
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// linesJudged judges each message of JSON Lines.
func linesJudged(s *injection.Scorer, r io.Reader) iter.Seq2[judged, error] {
	return func(yield func(judged, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 64<<10), 2*maxJudged)
		for n := 1; lines.Scan(); n++ {
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			j, err := lineJudged(s, lines.Bytes())
			if err != nil {
				yield(j, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(j, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(judged{}, err)
		}
	}
}

// lineJudged judges the message in one line.
func lineJudged(s *injection.Scorer, line []byte) (judged, error) {
	var m struct {
		ID     string  `json:"id"`
		Text   *string `json:"text"`
		EML    *string `json:"eml"`
		EMLB64 *string `json:"eml_b64"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return judged{}, err
	}
	var r injection.Result
	switch {
	case m.EML != nil:
		_, r = scored(s, []byte(*m.EML))
	case m.EMLB64 != nil:
		b, err := base64.StdEncoding.DecodeString(*m.EMLB64)
		if err != nil {
			return judged{}, err
		}
		_, r = scored(s, b)
	case m.Text != nil:
		r = s.ScoreText([]byte(*m.Text))
	default:
		return judged{}, fmt.Errorf("message %q has neither text nor eml nor eml_b64", m.ID)
	}
	return newJudged(m.ID, &r), nil
}

// explainAll explains messages, one page each.
func (t *talk) explainAll(paths []string) error {
	if len(paths) == 0 {
		paths = []string{"-"}
	}
	s := injection.NewScorer(nil)
	for _, path := range paths {
		f, err := t.open(path)
		if err != nil {
			return err
		}
		b, err := readMessage(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		in, result := scored(s, b)
		j := explained(path, in, &result)
		if t.format != asTable {
			err = t.encode(j)
		} else {
			err = t.explainPage(&j)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// explained adds what was read, and the text of each place.
func explained(id string, in injection.Input, r *injection.Result) judged {
	j := newJudged(id, r)
	j.Model, j.Skipped = r.Model, skippedIn(r)
	injection.Passages(in, func(p *injection.Passage) {
		x := judgedText{View: p.View.String(), Part: p.Part, Chain: append([]string{}, p.Chain.Names()...), Words: p.Words()}
		if n := len(j.Texts) - 1; n >= 0 && slices.Equal(x.Chain, j.Texts[n].Chain) && j.Texts[n].View == x.View && j.Texts[n].Part == x.Part {
			j.Texts[n].Words += x.Words
			return
		}
		j.Texts = append(j.Texts, x)
	})
	var digests [][32]byte
	for _, e := range r.Evidence {
		digests = append(digests, e.SHA256)
	}
	texts := injection.Excerpts(in, digests)
	for _, e := range r.Evidence {
		j.Evidence = append(j.Evidence, judgedPlace{View: e.View.String(), Part: e.Part, Start: e.Start, End: e.End, Chain: append([]string{}, e.Chain.Names()...),
			Score: e.Score, Rule: e.Rule, Reasons: append([]string{}, e.Reasons.Names()...), SHA256: fmt.Sprintf("%x", e.SHA256), Text: texts[e.SHA256].Text})
	}
	return j
}

func skippedIn(r *injection.Result) (list []notLooked) {
	for _, s := range r.Skipped {
		list = append(list, notLooked{s.Part, s.Why})
	}
	return list
}

// explainPage writes how a message was judged for a person.
func (t *talk) explainPage(j *judged) error {
	err := t.show(nil, pair{"message", j.ID}, pair{"verdict", j.Verdict}, pair{"score", fmt.Sprintf("%.3f", j.Score)},
		pair{"reasons", orDash(strings.Join(j.Reasons, " "))}, pair{"model", j.Model})
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "\n%s\n", t.strong("What was found"))
	if len(j.Evidence) == 0 {
		fmt.Fprintln(t.out, "  nothing")
	}
	for _, e := range j.Evidence {
		fmt.Fprintf(t.out, "  %s, bytes %d to %d%s: score %.3f%s\n", place(e.View, e.Part), e.Start, e.End, through(e.Chain), e.Score, byRule(e.Rule))
		fmt.Fprintf(t.out, "    because %s\n", orDash(strings.Join(e.Reasons, " ")))
		for line := range strings.Lines(e.Text) {
			if line = strings.TrimSpace(line); line != "" {
				fmt.Fprintf(t.out, "    | %s\n", visible(line))
			}
		}
	}
	fmt.Fprintf(t.out, "\n%s\n", t.strong("What was read"))
	for _, x := range j.Texts {
		fmt.Fprintf(t.out, "  %s%s: about %d words\n", place(x.View, x.Part), through(x.Chain), x.Words)
	}
	for _, s := range j.Skipped {
		fmt.Fprintf(t.out, "  %s\n", t.strong(fmt.Sprintf("not looked at, or not in whole: %s (%s)", orPart(s.Part), s.Why)))
	}
	return nil
}

func place(view, part string) string { return view + " of " + orPart(part) }

func orPart(part string) string {
	if part == "" {
		return "the header"
	}
	return "part " + part
}

func through(chain []string) string {
	if len(chain) == 0 {
		return ""
	}
	return ", out of " + strings.Join(chain, " in ")
}

func byRule(rule string) string {
	if rule == "" {
		return ""
	}
	return ", by the rule " + rule
}
