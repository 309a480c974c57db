// Package submission takes an agent's message to the queue: the message
// submission agent of RFC 6409.
//
// A submission is decided as a whole, by policy.Submit, whatever was said
// politely at MAIL and RCPT. What is accepted is completed (Date, Message-ID,
// Received, Auto-Submitted) and cleared of what must not leave: Bcc, the fields
// in which the agent declares why it sends, and fields that only a server may
// write. The result is one stored body. A row in the queue for each recipient,
// the copy in Sent and the event are one transaction, flushed before the 250.
//
// # One body
//
// The copy in Sent shares the body with the queue and with local recipients. Its
// Bcc field stands in the frozen header block of that copy alone, so the sender
// sees whom it wrote to and nobody else can, not even by mistake in code
// that sends. No copy here carries a signature: the relay signs what leaves.
//
// # Where a message comes from
//
// An agent may declare what caused the send and how the content came about
// (Agent-Trigger, Agent-Content, Agent-Run, Agent-Sources); the server knows what
// is answered, what the agent read before, and what text the content has in common
// with it. Both are in the event, kept apart; a declaration that contradicts what
// was observed is named, and what is certain raises an alert (AU-3). That list is
// short: an agent that is told it lied when it did not is worse off than one whose
// lie goes unnoticed. All of this is found out before the transaction.
//
// A message that holds a token of this server, in whatever encoding, is stopped
// (AC-6): it got out, and the credential that it opens is named to its people; the
// session of a person is ended.
//
// # What waits for people
//
// The gate may allow a message and still have it wait: by a rule (a new recipient,
// an attachment and so on, PI-6), or because the agent read a message that may have
// been written to steer it (PI-5). That taint is the agent's, whichever credential
// read and whichever sends, and it is set in the transaction of the read event; as
// the gate is asked in the transaction that stores the message, nothing comes
// between the two. Excepted are messages all of whose recipients had exchanged
// clean, authenticated mail with this inbox before the taint, and wrote none of the
// messages that taint.
//
// What waits is accepted. Its copy lies in Outbox, marked and unsigned; its rows in
// the queue are held; a storage.Approval says by which rules, and how many people
// it takes. Policy that is weakened later changes nothing for it. queue carries out
// what people decide, or nobody in time.
//
// # One gate
//
// Nothing that an agent causes has another way into the queue (invariant 7, PI-8).
// The server itself writes reports and notices, which are stored in the inbox of
// the agent that they are about, and alerts, which go to the addresses that people
// named in a policy (queue.Post). Both have the null return path, so that nothing
// answers them, and hold codes and words of our own. There is no forwarding and no
// automatic answer; either would be a submission.
//
// # Who learns what
//
// RCPT says yes to every address of a domain of ours: that an inbox does not
// exist is told by a report later, to who may know it, and in the same words as
// for one that may not be known (AC-5). The client's address is in the event
// and not in Received, where it would tell the world where an agent runs.
package submission
