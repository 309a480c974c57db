package message

import (
	"strconv"
	"strings"
)

// maxToken bounds types, subtypes, encodings, and names of parameters; RFC
// 6838, section 4.2, allows 127 characters.
const maxToken = 127

// tokenChar reports whether c may stand in a token (RFC 2045, section 5.1).
func tokenChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// firstToken is the token that value starts with, in lower case.
func firstToken(value string) string { return strings.ToLower(token(value)) }

// token is the token that value starts with, after comments and white space;
// empty when there is none or it is too long.
func token(value string) string {
	value = skipCFWS(value)
	n := 0
	for n < len(value) && tokenChar(value[n]) {
		n++
	}
	if n > maxToken {
		return ""
	}
	return value[:n]
}

// skipCFWS drops white space and comments from the front (RFC 5322, section 3.2.2).
func skipCFWS(s string) string {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] != '(' {
			return s
		}
		_, s = cutComment(s)
	}
}

// cutComment takes a comment, which s starts with, off its front. Comments
// nest; one that does not end takes all.
func cutComment(s string) (text, rest string) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:]
			}
		}
	}
	return s[1:], ""
}

// cutQuoted takes a quoted string, which s starts with, off its front and
// unquotes it (RFC 5322, section 3.2.4). One that does not end takes all.
func cutQuoted(s string) (text, rest string) {
	end := 1
	escaped := false
	for end < len(s) && s[end] != '"' {
		if s[end] == '\\' {
			escaped = true
			end++
		}
		end++
	}
	end = min(end, len(s))
	text, rest = s[1:end], s[min(end+1, len(s)):]
	if !escaped {
		return text, rest
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b = append(b, text[i])
	}
	return string(b), rest
}

// cutParams splits a value at its first semicolon outside comments.
func cutParams(value string) (head, params string) {
	for i := 0; i < len(value); {
		switch value[i] {
		case ';':
			return value[:i], value[i:]
		case '(':
			_, rest := cutComment(value[i:])
			i = len(value) - len(rest)
		default:
			i++
		}
	}
	return value, ""
}

// splitMediaType reads "type/subtype", in lower case.
func splitMediaType(s string) (typ, subtype string, ok bool) {
	typ = firstToken(s)
	i := strings.IndexByte(s, '/')
	if typ == "" || i < 0 {
		return "", "", false
	}
	subtype = firstToken(s[i+1:])
	return typ, subtype, subtype != ""
}

// parseParams reads "; name=value" pairs (RFC 2045, section 5.1) with the
// mistakes that mail is full of: values that should be quoted and are not,
// empty pairs, missing semicolons after quoted values. It keeps RFC 2231's
// forms as they are written. It reports false when there were too many.
func parseParams(s string) (params []Param, whole bool) {
	for s != "" {
		s = skipCFWS(s)
		s = strings.TrimLeft(s, ";")
		s = skipCFWS(s)
		if s == "" || s[0] == ';' {
			continue
		}
		n := 0
		for n < len(s) && tokenChar(s[n]) {
			n++
		}
		name := s[:n]
		rest := skipCFWS(s[n:])
		if n == 0 || n > maxToken || rest == "" || rest[0] != '=' {
			s = s[n:]
			if i := strings.IndexByte(s, ';'); i >= 0 {
				s = s[i:]
				continue
			}
			break
		}
		var value string
		value, s = cutValue(skipCFWS(rest[1:]))
		if len(params) == MaxParams {
			return params, false
		}
		params = append(params, Param{strings.ToLower(name), value})
	}
	return params, true
}

// cutValue takes the value of a parameter off the front of s. One without
// quotes runs to the semicolon, or to a comment.
func cutValue(s string) (value, rest string) {
	if s != "" && s[0] == '"' {
		return cutQuoted(s)
	}
	end := 0
	for end < len(s) && s[end] != ';' && !(s[end] == '(' && end > 0 && isWSP(s[end-1])) {
		end++
	}
	return strings.TrimRight(s[:end], " \t"), s[end:]
}

// splitLanguages reads the tags of a Content-Language field (RFC 3282).
func splitLanguages(value string) []string {
	var tags []string
	for value != "" && len(tags) < MaxParams {
		var tag string
		tag, value, _ = strings.Cut(value, ",")
		if tag = token(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

// joinedParam is the value of a parameter in any of the forms of RFC 2231: as
// it is, name*, or in pieces name*0, name*1*, with its character set decoded.
func joinedParam(params []Param, name string) string {
	var joined []byte
	charset := ""
	extended := false
	for _, p := range params {
		if p.Name == name {
			return p.Value
		}
	}
	for section := 0; section < len(params); section++ {
		value, encoded, ok := paramPiece(params, name, section)
		if !ok {
			break
		}
		if encoded {
			if section == 0 {
				if c, rest, ok := strings.Cut(value, "'"); ok {
					charset, extended = c, true
					if _, v, ok := strings.Cut(rest, "'"); ok {
						value = v
					}
				}
			}
			joined = appendPercentDecoded(joined, value)
		} else {
			joined = append(joined, value...)
		}
	}
	if extended {
		return DecodeCharset(charset, joined)
	}
	return string(joined)
}

// paramPiece finds one piece of a parameter: name*section or name*section*,
// and for section 0 also name*.
func paramPiece(params []Param, name string, section int) (value string, encoded, ok bool) {
	for _, p := range params {
		rest, found := strings.CutPrefix(p.Name, name+"*")
		if !found {
			continue
		}
		if rest == "" && section == 0 {
			return p.Value, true, true
		}
		number, encoded := strings.CutSuffix(rest, "*")
		if number == strconv.Itoa(section) {
			return p.Value, encoded, true
		}
	}
	return "", false, false
}

func appendPercentDecoded(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, ok := unhex(s[i+1], s[i+2]); ok {
				dst = append(dst, b)
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

// unhex reads two hexadecimal digits.
func unhex(hi, lo byte) (byte, bool) {
	h, l := hexDigit(hi), hexDigit(lo)
	return h<<4 | l, h < 16 && l < 16
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// Filename is the name that the part gives itself, decoded to UTF-8: the
// disposition's filename, else the type's name. It is a stranger's text, not a
// path.
func (p *Part) Filename() string {
	name := joinedParam(p.DispositionParams, "filename")
	if name == "" {
		name = joinedParam(p.Params, "name")
	}
	// RFC 2047, section 5, forbids encoded words here; mail programs write and read them.
	return DecodeWords(name)
}
