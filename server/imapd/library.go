package imapd

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// newLibrary returns the library's server. It is given guards alone, by a listener.
func newLibrary(newSession func(*imapserver.Conn, *guard) (imapserver.Session, error), log *slog.Logger) *imapserver.Server {
	options := libraryOptions(log)
	options.NewSession = func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		s, err := newSession(c, c.NetConn().(*guard))
		return s, nil, err
	}
	return imapserver.New(options)
}

// libraryOptions returns what the library is told, all but the sessions.
func libraryOptions(log *slog.Logger) *imapserver.Options {
	return &imapserver.Options{
		Caps: imap.CapSet{
			imap.CapIMAP4rev1:    {},
			imap.CapIMAP4rev2:    {},
			imap.CapNamespace:    {},
			imap.CapUIDPlus:      {},
			imap.CapESearch:      {},
			imap.CapSearchRes:    {},
			imap.CapListExtended: {},
			imap.CapListStatus:   {},
			imap.CapMove:         {},
			imap.CapStatusSize:   {},
			imap.CapBinary:       {},
			imap.CapChildren:     {},
			imap.CapSpecialUse:   {},
		},
		Logger: quietLog{log},
		// AC-10: authentication takes TLS. The library looks for it by asserting that its connection is a *tls.Conn,
		// which a guard is not, and would refuse every login. So it is told not to look; newGuard, which is what puts
		// anything before it, takes a *tls.Conn and nothing else. There is no TLSConfig because there is no STARTTLS.
		InsecureAuth: true,
	}
}

// quietLog takes the library's log. Its messages carry errors that quote what the client sent, search terms and mailbox
// names among them, so only the sentence is kept, and of a panic the stack.
type quietLog struct{ log *slog.Logger }

// Printf logs the format without its arguments.
func (q quietLog) Printf(format string, args ...any) {
	const panicked = "panic "
	text, _, _ := strings.Cut(format, "%v")
	text = strings.TrimRight(text, ": ")
	if !strings.HasPrefix(format, panicked) {
		q.log.Debug("imap: " + text)
		return
	}
	stack := ""
	if len(args) == 2 {
		stack = fmt.Sprintf("%s", args[1])
	}
	q.log.Error("imap: "+text, "stack", stack)
}
