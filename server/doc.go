// Package server is the roof of Postern: the configuration, the wiring of all
// rooms by hand, start and stop. This comment is the map of the house for who
// reads the code.
//
// # Floors
//
// A package imports Postern's packages from lower floors only; a test holds that.
//
//	8  cmd/postern  servertest                        talk to people, start things
//	7  server                                         configuration, wiring, start and stop
//	6  web/panel                                      the door for people with a browser, who ask control
//	5  smtpd  imapd  web  control                     doors: translate a protocol
//	4  delivery  submission  relay  setup             verbs: move a message, found an installation
//	3  policy  directory  queue  dns/nameserver       rules, names, schedules
//	   monitor  webhook  acme  report                 who is not themselves, who is told, certificates
//	2  storage  msgauth  dns/zone                     memory and judgement
//	1  storage/audit  storage/seal  message  proxy    vocabulary and algorithms; they import
//	   metrics  dkim  dns  web/ui                     nothing of Postern
//	0  httpd                                          how a server of HTTP begins and ends
//
// Protocols are at the edge, decisions in the middle, evidence underneath. Doors
// translate: they know replies and sockets, and decide nothing. Verbs do. Policy
// decides: pure functions, facts in, a decision with a named rule out. Storage
// remembers, and lets nothing change without the event that accounts for it.
// Packages storage, dkim and dns never import from server, since they are of use
// without one.
//
// Interfaces are few, stand where they are used, and have two implementations
// each: dns.Resolver, queue.Transport. All else is concrete and wired by hand in
// wire, in the order in which it is read. Time is a function, now, that a test
// can put forward.
//
// # A message arrives
//
// smtpd accepts a connection on port 25. At RCPT it asks directory who receives
// mail for the address; an unknown one is refused there (550 5.1.1), while the
// sending server still knows whose message it is. DATA streams into a
// storage.Stage, which seals the bytes as they come: there is no spool in clear,
// and no lock is held for a slow sender. Then delivery.Inbound judges the sender
// (msgauth), parses the structure once (message), decides (policy.Receive) and,
// in one transaction for all recipients, stores the body, a row for each inbox
// with its UID, and the events. Transactions that come together share a flush.
// Only after the commit does smtpd say 250, and sessions in IDLE wake.
//
// What policy puts away goes into a mailbox that has no name and no part in what an
// agent can count: the numbers of every other mailbox stay as they are. A record says
// why it is there. People decide through control (delivery.Quarantine): to let it go is
// to move it to INBOX, under a new UID and with the view that it has, so that everybody
// hears of it as of new mail; to reject it deletes it.
//
// The bytes are kept as they came. What a mailbox shows is a view that is made
// here and never changes: our header block in front, and without the fields in
// which a stranger would speak in our name.
//
// What comes to postern-reports at one of our domains is no mail but a report about
// it, and goes to report instead. Messages are counted as they come, and domains
// that ask for it are told once a day how those in their name fared.
//
// # An agent sends
//
// AUTH on port 465 or 587 makes a directory.Principal: an agent, by one of its
// credentials, on the one inbox that its login names. The session holds that and
// nothing else of the store. MAIL and RCPT refuse early and politely; after DATA
// the whole message passes the one gate, policy.Submit, in submission.Outbound.
// One transaction asks it, counts the message, and stores the body, a row of the
// queue for each recipient, the copy in Sent, and the event. Where a rule says so,
// or the agent has read what may have been written to steer it (a taint, which
// storage sets in the transaction of the read event), the message waits for people:
// the copy lies in Outbox, the rows are held, and queue carries out the decision.
//
// The queue hands what is due to one of two transports. Local recipients go to
// delivery and are judged like any mail; the copy and the end of the row are one
// transaction. Others are leased first and go to relay, which finds the mail
// exchangers, signs (dkim) and speaks SMTP. Each attempt is an event. A recipient that fails for good becomes a report in the agent's
// inbox, in the transaction that removes its row. No copy that an agent can read
// carries our signature, or it could be sent from elsewhere in our name.
//
// # An agent reads
//
// imapd puts a guard in front of the library, which lets only whole, bounded
// commands through. FETCH writes its event first, durable, and then opens the
// bodies chunk by chunk: memory does not grow with a message. Rows are read in
// short transactions, none of which is open while the network is written to.
//
// A credential with the safe view is shown renditions (package rendition): what a
// person would see of each message, written anew as text. They are made at delivery
// where such a credential reads the inbox, or when it first asks, and kept like bodies.
// Its session holds an inbox that hands out nothing else.
//
// # An administrator acts
//
// The command talks to control over a Unix socket, whose peer the kernel names.
// What is reserved for people, such as releasing held mail or lifting a freeze,
// also needs a person's session, from postern login, with a second factor.
// Handlers call the same functions of directory and queue as everybody, and the
// event says who asked. Revoking a credential, or freezing what must be stopped,
// acts in memory first: live sessions end, then the record is written. The queue
// asks directory before each attempt, so that mail of what is frozen waits.
//
// # A certificate comes
//
// acme keeps the certificates that every door shows: the operator's own files, or
// what an authority gave. It finds which names lead here, asks for each, and answers
// the authority through web at ports 80 and 443 or through the name server. A
// certificate, its key and its event are one transaction; the next handshake shows
// it. What could not be had is tried again ever less often, also after a start, and
// becomes an alert before it is too late.
//
// # Somebody should look
//
// monitor follows the log behind everybody's back and learns what each agent
// usually does. What is not usual becomes an alert, a row and an event like those
// that other rooms raise in their own transactions (storage.Tx.RaiseAlert). A
// second reader of the log then does what policy says about each: freezes the
// agent, writes mail, tells webhooks. The rooms on its own floor are handed to it
// here as functions.
//
// # A program looks after the server
//
// metrics answers Prometheus and the probes of whoever starts containers, on a listener
// of its own. What it counts follows from the events that commits made durable (observe,
// here): storage tells its observer of each, between the flush and the answer. What goes
// up and down is read when somebody asks (gauges, here). A server is ready while its
// doors for mail are open and a transaction with nothing in it comes through the writer.
//
// Every five minutes control looks at the health of the installation, as doctor does for
// people. A fact that is bad enough is an alert, which ends when it is good again; what
// each check came to is kept for two days, so that doctor can say what changed.
//
// # Somebody asks for a name
//
// Where listen.dns is open, dns/nameserver answers for the domains: a delegation is
// all that their owners do. Its zones are the plan of each domain (dns/zone), made
// from its row, its keys and its policy. storage says after a commit which domain
// that was, and the keeper here makes the zone anew; a challenge of a certificate
// authority is put into it for as long as somebody asks.
//
// directory looks whether each domain publishes its plan: zone.Checker asks the
// servers of its zone themselves, found from the delegation above, and a resolver.
// What was found is a row, each state that changed an event, and a record that mail
// needs and lost an alert. The same look proves that a domain is owned.
//
// # An auditor looks
//
// Every event is a leaf of a Merkle tree (storage/audit), whose root is signed
// every minute. An export is one file that verifies without the server, with the
// public key alone. The newest signed root also lies beside the root key, outside
// of the data: an older copy of the data does not start unless an operator says
// why, and that is an event.
//
// # What is stopped, and what is not
//
// The threats for which the house is built, each with the rooms that stand against it,
// the controls that the tests name, and what they leave open.
//
// Somebody writes to an agent in order to steer it. Before anybody is shown a message,
// package injection judges it, what is hidden in it included (PI-1, PI-2), under bounds
// that no message can exceed (PI-4). What is found hostile is where agents have no way to
// it (PI-3), a safe view shows what a person would see and nothing else (CO-6), and who
// read what may have been written to steer it sends to strangers only what a person lets
// go (PI-5). Left open: judgement errs, and whoever knows the model can write around it.
// The holds do not rest on the verdict of one message alone, but an agent may still be
// talked into a wrong answer to somebody whom it knows.
//
// An agent, or who has its token, does what it should not. A credential is for one agent,
// opens named inboxes with named verbs, ends, and is bound to networks where policy says
// so (AC-1, AC-4, AC-7, AC-13); it cannot tell what it may not see from what does not
// exist (AC-5). Limits, recipient rules and holds stand in the one gate, policy.Submit
// (AV-1, PI-6), and the monitor notices what is not usual (PI-7). Revoking and freezing
// cut live sessions (AC-9, EV-4), and the log says what the token did (AC-18). Left open:
// what it did within its rights before somebody noticed. Mail that left cannot be recalled,
// and what an agent copied elsewhere is beyond our reach.
//
// Somebody guesses tokens or passwords, or floods a door. Tokens are long and random, and
// attempts are slowed by network, so that nobody locks an agent out (AC-12). Every parser,
// queue and session is bounded, and one agent's flood does not slow another (AV-2). People
// need a second factor (AC-15). Left open: a flood that fills the line itself.
//
// One organization looks at another. All that control and the doors hand out is of the
// organization that asks, and what belongs to another is not found (AC-19). Left open: how
// busy the machine is, and that an address or domain is taken.
//
// Somebody has the disk, a copy of the data or a backup. Content, metadata, queue and log
// are sealed under a key that is not with them (CO-2, storage/seal), tokens are kept as
// keyed hashes (AC-6), and an inbox whose key was destroyed is gone from every copy (CO-5).
// Left open: sizes, times and counts of rows, which the order of work gives away; and all
// of it to who has the root key too.
//
// Somebody changes what is on record. Rows that decide are sealed against exchange,
// events are leaves of a tree whose signed root also lies outside of the data, and
// verify names the event that was changed, dropped, moved or dated back (AU-7, AU-8). An
// older copy of the data does not start in silence. Left open: who has root on the
// running machine can sign a false root from then on; what was exported, or pinned
// elsewhere, before that shows it.
//
// An administrator looks at what is none of their business. Reading a message needs a
// reason, a second factor where their session is old, leaves an event before the first
// byte, and the agent's owner is told (AC-17). Auditors see evidence and no content
// (AC-15). Left open: root reads the memory of a running process.
//
// Somebody listens or stands between servers. Doors ask for TLS before a password (AC-10);
// towards others, MTA-STS and DANE are obeyed (CO-1), and DKIM, SPF and DMARC say whom a
// message is from. Left open: servers that publish no policy are spoken to in clear where
// TLS fails, unless policy demands otherwise; our name server signs nothing.
//
// Mail or a page attacks the browser of who looks. The panel has no inline script, shows
// mail as text, or cleaned, in a frame without network and origin, and takes no form that
// another site sent (web, web/panel). Left open: faults of the browser itself.
//
// # Start and stop
//
// New opens the store, wires the rooms and binds every listener; Run serves. At
// a stop, doors accept nobody, messages under way are finished for up to Grace,
// then the queue ends, what sessions left behind is written, and the store signs
// its last root. Killing the process instead loses nothing that was answered
// with success: that is what the flush before each 250 is for.
//
// Where no configuration names the server, set-up does (package setup): until it has a
// name, and somebody to answer for it, the panel's door alone is open. What is said there
// is taken over by wiring the server anew in the same process (Generations). The listeners
// are handed over: who connects in between waits. HUP takes another configuration over in
// the same way; ports that are new are bound, and certificates read, before anything ends.
//
// Sockets may come from the service manager, which keeps them while the server is down
// (takeSockets). Behind a load balancer, what a door accepts passes package proxy, so that
// all that is decided and recorded is about the client; from the networks that are named
// alone is anybody believed, and from there it is required.
//
// Dev runs the same server in a laboratory on loopback, with names, certificates
// and an outside world of its own.
package server
