// Package nameserver is a small authoritative name server: it answers for the
// zones that it was given, over UDP and TCP, and for nothing else. It is the
// DNS of a laboratory on loopback, and the embedded server of an appliance that
// hosts its own zones.
//
// A [Zone] is its origin, its name servers and a list of [Record] values; SOA
// and NS records follow from the first two. Every change makes a new version of
// the zone with a higher serial, and is in the next answer: readers see whole
// versions, never half of a change.
//
// What it does: wildcards (RFC 4592), empty non-terminals (RFC 8020), aliases
// followed inside of the server's own zones, negative answers with the SOA
// (RFC 2308), EDNS (RFC 6891) with answers of at most 1232 octets over UDP and
// truncation beyond, a short answer to ANY (RFC 8482). What it refuses: names
// outside of its zones, transfers, other classes, recursion. What it cannot:
// delegate a part of a zone, sign. Answers are small by construction, which
// keeps it a poor amplifier, but it has no limit of answers per client.
package nameserver
