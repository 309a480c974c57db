package storage

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// DueOutgoing is a row of the queue whose time has come, before it is leased
// and opened: ids and a keyed hash, enough to choose fairly.
type DueOutgoing struct {
	ID, Org, Message uuid.UUID
	Turn             uuid.UUID // the agent that sent it; where there is none, the inbox
	Version          uint64
	Destination      string // keyed hash of the recipient's domain
}

// JustDue is a row that CreateOutgoing made, as DueOutgoing finds it once that is
// committed.
func (o *Outgoing) JustDue() DueOutgoing {
	return DueOutgoing{ID: o.ID, Org: o.Org, Message: o.Message, Turn: o.turn(), Version: o.Version, Destination: o.destination}
}

// laneOf is the column "local": 1 for our own inboxes, 0 for the world.
func laneOf(local bool) int64 {
	if local {
		return 1
	}
	return 0
}

const dueColumns = "id, org, message, turn, version, dest_hash"

// DueOutgoing lists what is due in one lane of the queue (local or not), the
// longest due first, at most limit rows. Where those are all, next is when the first
// of the others is due; zero when there is none.
func (s *Store) DueOutgoing(ctx context.Context, local bool, at time.Time, limit int) (due []DueOutgoing, next time.Time, err error) {
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT "+dueColumns+", due FROM outgoing WHERE state = $1 AND local = $2 ORDER BY due, id LIMIT $3",
			int64(OutgoingQueued), laneOf(local), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var when int64
			d, err := scanDue(rows, &when)
			if err != nil {
				return err
			}
			if next = fromMicros(when); next.After(at) {
				return nil // and no row behind it is read
			}
			due, next = append(due, d), time.Time{}
		}
		return classify(rows.Err())
	})
	return due, next, err
}

// DueOutgoingOf lists what is due of one sender in one lane.
func (s *Store) DueOutgoingOf(ctx context.Context, local bool, turn uuid.UUID, at time.Time, limit int) ([]DueOutgoing, error) {
	return s.due(ctx, "state = $1 AND local = $2 AND turn = $3 AND due <= $4 ORDER BY due, id LIMIT $5",
		int64(OutgoingQueued), laneOf(local), turn[:], micros(at), limit)
}

// DueOutgoingWith lists what is due of the same message to the same
// destination: recipients that share a transaction (RFC 5321, section 3.6.1).
func (s *Store) DueOutgoingWith(ctx context.Context, d DueOutgoing, at time.Time, limit int) ([]DueOutgoing, error) {
	return s.due(ctx, "message = $1 AND dest_hash = $2 AND state = $3 AND due <= $4 ORDER BY id LIMIT $5",
		d.Message[:], []byte(d.Destination), int64(OutgoingQueued), micros(at), limit)
}

// EndedHolds lists rows of all organizations whose hold has reached its end.
func (s *Store) EndedHolds(ctx context.Context, at time.Time, limit int) ([]DueOutgoing, error) {
	return s.due(ctx, "state = $1 AND local IN (0, 1) AND due <= $2 ORDER BY due, id LIMIT $3", int64(OutgoingHeld), micros(at), limit)
}

func (s *Store) due(ctx context.Context, where string, args ...any) (due []DueOutgoing, err error) {
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT "+dueColumns+" FROM outgoing WHERE "+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			d, err := scanDue(rows)
			if err != nil {
				return err
			}
			due = append(due, d)
		}
		return classify(rows.Err())
	})
	return due, err
}

// scanDue reads a row of dueColumns and what stands behind them.
func scanDue(row rowScanner, more ...any) (d DueOutgoing, err error) {
	var hash []byte
	err = row.Scan(append([]any{&d.ID, &d.Org, &d.Message, &d.Turn, &d.Version, &hash}, more...)...)
	d.Destination = string(hash)
	return d, classify(err)
}

// NextSender finds the first sender after another that has rows in a lane, due
// or not: the step of a walk that passes over any number of rows of one sender.
func (s *Store) NextSender(ctx context.Context, local bool, after uuid.UUID) (turn uuid.UUID, ok bool, err error) {
	err = s.look(ctx, func(r *reads) error {
		err := found(r.row("SELECT turn FROM outgoing WHERE state = $1 AND local = $2 AND turn > $3 ORDER BY turn LIMIT 1",
			int64(OutgoingQueued), laneOf(local), after[:]).Scan(&turn))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		ok = err == nil
		return err
	})
	return turn, ok, err
}

// NextOutgoing is the earliest time at which a row of a lane is due.
func (s *Store) NextOutgoing(ctx context.Context, local bool) (at time.Time, ok bool, err error) {
	err = s.look(ctx, func(r *reads) error {
		var due int64
		err := found(r.row("SELECT due FROM outgoing WHERE state = $1 AND local = $2 ORDER BY due LIMIT 1",
			int64(OutgoingQueued), laneOf(local)).Scan(&due))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		at, ok = fromMicros(due), err == nil
		return err
	})
	return at, ok, err
}

// LeaseOutgoing takes rows for an attempt: it counts the attempt and moves their
// time to the end of the lease, so that nobody else takes them before. Rows that
// are not due any more, or whose inbox is being erased, are left out of what it
// returns.
func (u *Upkeep) LeaseOutgoing(owner uuid.UUID, until time.Time, rows []DueOutgoing) (taken []DueOutgoing, err error) {
	for i := range rows {
		n, err := u.tx.execN("UPDATE outgoing SET attempts = attempts + 1, due = $1, lease_owner = $2 WHERE id = $3 AND state = $4 AND due <= $5 AND inbox NOT IN (SELECT inbox FROM erasure)",
			micros(until), owner[:], rows[i].ID[:], int64(OutgoingQueued), micros(u.tx.now))
		if err != nil {
			return nil, err
		}
		if n > 0 {
			taken = append(taken, rows[i])
		}
	}
	return taken, nil
}

// ReturnOutgoing gives leased rows back without an attempt having been made:
// they are due at the given time and the attempt is not counted.
func (u *Upkeep) ReturnOutgoing(owner uuid.UUID, due time.Time, rows []DueOutgoing) error {
	for i := range rows {
		err := u.tx.exec("UPDATE outgoing SET attempts = attempts - 1, due = $1, lease_owner = NULL WHERE id = $2 AND lease_owner = $3",
			micros(due), rows[i].ID[:], owner[:])
		if err != nil {
			return err
		}
	}
	return nil
}

// DelayOutgoing moves the time of rows that nobody leased: they are looked at again
// then. Those that changed since they were listed are left as they are.
func (u *Upkeep) DelayOutgoing(due time.Time, rows []DueOutgoing) error {
	for i := range rows {
		err := u.tx.exec("UPDATE outgoing SET due = $1 WHERE id = $2 AND version = $3 AND state = $4 AND lease_owner IS NULL",
			micros(due), rows[i].ID[:], rows[i].Version, int64(OutgoingQueued))
		if err != nil {
			return err
		}
	}
	return nil
}

// TakeOverOutgoing ends the leases of processes that are dead, which all others
// are: one process has the data directory. Their rows are due now. Returns how
// many there were.
func (u *Upkeep) TakeOverOutgoing(owner uuid.UUID) (int64, error) {
	return u.tx.execN("UPDATE outgoing SET due = $1, lease_owner = NULL WHERE lease_owner IS NOT NULL AND lease_owner <> $2",
		micros(u.tx.now), owner[:])
}
