package imapd

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestNeedle(t *testing.T) {
	cases := []struct {
		text, needle string
		want         bool
	}{
		{"Hello World", "o w", true},
		{"Hello World", "O W", true},
		{"Hello World", "", true},
		{"", "", true},
		{"", "x", false},
		{"hello", "hello ", false},
		{"café", "CAFÉ", true},
		{"cafe\u0301", "CAFÉ", true},
		{"café", "cafe", true},
		{"cafe", "café", false},
		{"ΣΊΣΥΦΟΣ", "σίσυφος", true},
		{"МОСКВА", "москва", true},
		{"\u212aelvin", "kelvin", true},
		{"ﬁnance", "FINANCE", true},
		{"Ⅷ", "viii", true},
		{"한국어", "한국", true},
		{"日本語", "本", true},
		{"日本語", "木", false},
		{"raw \xe9 byte", "raw \xe9 b", true},
		{"raw \xe9 byte", "é", false},
		{"@[`{", "`{", true},
		{"@", "`", false},
		{"[", "{", false},
		{"zebra", "bra", true},
		{"ZEBRA", "bra", true},
		{"zebr", "bra", false},
		{"bra", "zebra", false},
		{strings.Repeat("a", 100) + "b", "AB", true},
		{strings.Repeat("A", 100), "ab", false},
		{strings.Repeat("a", 1000) + "c" + strings.Repeat("a", 1000), strings.Repeat("a", 1001), false},
		{strings.Repeat("a", 1000) + "c" + strings.Repeat("a", 1001), strings.Repeat("a", 1001), true},
	}
	var f finder
	for _, c := range cases {
		n := newNeedle(c.needle)
		if got := f.in([]byte(c.text), n); got != c.want {
			t.Errorf("%q in %q: %v", c.needle, c.text, got)
		}
		for _, r := range []*strings.Reader{strings.NewReader(c.text), strings.NewReader(strings.Repeat("é", block) + c.text)} {
			if got, err := f.inReader(iotest.OneByteReader(r), n); err != nil || got != c.want && c.needle != "é" {
				t.Errorf("%q in a reader of %q: %v, %v", c.needle, c.text, got, err)
			}
		}
	}
}

// TestNeedleAcrossBlocks puts the needle at every place around the end of a block.
func TestNeedleAcrossBlocks(t *testing.T) {
	var f finder
	for _, word := range []string{"needle", "nädel", "針の山"} {
		n := newNeedle(strings.ToUpper(word))
		for at := block - 20; at < block+5; at++ {
			text := []byte(strings.Repeat("n", at) + word + strings.Repeat("n", block))
			if !f.in(text, n) {
				t.Errorf("%s at %d", word, at)
			}
			if ok, err := f.inReader(bytes.NewReader(text), n); !ok || err != nil {
				t.Errorf("%s at %d in a reader: %v", word, at, err)
			}
		}
	}
}

func TestNeedleReaderError(t *testing.T) {
	var f finder
	if _, err := f.inReader(iotest.ErrReader(bytes.ErrTooLarge), newNeedle("x")); err != bytes.ErrTooLarge {
		t.Error(err)
	}
}

// slowFold folds one character at a time, without cache, blocks or words of eight.
func slowFold(s string) string {
	var sb strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			sb.WriteByte(s[0])
			s = s[1:]
			continue
		}
		for _, d := range norm.NFKD.String(s[:size]) {
			if d = unicode.ToTitle(d); d < utf8.RuneSelf {
				d = unicode.ToLower(d)
			}
			sb.WriteRune(d)
		}
		s = s[size:]
	}
	return sb.String()
}

// FuzzNeedle compares with folding the whole text slowly and looking in that.
func FuzzNeedle(f *testing.F) {
	f.Add([]byte("Hello Wörld"), "WÖ")
	f.Add([]byte("a\xff\xe4b"), "\xe4")
	f.Add([]byte(strings.Repeat("Tenet ", 9)+"tent"), "TENT")
	f.Add([]byte(strings.Repeat("xy", 99)), strings.Repeat("yx", 98))
	f.Add([]byte(strings.Repeat("ﷺx", 30)), "X")
	f.Fuzz(func(t *testing.T, text []byte, word string) {
		want := strings.Contains(slowFold(string(text)), slowFold(word))
		var x finder
		n := newNeedle(word)
		if got := x.in(text, n); got != want {
			t.Errorf("in: %v, want %v", got, want)
		}
		if got, err := x.inReader(iotest.HalfReader(bytes.NewReader(text)), n); err != nil || got != want {
			t.Errorf("inReader: %v, %v, want %v", got, err, want)
		}
	})
}

func BenchmarkNeedle(b *testing.B) {
	for name, text := range map[string]string{
		"ascii": "The quick brown fox jumps over the lazy dog; Pack my box with five dozen liquor jugs. ",
		"mixed": "Größere Übung macht den Meister; le cœur a ses raisons que la raison ne connaît point. ",
		"greek": "Η ταχύτερη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί. ",
		"han":   "快速的棕色狐狸跳过了懒狗。敏捷的棕色狐狸。",
	} {
		b.Run(name, func(b *testing.B) {
			data := []byte(strings.Repeat(text, 1<<20/len(text)))
			n := newNeedle("the invoice")
			var f finder
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if f.in(data, n) {
					b.Fatal("found")
				}
			}
		})
	}
}
