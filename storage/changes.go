package storage

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Changes is what happened in a mailbox since a modseq.
type Changes struct {
	Modseq   uint64         // up to which this is all
	UIDNext  uint32         // at that modseq
	New      []uint32       // UIDs that came and are still there, in order
	Flags    []MessageFlags // older messages whose flags changed, in UID order
	Vanished []uint32       // UIDs that went, in order; some may have come since and never been seen
}

// Changes reads what happened in a mailbox after the modseq since, as of one
// moment. ErrNotFound when the mailbox is not one of in, or was deleted.
func (in *Inbox) Changes(ctx context.Context, mailbox uuid.UUID, since uint64) (Changes, error) {
	var c Changes
	err := in.store.read(ctx, func(r *reads) error {
		c = Changes{}
		var box int64
		err := found(r.row("SELECT no, modseq, uidnext FROM mailbox WHERE inbox = $1 AND id = $2", in.record.ID[:], mailbox[:]).Scan(&box, &c.Modseq, &c.UIDNext))
		if err != nil || c.Modseq <= since {
			return err
		}
		if err := c.readChanged(r, box, since); err != nil {
			return err
		}
		return c.readVanished(r, mailbox, since)
	})
	return c, err
}

const queryChanged = "SELECT place, modseq, flags, born FROM message WHERE box = $1 AND modseq > $2"

func (c *Changes) readChanged(r *reads, box int64, since uint64) error {
	rows, err := r.rows(queryChanged, box, int64(since))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at, modseq, flags, born any
		if err := rows.Scan(&at, &modseq, &flags, &born); err != nil {
			return classify(err)
		}
		if uint64(integer(born)) > since {
			c.New = append(c.New, uint32(integer(at)))
			continue
		}
		c.Flags = append(c.Flags, MessageFlags{UID: uint32(integer(at)), Modseq: uint64(integer(modseq)), Flags: Flags(integer(flags))})
	}
	slices.Sort(c.New)
	slices.SortFunc(c.Flags, func(a, b MessageFlags) int { return cmp.Compare(a.UID, b.UID) })
	return classify(rows.Err())
}

func (c *Changes) readVanished(r *reads, mailbox uuid.UUID, since uint64) error {
	rows, err := r.rows("SELECT uids FROM vanished WHERE mailbox = $1 AND modseq > $2 ORDER BY modseq", mailbox[:], int64(since))
	if err != nil {
		return err
	}
	defer rows.Close()
	var all audit.UIDs
	for rows.Next() {
		var packed []byte
		if err := rows.Scan(&packed); err != nil {
			return classify(err)
		}
		set, err := decodeUIDs(packed)
		if err != nil {
			return err
		}
		for _, u := range set {
			all.Add(u.First, u.Last)
		}
	}
	c.Vanished = listUIDs(all)
	return classify(rows.Err())
}

// listUIDs spells a set out. The sets of the database name messages that
// were there, so it is no longer than a mailbox was.
func listUIDs(set audit.UIDs) []uint32 {
	var uids []uint32
	for _, r := range set {
		for u := uint64(r.First); u <= uint64(r.Last); u++ {
			uids = append(uids, uint32(u))
		}
	}
	return uids
}
