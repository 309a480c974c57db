package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Upkeep changes operational columns without an event. Its methods are the
// closed list: last_used of credentials and people's sessions, outgoing's due,
// attempts and lease, when a domain was checked and is next, when signing
// keys are looked at, how often an alert happened, what agents usually do, cursors into the log, what webhooks are still
// to be told, when policies of MTA-STS were used and are due, checkpoints, which
// say nothing that the events do not, what vanished
// before any session that could ask, correspondents of an inbox whose key is
// destroyed, usage that is older than any limit looks back, who works at a
// certificate and when that is tried again, what is counted for reports to
// other domains, the columns by which the log is searched, how the checks of health stood, and what is counted by
// the hour, with the ways of messages from which that follows.
type Upkeep struct{ tx *Tx }

// Upkeep runs fn in a transaction that needs no event.
func (s *Store) Upkeep(ctx context.Context, fn func(u *Upkeep) error) error {
	return s.writer.submit(&op{ctx: ctx, actor: System, upkeep: true, fn: func(tx *Tx) error { return fn(&Upkeep{tx}) }})
}

// Upkeep changes operational columns in a transaction that records events too.
func (tx *Tx) Upkeep() *Upkeep { return &Upkeep{tx} }

// Now is the time of the transaction.
func (u *Upkeep) Now() time.Time { return u.tx.now }

// Used notes when a credential was last used.
func (u *Upkeep) Used(credential uuid.UUID, at time.Time) error {
	return u.tx.exec("UPDATE credential SET last_used = $1 WHERE id = $2 AND last_used < $1", micros(at), credential[:])
}

// forgetVanished empties the table of what vanished, and spares the flush where it is
// empty: a server that is started waits for it.
func (s *Store) forgetVanished(ctx context.Context) error {
	var n int
	err := s.look(ctx, func(r *reads) error {
		return found(r.row("SELECT COUNT(*) FROM (SELECT mailbox FROM vanished LIMIT 1) AS any_mailbox").Scan(&n))
	})
	if err != nil || n == 0 {
		return err
	}
	return s.Upkeep(ctx, func(u *Upkeep) error { return u.forgetVanished() })
}

// forgetVanished deletes what a session would ask for that has been open since.
// Called at start, when there is none: the table is emptied at once, page by page
// and not row by row.
func (u *Upkeep) forgetVanished() error { return u.tx.exec("DELETE FROM vanished") }

// forgetStep is how many rows one transaction forgets.
const forgetStep = 1000

// forgetVanishedOf deletes some of what vanished from the mailboxes of an inbox,
// and returns how many rows that were.
func (u *Upkeep) forgetVanishedOf(inbox uuid.UUID) (int64, error) {
	return u.tx.execN(`DELETE FROM vanished WHERE (mailbox, modseq) IN (SELECT v.mailbox, v.modseq
		FROM vanished v JOIN mailbox m ON m.id = v.mailbox WHERE m.inbox = $1 LIMIT $2)`, inbox[:], forgetStep)
}
