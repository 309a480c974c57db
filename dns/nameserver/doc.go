// Package nameserver is a small authoritative name server: it answers for the
// zones that it was given, over UDP and TCP, and for nothing else. It is the
// embedded server of an appliance that hosts its own zones ([NewPublic]), and the
// DNS of a laboratory on loopback ([New]).
//
// A [Zone] is its origin, its name servers and a list of [Record] values; SOA
// and NS records follow from the first two. Every change makes a new version of
// the zone with a higher serial, and is in the next answer: readers see whole
// versions, never half of a change.
//
// # What it answers
//
// Wildcards (RFC 4592), names that exist because something lies below (RFC 8020),
// be it another zone of this server, aliases followed inside of a zone, negative
// answers with the SOA (RFC 2308), EDNS (RFC 6891) with answers of at most 1232
// octets over UDP and the rest over TCP, where queries may be pipelined (RFC 7766),
// a short answer to ANY (RFC 8482). The question comes back as it was spelt.
//
// What it refuses: names outside of its zones, transfers, other classes, recursion;
// other opcodes are not implemented. What it cannot: delegate a part of a zone to
// somebody else, sign.
//
// # What strangers can cost
//
// Anybody may send anything, in anybody's name. Packets are judged by their header
// before they are parsed, and what is no query gets no reply, so that two servers
// never talk to each other for ever. A few workers answer all packets of a socket;
// nothing is made for one that would outlive its answer. Connections are bounded,
// by network as well, and the one that was silent for longest makes room for the
// next. A [Rate] bounds what one network is told over UDP: beyond it, replies say no
// more than that they were cut. Such a reply is never longer than its query, so there
// is nothing to gain by asking in another's name, and a real resolver that lives
// behind a forged address gets its answer over TCP.
package nameserver
