package rendition_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/server/message"
	"postern/server/rendition"
)

// planted is what stands hidden in each file of testdata/hidden, in one spelling or another, and
// inSight what stands beside it for everybody to see.
const (
	planted = "PLANTED"
	inSight = "In plain sight"
)

// source is a message with the line ends of mail, as its mailbox shows it.
func source(eml string) rendition.Source {
	eml = strings.ReplaceAll(strings.ReplaceAll(eml, "\r\n", "\n"), "\n", "\r\n")
	r := strings.NewReader(eml)
	return rendition.Source{View: r, Structure: message.Parse(r, int64(len(eml)))}
}

// rendered is what the rendition of a message says: its bytes, and behind them its fields and
// parts without their encodings.
func rendered(t testing.TB, eml string) string {
	t.Helper()
	out, err := rendition.Render(source(eml))
	if err != nil {
		t.Fatal(err)
	}
	s := message.Parse(bytes.NewReader(out), int64(len(out)))
	if s.Defects != 0 {
		t.Errorf("the rendition has defects: %v\n%s", s.Defects.Names(), out)
	}
	return string(out) + decoded(t, out, &s.Root)
}

func decoded(t testing.TB, out []byte, p *message.Part) string {
	var all strings.Builder
	for f := range message.Fields(out[p.Header.Start:p.Header.End]) {
		fmt.Fprintf(&all, "%s: %s\n", f.Name, message.DecodeWords(f.Value()))
	}
	for i := range p.Children {
		all.WriteString(decoded(t, out, &p.Children[i]))
	}
	switch {
	case p.Message != nil:
		all.WriteString(decoded(t, out, &p.Message.Root))
	case !p.IsMultipart():
		b, err := io.ReadAll(message.TextReader(bytes.NewReader(out), p))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

// files are the cases of a folder by name.
func files(t testing.TB, pattern string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	all := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".eml")] = string(b)
	}
	return all
}

func TestCO6_NothingHiddenIsRendered(t *testing.T) {
	for name, eml := range files(t, "testdata/hidden/*.eml") {
		t.Run(name, func(t *testing.T) {
			got := rendered(t, eml)
			if strings.Contains(got, planted) {
				t.Errorf("shown: %s", got)
			}
			for _, r := range got {
				if 0xE0000 <= r && r <= 0xE0FFF || r == 0x200b || r == 0xfe01 {
					t.Fatalf("%U in %q", r, got)
				}
			}
			if name != "mime-encrypted" && !strings.Contains(got, inSight) {
				t.Errorf("not shown: %s", got)
			}
		})
	}
}
