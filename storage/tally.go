package storage

import (
	"context"
	"math"

	"github.com/google/uuid"
)

// InboxTally is how much lies in an inbox, by the counters of its mailboxes. It says
// nothing of any message.
type InboxTally struct {
	Messages int64 // in all mailboxes
	Bytes    int64
	// Of what came in, wherever it lies now: clean is what is neither.
	Arrived     int64
	Suspected   int64 // reading it taints: suspicious, judged in part or not at all
	Quarantined int64 // where no agent sees it
}

// Tally counts what lies in an inbox of an organization. The numbers are zero for one
// that is not there. It takes a time that grows with the messages that taint.
func (s *Store) Tally(ctx context.Context, org, inbox uuid.UUID) (t InboxTally, err error) {
	err = s.read(ctx, func(r *reads) error {
		t = InboxTally{}
		rows, err := r.rows(`SELECT b.role, b.messages, b.bytes,
			(SELECT COUNT(*) FROM message m WHERE m.box = b.no AND (m.flags & 131072) <> 0)
			FROM mailbox b WHERE b.org = $1 AND b.inbox = $2`, org[:], inbox[:])
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var role Role
			var messages, bytes, tainting int64
			if err := rows.Scan(&role, &messages, &bytes, &tainting); err != nil {
				return classify(err)
			}
			t.add(role, messages, bytes, tainting)
		}
		return classify(rows.Err())
	})
	return t, err
}

func (t *InboxTally) add(role Role, messages, bytes, tainting int64) {
	t.Messages += messages
	t.Bytes += bytes
	switch role {
	case RoleSent, RoleDrafts, RoleOutbox: // written here
		return
	case RoleQuarantine:
		t.Quarantined += messages
	default:
		t.Suspected += tainting
	}
	t.Arrived += messages
}

// NewestUIDs lists UIDs of a mailbox below a UID, the highest first, at most limit: a
// page of a list that is read backwards. Zero stands for the end of the mailbox.
func (in *Inbox) NewestUIDs(ctx context.Context, mailbox uuid.UUID, below uint32, limit int) (uids []uint32, err error) {
	if below == 0 {
		below = math.MaxUint32
	} else {
		below--
	}
	err = in.store.read(ctx, func(r *reads) error {
		uids = uids[:0]
		box, err := in.box(r, mailbox)
		if err != nil {
			return err
		}
		rows, err := r.rows("SELECT place FROM message WHERE place BETWEEN $1 AND $2 ORDER BY place DESC LIMIT $3", place(box, 1), place(box, below), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at int64
			if err := rows.Scan(&at); err != nil {
				return classify(err)
			}
			uids = append(uids, uint32(at))
		}
		return classify(rows.Err())
	})
	return uids, err
}
