// Package storage is Postern's memory: all SQL, the one writer, the records of
// every noun, the bodies of messages and the audit log, in SQLite, sealed.
//
// # One writer, many readers
//
// The price of a durable write is the flush, not the statement. So there is one
// writer, and it batches: whoever wants to change something hands a function to
// [Store.Write]; the writer takes what is waiting, gives each function a
// savepoint of its own, and commits them together, so that they share a flush.
// A function that fails rolls back to its savepoint and hurts no neighbour. Who
// comes while nobody writes and nobody waits needs no other goroutine and is the
// writer himself. The writer never waits to fill a batch, and never passes a
// caller's context to a statement: a deadline that fires inside a batch would roll
// all of it back.
//
// What every login and every recipient asks for (domains, addresses, agents,
// credentials) is remembered, opened and checked, until a record of its kind is
// written: only here can it be, since one process has the directory. It is forgotten
// before anybody hears of that commit.
//
// Readers use short read transactions on connections of their own. None stays
// open while the network is written to, for a stalled reader would keep the
// write-ahead log from being reset and let it grow without bound.
// What commits wrote to that log is copied into the database by a reader, beside the
// writer, so that no commit waits for it.
//
// # No change without its event
//
// [Tx.Record] adds an [audit.Event] to a transaction, and every method that
// changes something asks for the event that accounts for it. A transaction that
// recorded no event is rolled back. Operational columns (leases, counters, last
// use) are the exception: [Store.Upkeep] changes those and only those.
// Events get their sequence number and their leaf in the Merkle tree in the same
// commit as the change.
//
// # What is sealed
//
// Rows that decide something are records: their decisive fields are sealed under
// the organization's key and bound to table, id, version and the event that last
// wrote them, and that event holds the digest of the sealed form. Clear columns
// beside them are index hints, checked on reading; a mismatch fails closed. In
// clear are ids, counters, sizes, times, states and flags. Nothing else.
//
// Inbox keys and the signing key live in keys.db, apart from postern.db: a
// backup of the data does not hold them, so destroying an inbox's key erases
// that inbox from old backups too.
package storage
