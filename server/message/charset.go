package message

import (
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/transform"
)

// DecodeWords turns a raw header value into UTF-8: encoded words (RFC 2047)
// are decoded, other bytes read by the rule of lenient. It never fails; a word
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
	return string(lenientBytes([]byte(s)))
}

var wordDecoder = mime.WordDecoder{
	CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
		return transform.NewReader(r, charsetDecoder(charset)), nil
	},
}

// decodeCharset turns b into UTF-8.
func decodeCharset(charset string, b []byte) string {
	s, _, err := transform.Bytes(charsetDecoder(charset), b)
	if err != nil {
		s = lenientBytes(b)
	}
	return string(s)
}

// charsetDecoder is the way to UTF-8 from a character set by its MIME or WHATWG
// name. For UTF-8, US-ASCII and unknown names it is lenient.
func charsetDecoder(charset string) transform.Transformer {
	charset = strings.ToLower(strings.Trim(charset, " \t\"'"))
	switch charset {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit":
		return lenient{}
	}
	if len(charset) > maxToken {
		return lenient{}
	}
	e, err := htmlindex.Get(charset)
	if err != nil || e == encoding.Replacement {
		// WHATWG forbids some sets that mail has, and MIME knows more names.
		e, err = ianaindex.MIME.Encoding(charset)
	}
	if err != nil || e == nil || e == encoding.Replacement {
		return lenient{}
	}
	return e.NewDecoder()
}

// lenient passes valid UTF-8 and reads every other byte as ISO 8859-1: mail
// that lies about its character set stays readable, and can be searched.
type lenient struct{ transform.NopResetter }

// Transform implements transform.Transformer.
func (lenient) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		c := src[nSrc]
		if c < utf8.RuneSelf {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst++
			nSrc++
			continue
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && size == 1 {
			r = rune(c)
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

func lenientBytes(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/2)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			r = rune(b[0])
		}
		out = utf8.AppendRune(out, r)
		b = b[size:]
	}
	return out
}
