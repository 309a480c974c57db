package rendition_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"postern/server/message"
	"postern/server/rendition"
)

// FuzzRender holds what is so of every rendition: it is a sound message in printable ASCII, the same
// each time, without a character that nobody sees, and not much longer than the text that was read.
func FuzzRender(f *testing.F) {
	for _, pattern := range []string{"testdata/hidden/*.eml", "testdata/*.eml"} {
		for _, eml := range files(f, pattern) {
			f.Add([]byte(strings.ReplaceAll(eml, "\n", "\r\n")))
		}
	}
	f.Fuzz(func(t *testing.T, eml []byte) {
		src := rendition.Source{View: bytes.NewReader(eml), Structure: message.Parse(bytes.NewReader(eml), int64(len(eml)))}
		got, err := rendition.Render(src)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := rendition.Render(src); !bytes.Equal(got, again) {
			t.Fatal("two renditions of one message")
		}
		if len(got) > 64<<10+10*len(eml) {
			t.Fatalf("%d bytes of %d", len(got), len(eml))
		}
		s := message.Parse(bytes.NewReader(got), int64(len(got)))
		if s.Defects != 0 {
			t.Fatalf("%v: %q", s.Defects.Names(), got)
		}
		for _, r := range decoded(t, got, &s.Root) {
			if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x200b || 0xE0000 <= r && r <= 0xE0FFF {
				t.Fatalf("%U is shown: %q", r, got)
			}
		}
	})
}

// FuzzHTML looks for text that is shown although its element hides it, whatever stands before.
func FuzzHTML(f *testing.F) {
	for _, eml := range files(f, "testdata/hidden/html-*.eml") {
		_, body, _ := strings.Cut(eml, "\n\n")
		f.Add(strings.ReplaceAll(body, "PLANTED-3141", ""))
	}
	f.Fuzz(func(t *testing.T, before string) {
		if strings.Contains(strings.ToLower(before), "<plaintext") {
			return
		}
		got := rendered(t, "Content-Type: text/html; charset=utf-8\n\n<div style=\"display:none\">"+strings.NewReplacer("div", "d", "DIV", "d", "PLANTED", "").Replace(before)+"PLANTED")
		if strings.Contains(got, "PLANTED") && !strings.Contains(strings.ToLower(before), "div") && !strings.ContainsAny(before, "\r\x1b") && utf8.ValidString(before) {
			t.Errorf("shown behind %q: %s", before, got)
		}
	})
}

// hostile are messages that cost as much as their kind can.
func hostile(size int) map[string]string {
	fill := func(head, s string) string { return head + strings.Repeat(s, (size-len(head))/len(s)) }
	page := "Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
	var many strings.Builder
	many.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	for many.Len() < size {
		many.WriteString("--b\r\nContent-Type: application/pdf\r\n\r\nx\r\n")
	}
	var deep strings.Builder
	for n := 0; deep.Len() < size/2; n++ {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n", n, n)
	}
	return map[string]string{
		"one line":        fill(page, "a"),
		"tags":            fill(page, "<b>"),
		"closed tags":     fill(page, "<b></b>"),
		"formatting":      fill(page+strings.Repeat("<b><i>", 90), "<p></p>"),
		"entities":        fill(page, "&amp;"),
		"rules":           fill(page+"<style>", ".a .b .c{color:red}"),
		"rules that hide": fill(page+"<style>"+strings.Repeat(".c .a .a .b{display:none}", 900)+"</style>"+strings.Repeat("<div class=a>", 140), "<p class=b>x</p>"),
		"declarations":    fill(page+"<style>a{", "color:red;"),
		"classes":         fill(page+"<p class=\"", "a "),
		"attributes":      fill(page+"<p ", "a=1 b=2 "),
		"comments":        fill(page, "<!-- x -->"),
		"unclosed":        fill(page, "<div><table><td><a href=x>"),
		"nested blocks":   fill(page+"<style>", "a{"),
		"links":           fill(page, "<a href='https://example.com/x'>x</a>"),
		"tag characters":  fill("Content-Type: text/plain; charset=utf-8\r\n\r\n", "\U000E0041"),
		"calendar":        fill("Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n", "SUMMARY:x\r\n"),
		"addresses":       fill("To: ", "a@example.com,\r\n ") + "\r\n\r\nx",
		"ids":             fill("References: ", "<a@example.com>\r\n ") + "\r\n\r\nx",
		"comments in To":  fill("To: ", "(((((") + "\r\n\r\nx",
		"parts":           many.String(), "depth": deep.String(),
		"base64": fill("Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n", "PGI+eDwvYj4KPGI+eDwvYj4KPGI+eDwvYj4KPGI+eDwvYj4KPGI+eDwvYj4KPGI+eDwv\r\n"),
	}
}

func TestRenditionsAreBounded(t *testing.T) {
	for name, eml := range hostile(3 << 20) {
		t.Run(name, func(t *testing.T) {
			r := strings.NewReader(eml)
			got, err := rendition.Render(rendition.Source{View: r, Structure: message.Parse(r, r.Size())})
			if err != nil || len(got) > 3*rendition.MaxText {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

// failing is a view that cannot be read behind some offset.
type failing struct {
	r  *strings.Reader
	at int64
}

var errDisk = errors.New("the disk failed")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.at {
		return 0, errDisk
	}
	return f.r.ReadAt(p, off)
}

func TestRenderFailsWithItsView(t *testing.T) {
	mail := "Subject: x\r\n\r\n" + strings.Repeat("Hello.\r\n", 1000)
	s := message.Parse(strings.NewReader(mail), int64(len(mail)))
	for _, at := range []int64{0, 20, 5000} {
		if _, err := rendition.Render(rendition.Source{View: failing{strings.NewReader(mail), at}, Structure: s}); !errors.Is(err, errDisk) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	all := files(b, "testdata/*.eml")
	all["hostile rules"] = hostile(1 << 20)["rules that hide"]
	all["hostile tags"] = hostile(1 << 20)["unclosed"]
	all["text 4 KB"] = "Subject: x\n\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, twice a day.\n", 70)
	for name, eml := range all {
		b.Run(name, func(b *testing.B) {
			src := source(eml)
			b.SetBytes(int64(len(eml)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rendition.Render(src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
