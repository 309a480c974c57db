package smtpd

import (
	"bufio"
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// reading makes a connection whose client has sent wire, which arrives in pieces of the given size.
func reading(wire string, piece int) *conn {
	var r io.Reader = strings.NewReader(wire)
	if piece == 1 {
		r = iotest.OneByteReader(r)
	}
	c := &conn{server: &Server{limits: DefaultLimits()}, in: bufio.NewReaderSize(r, max(piece, 16))}
	c.listen()
	return c
}

func readAll(b body) (string, error) {
	var out bytes.Buffer
	for {
		p, err := b.next()
		if err == io.EOF {
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		if len(p) == 0 {
			panic("an empty piece") // next promises none
		}
		out.Write(p)
	}
}

// undot is RFC 5321, section 4.5.2, read aloud: the message ends before a line that is a dot; of a line that begins with
// one, the first octet goes. Lines end with CR LF.
func undot(wire string) (message, rest string, ended bool) {
	var out strings.Builder
	for wire != "" {
		line, tail := wire, ""
		if i := strings.Index(wire, "\r\n"); i >= 0 {
			line, tail = wire[:i+2], wire[i+2:]
		}
		if line == ".\r\n" {
			return out.String(), tail, true
		}
		out.WriteString(strings.TrimPrefix(line, "."))
		wire = tail
	}
	return out.String(), "", false
}

func TestRFC5321_4_5_2_DotStuffing(t *testing.T) {
	for _, wire := range []string{
		".\r\n", "a\r\n.\r\n", "..\r\n.\r\n", "...\r\n.\r\n", ".a\r\n.\r\nQUIT\r\n", "a.\r\n.\r\n", "\r\n.\r\n", "..a\r\n..\r\n.\r\n",
		"a\n.\nb\r\n.\r\n", "a\r.\rb\r\n.\r\n", "a\r\n.\rb\r\n.\r\n", "a\r\n.\r\r\n.\r\n", "a\r\n.\n\r\n.\r\n", "\r\r\n.\r\n", "a\n.\r\nb\r\n.\r\n",
		"a", "a\r", "a\r\n", "a\r\n.", "a\r\n.\r", strings.Repeat("x", 100_000) + "\r\n.\r\n",
	} {
		for _, piece := range []int{1, 16, 17, 64, 8192} {
			checkUndot(t, wire, piece)
		}
	}
}

func checkUndot(t *testing.T, wire string, piece int) {
	t.Helper()
	want, wantRest, ended := undot(wire)
	c := reading(wire, piece)
	got, err := readAll(&dotted{c: c})
	if ended != (err == nil) {
		t.Fatalf("%.60q by %d: ended %v, error %v", wire, piece, ended, err)
	}
	if !ended {
		if err != io.ErrUnexpectedEOF {
			t.Fatalf("%.60q: %v", wire, err)
		}
		return // half a line end or a dot may be held back for good
	}
	if got != want {
		t.Fatalf("%.60q by %d: %.60q, want %.60q", wire, piece, got, want)
	}
	rest, _ := io.ReadAll(c.in)
	if string(rest) != wantRest {
		t.Fatalf("%.60q by %d: left %.60q, want %.60q", wire, piece, rest, wantRest)
	}
}

// oneLine is a message of n octets in one line, and its end.
func oneLine(n int64) io.Reader {
	return io.MultiReader(io.LimitReader(repeated("x"), n), strings.NewReader("\r\n.\r\n"))
}

// repeated is a text without end.
type repeated string

func (r repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}

// TestTrap3_LongLineCostsNoMemory: 20 MB of one line pass through the buffer that any message passes through.
func TestTrap3_LongLineCostsNoMemory(t *testing.T) {
	c := reading("", inputSize)
	c.in.Reset(oneLine(20 << 20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var size int64
	var w text
	for d := (&dotted{c: c}); ; {
		p, err := d.next()
		if err == io.EOF {
			break
		}
		check(t, err)
		w.write(p)
		size += int64(len(p))
	}
	runtime.ReadMemStats(&after)
	if size != 20<<20+2 || !w.end() {
		t.Errorf("%d octets, %v", size, w)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
		t.Errorf("%d bytes allocated", grown)
	}
}

// BenchmarkDataReader is DATA's way from the buffer to the stage, checks included.
func BenchmarkDataReader(b *testing.B) {
	line := "A line of text as people write it, of about this length, and no more.\r\n"
	c := reading("", inputSize)
	c.server.limits.Message = 1 << 60
	c.in.Reset(repeated(line))
	b.SetBytes(inputSize)
	d, w := &dotted{c: c}, &text{}
	for b.Loop() {
		p, err := d.next()
		if err != nil || !w.write(p) {
			b.Fatal(err)
		}
	}
}

func TestBareLineEnds(t *testing.T) {
	for message, want := range map[string]bool{
		"": true, "a": true, "a\r\n": true, "\r\n\r\n": true, "a\r\nb": true, "\t\x7f\xff\r\n": true,
		"\n": false, "\r": false, "a\nb\r\n": false, "a\rb\r\n": false, "a\r\r\n": false, "a\r\n\n": false, "a\x00\r\n": false,
		"\n\r": false, "a\r\n\r": false, "\r\n\r\nx\r": false,
	} {
		for cut := 0; cut <= len(message); cut++ {
			var w text
			w.write([]byte(message[:cut]))
			w.write([]byte(message[cut:]))
			if w.end() != want {
				t.Errorf("%q cut at %d: %v", message, cut, w.end())
			}
		}
	}
}

// FuzzDataReader holds the reader of DATA against the RFC read aloud, whatever the pieces in which it arrives, and the
// check of line ends against a search for what it refuses.
func FuzzDataReader(f *testing.F) {
	f.Add("a\r\n..b\r\n.\r\nQUIT\r\n", 16)
	f.Add(".\r\n", 1)
	f.Add("a\n.\r\nMAIL FROM:<x@y.test>\r\n.\r\n", 17)
	f.Add("a\r\n.\rb\x00\r\n.\r\n", 64)
	f.Fuzz(func(t *testing.T, wire string, piece int) {
		piece = 1 + (piece&0xff)*(piece>>8&1)
		checkUndot(t, wire, piece)
		want := !strings.ContainsAny(strings.ReplaceAll(wire, "\r\n", ""), "\r\n\x00")
		var w text
		for p := wire; p != ""; {
			n := min(piece, len(p))
			w.write([]byte(p[:n]))
			p = p[n:]
		}
		if got := w.end(); got != want {
			t.Fatalf("%q: %v", wire, got)
		}
	})
}
