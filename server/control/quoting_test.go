package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestQuoting_Golden reads the cases of testdata/quoting: what is answered, a line of
// equals signs, what is held. In the golden file "|" stands before what is the agent's,
// ">" before what is quoted as it was, "!" before what was not, with the new words in
// brackets.
func TestQuoting_Golden(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join("testdata", "quoting", "*.txt"))
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range cases {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		original, held, compared := strings.Cut(string(text), "======\n")
		if !compared {
			held = original
		}
		lines, q := quoting(held, inWords(original), compared)
		var got strings.Builder
		altered := 0
		for _, l := range lines {
			got.WriteString(shownLine(l) + "\n")
			if l.Parts != nil {
				altered++
			}
		}
		if altered != q.Altered || q.Compared != compared {
			t.Errorf("%s: %+v", path, q)
		}
		golden := strings.TrimSuffix(path, ".txt") + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(golden); got.String() != string(want) {
			t.Errorf("%s is not what is quoted (write it with -update):\n%s", golden, got.String())
		}
	}
}

func shownLine(l TextLine) string {
	switch {
	case !l.Quoted:
		return strings.TrimRight("| "+l.Text, " ")
	case l.Parts == nil:
		return "> " + l.Text
	}
	var words []string
	for _, p := range l.Parts {
		if p.New {
			p.Text = "[" + p.Text + "]"
		}
		words = append(words, strings.TrimSpace(p.Text))
	}
	return "! " + strings.Join(words, " ")
}

// TestQuoting_Bounded: a text that is made to be slow to compare is not.
func TestQuoting_Bounded(t *testing.T) {
	original := inWords(strings.Repeat("a ", maxOriginal/2))
	var held strings.Builder
	for held.Len() < maxApprovalText {
		held.WriteString("> " + strings.Repeat("a ", 300) + "b\n")
	}
	began := time.Now()
	if _, q := quoting(held.String(), original, true); q.Altered == 0 {
		t.Error("nothing was altered")
	}
	t.Logf("compared in %s", time.Since(began))
	if lines, _ := quoting(strings.Repeat("\n", 2*maxLines), "", true); len(lines) != maxLines {
		t.Errorf("%d lines", len(lines))
	}
}

// FuzzQuoting: no text is lost or made up, whatever is compared.
func FuzzQuoting(f *testing.F) {
	f.Add("> one two three four", "one two three")
	f.Add("-----Original Message-----\nFrom: x\nhello", "hello")
	f.Fuzz(func(t *testing.T, held, original string) {
		if len(held) > maxApprovalText || len(original) > maxOriginal {
			return
		}
		lines, q := quoting(held, inWords(original), true)
		altered := 0
		for _, l := range lines {
			if l.Parts == nil {
				continue
			}
			altered++
			all := ""
			for _, p := range l.Parts {
				all += strings.Join(strings.Fields(p.Text), "")
			}
			if all != strings.Join(strings.Fields(l.Text), "") {
				t.Errorf("%q became %q", l.Text, all)
			}
		}
		if altered != q.Altered || q.Altered > q.Lines {
			t.Errorf("%+v", q)
		}
	})
}
