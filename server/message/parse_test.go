package message

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestParse holds each testdata/parse/*.eml against the .golden beside it.
func TestParse(t *testing.T) {
	for name, raw := range cases(t) {
		t.Run(name, func(t *testing.T) {
			s := parse(raw)
			check(t, raw, s)
			golden(t, filepath.Join("testdata", "parse", name+".golden"), dump(raw, s))
		})
	}
}

func cases(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/parse/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	m := make(map[string][]byte)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m[strings.TrimSuffix(filepath.Base(file), ".eml")] = raw
	}
	return m
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update rewrites it)\n got:\n%s\nwant:\n%s", file, got, want)
	}
}

func parse(raw []byte) *Structure { return Parse(bytes.NewReader(raw), int64(len(raw))) }

// dump writes a structure for reading and comparing.
func dump(raw []byte, s *Structure) []byte {
	var w bytes.Buffer
	fmt.Fprintf(&w, "size %d, From fields %d, Received fields %d\n", s.Size, s.FromFields, s.ReceivedFields)
	fmt.Fprintf(&w, "defects: %s\n", strings.Join(s.Defects.Names(), " "))
	dumpEnvelope(&w, "", &s.Envelope)
	dumpPart(&w, "", "", raw, &s.Root)
	return w.Bytes()
}

func dumpEnvelope(w io.Writer, indent string, e *Envelope) {
	text := func(name, s string) {
		if s != "" {
			fmt.Fprintf(w, "%s  %s %q\n", indent, name, s)
		}
	}
	list := func(name string, l []Address) {
		for _, a := range l {
			fmt.Fprintf(w, "%s  %s %q %q %q\n", indent, name, a.Name, a.Mailbox, a.Host)
		}
	}
	fmt.Fprintf(w, "%senvelope\n", indent)
	text("date", e.Date)
	if !e.Time.IsZero() {
		fmt.Fprintf(w, "%s  time %s\n", indent, e.Time.Format("2006-01-02T15:04:05-07:00"))
	}
	text("subject", e.Subject)
	list("from", e.From)
	if !reflect.DeepEqual(e.Sender, e.From) {
		list("sender", e.Sender)
	}
	if !reflect.DeepEqual(e.ReplyTo, e.From) {
		list("reply-to", e.ReplyTo)
	}
	list("to", e.To)
	list("cc", e.Cc)
	list("bcc", e.Bcc)
	text("in-reply-to", e.InReplyTo)
	text("message-id", e.MessageID)
}

func dumpPart(w io.Writer, indent, number string, raw []byte, p *Part) {
	fmt.Fprintf(w, "%spart [%s] %s", indent, number, p.MediaType())
	for _, q := range p.Params {
		fmt.Fprintf(w, " %s=%q", q.Name, q.Value)
	}
	fmt.Fprintf(w, ", %s, header %d-%d, body %d-%d, %d lines\n", p.Encoding, p.Header.Start, p.Header.End, p.Body.Start, p.Body.End, p.Lines)
	for _, f := range [][2]string{{"id", p.ID}, {"description", p.Description}, {"md5", p.MD5}, {"location", p.Location},
		{"disposition", p.Disposition}, {"language", strings.Join(p.Language, " ")}, {"filename", p.Filename()}} {
		if f[1] != "" {
			fmt.Fprintf(w, "%s  %s %q\n", indent, f[0], f[1])
		}
	}
	for _, q := range p.DispositionParams {
		fmt.Fprintf(w, "%s  disposition %s=%q\n", indent, q.Name, q.Value)
	}
	prefix := number
	if prefix != "" {
		prefix += "."
	}
	for i := range p.Children {
		dumpPart(w, indent+"  ", fmt.Sprint(prefix, i+1), raw, &p.Children[i])
	}
	switch {
	case p.Message != nil:
		dumpEnvelope(w, indent+"  ", &p.Message.Envelope)
		dumpPart(w, indent+"  ", prefix+"*", raw, &p.Message.Root)
	case len(p.Children) == 0:
		fmt.Fprintf(w, "%s  %q\n", indent, raw[p.Body.Start:p.Body.End])
	}
}

// check holds what must be true of every structure.
func check(t *testing.T, raw []byte, s *Structure) {
	t.Helper()
	size := int64(len(raw))
	if s.Size != size || s.Header != s.Root.Header || s.Header.Start != 0 || s.Root.Body.End != size {
		t.Fatalf("size %d, header %v, root %v %v; the message has %d bytes", s.Size, s.Header, s.Root.Header, s.Root.Body, size)
	}
	parts := 0
	checkPart(t, raw, &s.Root, Span{0, size}, 0, &parts)
	if parts > MaxParts {
		t.Fatalf("%d parts", parts)
	}
	b := s.AppendBinary(nil)
	back, err := DecodeStructure(b)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if !reflect.DeepEqual(s, back) {
		t.Fatalf("the stored form changes the structure:\n%s\n%s", dump(raw, s), dump(raw, back))
	}
	if !bytes.Equal(back.AppendBinary(nil), b) {
		t.Fatal("the stored form is not stable")
	}
	if s.Defects>>len(defectNames) != 0 || defectEnd != 1<<len(defectNames) {
		t.Fatalf("unknown defects %b", s.Defects)
	}
}

func checkPart(t *testing.T, raw []byte, p *Part, outer Span, depth int, parts *int) {
	t.Helper()
	*parts++
	if p.Header.Start < outer.Start || p.Header.End < p.Header.Start || p.Body.Start != p.Header.End ||
		p.Body.End < p.Body.Start || p.Body.End > outer.End {
		t.Fatalf("part %s: header %v, body %v, inside %v", p.MediaType(), p.Header, p.Body, outer)
	}
	if depth > MaxDepth {
		t.Fatalf("depth %d", depth)
	}
	if p.Type == "" || p.Subtype == "" || p.Encoding == "" {
		t.Fatalf("type %q, subtype %q, encoding %q", p.Type, p.Subtype, p.Encoding)
	}
	if (p.Type == "multipart") != p.IsMultipart() {
		t.Fatalf("%s with %d children", p.MediaType(), len(p.Children))
	}
	if isMessage := p.MediaType() == "message/rfc822" || p.MediaType() == "message/global"; isMessage != (p.Message != nil) {
		t.Fatalf("%s with message %v", p.MediaType(), p.Message)
	}
	if n := countLines(raw[p.Body.Start:p.Body.End]); p.Lines != n {
		t.Fatalf("part %s: %d lines, want %d", p.MediaType(), p.Lines, n)
	}
	end := p.Body.Start
	for i := range p.Children {
		c := &p.Children[i]
		if c.Header.Start < end {
			t.Fatalf("parts overlap: %v behind %d", c.Header, end)
		}
		end = c.Body.End
		checkPart(t, raw, c, p.Body, depth+1, parts)
	}
	if p.Message != nil {
		checkPart(t, raw, &p.Message.Root, p.Body, depth+1, parts)
	}
}

// countLines counts lines as Part.Lines does, the slow and obvious way.
func countLines(b []byte) (n int64) {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	n = int64(bytes.Count(b, []byte("\n")))
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}

func FuzzParse(f *testing.F) {
	for _, raw := range cases(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := parse(raw)
		check(t, raw, s)
		checkFields(t, raw, s)
		checkView(t, raw, s)
		checkContent(t, raw, &s.Root)
	})
}

// checkFields holds Fields against what Parse made of the same header.
func checkFields(t *testing.T, raw []byte, s *Structure) {
	header := raw[:s.Header.End]
	end, from, received := int64(0), 0, 0
	for f := range Fields(header) {
		if f.Span.Start != end || f.Span.End <= f.Span.Start {
			t.Fatalf("field %v behind %d", f.Span, end)
		}
		end = f.Span.End
		if f.Is("from") {
			from++
		}
		if f.Is("received") {
			received++
		}
		_ = f.Value()
	}
	if rest := header[end:]; len(bytes.Trim(rest, "\r\n")) > 0 || len(rest) > 2 {
		t.Fatalf("fields end at %d of %d", end, len(header))
	}
	if s.FromFields != from || s.ReceivedFields != received {
		t.Fatalf("Parse counts %d, %d; Fields %d, %d", s.FromFields, s.ReceivedFields, from, received)
	}
}

// checkView holds the structure's copy for a view against the view parsed anew.
func checkView(t *testing.T, raw []byte, s *Structure) {
	prefix := []byte("Postern-Verdict: v=1\r\nReceived: by us\r\n")
	o := NewOverlay(raw[:s.Header.End], prefix, func(f Field) bool { return f.HasPrefix("postern-") || len(f.Name) == 0 })
	v := o.View(bytes.NewReader(raw), s.Size)
	moved := s.Overlaid(o)
	if moved.Size != v.Size() || v.Size() != s.Size+o.Delta() {
		t.Fatalf("view of %d bytes, structure %d, message %d, delta %d", v.Size(), moved.Size, s.Size, o.Delta())
	}
	shown, err := io.ReadAll(io.NewSectionReader(v, 0, v.Size()+1))
	if err != nil || int64(len(shown)) != v.Size() {
		t.Fatalf("view: %d bytes, %v", len(shown), err)
	}
	if !bytes.Equal(shown[moved.Header.End:], raw[s.Header.End:]) {
		t.Fatalf("the view's body differs")
	}
	if !bytes.HasPrefix(shown, prefix) {
		t.Fatal("the view does not start with the prefix")
	}
	again := Parse(v, v.Size())
	if again.Header != moved.Header {
		t.Fatalf("header of the view %v, expected %v\n%q", again.Header, moved.Header, shown)
	}
	stored, err := DecodeOverlay(o.AppendBinary(nil))
	if err != nil || !reflect.DeepEqual(stored, o) {
		t.Fatalf("stored overlay: %v, %v, want %v", stored, err, o)
	}
}

func checkContent(t *testing.T, raw []byte, p *Part) {
	n, err := io.Copy(io.Discard, PartReader(bytes.NewReader(raw), p))
	if err != nil || n > p.Body.Len() {
		t.Fatalf("%s of %d bytes decodes to %d, %v", p.Encoding, p.Body.Len(), n, err)
	}
	if n, err = io.Copy(io.Discard, TextReader(bytes.NewReader(raw), p)); err != nil || n > 3*p.Body.Len() {
		t.Fatalf("%s of %d bytes is text of %d, %v", p.Encoding, p.Body.Len(), n, err)
	}
	for i := range p.Children {
		checkContent(t, raw, &p.Children[i])
	}
	if p.Message != nil {
		checkContent(t, raw, &p.Message.Root)
	}
}

// A tree is a message that a test makes, and what Parse should find in it.
type tree struct {
	header   string
	body     string // of a leaf
	children []tree
	boundary string
	message  *tree
}

func randomTree(r *rand.Rand, depth int) tree {
	switch n := r.IntN(6); {
	case depth < 5 && n == 0:
		inner := randomTree(r, depth+1)
		return tree{header: "Content-Type: message/rfc822\r\n\r\n", message: &inner}
	case depth < 5 && n < 3 || depth == 0:
		x := tree{boundary: fmt.Sprintf("b%d-%d", depth, r.Uint32())}
		x.header = fmt.Sprintf("Content-Type: multipart/mixed; boundary=%s\r\n\r\n", x.boundary)
		for range 1 + r.IntN(4) {
			x.children = append(x.children, randomTree(r, depth+1))
		}
		return x
	}
	return tree{header: "Content-Type: text/plain\r\n\r\n", body: randomBody(r)}
}

// randomBody has lines of every length, those around the window's among them.
func randomBody(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(5) {
		n := r.IntN(100)
		switch r.IntN(10) {
		case 0:
			n = window - 5 + r.IntN(10)
		case 1:
			n = r.IntN(3 * window)
		}
		b.WriteString(strings.Repeat("x", n))
		b.WriteString([]string{"\r\n", "\n", "\r", "\r\r\n", ""}[r.IntN(5)])
		if r.IntN(4) == 0 {
			b.WriteString("--")
		}
	}
	s := b.String()
	// What the delimiter's line end would become part of, or take.
	return strings.TrimSuffix(s, "\r")
}

func (x *tree) write(b *strings.Builder) {
	b.WriteString(x.header)
	b.WriteString(x.body)
	for i := range x.children {
		fmt.Fprintf(b, "\r\n--%s\r\n", x.boundary)
		x.children[i].write(b)
	}
	if x.boundary != "" {
		fmt.Fprintf(b, "\r\n--%s--\r\n", x.boundary)
	}
	if x.message != nil {
		x.message.write(b)
	}
}

func (x *tree) compare(t *testing.T, raw string, p *Part) {
	if got := raw[p.Header.Start:p.Header.End]; got != x.header {
		t.Fatalf("header %.60q at %d, want %q", got, p.Header.Start, x.header)
	}
	if len(p.Children) != len(x.children) || (p.Message == nil) != (x.message == nil) {
		t.Fatalf("%s: %d children, want %d", p.MediaType(), len(p.Children), len(x.children))
	}
	if got := raw[p.Body.Start:p.Body.End]; x.boundary == "" && x.message == nil && got != x.body {
		t.Fatalf("body of %d bytes at %d, want %d", len(got), p.Body.Start, len(x.body))
	}
	for i := range x.children {
		x.children[i].compare(t, raw, &p.Children[i])
	}
	if x.message != nil {
		x.message.compare(t, raw, &p.Message.Root)
	}
}

// TestParseFindsWhatWasWritten writes random trees, with lines across the
// borders of the window, and holds every span against what was written.
func TestParseFindsWhatWasWritten(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		x := randomTree(r, 0)
		var b strings.Builder
		x.write(&b)
		s := parse([]byte(b.String()))
		check(t, []byte(b.String()), s)
		x.compare(t, b.String(), &s.Root)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// nested is a message of n multiparts in one another, none of them closed.
func nested(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return b.Bytes()
}

// TestTrap4_NestedMultiparts: 10,000 nested multiparts held a library for 24 s.
func TestTrap4_NestedMultiparts(t *testing.T) {
	raw := nested(10_000)
	s := parse(raw)
	check(t, raw, s)
	if !s.Defects.Has(DefectDepth) {
		t.Errorf("defects %v", s.Defects.Names())
	}
	p, depth := &s.Root, 0
	for p.IsMultipart() {
		p, depth = &p.Children[0], depth+1
	}
	if depth != MaxDepth || p.MediaType() != "application/octet-stream" {
		t.Errorf("depth %d ends in %s", depth, p.MediaType())
	}
}

// TestTrap3_MultipartWithoutParts: RFC 9051 has no word for it.
func TestTrap3_MultipartWithoutParts(t *testing.T) {
	raw := []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing\r\n")
	s := parse(raw)
	check(t, raw, s)
	if len(s.Root.Children) != 1 || s.Root.Children[0].MediaType() != "text/plain" || s.Root.Children[0].Body.Len() != 0 {
		t.Errorf("children %+v", s.Root.Children)
	}
}

// TestLimits holds each limit of Parse against a message that is over it.
func TestLimits(t *testing.T) {
	repeat := strings.Repeat
	for _, c := range []struct {
		name, raw string
		defect    Defects
		sound     func(*Structure) bool
	}{
		{"parts", "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + repeat("--b\r\n\r\nx\r\n", 2*MaxParts) + "--b--\r\n",
			DefectParts, func(s *Structure) bool { return len(s.Root.Children) == MaxParts-1 }},
		{"embedded messages", repeat("Content-Type: message/rfc822\r\n\r\n", 200),
			DefectDepth, func(s *Structure) bool { return s.Root.Message != nil }},
		{"fields", repeat("A: b\r\n", 5000) + "Subject: too late\r\nFrom: a@b.example\r\n\r\nbody\r\n",
			DefectHeaderTruncated, func(s *Structure) bool {
				return s.Envelope.Subject == "" && s.FromFields == 1 && s.Root.Body.Len() == 6
			}},
		{"header bytes", "A: " + repeat("b", 2*MaxHeaderBytes) + "\r\nSubject: too late\r\n\r\nbody\r\n",
			DefectHeaderTruncated, func(s *Structure) bool { return s.Envelope.Subject == "" && s.Root.Body.Len() == 6 }},
		{"value", "Subject: " + repeat("b", 2*MaxValueBytes) + "\r\n\r\n",
			DefectValueTruncated, func(s *Structure) bool { return len(s.Envelope.Subject) == MaxValueBytes-1 }},
		{"folded value", "Subject: x" + repeat("\r\n b", 2*MaxValueBytes) + "\r\n\r\n",
			DefectValueTruncated, func(s *Structure) bool { return len(s.Envelope.Subject) == MaxValueBytes-1 }},
		{"values together", "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
			repeat("--b\r\nContent-Description: "+repeat("d", 60_000)+"\r\n\r\nx\r\n", 20) + "--b--\r\n",
			DefectValueTruncated, func(s *Structure) bool {
				return len(s.Root.Children) == 20 && s.Root.Children[19].Description == ""
			}},
		{"addresses", "To: " + repeat("a@b,", 3*MaxAddresses) + "\r\n\r\n",
			DefectAddresses, func(s *Structure) bool { return len(s.Envelope.To) <= MaxAddresses }},
		{"groups", "To: " + repeat("g:a@b;", 3*MaxAddresses) + "\r\n\r\n",
			DefectAddresses, func(s *Structure) bool {
				n := len(s.Envelope.To)
				return n <= MaxAddresses && s.Envelope.To[n-1].IsGroupEnd()
			}},
		{"parameters", "Content-Type: text/plain" + repeat("; a=b", 3*MaxParams) + "\r\n\r\n",
			DefectParams, func(s *Structure) bool { return len(s.Root.Params) == MaxParams }},
		{"boundary", "Content-Type: multipart/mixed; boundary=" + repeat("b", maxBoundary+1) + "\r\n\r\n",
			DefectNoBoundary, func(s *Structure) bool { return s.Root.MediaType() == "text/plain" }},
		{"one line", "Subject: x\r\n\r\n" + repeat("x", 20<<20),
			DefectLongLine, func(s *Structure) bool { return s.Root.Lines == 1 && s.Root.Body.Len() == 20<<20 }},
		{"line ends", "Subject: x\r\n\r\n" + repeat("\r", 5<<20),
			DefectBareCR, func(s *Structure) bool { return s.Root.Lines == 5<<20 }},
		{"delimiters", "Content-Type: multipart/mixed; boundary=" + repeat("-", 70) + "\r\n\r\n" + repeat("-", 5<<20),
			DefectNoParts, func(s *Structure) bool { return len(s.Root.Children) == 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse([]byte(c.raw))
			check(t, []byte(c.raw), s)
			if !s.Defects.Has(c.defect) {
				t.Errorf("defects %v", s.Defects.Names())
			}
			if !c.sound(s) {
				t.Errorf("%.2000s", dump([]byte(c.raw), s))
			}
		})
	}
}

// brokenReader fails behind its first bytes.
type brokenReader struct{ b []byte }

func (r brokenReader) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(r.b)) {
		n = copy(p, r.b[off:])
	}
	if n < len(p) {
		return n, errors.New("broken")
	}
	return n, nil
}

func TestParseBrokenReader(t *testing.T) {
	s := Parse(brokenReader{[]byte("Subject: x\r\n\r\nbo")}, 1000)
	if !s.Defects.Has(DefectReadFailed) || s.Envelope.Subject != "x" || s.Root.Body != (Span{14, 1000}) {
		t.Errorf("defects %v, %+v", s.Defects.Names(), s.Root)
	}
	if s = Parse(bytes.NewReader(nil), -1); s.Size != 0 {
		t.Errorf("size %d", s.Size)
	}
}

// TestSection holds the numbers of RFC 3501, section 6.4.5 (RFC 9051, section 6.4.5.1).
func TestSection(t *testing.T) {
	raw := cases(t)["rfc3501-sections"]
	s := parse(raw)
	for _, c := range []struct {
		path []int
		want string // media type, or "" when there is no such part
		body string
	}{
		{nil, "multipart/mixed", ""},
		{[]int{1}, "text/plain", "one"},
		{[]int{2}, "application/octet-stream", "two"},
		{[]int{3}, "message/rfc822", ""},
		{[]int{3, 1}, "text/plain", "three one"},
		{[]int{3, 2}, "application/octet-stream", "three two"},
		{[]int{4}, "multipart/mixed", ""},
		{[]int{4, 1}, "image/gif", "four one"},
		{[]int{4, 2}, "message/rfc822", ""},
		{[]int{4, 2, 1}, "text/plain", "four two one"},
		{[]int{4, 2, 2}, "multipart/alternative", ""},
		{[]int{4, 2, 2, 1}, "text/plain", "four two two one"},
		{[]int{4, 2, 2, 2}, "text/richtext", "four two two two"},
		{[]int{0}, "", ""}, {[]int{5}, "", ""}, {[]int{1, 1}, "", ""}, {[]int{-1}, "", ""}, {[]int{3, 3}, "", ""}, {[]int{4, 1, 1}, "", ""},
	} {
		p, ok := s.Section(c.path)
		switch {
		case ok != (c.want != ""):
			t.Errorf("%v: found %v", c.path, ok)
		case !ok:
		case p.MediaType() != c.want:
			t.Errorf("%v: %s, want %s", c.path, p.MediaType(), c.want)
		case c.body != "" && string(raw[p.Body.Start:p.Body.End]) != c.body:
			t.Errorf("%v: %q", c.path, raw[p.Body.Start:p.Body.End])
		}
	}
	if p, ok := parse([]byte("Subject: x\r\n\r\nhi")).Section([]int{1}); !ok || p.Body.Len() != 2 {
		t.Errorf("a message without parts has part 1: %v", ok)
	}
	raw = cases(t)["message-root"]
	if p, ok := parse(raw).Section([]int{1, 1}); !ok || string(raw[p.Body.Start:p.Body.End]) != "body\r\n" {
		t.Errorf("part 1.1 of a message in a message: %v", ok)
	}
}
