package injection

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"postern/server/message"
)

// seeds gives the planted messages to a fuzz target of whole messages.
func seeds(f *testing.F) {
	for _, row := range planted {
		f.Add([]byte(row.mail))
	}
}

// FuzzScore: any bytes are judged without a panic, in bounds, and the same twice.
func FuzzScore(f *testing.F) {
	seeds(f)
	s := NewScorer(nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		in := Input{Body: r, Structure: message.Parse(r, r.Size())}
		first := s.Score(in)
		if !reflect.DeepEqual(first, s.Score(in)) {
			t.Error("two scores of the same bytes differ")
		}
		sound(t, &first)
	})
}

// sound checks what holds for every result.
func sound(t *testing.T, r *Result) {
	t.Helper()
	judged := r.Verdict == Suspicious || r.Verdict == Quarantine
	switch {
	case !(r.Score >= 0 && r.Score <= 1):
		t.Errorf("score %v", r.Score)
	case r.Verdict == Unscored:
		t.Error("unscored")
	case judged && (r.Reasons&^UnscannedContent == 0 || len(r.Evidence) == 0):
		t.Errorf("%v without a reason or a place: %v", r.Verdict, r.Reasons.Names())
	case r.Verdict == Partial && (len(r.Skipped) == 0 || r.Reasons&UnscannedContent == 0):
		t.Errorf("partial, and nothing was skipped")
	case len(r.Skipped) > 0 && r.Verdict == Clean:
		t.Error("clean, and something was skipped")
	case len(r.Evidence) > maxEvidence:
		t.Errorf("%d places", len(r.Evidence))
	}
	for _, e := range r.Evidence {
		if e.Start < 0 || e.End < e.Start {
			t.Errorf("a place from %d to %d", e.Start, e.End)
		}
	}
}

// bounded checks that a decoding is not much longer than its input.
func bounded(t *testing.T, out, in []byte, times int) {
	t.Helper()
	if len(out) > times*len(in)+1024 {
		t.Errorf("%d bytes of %d", len(out), len(in))
	}
}

// FuzzHTML: the pieces of a page cover it, and its views are no longer than it.
func FuzzHTML(f *testing.F) {
	for _, row := range planted {
		if _, page, ok := strings.Cut(row.mail, "<html>"); ok {
			f.Add([]byte(page))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		at := 0
		for p := range Pieces(b) {
			if p.Start != at || p.End <= p.Start {
				t.Fatalf("a piece from %d to %d behind %d", p.Start, p.End, at)
			}
			at = p.End
		}
		if at != len(b) {
			t.Errorf("pieces end at %d of %d", at, len(b))
		}
		p := readHTML(b)
		for v := range p.views {
			bounded(t, p.views[v].text, b, 4)
			for _, m := range p.views[v].marks {
				if m.start < 0 || m.end < m.start || int(m.end) > len(b) {
					t.Fatalf("mark %v in %d bytes", m, len(b))
				}
			}
		}
	})
}

// FuzzDecodings: what is decoded stood in the text, and is not much longer.
func FuzzDecodings(f *testing.F) {
	for _, row := range planted {
		if _, body, ok := strings.Cut(row.mail, "\r\n\r\n"); ok {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _ := decodings(b)
		last := 0
		for _, d := range all {
			if d.start < 0 || d.end > len(b) || d.end < d.start {
				t.Errorf("a run from %d to %d of %d", d.start, d.end, len(b))
			}
			bounded(t, d.text, b, 3)
			last = max(last, d.end)
		}
		bounded(t, []byte(decodeWords(string(b))), b, 3)
		bounded(t, utf7(b, true), b, 2)
		bounded(t, unfold(b), b, 1)
	})
}

