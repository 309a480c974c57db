package rendition

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"unicode/utf8"
)

// boundaryMark begins every boundary.
const boundaryMark = "=_postern-safe-"

// appendMessage appends a message: its header, and a body of parts. level tells the boundaries of
// multiparts inside one another apart. None can stand in a text: one with the mark is encoded, and
// "=_" is neither base64 nor quoted-printable.
func appendMessage(b []byte, items []item, level int) []byte {
	b = append(b, "MIME-Version: 1.0\r\n"...)
	if len(items) == 1 && items[0].header == nil && items[0].name == "" {
		return appendPart(b, &items[0], level)
	}
	boundary := fmt.Sprint(boundaryMark, level)
	b = fmt.Appendf(b, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n", boundary)
	for i := range items {
		b = fmt.Appendf(b, "--%s\r\n", boundary)
		b = appendPart(b, &items[i], level+1)
	}
	return fmt.Appendf(b, "--%s--\r\n", boundary)
}

// appendPart appends the header and the body of a part, which ends with its line.
func appendPart(b []byte, x *item, level int) []byte {
	if x.header != nil {
		b = append(b, "Content-Type: message/rfc822\r\n\r\n"...)
		b = append(b, x.header...)
		return append(appendMessage(b, x.parts, level), "\r\n"...)
	}
	b = fmt.Appendf(b, "Content-Type: text/%s; charset=utf-8%s\r\n", x.subtype, x.params)
	if x.name != "" {
		b = fmt.Appendf(b, "Content-Disposition: attachment; filename=\"%s\"\r\n", x.name)
	}
	if plain(x.text) {
		b = append(b, "Content-Transfer-Encoding: 7bit\r\n\r\n"...)
		b = append(b, bytes.ReplaceAll(x.text, []byte("\n"), []byte("\r\n"))...)
	} else if mostlyASCII(x.text) {
		b = append(b, "Content-Transfer-Encoding: quoted-printable\r\n\r\n"...)
		b = appendQuoted(b, x.text)
	} else {
		b = append(b, "Content-Transfer-Encoding: base64\r\n\r\n"...)
		b = appendBase64(b, x.text)
	}
	if n := len(b); b[n-1] != '\n' {
		b = append(b, "\r\n"...)
	}
	return b
}

// maxLine is the longest line that goes without an encoding (RFC 5322, section 2.1.1, has 998).
const maxLine = 900

// plain reports whether a text needs no encoding: most do not, and a search need not remove one.
func plain(text []byte) bool {
	if !ascii(text) || bytes.Contains(text, []byte(boundaryMark)) {
		return false
	}
	for line := range bytes.Lines(text) {
		if len(line) > maxLine {
			return false
		}
	}
	return true
}

// mostlyASCII reports whether a text is shorter in quoted-printable than in base64.
func mostlyASCII(text []byte) bool {
	high := 0
	for _, c := range text {
		if c >= utf8.RuneSelf || c == '=' {
			high++
		}
	}
	return high*6 <= len(text)
}

func appendQuoted(b, text []byte) []byte {
	out := bytes.NewBuffer(b)
	w := quotedprintable.NewWriter(out)
	w.Write(text) // to memory: no error
	w.Close()
	return out.Bytes()
}

// base64Line is how many bytes become a line of 76 characters (RFC 2045, section 6.8).
const base64Line = 57

// appendBase64 encodes a text with the line ends that a text has in a message.
func appendBase64(b, text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	for len(text) > 0 {
		n := min(base64Line, len(text))
		b = append(base64.StdEncoding.AppendEncode(b, text[:n]), "\r\n"...)
		text = text[n:]
	}
	return b
}
