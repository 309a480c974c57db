package message

import (
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// DecodeWords turns a raw header value into UTF-8: encoded words (RFC 2047)
// are decoded, other bytes read as a lenientReader does. It never fails; a word
// that cannot be decoded stays as it is.
func DecodeWords(s string) string {
	if strings.Contains(s, "=?") {
		if decoded, err := wordDecoder.DecodeHeader(s); err == nil {
			s = decoded
		}
	}
	if utf8.ValidString(s) {
		return s
	}
	return string(appendLenient(nil, []byte(s)))
}

var wordDecoder = mime.WordDecoder{
	CharsetReader: func(charset string, r io.Reader) (io.Reader, error) { return charsetReader(charset, r), nil },
}

// charsetReader reads r, which is in that character set, as UTF-8.
func charsetReader(charset string, r io.Reader) io.Reader {
	if e := charsetEncoding(charset); e != nil {
		return e.NewDecoder().Reader(r)
	}
	return &lenientReader{r: r}
}

// DecodeCharset turns b, which is in that character set by its MIME or WHATWG name,
// into UTF-8. It never fails: bytes of an unknown set, and those that are none of
// theirs, are read as UTF-8 where they are valid and as ISO 8859-1 elsewhere.
func DecodeCharset(charset string, b []byte) string {
	if e := charsetEncoding(charset); e != nil {
		if decoded, err := e.NewDecoder().Bytes(b); err == nil {
			return string(decoded)
		}
	}
	if utf8.Valid(b) {
		return string(b)
	}
	return string(appendLenient(nil, b))
}

// charsetEncoding finds a character set by its MIME or WHATWG name. It is nil
// for UTF-8, US-ASCII and unknown names, which are read leniently.
func charsetEncoding(charset string) encoding.Encoding {
	charset = strings.ToLower(strings.Trim(charset, " \t\"'"))
	switch charset {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return nil
	case "utf-16":
		// RFC 2781, section 4.3: by the byte order mark. WHATWG ignores it.
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	if len(charset) > maxToken {
		return nil
	}
	e, err := htmlindex.Get(charset)
	if err != nil || e == encoding.Replacement {
		// WHATWG forbids some sets that mail has, and MIME knows more names.
		e, err = ianaindex.MIME.Encoding(charset)
	}
	if err != nil || e == encoding.Replacement {
		return nil
	}
	return e
}

// A lenientReader passes valid UTF-8 and reads every other byte as ISO 8859-1:
// mail that lies about its character set stays readable, and can be searched.
type lenientReader struct {
	r    io.Reader
	tail []byte // the beginning of a character whose rest was not read yet
	out  []byte // converted and not yet given
	buf  []byte // that out is a piece of
	err  error
}

// Read implements io.Reader.
func (l *lenientReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(l.out) == 0 && l.err == nil {
		in := p
		if len(p) < 2*utf8.UTFMax {
			in = make([]byte, 512)
		}
		n := copy(in, l.tail)
		var m int
		m, l.err = l.r.Read(in[n:])
		in = in[:n+m]
		cut := len(in)
		if l.err == nil {
			cut -= partialRune(in)
		}
		l.tail = append(l.tail[:0], in[cut:]...)
		if in = in[:cut]; len(in) <= len(p) && utf8.Valid(in) {
			if n = copy(p, in); n > 0 {
				return n, nil
			}
			continue
		}
		l.buf = appendLenient(l.buf[:0], in)
		l.out = l.buf
	}
	if len(l.out) == 0 {
		return 0, l.err
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

// partialRune is the length of the character that b ends in the middle of.
func partialRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if utf8.RuneStart(b[len(b)-n]) {
			if utf8.FullRune(b[len(b)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}

func appendLenient(dst, b []byte) []byte {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			r = rune(b[0])
		}
		dst = utf8.AppendRune(dst, r)
		b = b[size:]
	}
	return dst
}
