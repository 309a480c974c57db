package storage

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// idempotencyAge is how long an agent's key stands for the message that it was
// first sent with.
const idempotencyAge = 24 * time.Hour

// Idempotent notes that an agent submitted a message under a key of its own
// choice, and returns the message that the key already stands for, if it was
// used from this inbox within a day. The row holds a hash under the inbox's key.
func (tx *Tx) Idempotent(in *Inbox, agent uuid.UUID, key string, message uuid.UUID) (first uuid.UUID, seen bool, err error) {
	hash := in.keys.lookup.Hash("idempotency", agent[:], []byte(key))[:receiptSize]
	old := micros(tx.now.Add(-idempotencyAge))
	err = tx.exec("DELETE FROM idempotency WHERE hash IN (SELECT hash FROM idempotency WHERE at < $1 ORDER BY at, hash LIMIT 32)", old)
	if err != nil {
		return uuid.Nil, false, err
	}
	err = found(tx.row("SELECT message FROM idempotency WHERE hash = $1 AND at >= $2", hash, old).Scan(&first))
	if err == nil {
		return first, true, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return uuid.Nil, false, err
	}
	return message, false, tx.exec(`INSERT INTO idempotency (hash, message, at) VALUES ($1, $2, $3)
		ON CONFLICT (hash) DO UPDATE SET message = excluded.message, at = excluded.at`, hash, message[:], micros(tx.now))
}
