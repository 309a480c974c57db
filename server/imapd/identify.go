package imapd

import "bytes"

// identify finds out whose command this is: the tag and the verb at the start of the line. It is called once, when the
// line ends or when a literal needs to know; atEnd says that nothing follows what is on the line.
func (x *lexer) identify(atEnd bool) {
	if x.known {
		return
	}
	x.known = true
	tag, rest, spaced := bytes.Cut(x.line, []byte(" "))
	if !spaced && (x.fault != nil || !atEnd) {
		x.refuse(faultTag) // the tag may have been cut short
		return
	}
	if len(tag) == 0 {
		x.refuse(faultTag)
		return
	}
	if !validTag(tag) {
		x.refuse(faultTagForm)
		return
	}
	x.tag = string(tag)
	name, n := verbName(rest)
	ends := n == len(rest) && atEnd || n < len(rest) && rest[n] == ' '
	g, ok := grants[string(name)]
	switch {
	case len(rest) == 0:
		x.refuse(faultNoCommand)
	case x.stranger && !isLetter(rest[0]):
		// "GET / HTTP/1.1": a browser was talked into speaking to us, and its next lines may be anything.
		x.lose(faultProtocol)
	case !ok || !ends:
		x.refuse(faultUnknown)
	case x.stranger && !g.stranger:
		x.refuse(faultStranger)
	case g.verb == verbStartTLS:
		x.refuse(faultStartTLS)
	}
	if x.fault == nil {
		x.verb = g.verb
		x.args = min(len(tag)+1+n+1, len(x.line))
	}
}

// verbName returns the command's name in capitals, "UID" with the word after it, and its length in b.
func verbName(b []byte) (name []byte, n int) {
	for n < len(b) && isLetter(b[n]) {
		n++
	}
	if n > len("AUTHENTICATE") {
		return nil, n
	}
	if bytes.EqualFold(b[:n], []byte("UID")) && n < len(b) && b[n] == ' ' {
		for n++; n < len(b) && isLetter(b[n]); n++ {
		}
		if n > len("UID ")+len("AUTHENTICATE") {
			return nil, n
		}
	}
	return bytes.ToUpper(b[:n]), n
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// validTag says whether the library reads the tag as we do. RFC 9051, section 9: a tag is made of ASTRING-CHARs without
// "+"; the library knows no "]" in it.
func validTag(tag []byte) bool {
	for _, b := range tag {
		if b <= ' ' || b >= 0x7f || bytes.IndexByte([]byte(`(){%*"\]+`), b) >= 0 {
			return false
		}
	}
	return len(tag) <= maxTag
}
