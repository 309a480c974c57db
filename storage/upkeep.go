package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Upkeep changes operational columns without an event. Its methods are the
// closed list: credential.last_used, outgoing's due, attempts and lease, and
// checkpoints, which say nothing that the events do not.
type Upkeep struct{ tx *Tx }

// Upkeep runs fn in a transaction that needs no event.
func (s *Store) Upkeep(ctx context.Context, fn func(u *Upkeep) error) error {
	return s.writer.submit(&op{ctx: ctx, actor: System, upkeep: true, fn: func(tx *Tx) error { return fn(&Upkeep{tx}) }})
}

// Now is the time of the transaction.
func (u *Upkeep) Now() time.Time { return u.tx.now }

// Used notes when a credential was last used.
func (u *Upkeep) Used(credential uuid.UUID, at time.Time) error {
	return u.tx.exec("UPDATE credential SET last_used = $1 WHERE id = $2 AND last_used < $1", micros(at), credential[:])
}
