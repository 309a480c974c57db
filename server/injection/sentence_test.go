package injection

import (
	"fmt"
	"strings"
	"testing"
)

// TestSentences: where sentences begin and how they end.
func TestSentences(t *testing.T) {
	marks := [...]string{"", ".", "?", "!", ":", "/"}
	for text, want := range map[string]string{
		"Hi Tom, all is well. Is it? Yes! Listen: it is 3.5 km":                         "|hi tom all is well. |is it? |yes! |listen: |it is 3 5 km",
		"Write to ann@mail.example or see www.mail.example today.":                      "|write to ann mail example or see www mail example today.",
		"First item\nSecond item\n\nthe rest":                                           "|first item/ |second item/ |the rest",
		"A line that was wrapped by a program which counts up to seventy\nAnd goes on.": "|a line that was wrapped by a program which counts up to seventy and goes on.",
		"She said \"wait.\" He did.":                                                    "|she said wait. |he did.",
		"何ですか?はい。":                                                                      "|何 で す か? |は い.",
		"هل أنت هنا؟ نعم.":                                                              "|هل أنت هنا? |نعم.",
		"Stop...":                                                                       "|stop.",
	} {
		var w words
		w.read([]byte(text))
		var b strings.Builder
		for i, x := range w.list {
			if i > 0 {
				b.WriteByte(' ')
			}
			if x.opens {
				b.WriteByte('|')
			}
			fmt.Fprintf(&b, "%s%s", w.at(i), marks[x.stop])
		}
		if b.String() != want {
			t.Errorf("%q is read as\n%s, not\n%s", text, b.String(), want)
		}
	}
}
