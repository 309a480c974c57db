// Package seal is Postern's encryption at rest: the keys, the sealing of
// records, and the sealing of bodies that are read at any place.
//
// # The hierarchy
//
// Each key is wrapped (sealed) under the one above it, so that only the root
// key has to be kept secret by other means, and destroying a key destroys
// what lies below it:
//
//	root key              a file outside the data directory and its backups
//	├── index key         of the instance: keyed hashes
//	├── signing key       of the audit log's checkpoints
//	└── organization key
//	    └── inbox key     in a database file of its own, never in a data backup
//	        └── data key  of one body
//
// What each one protects:
//
//   - The root key wraps and does nothing else. Whoever has it and the database
//     reads everything; whoever has one of the two reads nothing.
//   - The index key makes the keyed hashes (Key.Hash) by which rows are found
//     before their organization is known: domains, tokens, login names. It
//     keeps somebody with the database from trying names against the columns.
//   - An organization key seals the organization's records (agents, credentials,
//     rules, limits) and wraps its inboxes' keys. It is the border between
//     tenants.
//   - An inbox key seals the metadata of an inbox: envelopes, structures, the
//     personal fields of its events, its lookups. One key for all of them, since
//     a key schedule for each row would halve the speed of a listing.
//     Destroying it erases the inbox, also from every backup.
//   - A data key seals one body. It is wrapped once for each inbox that received
//     the message, so that a body is stored once and each copy is erased alone.
//
// Sub-keys for purposes (Key.Derive) are never stored: they live and die with
// the key that they are derived from.
//
// # Records
//
// Key.Seal is AES-256-GCM with a random nonce. The Identity of the record goes
// in as associated data, in canonical bytes: organization, table, id, purpose,
// version and the event that last wrote it. Somebody who can write to the
// database but has no key cannot change a record, move it to another row, or
// pair it with another version or event than its own: Open fails with ErrOpen.
// He can delete a row, and he can put a whole old row back, version and all;
// both are found by replaying the audit log against the rows.
//
// # Bodies
//
// A body is cut into chunks of 64 KiB; each is compressed by itself (zstd, or
// stored raw where that is not shorter) and sealed by itself, so that a part
// of a large message is read without the rest, and memory stays flat. What
// binds the chunks is the STREAM construction of Hoang, Reyhanitabar, Rogaway
// and Vizár ("Online Authenticated-Encryption and its Nonce-Reuse
// Misuse-Resistance", CRYPTO 2015): the nonce is the chunk's counter and a flag
// that the final segment alone carries. A chunk in another place has another
// counter, a chunk of another body another key, and a body that was cut has no
// final segment. Here the final segment of a body with several chunks is the
// table of their sealed lengths, which gives random access. It is opened first
// and must account for every byte, so that a body that was cut or extended is
// refused before anything of it is read; an exchanged chunk is refused when it
// is read. A body of one chunk needs no table: sealing adds 34 bytes to it. The
// bytes are laid out in stream.go.
//
// Neither age (no associated data) nor tink (no random access together with
// it) offers this; it is the one construction of our own, and the files in
// testdata hold it to what it was, with the ways in which it must fail.
//
// # What stays in clear
//
// In the database and on the disk Postern leaves in clear: ids, counters,
// sizes, times, states and flags; nothing else. What must be found by equality
// stands beside them as a keyed hash, which without its key tells only that two
// values under one key are the same. Sizes are those after compression: they
// tell roughly how long a message is and how repetitive, not what it says.
package seal
