package ui_test

import (
	"fmt"
	"strings"
	"testing"

	"postern/web/ui"
)

func TestDiff(t *testing.T) {
	for _, test := range []struct{ a, b, inA, inB string }{
		{"the same", "the same", "the same", "the same"},
		{"p=quarantine; x", "p=none; x", "p=[quara]n[ti]ne; x", "p=n[o]ne; x"},
		{"exam", "", "[exam]", ""},
		{"abc", "axc", "a[b]c", "a[x]c"},
		{"", "", "", ""},
	} {
		inA, inB := ui.Diff(test.a, test.b)
		if a, b := marked(inA), marked(inB); a != test.inA || b != test.inB {
			t.Errorf("%q, %q: %q and %q", test.a, test.b, a, b)
		}
	}
	long := strings.Repeat("x", 5000)
	if inA, _ := ui.Diff("a"+long+"b", "a"+strings.Repeat("y", 5000)+"b"); marked(inA) != "a["+long+"]b" {
		t.Error("what is too long to compare differs in its middle")
	}
}

func marked(all []ui.Piece) string {
	var b strings.Builder
	for _, p := range all {
		if p.Differ {
			fmt.Fprintf(&b, "[%s]", p.Text)
		} else {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}
