package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const overlayMessage = "Received: from x\r\n\tby y\r\nPOSTERN-Verdict : v=1;\r\n verdict=clean\r\nFrom: a@b.example\r\n" +
	"Agent-Run: 1\r\nAgent-Trigger: x\r\nSubject: hi\r\n\r\nbody\r\n"

func hidePostern(f Field) bool { return f.HasPrefix("postern-") || f.HasPrefix("agent-") }

func TestOverlayView(t *testing.T) {
	raw := []byte(overlayMessage)
	s := parse(raw)
	o := NewOverlay(raw[:s.Header.End], []byte("Postern-Verdict: v=1; verdict=suspicious\r\n"), hidePostern)
	v := o.View(bytes.NewReader(raw), s.Size)
	want := "Postern-Verdict: v=1; verdict=suspicious\r\nReceived: from x\r\n\tby y\r\nFrom: a@b.example\r\nSubject: hi\r\n\r\nbody\r\n"
	if v.Size() != int64(len(want)) {
		t.Fatalf("size %d, want %d", v.Size(), len(want))
	}
	if err := iotest.TestReader(io.NewSectionReader(v, 0, v.Size()), []byte(want)); err != nil {
		t.Fatal(err)
	}
	for off := range int64(len(want) + 2) {
		for n := range len(want) + 2 {
			p := make([]byte, n)
			m, err := v.ReadAt(p, off)
			end := min(off+int64(n), int64(len(want)))
			if off > int64(len(want)) {
				end = off
			}
			if off < int64(len(want)) && string(p[:m]) != want[off:end] || (err == io.EOF) != (m < n) {
				t.Fatalf("%d bytes at %d: %q, %v", n, off, p[:m], err)
			}
		}
	}
	moved := s.Overlaid(o)
	if got := want[moved.Root.Body.Start:moved.Root.Body.End]; got != "body\r\n" {
		t.Errorf("body %q", got)
	}
	if s.Size != int64(len(raw)) || s.Root.Body.End != s.Size {
		t.Error("Overlaid changed the structure")
	}
	if len(o.Hidden) != 2 {
		t.Errorf("hidden %v: neighbours are one span", o.Hidden)
	}
	if _, err := v.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("negative offset")
	}
}

// TestOverlayEvasions: a stranger's field is hidden in every spelling that
// some reader of mail would understand.
func TestOverlayEvasions(t *testing.T) {
	for _, field := range []string{
		"Postern-Verdict: x\r\n", "postern-verdict: x\r\n", "POSTERN-VERDICT:x\r\n", "Postern-Verdict : x\r\n",
		"Postern-Verdict\t: x\r\n", "Postern-Verdict:\r\n x\r\n", "Post\x00ern-Verdict: x\r\n", "Postern-Verdict\x00: x\r\n",
		"Postern-Verdict: x\n", "Postern-Verdict: x\r", "\x01Postern-Verdict: x\r\n", "Postern-Anything: x\r\n",
	} {
		for _, before := range []string{"", "From: a@b.example\r\n", "Subject: x\r", "Subject: x\n", "garbage\r\n", "From x\r\n"} {
			for _, after := range []string{"\r\n", "To: c@d.example\r\n\r\n", "\n", ""} {
				raw := []byte(before + field + after)
				s := parse(raw)
				o := NewOverlay(raw[:s.Header.End], []byte("Ours: 1\r\n"), hidePostern)
				view, err := io.ReadAll(io.NewSectionReader(o.View(bytes.NewReader(raw), s.Size), 0, 1<<20))
				if err != nil {
					t.Fatal(err)
				}
				header, _, _ := strings.Cut(string(view), "\r\n\r\n")
				clean := strings.ToLower(strings.ReplaceAll(header, "\x00", ""))
				if strings.Contains(clean, "postern-") {
					t.Errorf("%q shows %q", raw, view)
				}
			}
		}
	}
}

// TestOverlayWithoutHeader: a message without a header keeps its body apart
// from our fields.
func TestOverlayWithoutHeader(t *testing.T) {
	raw := []byte("Just text, and\r\nPostern-Verdict: v=1; verdict=clean\r\n")
	s := parse(raw)
	prefix := []byte("Ours: 1\r\n")
	o := NewOverlay(raw[:s.Header.End], prefix, hidePostern)
	view, _ := io.ReadAll(io.NewSectionReader(o.View(bytes.NewReader(raw), s.Size), 0, 1<<20))
	if want := "Ours: 1\r\n\r\n" + string(raw); string(view) != want {
		t.Errorf("%q", view)
	}
	if again := parse(view); again.Root.Body != s.Overlaid(o).Root.Body {
		t.Errorf("body %v, want %v", again.Root.Body, s.Overlaid(o).Root.Body)
	}
	if string(prefix) != "Ours: 1\r\n" {
		t.Error("the prefix was changed")
	}
}

// TestViewReadError: a failing reader is not the end of a message.
func TestViewReadError(t *testing.T) {
	v := Overlay{Prefix: []byte("a: b\r\n")}.View(bytes.NewReader([]byte("short")), 100)
	if n, err := v.ReadAt(make([]byte, 50), 0); n != 11 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestFields(t *testing.T) {
	header := "Received: one\r\n two\r\nBad Name: x\r\nno colon\r\nsubject:  hello \r\n\tworld \r\n\r\nBody: no\r\n"
	var got []string
	for f := range Fields([]byte(header)) {
		got = append(got, string(f.Name)+"="+f.Value()+"="+header[f.Span.Start:f.Span.End])
	}
	want := []string{"Received=one two=Received: one\r\n two\r\n", "Bad Name=x=Bad Name: x\r\n", "=no colon=no colon\r\n",
		"subject=hello \tworld=subject:  hello \r\n\tworld \r\n"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q\nwant %q", got, want)
	}
	for range Fields([]byte(header)) {
		break
	}
	if v, ok := Lookup([]byte(header), "subject"); !ok || v != "hello \tworld" {
		t.Errorf("%q", v)
	}
	if _, ok := Lookup([]byte(header), "body"); ok {
		t.Error("a field behind the blank line")
	}
}

func TestReadHeader(t *testing.T) {
	raw := []byte(overlayMessage)
	s := parse(raw)
	if b, err := ReadHeader(bytes.NewReader(raw), s); err != nil || !bytes.HasSuffix(b, []byte("Subject: hi\r\n\r\n")) {
		t.Errorf("%q, %v", b, err)
	}
	raw = append([]byte("A: "+strings.Repeat("b", MaxHeaderBytes)+"\r\n"), raw...)
	if _, err := ReadHeader(bytes.NewReader(raw), parse(raw)); err != ErrHeaderLong {
		t.Errorf("%v", err)
	}
	if _, err := ReadHeader(bytes.NewReader(raw[:10]), s); err != io.ErrUnexpectedEOF {
		t.Errorf("%v", err)
	}
}
