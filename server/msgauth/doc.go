// Package msgauth judges who a received message comes from: SPF (RFC 7208) asks
// whether the host may send for the return path, DKIM (RFC 6376) whether a
// domain signed what arrived, iprev (RFC 8601, section 3) whether the host's
// name and address agree, and DMARC (RFC 7489) whether one of the first two
// stands for the domain in From, which is what a reader sees.
//
// [Checker.Check] turns facts into [Results]. Results are stored beside the
// message, and are written in front of it as an Authentication-Results field
// under our own name (RFC 8601). Only that field may be believed by a client, so
// a field of that name that arrives from outside and could be taken for ours,
// see [Claims], is hidden from every view.
//
// Nothing here refuses a message; the policy does, from the Results. A result
// that could not be had is TempError or PermError, never Pass.
//
// ARC (RFC 8617) has its place in the Results and is not judged yet.
package msgauth
