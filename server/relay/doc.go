// Package relay makes one attempt at handing one message to the next hop: the
// mail exchangers of a domain, or a smart host. It keeps no queue and retries
// nothing by itself; it says for each recipient what became of it, and the
// queue decides. [Transport] is the form in which the queue uses it: with the
// keys of the sender's domain from the directory.
//
// # An attempt
//
// [Relay.Send] finds the hosts (RFC 5321, section 5.1): the MX records by
// preference with equals shuffled, the address of the domain itself when it has
// none, nobody when it says so (null MX, RFC 7505). It tries host after host
// until one has decided about every recipient. A host that cannot be reached,
// hangs up, or greets with a refusal has decided nothing, and the next one is
// asked; an answer to RCPT or to the data is a decision.
//
// The SMTP loop is our own, since the peer is hostile until shown otherwise:
// reply lines, their number, their bytes and the time are bounded, nothing is
// written past STARTTLS before the handshake, and what came before it is thrown
// away with the connection.
//
// # Delivered, not delivered, and unknown
//
// A message may arrive twice but must never vanish. Between our final dot and
// the reply to it lies the one moment in which nobody knows: the peer may have
// accepted the message, and the line was cut. Such a result is temporary and
// has [Result.Uncertain] set; no other host is asked within this attempt. A
// connection that is lost before the final dot was written is certain: the
// message was not accepted.
//
// # TLS
//
// To a mail exchanger TLS is opportunistic (RFC 7435): used when offered, its
// certificate looked at but not demanded, since anyone who can forge one can
// also take the offer away. What was used is reported. When STARTTLS fails, the
// same host is asked again in clear on a new connection. To a smart host, TLS
// with a valid certificate is required before the password is shown.
//
// # Nothing is rewritten
//
// A message that needs 8BITMIME or SMTPUTF8 fails where the peer lacks it
// (5.6.3, 5.6.7). We do not convert it: the bytes that were signed, digested
// and recorded as evidence are the bytes that leave. The signature fields that
// [Message.Sign] makes are put in front at each attempt, and are in no copy
// that anybody here can read.
package relay
