package storage

import (
	"bytes"
	"context"
	"errors"
	"math"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// readBlock is how many UIDs one row of the history covers. A row is then at
// most some kilobytes, whatever pattern a credential reads in.
const readBlock = 4096

// RecordRead notes that a credential reads messages of a mailbox: in the event,
// and merged into the history of this credential and mailbox (invariant 3).
// uids are those that are there and are to be shown; what lies beyond the
// mailbox's last UID is left out. When one of them taints, the agent is tainted
// in the same transaction. ErrNotFound when the mailbox is not one of in.
func (tx *Tx) RecordRead(e *audit.Event, in *Inbox, credential, mailbox uuid.UUID, uids []UIDRange) error {
	var next uint32
	var box int64
	err := found(tx.row("SELECT uidnext, no FROM mailbox WHERE inbox = $1 AND id = $2", in.record.ID[:], mailbox[:]).Scan(&next, &box))
	if err != nil {
		return err
	}
	if err := tx.concerns(e, in, mailbox); err != nil {
		return err
	}
	set := uidSet(uids)
	set.Remove(next, math.MaxUint32)
	if err := tx.taint(e, in, box, mailbox, set); err != nil {
		return err
	}
	for rest := set; len(rest) > 0; {
		block := rest[0].First / readBlock
		end := block*readBlock + readBlock - 1
		var part audit.UIDs
		for _, r := range rest {
			if r.First > end {
				break
			}
			part.Add(r.First, min(r.Last, end))
		}
		if err := tx.mergeRead(credential, mailbox, block, part); err != nil {
			return err
		}
		rest = after(rest, end)
	}
	tx.noteSet(e, set)
	tx.noteRecent(e, set)
	return nil
}

// mergeRead adds UIDs to one row of the history. What was read before costs no
// write.
func (tx *Tx) mergeRead(credential, mailbox uuid.UUID, block uint32, part audit.UIDs) error {
	var packed []byte
	err := found(tx.row("SELECT ranges FROM read_range WHERE mailbox = $1 AND credential = $2 AND block = $3", mailbox[:], credential[:], block).Scan(&packed))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	set, err := decodeUIDs(packed)
	if err != nil {
		return err
	}
	for _, r := range part {
		set.Add(r.First, r.Last)
	}
	merged := encodeUIDs(set)
	if bytes.Equal(merged, packed) {
		return nil
	}
	return tx.exec(`INSERT INTO read_range (mailbox, credential, block, ranges) VALUES ($1, $2, $3, $4)
		ON CONFLICT (mailbox, credential, block) DO UPDATE SET ranges = excluded.ranges`, mailbox[:], credential[:], block, merged)
}

// ReadBy lists what a credential ever read of a mailbox, as merged ranges in
// order.
func (in *Inbox) ReadBy(ctx context.Context, credential, mailbox uuid.UUID) ([]UIDRange, error) {
	var set audit.UIDs
	err := in.store.read(ctx, func(r *reads) error {
		if _, err := in.box(r, mailbox); err != nil {
			return err
		}
		rows, err := r.rows("SELECT ranges FROM read_range WHERE mailbox = $1 AND credential = $2 ORDER BY block", mailbox[:], credential[:])
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var packed []byte
			if err := rows.Scan(&packed); err != nil {
				return classify(err)
			}
			part, err := decodeUIDs(packed)
			if err != nil {
				return err
			}
			for _, u := range part {
				set.Add(u.First, u.Last)
			}
		}
		return classify(rows.Err())
	})
	return set, err
}
