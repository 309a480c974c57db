package message

import (
	"strings"
	"testing"
)

// Some readers unfold before they split, or trim more than white space: whoever
// writes in these ways would be read there, and unknown here.
func TestNamesInDisguise(t *testing.T) {
	for _, field := range []string{"From: x", "FROM : x", "From\t: x", "Fr\x01om: x", "From\xa0: x", "From\xc2\xa0: x", "\xe2\x80\x8bFrom: x", "From\r\n : x", "From \r\n\t\r\n : x", "From"} {
		header := "Subject: a\r\n" + field + "\r\nTo: b\r\n\r\n"
		found := 0
		for f := range Fields([]byte(header)) {
			if f.Is("from") && f.HasPrefix("fro") {
				found++
			}
		}
		if s := Parse(strings.NewReader(header), int64(len(header))); found != 1 || s.FromFields != 1 {
			t.Errorf("%q: %d by Fields, %d by Parse", field, found, s.FromFields)
		}
	}
	for _, field := range []string{"From x\r\n : y", "From x: y", "X\r\n From: y", "Fro\r\n m: y", ": From", "From.: x"} {
		header := "Subject: a\r\n" + field + "\r\n\r\n"
		for f := range Fields([]byte(header)) {
			if f.Is("from") {
				t.Errorf("%q is taken for From", field)
			}
		}
	}
}
