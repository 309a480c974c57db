// Package queue decides when an outgoing message is tried, and what follows.
//
// Each recipient of a submitted message is a row of its own. It waits, is
// leased, tried, and waits again; or it is over, and leaves an event and no row.
// Who tries is a [Transport]: the relay for the world outside, the delivery
// for our own inboxes. They have a lane each with its own workers, so that a
// remote server that lets us wait holds up nobody next door.
//
// # Leases
//
// An attempt outside is counted and leased before it begins, and its result is
// recorded after it, both flushed. A process that dies in between leaves a lease,
// which the next start takes over at once, as one process has the data directory.
// Between a remote server's 250 and our record of it the message is delivered
// and nobody here knows: a crash in that moment delivers it twice. SMTP has no
// cure for it (RFC 5321, section 4.5.3.2.6; RFC 1047): the choice is between
// twice and never, and the window is one flush.
//
// Local delivery has no such window and needs no lease. Its transport makes the
// copies ready, and one transaction stores them, removes the row and records both
// ([Deposit]): one flush instead of three. When somebody held, ended or erased the
// row meanwhile, that transaction finds it changed, and nothing was delivered.
//
// The table says what is to be done, and the lane looks at it when somebody says that
// something changed. A message to our own inboxes was committed a moment before and is
// due at once: it is handed to a worker without a look ([Queue.Take]), unless something
// else waits for one.
//
// # Fairness
//
// No agent may hold more than half of a lane's workers, and when more is due than
// there are workers, agents take turns, however many inboxes one sends from: a flood
// waits in its own line, and in an inbox that many share it is one agent's. What
// came of its attempts is written patiently (storage.Store.WritePatiently), or the
// others would find the one writer at its commit each time they come.
//
// # What waits for people
//
// A message that a rule holds (storage.Approval) is decided as a whole: people let
// it go to all its recipients, or refuse it, or nobody decides in time, which is a
// refusal. One transaction settles the rows, moves the copy out of Outbox (to Sent,
// or to Drafts), stores one notice, and records who decided. Until then the rows
// are nobody's: what an operator may do with a row of the queue is refused for
// them. What is released while its agent is frozen waits here, like all its mail;
// where the agent may not act any more, or the credential was revoked, people can
// only refuse.
//
// # Reports
//
// A recipient that fails for good becomes a delivery status notification (RFC
// 3464) with the null sender, in the inbox that sent the message, in the same
// transaction that removes the row: no failure without its report, no report
// twice. It quotes status codes only; what a remote server said is for people,
// in the event.
package queue
