package storage

import "time"

// receiptAge is how long an inbox remembers what it got: longer than a sender
// that lost our 250 keeps trying at short intervals.
const receiptAge = 3 * 24 * time.Hour

// receiptSize is how much of the keyed hash is kept, in bytes: two messages in
// 2^64 share one.
const receiptSize = 16

// Receipt remembers for three days that an inbox got a message that is equal in
// all parts (return path, recipient, Message-ID, digest), and says whether it
// had been seen before in that time. The row holds a hash under a key of the
// inbox, which tells nothing without it.
func (tx *Tx) Receipt(in *Inbox, parts ...[]byte) (seen bool, err error) {
	hash := in.keys.lookup.Hash("receipt", parts...)[:receiptSize]
	old := micros(tx.now.Add(-receiptAge))
	if hash[0]%8 == 0 {
		if err := tx.forgetReceipts(hash, old); err != nil {
			return false, err
		}
	}
	n, err := tx.execN(`INSERT INTO receipt (hash, at) VALUES ($1, $2)
		ON CONFLICT (hash) DO UPDATE SET at = excluded.at WHERE receipt.at < $3`, hash, micros(tx.now), old)
	return n == 0, err
}

// forgetReceipts deletes those that are too old among the neighbours of a new one.
// Hashes fall anywhere: with one delivery in eight that looks at sixty-four, eight are
// looked at for each that comes, and the table outgrows three days by an eighth.
func (tx *Tx) forgetReceipts(hash []byte, old int64) error {
	return tx.exec(forgetReceipts, hash, old)
}

const forgetReceipts = "DELETE FROM receipt WHERE hash IN (SELECT hash FROM receipt WHERE hash >= $1 ORDER BY hash LIMIT 64) AND at < $2"
