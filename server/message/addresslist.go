package message

import "strings"

// MissingMailbox stands for the local part of an address that has none.
const MissingMailbox = "MISSING_MAILBOX"

// ParseAddressList reads the value of a From, To or like field (RFC 5322,
// section 3.4, and its obsolete forms) as IMAP shows it, at most MaxAddresses.
// What is no address is kept as readable as it is.
func ParseAddressList(value string) []Address {
	list, _ := appendAddresses(nil, value, MaxAddresses)
	return list
}

// appendAddresses appends the addresses of a field until the list has limit
// elements; it reports whether that was enough.
func appendAddresses(list []Address, value string, limit int) ([]Address, bool) {
	l := addressLexer{rest: value}
	group := false
	for l.rest != "" {
		a, ok, stop := l.address()
		if stop == ':' {
			// A group's name. Groups do not nest: an inner name is dropped.
			ok = !group
			group = true
		}
		if ok {
			// The last place is kept for the mark that ends a group.
			if len(list)+1 >= limit {
				if group && stop != ':' && len(list) < limit {
					list = append(list, Address{})
				}
				return list, false
			}
			list = append(list, a)
		}
		if stop == ';' && group {
			list, group = append(list, Address{}), false
		}
	}
	if group {
		list = append(list, Address{})
	}
	return list, true
}

// An addressLexer takes addresses off the front of a list.
type addressLexer struct {
	rest    string
	comment string // the last one met

	// The last phrase: words unquoted, with one space where white space or
	// comments stood between them.
	b     []byte
	at    int // index of its last @ outside quotes, or -1
	space int // index of its last space outside quotes, or -1
}

// address takes the next address and what ends it: ',', ';', ':' behind the
// name of a group, or 0. It reports false when there was none.
func (l *addressLexer) address() (a Address, ok bool, stop byte) {
	l.comment = ""
	stop = l.phrase(":,;<", true)
	switch {
	case stop == ':':
		a.Mailbox = orElse(string(l.b), MissingMailbox)
		return a, true, stop
	case stop == '<':
		name := string(l.b)
		a = l.angle()
		a.Name = name
		stop = l.phrase(",;", true) // nothing should stand here
		if name == "" && a == (Address{Mailbox: MissingMailbox, Host: MissingHost}) {
			return a, false, stop
		}
	case len(l.b) == 0:
		return a, false, stop
	default:
		a = l.spec()
	}
	if a.Name == "" {
		// The form before there were display names: jo@example.com (Jo Doe).
		a.Name = strings.TrimSpace(l.comment)
	}
	return a, true, stop
}

// angle takes what stands between the angle brackets. White space there means
// nothing, and a route "@a,@b:" is dropped (RFC 5322, section 4.4).
func (l *addressLexer) angle() Address {
	stop := l.phrase(":>", false)
	for stop == ':' {
		stop = l.phrase(":>", false)
	}
	return l.spec()
}

// spec reads the phrase as local@domain. Words before it, as in
// "Jo jo@example.com" without brackets, are a name.
func (l *addressLexer) spec() Address {
	local, host := l.b, []byte(nil)
	if l.at >= 0 {
		local, host = trimWSP(l.b[:l.at]), closeDots(trimWSP(l.b[l.at+1:]))
	}
	var a Address
	if l.at >= 0 && l.space >= 0 && l.space < len(local) {
		a.Name, local = string(local[:l.space]), local[l.space+1:]
	}
	a.Mailbox = orElse(string(local), MissingMailbox)
	a.Host = orElse(string(host), MissingHost)
	return a
}

// closeDots drops the spaces around the dots of a domain (RFC 5322, section 4.4).
func closeDots(b []byte) []byte {
	n := 0
	for i, c := range b {
		if c == ' ' && (n > 0 && b[n-1] == '.' || i+1 < len(b) && b[i+1] == '.') {
			continue
		}
		b[n] = c
		n++
	}
	return b[:n]
}

func orElse(s, missing string) string {
	if s == "" {
		return missing
	}
	return s
}

// phrase takes words up to one of the stops, which it takes too and returns,
// or to the end.
func (l *addressLexer) phrase(stops string, spaces bool) (stop byte) {
	l.b, l.at, l.space = l.b[:0], -1, -1
	gap := false
	for l.rest != "" {
		c := l.rest[0]
		if c <= ' ' {
			gap, l.rest = true, l.rest[1:]
			continue
		}
		if c == '(' {
			gap = true
			l.comment, l.rest = cutComment(l.rest)
			continue
		}
		if strings.IndexByte(stops, c) >= 0 {
			l.rest = l.rest[1:]
			return c
		}
		if gap && spaces && len(l.b) > 0 {
			if l.at < 0 {
				l.space = len(l.b)
			}
			l.b = append(l.b, ' ')
		}
		gap = false
		l.word(c)
	}
	return 0
}

// word takes a quoted string, a domain literal, or one byte.
func (l *addressLexer) word(c byte) {
	switch c {
	case '"':
		var text string
		text, l.rest = cutQuoted(l.rest)
		l.b = append(l.b, text...)
		return
	case '[':
		// RFC 5322, section 3.4.1: a domain literal may hold colons.
		if i := strings.IndexAny(l.rest[1:], "[],;<>\""); i >= 0 && l.rest[1+i] == ']' {
			l.b = append(l.b, l.rest[:i+2]...)
			l.rest = l.rest[i+2:]
			return
		}
	case '@':
		l.at = len(l.b)
	}
	l.b = append(l.b, c)
	l.rest = l.rest[1:]
}
