package imapd

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"postern/storage"
)

// delimiter stands between the levels of a mailbox name.
var delimiter = []rune(storage.Delimiter)[0]

// specialUse is the attribute of a role (RFC 6154). INBOX and the outbox have none.
func specialUse(r storage.Role) imap.MailboxAttr {
	switch r {
	case storage.RoleSent:
		return imap.MailboxAttrSent
	case storage.RoleDrafts:
		return imap.MailboxAttrDrafts
	case storage.RoleTrash:
		return imap.MailboxAttrTrash
	case storage.RoleArchive:
		return imap.MailboxAttrArchive
	}
	return ""
}

// superiors lists the names above a name, the highest first.
func superiors(name string) (names []string) {
	for i := range name {
		if name[i:i+1] == storage.Delimiter {
			names = append(names, name[:i])
		}
	}
	return names
}

// below reports whether name lies below parent.
func below(name, parent string) bool {
	return strings.HasPrefix(name, parent) && strings.HasPrefix(name[len(parent):], storage.Delimiter)
}

// A pattern is what LIST matches names with: "*" is any text, "%" any text within a level (RFC 9051, section 6.3.9).
type pattern string

// newPattern joins a reference and a pattern. A pattern that begins with the delimiter starts from the top.
func newPattern(reference, p string) pattern {
	if rest, ok := strings.CutPrefix(p, storage.Delimiter); ok {
		return foldInbox(rest)
	}
	return foldInbox(reference + p)
}

// foldInbox gives INBOX its one spelling (RFC 9051, section 5.1).
func foldInbox(p string) pattern {
	first, rest, nested := strings.Cut(p, storage.Delimiter)
	if strings.EqualFold(first, "INBOX") {
		first = "INBOX"
	}
	if nested {
		first += storage.Delimiter + rest
	}
	return pattern(first)
}

// matches holds a name against the pattern. It keeps the set of places in the pattern at which it may be, so its time
// is the product of both lengths, whatever the pattern. (The library's matcher tries all ways, of which there are too
// many for a pattern like *a*a*a*b.)
func (p pattern) matches(name string) bool {
	if name == "INBOX" {
		p = pattern(strings.ToUpper(string(p)))
	}
	at := make([]bool, len(p)+1)
	next := make([]bool, len(p)+1)
	at[0] = true
	p.pass(at)
	for i := range len(name) {
		clear(next)
		alive := false
		for j := range len(p) {
			if !at[j] {
				continue
			}
			switch c := p[j]; {
			case c == '*', c == '%' && name[i] != storage.Delimiter[0]:
				next[j] = true
			case c == name[i] && c != '%':
				next[j+1] = true
			default:
				continue
			}
			alive = true
		}
		if !alive {
			return false
		}
		at, next = next, at
		p.pass(at)
	}
	return at[len(p)]
}

// pass lets wildcards stand for nothing.
func (p pattern) pass(at []bool) {
	for j := range len(p) {
		if at[j] && (p[j] == '*' || p[j] == '%') {
			at[j+1] = true
		}
	}
}
