package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"unicode"

	"postern/server/control"
)

// printed is what list writes of rows that end with an error or well.
func printed(format string, bold bool, rows iter.Seq2[string, error]) (out, err string, failed error) {
	var o, e bytes.Buffer
	t := &talk{out: &o, err: &e, format: format, bold: bold}
	failed = list(t, rows, "There is none.", []string{"NAME", "LENGTH"}, func(s string) []string { return []string{s, decimal(int64(len(s)))} })
	return o.String(), e.String(), failed
}

func TestListFormats(t *testing.T) {
	rows := []string{"a", "a <b> & \x1b[2Jc"}
	for format, want := range map[string]string{
		asTable: "NAME                   LENGTH\na                      1\na <b> & <U+001B>[2Jc   13\n",
		asJSON:  "[\n \"a\",\n \"a <b> & \\u001b[2Jc\"\n]\n",
		asLines: "\"a\"\n\"a <b> & \\u001b[2Jc\"\n",
	} {
		got, _, err := printed(format, false, given(rows))
		if err != nil || strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%s: %v\n%s", format, err, got)
		}
	}
	if got, _, _ := printed(asTable, true, given(rows)); !strings.HasPrefix(got, "\x1b[1mNAME") {
		t.Errorf("the head of a table on a terminal: %q", got)
	}
}

// TestListOfNothing holds that programs get an empty list and people a word.
func TestListOfNothing(t *testing.T) {
	for format, want := range map[string]string{asTable: "", asJSON: "[]\n", asLines: ""} {
		out, said, err := printed(format, false, given[string](nil))
		if err != nil || out != want || (said != "") != (format == asTable) {
			t.Errorf("%s: %q and %q, %v", format, out, said, err)
		}
	}
}

// TestListThatBreaks holds that a list which is cut does not look whole.
func TestListThatBreaks(t *testing.T) {
	broken := func(yield func(string, error) bool) { _ = yield("a", nil) && yield("", errors.New("broken")) }
	for _, format := range []string{asTable, asJSON, asLines} {
		out, _, err := printed(format, false, broken)
		if err == nil || !strings.Contains(out, "a") {
			t.Errorf("%s: %q, %v", format, out, err)
		}
		if format == asJSON && json.Valid([]byte(out)) {
			t.Errorf("half an array is valid: %q", out)
		}
	}
}

// TestLongTablesComeInBlocks holds that one head stands over all of a long
// table, whose rows appear before the last was read.
func TestLongTablesComeInBlocks(t *testing.T) {
	var o bytes.Buffer
	tk := &talk{out: &o, err: &o, format: asTable}
	early := 0
	rows := func(yield func(string, error) bool) {
		for range 3 * block {
			if !yield("row", nil) {
				return
			}
			early = max(early, strings.Count(o.String(), "\n"))
		}
	}
	if err := list(tk, rows, "", []string{"NAME"}, func(s string) []string { return []string{s} }); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(o.String(), "\n"); n != 3*block+1 || early < 2*block || strings.Count(o.String(), "NAME") != 1 {
		t.Errorf("%d lines, %d of them early", n, early)
	}
}

// TestVisible holds that nothing from outside acts on a terminal.
func TestVisible(t *testing.T) {
	for s, want := range map[string]string{
		"plain": "plain", "grüße 世界": "grüße 世界", "a\x1b[31mb": "a<U+001B>[31mb", "a\tb\nc": "a<U+0009>b<U+000A>c",
		"\u202eevil": "<U+202E>evil", "\u009b1m": "<U+009B>1m", "bad\xff": "bad\ufffd", "\u200bx": "<U+200B>x",
	} {
		got := visible(s)
		if got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q still has what is not seen", got)
		}
	}
	if got := shorten("grüße", 4); got != "grü…" {
		t.Errorf("shortened: %q", got)
	}
}

// TestEventsOnALine holds how an event reads: the facts that matter first, long
// digests cut, names for ids.
func TestEventsOnALine(t *testing.T) {
	var e logged
	text := `{"seq":7,"id":"x","time":"2026-01-02T03:04:05.000000Z","verb":"message.received","outcome":"ok",
		"actor":{"kind":"agent","id":"agent-1","credential":"0123456789abcdef"},"inbox":"inbox-1",
		"fields":{"size":9007199254740993,"sha256":"` + strings.Repeat("ab", 32) + `","door":"mx","modseq":4},
		"personal":{"to":["a@x.test","b@x.test"],"from":"c@y.test","subject":"=?utf-8?Q?sch=C3=B6n?= day"}}`
	if err := json.Unmarshal([]byte(text), &e.Event); err != nil {
		t.Fatal(err)
	}
	e.names = map[string]string{"agent-1": "scout", "inbox-1": "a@x.test"}
	want := `from=c@y.test to=a@x.test,b@x.test subject="schön day" door=mx sha256=abababababab… size=9007199254740993`
	if got := e.detail(); got != want {
		t.Errorf("detail:\n got %s\nwant %s", got, want)
	}
	if e.who() != "agent scout" || e.about() != "a@x.test" || e.name(e.Actor.Credential) != "…456789abcdef" {
		t.Errorf("who %q, about %q, token %q", e.who(), e.about(), e.name(e.Actor.Credential))
	}
	for kind, want := range map[string]string{"unix": "unix ann", "system": "system", "stranger": "stranger 192.0.2.1"} {
		e.Actor = control.Actor{Kind: kind, Name: "ann", Network: "192.0.2.1"}
		if kind == "stranger" {
			e.Actor.Name = ""
		}
		if got := e.who(); got != want {
			t.Errorf("%s: %q", kind, got)
		}
	}
}
