package imapd

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// A session is what one connection does. The library calls one method for each command, one at a time; only wake, in
// IDLE, runs beside the reading of DONE. It holds the one inbox that the login opened and nothing else of the store that
// could read (invariant 14); what it writes goes through write, as the principal.
type session struct {
	server *Server
	conn   *imapserver.Conn
	guard  *guard
	ctx    context.Context // ends with the session, or when it is cut
	cancel context.CancelFunc

	principal *directory.Principal // nil before login
	inbox     *storage.Inbox
	box       *selection // nil while no mailbox is selected

	mu     sync.Mutex
	killed string // why the session was cut, in a word
}

// The powers beyond imapserver.Session that the capabilities promise.
var (
	_ imapserver.SessionIMAP4rev2   = (*session)(nil)
	_ imapserver.SessionSASL        = (*session)(nil)
	_ imapserver.SessionAppendLimit = (*session)(nil)
)

func (s *Server) newSession(c *imapserver.Conn, g *guard) *session {
	x := &session{server: s, conn: c, guard: g}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	return x
}

// Close ends the session: the library calls it last.
func (s *session) Close() error {
	s.cancel()
	s.leave()
	if s.principal != nil {
		s.server.directory.End(s.principal, s.cause())
	}
	return nil
}

// cause says in a word why the session is over.
func (s *session) cause() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.killed != "":
		return s.killed
	case s.guard.ended() != 0:
		return s.guard.ended().String()
	case s.guard.out.state().verb == verbLogout:
		return "logout"
	case s.server.stopping():
		return "shutdown"
	}
	return "closed"
}

// cutTime is how long a session that was ended may take to finish the response that it is in. Revocation is to be felt
// within a second, whether or not the client reads. // AC-9
const cutTime = 500 * time.Millisecond

// kill ends the session from outside: its credential was revoked or expired, its agent
// suspended, one of them frozen, or its own time is over. It does not block.
func (s *session) kill(reason string) {
	s.mu.Lock()
	s.killed = reason
	s.mu.Unlock()
	s.cancel()
	text := "This login has ended"
	if reason == "session-length" { // AC-11
		text = "The session lasted too long, open another"
	}
	go s.guard.bye(text, false, cutTime)
}

// may refuses a command that the credential's scope does not allow, and records that it did. It is asked before any
// mailbox is looked for, so the answer is the same for every name. // AC-4, AC-5, AU-13
func (s *session) may(command string, verbs storage.Verbs) error {
	if s.principal.May(verbs) {
		return nil
	}
	return s.refuse(command, "scope-"+scopeWord(verbs&^s.granted()), errScope)
}

// refuse records that a rule refused a command, and returns the answer with the id under which that is on record. // AU-13
func (s *session) refuse(command, rule string, answer *imap.Error) error {
	trace := newTrace()
	err := s.write(func(tx *storage.Tx) error {
		e := s.event(audit.SessionRefused)
		e.Outcome = audit.Refused
		e.Fields = append(e.Fields, audit.Word(audit.KeyCommand, command),
			audit.Word(audit.KeyRule, rule), audit.Word(audit.KeyTrace, trace))
		tx.Record(e)
		return nil
	})
	if err != nil {
		return s.fault(err)
	}
	return no(answer.Code, answer.Text+" ("+trace+")")
}

// granted is what the credential allows on the inbox.
func (s *session) granted() (verbs storage.Verbs) {
	for _, v := range allVerbs {
		if s.principal.May(v.verb) {
			verbs |= v.verb
		}
	}
	return verbs
}

var allVerbs = []struct {
	verb storage.Verbs
	word string
}{{storage.Read, "read"}, {storage.Flag, "flag"}, {storage.Append, "append"}, {storage.Delete, "delete"}, {storage.Send, "send"}}

// scopeWord names the first of verbs.
func scopeWord(verbs storage.Verbs) string {
	for _, v := range allVerbs {
		if verbs&v.verb != 0 {
			return v.word
		}
	}
	return "none"
}

// write runs fn in a transaction as the session's principal. A session that was ended meanwhile changes nothing. // AC-9
func (s *session) write(fn func(tx *storage.Tx) error) error {
	return s.server.store.Write(s.ctx, s.principal.Actor(), func(tx *storage.Tx) error {
		if err := s.server.directory.Check(s.principal); err != nil {
			return err
		}
		return fn(tx)
	})
}

// event begins an event of this session.
func (s *session) event(v audit.Verb) audit.Event {
	p := s.principal
	return audit.Event{
		Verb: v, Outcome: audit.OK, Org: p.Credential.Org, Agent: p.Agent.ID, Credential: p.Credential.ID, Inbox: s.inbox.ID(),
		Fields: audit.Fields{audit.Word(audit.KeyDoor, door)},
	}
}

// door is this one's name in events.
const door = "imap"

// mailbox finds a mailbox by name. What an agent must not know of has no name (PI-3).
func (s *session) mailbox(name string) (storage.Mailbox, error) {
	box, err := s.inbox.MailboxByName(s.ctx, name)
	if err == nil && box.Role == storage.RoleQuarantine {
		return storage.Mailbox{}, storage.ErrNotFound
	}
	return box, err
}

// tlsVersion is as in "TLS1.3".
func (s *session) tlsVersion() string {
	t, ok := s.guard.conn.(*tls.Conn)
	if !ok {
		return ""
	}
	switch v := t.ConnectionState().Version; v {
	case tls.VersionTLS12:
		return "TLS1.2"
	case tls.VersionTLS13:
		return "TLS1.3"
	default:
		return tls.VersionName(v)
	}
}

// A selection is the selected mailbox as this session knows it.
type selection struct {
	id       uuid.UUID
	role     storage.Role
	readOnly bool // nothing may be changed: EXAMINE, or a credential that may neither flag nor delete
	view     view
	modseq   uint64            // up to which changes have been asked for
	vanished []uint32          // messages of the view that are gone, which the client has not been told
	told     map[uint32]uint64 // modseqs of flags that the client knows ahead of the rest
	keywords []string          // the mailbox's table, as the client knows it
	saved    []imap.UIDRange   // "$"
	watch    *storage.Watch    // the mailbox has changed
	noted    uint64            // of those changes, how many are known
	gone     bool              // the mailbox was deleted
	stale    bool              // the last question about changes was not answered
}
