package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Formats of -o. Some commands know more.
const (
	asTable = "table"
	asJSON  = "json"
	asLines = "jsonl"
)

// say tells a person something that is not data.
func (t *talk) say(format string, args ...any) { fmt.Fprintf(t.err, format+"\n", args...) }

// pair is a line of a thing that is shown by itself.
type pair struct{ name, value string }

// show writes one thing: for people the pairs, for programs v.
func (t *talk) show(v any, pairs ...pair) error {
	if t.format != asTable {
		return t.encode(v)
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, p := range pairs {
		if p.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", p.name, visible(p.value))
		}
	}
	return w.Flush()
}

// encode writes one JSON value: over several lines, or with jsonl on one.
func (t *talk) encode(v any) error {
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	if t.format == asJSON {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(v)
}

// list writes many things of a kind as they come: a table, an array, or a line
// each. empty is what a person is told when there is none.
func list[R any](t *talk, rows iter.Seq2[R, error], empty string, columns []string, cells func(R) []string) error {
	var w rowWriter[R]
	switch t.format {
	case asTable:
		w = newTable(t, columns, cells)
	case asJSON:
		w = &array[R]{out: t.out}
	default:
		w = each[R]{t}
	}
	n := 0
	for row, err := range rows {
		if err != nil {
			if t.format == asTable { // an array that is not closed is seen to be cut
				w.flush()
			}
			return err
		}
		if err := w.row(row); err != nil {
			return err
		}
		n++
	}
	if n == 0 && t.format == asTable {
		t.say("%s", empty)
		return nil
	}
	return w.flush()
}

type rowWriter[R any] interface {
	row(R) error
	flush() error
}

// table aligns its columns block by block, so that a long list appears as it
// comes.
type table[R any] struct {
	t       *talk
	columns []string
	cells   func(R) []string
	buf     bytes.Buffer
	tab     *tabwriter.Writer
	n       int
}

// block is how many rows are aligned together.
const block = 500

func newTable[R any](t *talk, columns []string, cells func(R) []string) *table[R] {
	return &table[R]{t: t, columns: columns, cells: cells}
}

func (w *table[R]) row(r R) error {
	if w.tab == nil {
		w.tab = tabwriter.NewWriter(&w.buf, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w.tab, strings.Join(w.columns, "\t"))
	}
	cells := w.cells(r)
	for i := range cells {
		cells[i] = visible(cells[i])
	}
	fmt.Fprintln(w.tab, strings.Join(cells, "\t"))
	if w.n++; w.n%block == 0 {
		return w.flush()
	}
	return nil
}

func (w *table[R]) flush() error {
	if w.tab == nil {
		return nil
	}
	w.tab.Flush()
	w.tab = nil
	head, rest, _ := bytes.Cut(w.buf.Bytes(), []byte("\n"))
	if w.n <= block {
		fmt.Fprintln(w.t.out, w.t.strong(strings.TrimRight(string(head), " ")))
	}
	for line := range bytes.Lines(rest) {
		if _, err := fmt.Fprintln(w.t.out, strings.TrimRight(string(line), " \n")); err != nil {
			return err
		}
	}
	w.buf.Reset()
	return nil
}

// strong is bold on a terminal.
func (t *talk) strong(s string) string {
	if !t.bold {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// array writes a JSON array, a row on each line.
type array[R any] struct {
	out io.Writer
	n   int
}

func (a *array[R]) row(r R) error {
	sep := ",\n "
	if a.n == 0 {
		sep = "[\n "
	}
	a.n++
	b, err := compact(r)
	if err == nil {
		_, err = fmt.Fprintf(a.out, "%s%s", sep, b)
	}
	return err
}

func (a *array[R]) flush() error {
	end := "\n]\n"
	if a.n == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(a.out, end)
	return err
}

// compact is the JSON of a value on one line.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// each writes a JSON value on each line.
type each[R any] struct{ t *talk }

func (e each[R]) row(r R) error { return e.t.encode(r) }
func (e each[R]) flush() error  { return nil }

// visible makes text from outside safe for a terminal: what is not seen, or
// would act, is written as its code.
func visible(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "<U+%04X>", r)
	}
	return b.String()
}

// instant is a time for people.
func instant(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// orDash marks a cell that has nothing in it.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// shorten cuts a cell to a width in characters.
func shorten(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:width-1]) + "…"
}

// given is a list that is there already.
func given[R any](rows []R) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
