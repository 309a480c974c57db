package message

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readers are ways to read the same bytes, so that decoders meet every border.
var readers = []func(io.Reader) io.Reader{
	func(r io.Reader) io.Reader { return r },
	iotest.OneByteReader,
	iotest.HalfReader,
	iotest.DataErrReader,
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func part(encoding, charset, body string) (io.ReaderAt, *Part) {
	p := &Part{Type: "text", Subtype: "plain", Encoding: encoding, Body: Span{3, 3 + int64(len(body))}}
	if charset != "" {
		p.Params = []Param{{"charset", charset}}
	}
	return strings.NewReader("<<<" + body + ">>>"), p
}

func TestPartReader(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 5000)
	for _, c := range []struct{ encoding, in, want string }{
		{"7bit", "a=20b", "a=20b"},
		{"x-unknown", "a=20b", "a=20b"},
		{"base64", "aGVsbG8gd29ybGQ=", "hello world"},
		{"base64", "aGVs\r\nbG8g\r\nd29ybGQ", "hello world"},
		{"base64", "aGVsbG8=aGVsbG8=", "hellohello"},
		{"base64", "a!G*V s\tb\x00G\xff8=", "hello"},
		{"base64", "=====", ""},
		{"base64", "a", ""},
		{"base64", "", ""},
		{"quoted-printable", "a=20b=3D=3d=\r\nc=\nd", "a b==cd"},
		{"quoted-printable", "soft= \t \r\nbreak, =\rand more", "softbreak, and more"},
		{"quoted-printable", "=ZZ =A =", "=ZZ =A ="},
		{"quoted-printable", "==41=4", "=A=4"},
		{"quoted-printable", "= x", "= x"},
		{"quoted-printable", strings.ReplaceAll(big, "a", "=\r\n=61"), big},
	} {
		r, p := part(c.encoding, "", c.in)
		if got := readAll(t, PartReader(r, p)); got != c.want {
			t.Errorf("%s %.50q: %.50q, want %.50q", c.encoding, c.in, got, c.want)
		}
	}
}

func TestTextReader(t *testing.T) {
	for _, c := range []struct{ encoding, charset, in, want string }{
		{"7bit", "", "plain", "plain"},
		{"8bit", "utf-8", "grün", "grün"},
		{"8bit", "", "grün", "grün"},
		{"8bit", "us-ascii", "gr\xfcn", "grün"},
		{"8bit", "utf-8", "\xff\xc3", "ÿÃ"},
		{"8bit", "iso-8859-1", "gr\xfcn \x80", "grün €"},
		{"8bit", "ISO-8859-15", "\xa4", "€"},
		{"8bit", "koi8-r", "\xd0\xd2\xc9", "при"},
		{"base64", "utf-16", "//5oAGkA", "hi"},
		{"7bit", "iso-2022-jp", "\x1b$B$\"\x1b(B", "あ"},
		{"8bit", "gb2312", "\xc4\xe3", "你"},
		{"8bit", "x-made-up", "gr\xfcn", "grün"},
		{"8bit", "iso-2022-kr", "plain", "plain"},
		{"quoted-printable", "utf-8", "gr=C3=BCn", "grün"},
		{"quoted-printable", "utf-8", "=E4=BD=A0=E5", "你å"},
	} {
		r, p := part(c.encoding, c.charset, c.in)
		if got := readAll(t, TextReader(r, p)); got != c.want {
			t.Errorf("%s %s %q: %q, want %q", c.encoding, c.charset, c.in, got, c.want)
		}
	}
}

// TestLenientReader: characters are whole whatever the pieces they come in.
func TestLenientReader(t *testing.T) {
	in := strings.Repeat("aü€😀\xff\xe2\x82x", 3000) + "\xe2\x82"
	want := string(appendLenient(nil, []byte(in)))
	for i, wrap := range readers {
		got, err := io.ReadAll(&lenientReader{r: wrap(strings.NewReader(in))})
		if err != nil || string(got) != want {
			t.Errorf("reader %d: %d bytes, want %d, %v", i, len(got), len(want), err)
		}
		got, err = io.ReadAll(iotest.OneByteReader(&lenientReader{r: wrap(strings.NewReader(in))}))
		if err != nil || string(got) != want {
			t.Errorf("reader %d, byte by byte: %d bytes, want %d, %v", i, len(got), len(want), err)
		}
	}
	if err := iotest.TestReader(&lenientReader{r: strings.NewReader("grün\xff")}, []byte("grünÿ")); err != nil {
		t.Error(err)
	}
}

// TestDecodeWords has the examples of RFC 2047, section 8, and bad mail.
func TestDecodeWords(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
		{"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"},
		{"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\t=?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
			"If you can read this you understand the example."},
		{"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
		{"=?utf-8?q?gr=C3=BCn?=", "grün"},
		{"=?x-made-up?q?gr=FCn?=", "grün"},
		{"gr\xfcn", "grün"},
		{"=?utf-8?q?unclosed", "=?utf-8?q?unclosed"},
		{"=?utf-8?b?!!!?=", "=?utf-8?b?!!!?="},
		{"plain", "plain"},
	} {
		if got := DecodeWords(c.in); got != c.want {
			t.Errorf("DecodeWords(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestFilename(t *testing.T) {
	for _, c := range []struct{ disposition, contentType, want string }{
		{`attachment; filename="a.pdf"`, `text/plain; name="b.pdf"`, "a.pdf"},
		{`attachment`, `text/plain; name="b.pdf"`, "b.pdf"},
		{`attachment; filename*=iso-8859-1'en'%A3%20rates`, `text/plain`, "£ rates"},
		{`attachment; filename*0="one"; filename*1=" two"; filename*2*=%20three%zz`, `text/plain`, "one two three%zz"},
		{`attachment; filename="=?utf-8?b?w7wucGRm?="`, `text/plain`, "ü.pdf"},
		{`attachment; filename=a;b.pdf`, `text/plain`, "a"},
		{`inline`, `text/plain`, ""},
	} {
		s := parse([]byte("Content-Type: " + c.contentType + "\r\nContent-Disposition: " + c.disposition + "\r\n\r\n"))
		if got := s.Root.Filename(); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.disposition, c.contentType, got, c.want)
		}
	}
}
