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
// What a mail exchanger must show before it gets a message is settled before it is
// asked (terms). By itself TLS is opportunistic (RFC 7435): used when offered, its
// certificate looked at but not demanded, since anyone who can forge one can also
// take the offer away; when STARTTLS fails, the same host is asked again in clear
// on a new connection. Four parties may demand more, and then a host that does not
// show it gets nothing, the next one is asked, and in the end the message waits:
//
//   - The destination, by DANE (RFC 7672): where DNSSEC vouches for its MX records,
//     the host's addresses and the host's TLSA records, one of these must match the
//     host's certificate, and no name, date or authority counts beside it but
//     those below a trust anchor. Records of which none can be used ask for TLS with
//     any certificate. A lookup that fails passes the host over, so that who can
//     make it fail gains nothing. Whether an answer was validated is the word of a
//     resolver that is trusted (package dns).
//   - The destination, by MTA-STS (RFC 8461) in mode enforce, where DANE says
//     nothing: the host must be listed, and have a certificate for its name from an
//     authority that we trust. The policy is kept for the organization whose mail
//     met it, is fetched again when the id in the DNS changes and once a day while
//     it is used, and holds until it expires, whoever suppresses record or web
//     server. In mode testing it only reports.
//   - The message, by REQUIRETLS (RFC 8689): the host must be authenticated, and
//     promise to pass the condition on.
//   - People here, by the setting tls-required.
//
// For the last two a host is authenticated by DANE or MTA-STS, or by a certificate
// for its name where nobody on the way can have put that name in the destination's
// place: DNSSEC vouches for the MX records, or it is the domain or below it. A
// certificate for just any name that unsigned DNS gave proves nothing.
//
// A message with TLS-Required: No (RFC 8689) sets aside what the destination
// demands, and nothing else. To a smart host, TLS with a valid certificate is
// required before the password is shown; what lies behind it is the smart host's
// to protect, and REQUIRETLS is asked of it too.
//
// A result says which policy applied, what demanded, what authenticated the host,
// and what was wrong in the words of RFC 8460 ([Security]), and lists every session
// of the attempt for TLS reports.
//
// Choices: a policy of MTA-STS that is over a year old at birth is kept for a year
// and not refused. Of an MX host that is an alias out of a signed zone into an
// unsigned one no TLSA records are looked for (RFC 7672, section 2.2.2, would at
// the alias): a mail exchanger must be no alias (RFC 5321, section 5.1).
//
// # Nothing is rewritten
//
// A message that needs 8BITMIME or SMTPUTF8 fails where the peer lacks it
// (5.6.3, 5.6.7). We do not convert it: the bytes that were signed, digested
// and recorded as evidence are the bytes that leave. The signature fields that
// [Message.Sign] makes are put in front at each attempt, and are in no copy
// that anybody here can read.
package relay
