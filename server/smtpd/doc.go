// Package smtpd serves SMTP (RFC 5321): mail from other servers on port 25, and
// submissions of agents (RFC 6409) on ports 587, with STARTTLS, and 465, with
// TLS from the first byte (RFC 8314). It translates the protocol and decides
// nothing: recipients and logins are asked of directory, messages are handed to
// delivery or submission, and 250 is said when those have returned.
//
// # The guard
//
// The session is kept by emersion/go-smtp's server, "the library" below: which
// command may follow which, the exchange of AUTH, the order of replies. But no
// client speaks to it, for it is too trusting. Its read deadline is set once for
// a whole message, and when it fires the lines of the message that are still to
// come are run as commands. So are the octets behind a BDAT whose size it cannot
// read. It obeys what is said before the banner, takes NUL and CR in addresses
// and domains that are none, refuses the bare postmaster, unquotes local parts
// for good, has no limits, and sends the text of an unknown error to the peer.
//
// Between the two stands the guard, a net.Conn above TLS (conn), and the idea
// that carries it is that the library never sees anything that it could
// misread:
//
//   - The guard alone reads the wire. It parses and checks each command, refuses
//     what is wrong or out of turn, answers what needs no state (NOOP, VRFY,
//     HELP, STARTTLS, QUIT), and hands the library a line of its own making, as in
//     "MAIL FROM:<>". What the client really said reaches the session
//     beside the library (conn.named).
//   - The library asks for the next line when it has answered the one before. So
//     the guard knows whose turn it is without any bookkeeping, and sends the
//     replies to pipelined commands together (RFC 2920).
//   - The message does not pass through the library at all. It calls
//     session.Data, which reads from the guard (dotted, for DATA); when the last
//     dot has been seen, and only then, the guard gives the library the line "."
//     that it waits for. There is one parser of the end of a message, and
//     FuzzSession and FuzzDataReader are about it.
//   - BDAT (RFC 3030) is the same body in another form (chunked): the library is
//     told DATA, and what the client says between two chunks is heard inside of
//     session.Data.
//   - Where the end of a message, a line or a chunk cannot be known any more (a
//     deadline, a bare LF in a command, a size that is no number), the connection
//     ends. Nothing that follows is read.
//   - Replies are ours (reply.go, the one table from error to reply): assents of
//     the library are replaced, refusals are *smtp.SMTPError made by that table.
//     A refusal carries a trace id, which the log has too.
//
// The library's extensions, deadlines, size limits and its own TLS stay off. DSN
// (RFC 3461) is not offered, since to offer it is to promise notices of success,
// nor are DELIVERBY and MT-PRIORITY, which the library reads on the wrong
// command.
//
// # Line ends
//
// CR LF ends a line, and nothing else does (RFC 5321, section 2.3.8). A message
// with a bare CR, a bare LF or NUL is read to its end and refused with 550
// 5.6.0: if one server took LF "." LF for the end of a message and the next did
// not, a message could carry another one that its sender's server never checked
// (SMTP smuggling). A line may be as long as a message: nothing here or behind
// holds one in memory.
//
// # Limits
//
// Limits says what a client may use and why. A session ends with 421 when it has
// used that up; AC-5's dictionary attacks are counted by network. Refusals of
// strangers go to directory, which records them in bulk (AU-13); refusals of
// agents are recorded one by one where they are decided.
//
// # Ending
//
// A session ends in the goroutine that serves it. Others only leave a word and
// wake it: conn.kill when a credential ends or is frozen (invariant 8), at once, also in
// the middle of DATA, with the context of whatever is being stored cancelled;
// conn.drain when the server stops, where a command would begin.
package smtpd
