// Package servertest starts a whole Postern on loopback for tests, as
// net/http/httptest does for HTTP: real sockets, a real database in a temporary
// folder, and around it a world of its own with a name server, a certificate
// authority and a clock that the test moves.
//
//	func TestGreeting(t *testing.T) {
//		p := servertest.New(t, servertest.Options{Domain: "alpha.test", Agents: []string{"scout"}})
//		c, err := net.Dial("tcp", p.Addr("smtp").String())
//		…
//	}
//
// Several servers may share a World. Each has an address of its own in 127/8 and
// all have the same port for mail exchange, so they find each other by MX
// records as on the Internet.
//
// A world knows every name by itself. Where a test wants a DNS that is not ours, NSD
// and Unbound start Debian's servers on addresses of FreeAddr: zones that somebody
// else keeps, signed if need be, and a resolver that begins at the root.
//
// OpenTab opens the panel in Chromium, as a person does who clicks, types and reads.
//
// # Conversations
//
// Run plays scripts: a .txtar file for each promise, which says who speaks to
// whom, what is heard, and which audit events that leaves. The engine is
// rogpeppe/go-internal/testscript; these are the words that it learns here:
//
//	host DOMAIN AGENT…         start a server for a domain, with agents and their inboxes. Its verdicts
//	                           are what messages say of themselves: X-Test-Verdict: suspicious
//	down HOST, up HOST         stop it in order; start it again on the same data
//	smtp HOST DOOR [NAME]      connect to smtp, submission or submissions, and hear the greeting
//	imap HOST [NAME]           the same, to imaps
//	use NAME                   go on with a connection that was given a name
//	> LINE                     say a line
//	< PATTERN                  hear it; * stands for any text. SMTP: the next reply, one of whose
//	                           lines must match. IMAP: lines are passed over until one matches,
//	                           but not the end of a command
//	starttls                   STARTTLS, and the handshake
//	login AGENT [SECRET]       AUTH PLAIN, or LOGIN with the tag "login"; an address may stand for the agent
//	send FILE                  DATA, the file with CRLF line ends, and the dot
//	append MAILBOX FILE        IMAP: APPEND with the tag "append"
//	literal equal|ends FILE    IMAP: the last literal heard is the file, or ends with it
//	literal has|lacks TEXT     IMAP: it has the text somewhere, or nowhere
//	closed                     the other end hangs up
//	dig NAME TYPE              ask the world's name server, on standard output
//	record NAME TYPE DATA…     the world's name server says this about a name from now on; without
//	                           data, nothing
//	publish HOST               put the records of the host's signing keys into the world's name server,
//	                           and take away those that may go
//	survey HOST                look at the health of a server, which it else does by itself
//	clock DURATION             move the clock of all servers forward; back when it is negative
//	events HOST FILE           the events since the last look are those of the file, see below
//	until HOST VERB [N]        wait until the log has an event of that kind, or N of them
//	policy HOST WHOM KEY=VALUE…  settings of a policy, of "org" or of an agent by name, as if people
//	                           had agreed to them; no value takes one away
//	control HOST NAME K=V…     a command at the control socket, as agent.suspend agent=scout; K:=V
//	                           for a value in JSON. The answer is on standard output, and its plain
//	                           values (of a list: of the first row) are in variables answer_K. With
//	                           a ! in front the command must be refused. It comes from the
//	                           host's admin, in a session with a second factor; "control -as
//	                           WHO HOST …" from second, who is another one, from the holder of
//	                           a session's token, or from unix, the Unix user alone
//	row KEY VALUE              take the variables answer_K from the row, of the list that was just
//	                           shown, whose KEY is that
//	web NAME STATUS            a program that listens to webhooks, and replies with this status from now
//	                           on; its URL is in the variable NAME_url
//	authority                  start a certificate authority; hosts that are made from here on get
//	                           their certificates from it, and have the doors http and https
//	authority down|up          stop it; start it again, without what it knew
//	certificate HOST DOOR NAME wait until a door shows a certificate of the authority for a name;
//	                           its SHA-256 is on standard output
//	told NAME TEXT             it was told, in a signed request, something with this text
//	sts DOMAIN MODE MX…        a domain publishes an MTA-STS policy: enforce, testing or none
//	certify HOST NAME…         its certificate is one of the world's authority from now on, for these
//	                           names; with none its own, which relays do not trust
//	totp VARIABLE SECRET       the code of an authenticator with this secret, now, in a variable
//	passkey VARIABLE NAME ORIGIN
//	                           the answer of the authenticator with this name, at a page of this
//	                           origin, to the question on standard output, in a variable
//	rewind NAME                set the counter of an authenticator back, as a copy would have it
//
// For each agent there are the variables scout_token, scout_credential and
// scout_agent, with its name in place of scout; alpha_session is the
// token of the session that second has on the host alpha.
//
// A file for events has a line for each, with verb, outcome, and what else must
// be so: "message.received ok inbox=scout@alpha.test door=mx". Keys are those of
// package audit, and agent, inbox and actor by name. Their order counts for
// nothing, since sessions write beside one another; that none is missing or too
// many, does. Heartbeats are left out. The command waits a little for events
// that are on their way.
package servertest
