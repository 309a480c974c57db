// Package imapd serves IMAP (RFC 9051 and RFC 3501) over implicit TLS, port 993.
//
// # The guard
//
// The protocol is spoken by emersion/go-imap's server, "the library" below. It parses by grammar as it goes: only a
// parser that stands where a string may stand knows that {310} announces a literal. When it refuses one, or fails just
// before one, the literal's bytes stay in the stream and are read as the next commands; text that an agent was asked to
// file then runs with the agent's rights. So no client speaks to the library. Between them stands a net.Conn, the
// guard, and the idea that carries it is that the library never sees framing that it could get wrong:
//
//   - The guard reads one whole command from the client, checks it, and hands the library one line that ends in CR LF
//     and has no literal in it: each literal of up to 4 KiB becomes a quoted string, which the library's parser takes in
//     all the same places. (A string with NUL, CR or LF cannot be quoted and is refused: no mailbox name, user name or
//     header field has one.)
//   - The one literal left is the message of an APPEND. Its announcement goes to the library as a synchronising one; its
//     bytes follow only after the library has answered "+", which the guard passes on to a client that waits for it and
//     keeps from one that does not. Its last byte is held back until the end of the command has been seen, so that
//     nothing is stored for a command that is about to be refused or whose client has gone.
//   - The next command is read only when the library asks for more, having written the tagged reply to the one before.
//     At that moment it is silent, so the guard may speak: it answers ID (RFC 2971), asks for a literal, refuses what
//     the library must not see, without ever cutting into a response. If the library asks for more and has not replied,
//     the two no longer agree on where commands end, and the connection is closed.
//
// What the client must never be left guessing about is settled in the same place: every command gets exactly one
// tagged reply, a refused synchronising literal is never asked for, a refused non-synchronising one is read and thrown
// away by its own count, and where the count cannot be trusted (a bare CR or LF, NUL, a quoted string that does not end,
// too much to throw away) the connection ends with BAD and BYE.
//
// The guard also keeps the clocks (the library's own read deadlines are ignored), counts failed logins, gathers the
// library's small writes into large ones, and says BYE at a boundary between responses when the server stops or a
// credential is revoked. It costs an idle connection half a kilobyte: every buffer goes back to a pool while there is
// nothing in it, and IDLE has no goroutine of its own (idling).
//
// # Sessions
//
// A session holds the one inbox that its login opened. Each command is a file, and goes the same way:
//
//   - The scope is asked before any name is looked for, so that a missing right answers the same for every mailbox; the
//     refusal is on record. (AC-4, AC-5, AU-13)
//   - Numbers become UIDs by the session's view, which changes when the client is told and not before.
//   - What reveals content writes its read event first, and flushes it: class of item, UIDs, search terms. Only then is
//     anything opened (invariant 3). Marking messages as seen is in the same transaction.
//   - Rows are read in chunks by short transactions, none of which is open while the client is written to; bodies are
//     opened one at a time and streamed through the frozen view of their copy.
//   - Behind the command the session asks the store what has happened since the modseq that it knows, if the change feed
//     has hinted at anything, and tells it: EXPUNGE only where numbers are not in use.
//
// Where the credential has the safe view, the inbox that the session holds hands out renditions in place of structures,
// sizes and bodies, and what has none yet gets one before it is looked at; see render.go. No command knows of it. (CO-6)
//
// Structures were parsed at delivery, with bounds, so FETCH parses no mail. Its responses are written here, into the
// guard; see response. The quarantine has no name for an agent; what is in the outbox waits for others and can be read
// and marked, nothing else.
//
// # What a session must know
//
//   - Every error that a session returns is an *imap.Error. The library answers any other with NO [SERVERBUG] "Internal
//     server error", which is also its answer to a number, date or search key that it cannot parse; the guard turns that
//     one text into BAD, because the mistake is the client's.
//   - A read error in Append's literal means that the command was refused or the client has gone: store nothing. The
//     guard never reports a cut literal as io.EOF, which the library would take for the end of the message.
//   - No IDLE is under way, and a Poll may have followed, when Close is called, also when the connection broke: the
//     guard ends it, waits for what is being told, and says DONE for a client that has gone.
//   - imapserver.MatchList takes exponential time for a pattern like *a*a*a*b, and imap.SearchCriteria.And forgets
//     SMALLER when any of LARGER, SINCE, BEFORE, ON and their SENT forms follows it. NOT and OR nest as deep as 48 KiB
//     allow, and a FETCH may name a section thousands of times: bound both.
//   - The library's session tracker is not used (it panics on a number that it did not expect): each session has a view,
//     its own record of which message has which number, and decides itself when that changes.
package imapd
