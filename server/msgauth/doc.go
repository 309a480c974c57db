// Package msgauth judges who a received message comes from: SPF (RFC 7208) asks
// whether the host may send for the return path, DKIM (RFC 6376) whether a
// domain signed what arrived, iprev (RFC 8601, section 3) whether the host's
// name and address agree, and DMARC (RFC 7489) whether one of the first two
// stands for the domain in From, which is what a reader sees. ARC (RFC 8617)
// asks whether those who passed a message on, such as lists, signed what they
// received and found, one after the other.
//
// [Checker.Check] turns facts into [Results]. Results are stored beside the
// message, and are written in front of it as an Authentication-Results field
// under our own name (RFC 8601). Only that field may be believed by a client, so
// a field of that name that arrives from outside and could be taken for ours,
// see [Claims], is hidden from every view.
//
// Nothing here refuses a message; the policy does, from the Results. A result
// that could not be had is TempError or PermError, never Pass. A chain of ARC
// that passes changes no other result: it is worth what its sealers are, and
// that is for a policy to say.
//
// # Work is bounded by the message, not by its sender
//
// DKIM and ARC share one form of signature and one reading of the body, in which
// everything is hashed that any signature needs. Fields are indexed once. So the
// work grows with the size of a message and in no way with its shape: blank
// lines, folds, names in h= or the number of signatures. Of DKIM signatures five
// are judged, and of a chain no key is asked for before its structure, its body
// and its numbers are right. All lookups of a message end together.
package msgauth
