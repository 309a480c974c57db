package injection

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"postern/server/message"
)

// decodeWords turns a header value into UTF-8 as the most forgiving programs do: an
// encoded word (RFC 2047) may lack padding, have spaces inside, or end in the middle
// of a character that the next one completes.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return message.DecodeWords(s)
	}
	var out strings.Builder
	var text, digits []byte // of words beside one another in one character set
	charset := ""
	undo := func() {
		text, digits = unbase64(text, digits), digits[:0]
	}
	flush := func() {
		undo()
		if len(text) > 0 {
			out.WriteString(message.DecodeCharset(charset, text))
			text = text[:0]
		}
	}
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		set, kind, body, n := encodedWord(s[i:])
		if n == 0 {
			flush()
			out.WriteString(message.DecodeWords(s[:i+2]))
			s = s[i+2:]
			continue
		}
		if strings.TrimSpace(s[:i]) != "" || len(text)+len(digits) == 0 {
			flush()
			out.WriteString(message.DecodeWords(s[:i])) // white space between words means nothing
		}
		if set != charset {
			flush()
			charset = set
		}
		if kind == 'b' {
			// A word may end inside of a group of four that the next one completes.
			if digits = append(digits, body...); strings.HasSuffix(body, "=") {
				undo()
			}
		} else {
			undo()
			text = append(text, unquote([]byte(strings.ReplaceAll(body, "_", " ")))...)
		}
		s = s[i+n:]
	}
	flush()
	out.WriteString(message.DecodeWords(s))
	return out.String()
}

// encodedWord takes the encoded word that s begins with apart; n is its length, 0
// for none.
func encodedWord(s string) (charset string, kind byte, body string, n int) {
	charset, rest, ok := strings.Cut(s[2:], "?")
	if !ok || len(charset) > 64 || len(rest) < 2 || rest[1] != '?' {
		return "", 0, "", 0
	}
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231, section 5: a language
	kind = rest[0] | 0x20
	body, after, ok := strings.Cut(rest[2:], "?=")
	if !ok || kind != 'b' && kind != 'q' {
		return "", 0, "", 0
	}
	return strings.ToLower(charset), kind, body, len(s) - len(after)
}

// otherCharsets reads a text in the character sets that its bytes show, where these
// are not the one that it claims.
func otherCharsets(p *message.Part, raw func() []byte, decoded []byte) [][]byte {
	var list [][]byte
	label := strings.ToLower(p.Param("charset"))
	if zero := bytes.Count(decoded, []byte{0}); zero*5 > len(decoded)*2 {
		list = append(list, bytes.ReplaceAll(decoded, []byte{0}, nil))
	}
	if bytes.HasPrefix(decoded, []byte("ÿþ")) || bytes.HasPrefix(decoded, []byte("þÿ")) {
		list = append(list, []byte(message.DecodeCharset("utf-16", raw())))
	}
	if b := utf7(decoded, strings.Contains(label, "utf-7") || strings.Contains(label, "utf7")); b != nil {
		list = append(list, b)
	}
	switch label {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return list
	}
	if isASCII(decoded) {
		return list
	}
	if b := raw(); utf8.Valid(b) && bytes.IndexByte(b, 0x1b) < 0 && !bytes.Equal(b, decoded) && (prose(b, 3) || !isASCII(b)) {
		list = append(list, b)
	}
	return list
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// utf7 decodes UTF-7 (RFC 2152), which the libraries that read mail leave out and
// languages that agents are written in still know. It is nil for a text that has
// none. In one that does not claim to be in it, only ASCII counts: nobody but who
// hides it writes that so, and much else looks like the rest.
func utf7(b []byte, claimed bool) []byte {
	const shortest = 5 // letters of two characters
	var out []byte
	last := 0
	for i := 0; i < len(b); i++ {
		if b[i] != '+' {
			continue
		}
		end := i + 1
		for end < len(b) && (isLetter(b[end]) || '0' <= b[end] && b[end] <= '9' || b[end] == '+' || b[end] == '/') {
			end++
		}
		if end-i-1 >= shortest || end-i > 2 && out != nil {
			if s := utf16Text(b[i+1 : end]); s != "" && (claimed || isASCII([]byte(s))) {
				out = append(append(out, b[last:i]...), s...)
				if end < len(b) && b[end] == '-' {
					end++
				}
				last = end
			}
		}
		i = max(end-1, i)
	}
	if out == nil {
		return nil
	}
	return append(out, b[last:]...)
}

// utf16Text decodes base64 of UTF-16 that is text; "" for anything else.
func utf16Text(digits []byte) string {
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, err := base64.RawStdEncoding.Decode(raw, digits)
	if err != nil && len(digits)%4 != 1 || n < 2 {
		return ""
	}
	units := make([]uint16, n/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	s := string(utf16.Decode(units))
	if strings.ContainsRune(s, utf8.RuneError) || printable([]byte(s), 1) == nil {
		return ""
	}
	return s
}
