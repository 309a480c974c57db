package smtpd

import "bytes"

// A text watches a message go by for octets that make two readers see different lines: CR without LF, LF without CR,
// and NUL (RFC 5321, section 2.3.8; RFC 6152, section 2). A server that passes such a message on lets its author end it
// early for the next server and write commands of his own behind it (SMTP smuggling). So it is refused as a whole.
type text struct {
	cr  bool // the octet before was CR
	bad bool
}

// write looks at the next piece. It reports whether all is well so far.
func (t *text) write(p []byte) bool {
	if t.bad || len(p) == 0 {
		return !t.bad
	}
	t.bad = bytes.IndexByte(p, 0) >= 0 || !t.lines(p)
	return !t.bad
}

// lines reports whether every CR of p is followed and every LF preceded by the other.
func (t *text) lines(p []byte) bool {
	if t.cr {
		if p[0] != '\n' {
			return false
		}
		p, t.cr = p[1:], false
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			i = bytes.IndexByte(p, '\r')
			t.cr = i >= 0
			return i < 0 || i == len(p)-1
		}
		if i == 0 || bytes.IndexByte(p[:i], '\r') != i-1 {
			return false
		}
		p = p[i+1:]
	}
	return true
}

// end reports whether the message as a whole is well: it does not end in half a line end.
func (t *text) end() bool { return !t.bad && !t.cr }