// FuzzWords: words stand where they say, in order.
func FuzzWords(f *testing.F) {
	f.Add([]byte(order))
	f.Add([]byte("i g n o r e   t h i s,  1gn0r3 7h15 т\u200bе\u0301ⓧt\U000E0041\ufe01\ufe02\ufe03\ufe04 请忽略 ｆｕｌｌ ignoreallpreviousinstructions"))
	var w words
	f.Fuzz(func(t *testing.T, b []byte) {
		w.read(b)
		last := int32(0)
		for i, x := range w.list {
			if x.start < last || x.end < x.start || int(x.end) > len(b) || x.from > x.to || int(x.to) > len(w.norm) {
				t.Fatalf("word %d: %+v behind %d in %d bytes", i, x, last, len(b))
			}
			last = x.start
		}
		bounded(t, w.norm, b, 20) // a ligature of Arabic is a sentence
		bounded(t, w.tags, b, 1)
	})
}

// files lets a fuzz target read files as attachments.
func files(f *testing.F, name string, read func(w *walk, in *file)) {
	for _, row := range planted {
		if strings.HasPrefix(row.name, name) {
			r := strings.NewReader(row.mail)
			s := message.Parse(r, r.Size())
			if p := &s.Root.Children; len(*p) > 1 {
				var b bytes.Buffer
				b.ReadFrom(message.PartReader(r, &(*p)[1]))
				f.Add(b.Bytes())
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		w := newWalk(bytes.NewReader(nil), func(s segment) { total += len(s.text) }, func(string, string) {})
		read(w, &file{text: b, attached: true, whole: true})
		if total > maxText || w.left < 0 || w.unpacked < 0 {
			t.Errorf("%d bytes of text, %d and %d left", total, w.left, w.unpacked)
		}
	})
}

// FuzzPDF, FuzzArchive, FuzzRTF and FuzzXML: files are read in bounds.
func FuzzPDF(f *testing.F) { files(f, "PDF", func(w *walk, in *file) { w.pdf(in, "2") }) }

func FuzzArchive(f *testing.F) {
	files(f, "zip", func(w *walk, in *file) {
		w.archive(in, "2")
		w.gzip(in, "2")
	})
}

func FuzzRTF(f *testing.F) {
	files(f, "RTF", func(w *walk, in *file) { bounded2(in.text, readRTF(in.text)) })
}

func FuzzXML(f *testing.F) {
	files(f, "XML", func(w *walk, in *file) { w.xml(in, "2") })
}

// bounded2 panics when a text is much longer than what it comes from.
func bounded2(in, out []byte) {
	if len(out) > 4*len(in) {
		panic("a text is longer than its document")
	}
}

// TestPI9_Deterministic: the same bytes have the same result, on repeated and on
// concurrent runs.
func TestPI9_Deterministic(t *testing.T) {
	s := NewScorer(nil)
	want := make([]Result, len(planted))
	for i, row := range planted {
		want[i] = s.Score(input(row.mail))
		sound(t, &want[i])
	}
	var wait sync.WaitGroup
	for start := range 4 {
		wait.Go(func() {
			for k := range planted {
				i := (k*7 + start*31) % len(planted)
				if got := s.Score(input(planted[i].mail)); !reflect.DeepEqual(got, want[i]) {
					t.Errorf("%s: %+v, then %+v", planted[i].name, want[i], got)
				}
			}
		})
	}
	wait.Wait()
}

// TestMalformed: mail that other parsers stumble over, and pieces of planted mail cut
// anywhere, are judged like any other.
func TestMalformed(t *testing.T) {
	s := NewScorer(nil)
	names, err := filepath.Glob("../message/testdata/parse/*.eml")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d messages, %v", len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r := s.Score(input(string(b)))
		sound(t, &r)
		for _, skipped := range r.Skipped {
			if skipped.Why == "error" {
				t.Errorf("%s: an error in part %q", name, skipped.Part)
			}
		}
	}
	for _, row := range planted {
		for _, part := range []int{3, 5, 9} {
			r := s.Score(input(row.mail[:len(row.mail)*(part-1)/part]))
			sound(t, &r)
		}
	}
}
