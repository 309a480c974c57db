// Package proxy learns from a load balancer who a client is.
//
// A load balancer in front of several servers opens connections of its own, and so a
// server would take every client for the balancer: limits by network, networks that a
// credential is bound to, SPF and the audit log would all be about the wrong machine.
// The PROXY protocol (haproxy.org, proxy-protocol.txt, versions 1 and 2) is the cure:
// before the first byte of the client's, the balancer says whose they are.
//
// Anybody could say so. The words count therefore from networks that the operator
// names, and from these they are required: a connection without them is refused. From
// everywhere else they are never looked for: what stands there is the client's own
// input, and the client is who connected. Which of the two holds depends on the address
// that connected and on nothing that it sent, as section 2 of the specification demands:
// a receiver must not guess.
//
// A connection that the balancer opens for itself, to see whether the server is well
// (LOCAL in version 2, UNKNOWN in version 1), is the balancer's.
package proxy
