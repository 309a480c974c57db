// Package audit keeps the record of everything that happened, so that it cannot be changed unseen, and proves it to
// people who do not trust the server.
//
// # The idea
//
// A database row convinces nobody: who can write it can rewrite it. So each event is reduced to one canonical string of
// bytes, a leaf, and the leaves are hashed into one tree (RFC 6962, Certificate Transparency). Pairs of hashes are hashed
// into a parent, up to one root of 32 bytes:
//
//	                root = SHA-256(1 ‖ a ‖ b)
//	               /                         \
//	         a = SHA-256(1 ‖ c ‖ d)       b = …
//	        /                    \
//	c = SHA-256(0 ‖ leaf 0)   d = SHA-256(0 ‖ leaf 1)   …
//
// The root depends on every bit of every leaf and on their order. The prefixes 0 and 1 keep a leaf from passing for an
// inner node. Whoever knows a root can be shown, with a handful of hashes and without the rest of the log,
//
//   - that event n is in the log, unchanged and at place n: an inclusion proof, the siblings on its way to the root;
//   - that a longer log begins with all of this one: a consistency proof;
//   - that events from n up to m are all that the log has there: the roots of the subtrees left and right of them.
//
// A [Checkpoint] is a root that was signed, with the size of the tree and the time (Ed25519, a C2SP signed note). It fits
// in an e-mail, and it fixes everything before it.
//
// # What it proves, and against whom
//
// Against everybody who lacks the signing key, including who can write the database and the export: to change, drop,
// insert, reorder or back-date one event, they would have to find a second preimage of SHA-256 or sign a new root. With
// the export and the public key, [VerifyBundle] detects it and names the event, or the interval between two checkpoints.
//
// Against everybody, the holder of the key included, when one checkpoint was kept elsewhere before the change: a new
// history has another root at that size, and the kept note says so. A log whose end was cut off is shorter than the
// kept checkpoint. This is why checkpoints leave the machine.
//
// It does not prove that what was recorded is true: a server that was broken into records what the intruder lets it.
// It proves that the record was not changed later, by anybody, unseen; heartbeats make it visible when nothing was
// recorded ([SilentAfter]). It does not prove that an event of the last minute, which no checkpoint covers yet, stays.
//
// # What may be forgotten
//
// Addresses, subjects, networks and search terms are personal, and a person can ask for them to be erased, while the log
// may not change. So an event has two halves. The clear half holds numbers, ids, states, digests and UID ranges, from
// closed vocabularies ([Verb], [Key]), and is the leaf. The personal half is sealed by the store under a key that can be
// destroyed; the leaf holds a commitment to it, SHA-256(salt ‖ personal bytes), whose 32 random bytes of salt are sealed
// with it. While the key lives, a verifier checks what it is shown against the commitment. When the key is gone, nobody
// can find out what was committed to, not even by trying every address there is; and the tree verifies as before.
//
// # What is where
//
// An [Event] is checked and encoded (Check, Canonical, PersonalBytes) and read again ([DecodeEvent]). A [Tree] takes the
// leaves; it gives the tiles of 256 hashes that the store keeps, as a transparency log does, and from them [Hashes] makes
// roots and proofs. [Signer] and [OpenCheckpoint] make and read checkpoints. [WriteBundle] and [VerifyBundle] are the two
// ends of an export. [Replay] holds the rows of a database against the log: a row that decides something and was written
// without an event is found. [Refusals] keeps strangers from filling the log.
//
// The package computes. It opens no file and no database, and asks no clock.
package audit
