package injection

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds what is read of the messages in testdata: each text with its view,
// part, place and decodings, as the walk gives it; what was skipped; and the rules of
// form that it breaks, with their reasons. Scores are the model's, and change with it.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d messages, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := told(string(b))
			golden := strings.TrimSuffix(name, ".eml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is not\n%s", golden, got)
			}
		})
	}
}

// told is what is read of a message, as text.
func told(text string) string {
	var b strings.Builder
	r := &reader{}
	r.use = func(p *Passage) {
		start, end := p.segment.span(0, len(p.segment.text))
		fmt.Fprintf(&b, "%v of part %q, bytes %d to %d, %d words", p.View, p.Part, start, end, p.words)
		if p.Chain.len() > 0 {
			fmt.Fprintf(&b, ", out of %s", strings.Join(p.Chain.Names(), ", "))
		}
		b.WriteString("\n")
		for line := range strings.Lines(string(p.text)) {
			if strings.TrimSpace(line) != "" {
				fmt.Fprintf(&b, "\t%+q\n", strings.TrimRight(line, "\r\n"))
			}
		}
	}
	r.message(input(text))
	for _, s := range r.skipped {
		fmt.Fprintf(&b, "skipped part %q: %s\n", s.Part, s.Why)
	}
	result := NewScorer(nil).Score(input(text))
	for _, e := range result.Evidence {
		if e.Rule != "" {
			fmt.Fprintf(&b, "rule %s: %v\n", e.Rule, formReasons(&Passage{View: e.View, Part: e.Part, Chain: e.Chain}, e.Rule).Names())
		}
	}
	return b.String()
}
