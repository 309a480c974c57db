// Package dns asks the domain name system what a mail server needs to know:
// who takes mail for a domain, what a domain publishes about its mail, where a
// host is, and what a host calls itself.
//
// # Three kinds of no
//
// A mail server lives by the difference between "there is no such thing" and
// "nobody could tell me": the first ends a delivery, the second delays it.
// Every error of this package is an [*Error] that matches exactly one of
//
//   - [ErrNotFound]: an authoritative no. Its refinements [ErrNoDomain] (the
//     name does not exist, NXDOMAIN) and [ErrNoData] (it exists, but has no
//     record of that type) match as well, for RFC 5321, section 5.1 falls back
//     to the address of a domain in the second case only.
//   - [ErrNullMX]: the domain says that it takes no mail (RFC 7505).
//   - [ErrTemporary]: time-out, SERVFAIL, refusal, an answer that makes no
//     sense. To be asked again later.
//   - [ErrName]: the question itself is no domain name; nothing was asked.
//
// # Trust
//
// An answer says whether it is [Answer.Authentic]: validated by DNSSEC. This
// package validates nothing. It passes on the AD bit (RFC 6840, section 5.8),
// and only from a server on this machine or one that was declared trusted,
// since between us and any other server somebody could have set it.
//
// Answers are checked before they are believed: id, question, class, the
// chain of aliases from the name that was asked to the records that are
// returned. Host names inside of answers are held to the syntax of host names,
// so that a hostile zone cannot put a space, a control character or a line end
// into a log or a protocol line.
//
// Two resolvers exist: [Client], which asks the configured servers, and
// [Cache], which stands in front of another one and remembers for as long as
// the records live. Types of the DNS library never appear in the interface.
package dns
