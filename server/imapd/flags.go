package imapd

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"postern/storage"
)

// Flags that mean the same in every mailbox: those that a client may set, and those that only the server sets
// (AGENT-SIDE.md, section 4).
const clientFlags = storage.Seen | storage.Answered | storage.Flagged | storage.Deleted | storage.Draft |
	storage.Forwarded | storage.MDNSent | storage.Junk | storage.NotJunk | storage.Phishing | storage.Important

// flags lists what FLAGS says: all that a message of the mailbox may have.
func (sel *selection) flags() []imap.Flag {
	return append(asFlags((clientFlags | storage.ServerFlags).Names(nil)), asFlags(sel.keywords)...)
}

// permanent lists what PERMANENTFLAGS says: what this session may change. Without the right to flag that is nothing,
// and the server's own keywords are never among it.
func (s *session) permanent(sel *selection) []imap.Flag {
	if sel.readOnly || !s.principal.May(storage.Flag) {
		return nil
	}
	flags := append(asFlags(clientFlags.Names(nil)), asFlags(sel.keywords)...)
	if len(sel.keywords) < storage.MaxKeywords {
		flags = append(flags, imap.FlagWildcard)
	}
	return flags
}

func asFlags(names []string) []imap.Flag {
	out := make([]imap.Flag, len(names))
	for i, n := range names {
		out[i] = imap.Flag(n)
	}
	return out
}

// wanted is a list of flags that a client sent.
type wanted struct {
	flags    storage.Flags // that mean the same in every mailbox
	keywords []string      // the others
	server   bool          // it named one that only the server sets
	unknown  bool          // it named a system flag that there is not
}

// sortFlags takes a list apart. RFC 9051, section 2.3.2: names do not tell case.
func sortFlags(list []imap.Flag) (w wanted) {
	for _, f := range list {
		known, ok := storage.ParseFlag(string(f))
		switch {
		case known&storage.ServerFlags != 0:
			w.server = true
		case ok:
			w.flags |= known
		case strings.HasPrefix(string(f), `\`):
			w.unknown = w.unknown || !strings.EqualFold(string(f), `\Recent`) // RFC 3501: nobody can change it
		default:
			w.keywords = append(w.keywords, string(f))
		}
	}
	return w
}
