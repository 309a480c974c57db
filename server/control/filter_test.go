package control

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write golden files")

// TestFilter_Golden reads the filters of testdata/filter.golden, one in a line after
// ">": below it stands what it means, as it is written, as flags, or what is wrong.
func TestFilter_Golden(t *testing.T) {
	path := filepath.Join("testdata", "filter.golden")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		query, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "> ")
		if !ok {
			continue
		}
		got.WriteString("> " + query + "\n")
		f, err := ParseFilter(query)
		if err == nil {
			_, _, err = f.Times(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
		}
		if err != nil {
			var wrong *FilterError
			if !errors.As(err, &wrong) {
				t.Errorf("%s: %v is no FilterError", query, err)
			}
			got.WriteString("error  " + err.Error() + "\n\n")
			continue
		}
		got.WriteString("words  " + f.String() + "\nflags " + f.Flags() + "\n\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != string(text) {
		t.Errorf("%s is not what filters mean (write it with -update):\n%s", path, got.String())
	}
}

// FuzzFilter: what is read is written in one form, which reads as the same.
func FuzzFilter(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "filter.golden"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if query, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "> "); ok {
			f.Add(query)
		}
	}
	f.Fuzz(func(t *testing.T, query string) {
		first, err := ParseFilter(query)
		if err != nil {
			return
		}
		again, err := ParseFilter(first.String())
		if err != nil {
			if len(first.String()) > maxFilter { // quotes made it longer
				return
			}
			t.Fatalf("%q was read, and what it is written as, %q, is not: %v", query, first, err)
		}
		if again.String() != first.String() || again.Flags() != first.Flags() {
			t.Errorf("%q is written as %q, and that as %q", query, first, again)
		}
		first.Times(time.Unix(1e9, 0))
	})
}
