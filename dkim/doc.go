// Package dkim makes keys and signatures of DomainKeys Identified Mail
// (RFC 6376): a domain takes responsibility for a message by signing its body
// and its important header fields, and publishes the public key in DNS.
//
// # Two signatures
//
// A domain has two keys, each under a selector of its own, and every message
// carries two signatures: RSA with 2048 bits, which everybody verifies
// (RFC 8301), and Ed25519 (RFC 8463), which is small and strong, and which a
// verifier that does not know it must ignore. Both are made with relaxed
// canonicalization of header and body, which survives what relays do to white
// space.
//
// # Oversigning
//
// A signature covers the fields that were there. One who adds a second From or
// Subject above a signed message keeps the signature valid, and some programs
// show the first. So each field that people see or programs act upon is listed
// once more than it occurs (RFC 6376, section 8.15): an added one breaks the
// signature. The list is in fields.go. The tag l= is never used, since it
// leaves the end of the body open.
//
// # Streaming
//
// [Signer.Sign] reads the message once for all signatures and returns only the
// header fields to put in front of it. The body is never held.
//
// # Rotation
//
// A key goes through states, of which [Next] says what moves it on:
//
//	prepared → published → signing → retiring → retired
//
// It signs only after its record was seen in the DNS, by the authoritative servers
// and by a resolver, and after the time for which a cache may hold that there is
// none. The key before goes on signing until then, however long that takes. After
// its last signature its record stays while mail is under way, and then the private
// key is destroyed and the record may go.
//
// Two exceptions give up something, on purpose. A domain without any key that
// signs uses what it has, seen or not: a signature that cannot be verified is worth
// as much as none. And a key that somebody else may have is revoked: another one
// signs at once, and the record says that this one is not to be believed
// (RFC 6376, section 3.6.1). That costs the mail under way that it signed: it
// arrives as if nobody had.
//
// Keys leave this package as PKCS #8, in clear: whoever stores them seals them.
package dkim
