package storage

import (
	"errors"
	"time"
)

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
		if err := tx.forgetReceipts(old); err != nil {
			return false, err
		}
	}
	var one int
	err = found(tx.row(`INSERT INTO receipt (hash, at) VALUES ($1, $2)
		ON CONFLICT (hash) DO UPDATE SET at = excluded.at WHERE receipt.at < $3 RETURNING 1`,
		hash, micros(tx.now), old).Scan(&one))
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return false, err
}

// forgetReceipts deletes a few of those that are too old. One delivery in eight
// does it for thirty-two, so the table cannot outgrow three days.
func (tx *Tx) forgetReceipts(old int64) error {
	return tx.exec("DELETE FROM receipt WHERE hash IN (SELECT hash FROM receipt WHERE at < $1 ORDER BY at, hash LIMIT 32)", old)
}
