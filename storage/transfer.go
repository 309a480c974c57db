package storage

import (
	"fmt"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// CopyMessages copies messages within an inbox; contents, flags, dates and
// verdicts come along (RFC 9051, section 6.4.7; invariant 5). src and dst pair
// the UIDs in both mailboxes. UIDs that are not there are left out.
func (tx *Tx) CopyMessages(e *audit.Event, in *Inbox, from uuid.UUID, uids []UIDRange, to uuid.UUID) (src, dst []uint32, err error) {
	rows, dst, err := tx.transfer(e, in, from, uids, to, 0, tx.HoldBody)
	if err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	return rowUIDs(rows), dst, nil
}

// MoveMessages is CopyMessages and Expunge in one (RFC 9051, section 6.4.8).
func (tx *Tx) MoveMessages(e *audit.Event, in *Inbox, from uuid.UUID, uids []UIDRange, to uuid.UUID) (src, dst []uint32, err error) {
	return tx.move(e, in, from, uids, to, 0)
}

// move moves messages, and takes off those of the server's flags that are in
// lift.
func (tx *Tx) move(e *audit.Event, in *Inbox, from uuid.UUID, uids []UIDRange, to uuid.UUID, lift Flags) (src, dst []uint32, err error) {
	stays := func(int64) error { return nil } // the body has as many rows as before
	rows, dst, err := tx.transfer(e, in, from, uids, to, lift, stays)
	if err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	if _, err := tx.remove(in, from, rows, stays); err != nil {
		return nil, nil, err
	}
	return rowUIDs(rows), dst, nil
}

func rowUIDs(rows []messageRow) []uint32 {
	uids := make([]uint32, len(rows))
	for i, r := range rows {
		uids[i] = r.uid
	}
	return uids
}

// transfer writes messages of one mailbox into another and says so in the event.
func (tx *Tx) transfer(e *audit.Event, in *Inbox, from uuid.UUID, uids []UIDRange, to uuid.UUID, lift Flags, hold func(body int64) error) (rows []messageRow, dst []uint32, err error) {
	source, err := in.box(tx, from)
	if err != nil {
		return nil, nil, err
	}
	if _, err := in.box(tx, to); err != nil {
		return nil, nil, err
	}
	if err := tx.concerns(e, in, from); err != nil {
		return nil, nil, err
	}
	rows, err = tx.marked(source, uidSet(uids), 0)
	if err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	flags, err := tx.translate(e, in, from, to, rows)
	if err != nil {
		return nil, nil, err
	}
	var delta tally
	for i, r := range rows {
		flags[i] &^= lift
		delta.add(flags[i], r.size, 1)
	}
	c, err := tx.count(in, to, int64(len(rows)), delta)
	if err != nil {
		return nil, nil, err
	}
	dst = make([]uint32, len(rows))
	for i, r := range rows {
		dst[i] = c.first + uint32(i)
		content, err := tx.reseal(in, from, source, r.uid, to, dst[i], lift)
		if err != nil {
			return nil, nil, err
		}
		r.uid, r.flags = dst[i], flags[i]
		if err := tx.insertMessage(c.box, r, c.modseq, content); err != nil {
			return nil, nil, err
		}
		if err := hold(r.body); err != nil {
			return nil, nil, err
		}
		if err := tx.copyRendition(in, from, source, rows[i].uid, to, c.box, r.uid); err != nil {
			return nil, nil, err
		}
	}
	tx.changed(in, to)
	tx.noteTransfer(e, rowUIDs(rows), to, dst, c.modseq)
	return rows, dst, nil
}

// reseal opens a content in its old place and seals it for the new one, without
// the server's flags in lift.
func (tx *Tx) reseal(in *Inbox, from uuid.UUID, box int64, src uint32, to uuid.UUID, dst uint32, lift Flags) ([]byte, error) {
	plain, err := tx.reveal(in, from, box, src)
	if err != nil {
		return nil, err
	}
	if lift != 0 {
		var c sealedContent
		if err := c.decode(plain); err != nil {
			return nil, fmt.Errorf("%w: message %d of mailbox %s: %v", ErrCorrupt, src, from, err)
		}
		c.server &^= lift
		plain = c.append(make([]byte, 0, len(plain)))
	}
	return in.sealContent(plain, to, dst), nil
}

// reveal opens a content inside a transaction.
func (tx *Tx) reveal(in *Inbox, mailbox uuid.UUID, box int64, uid uint32) ([]byte, error) {
	var sealed []byte
	err := found(tx.row("SELECT sealed FROM content WHERE place = $1", place(box, uid)).Scan(&sealed))
	if err == nil {
		sealed, err = in.keys.metadata.Open(sealed, in.contentIdentity(contentID(mailbox, uid)))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: message %d of mailbox %s: %v", ErrCorrupt, uid, mailbox, err)
	}
	return sealed, nil
}

// translate gives the flags of messages in the other mailbox: the same ones,
// with the bits that its table has for their keywords. A keyword that finds no
// room there is left behind.
func (tx *Tx) translate(e *audit.Event, in *Inbox, from, to uuid.UUID, rows []messageRow) ([]Flags, error) {
	flags := make([]Flags, len(rows))
	var used Flags
	for i, r := range rows {
		flags[i] = r.flags
		used |= r.flags &^ fixedFlags
	}
	if used == 0 || from == to {
		return flags, nil
	}
	m, err := in.mailbox(tx, from)
	if err != nil {
		return nil, err
	}
	for i, r := range rows {
		flags[i] = r.flags & fixedFlags
	}
	for i, name := range m.Keywords {
		old := Flags(1) << (FirstKeyword + i)
		if used&old == 0 {
			continue
		}
		bit, err := tx.keywordBits(e, in, to, []string{name}, true, true)
		if err != nil {
			return nil, err
		}
		for j, r := range rows {
			if r.flags&old != 0 {
				flags[j] |= bit
			}
		}
	}
	return flags, nil
}

// Expunge removes the messages in uids, or all for nil; with onlyDeleted those
// of them that have the flag Deleted. Returns the UIDs that went, in order.
func (tx *Tx) Expunge(e *audit.Event, in *Inbox, mailbox uuid.UUID, uids []UIDRange, onlyDeleted bool) ([]uint32, error) {
	box, err := in.box(tx, mailbox)
	if err != nil {
		return nil, err
	}
	if err := tx.concerns(e, in, mailbox); err != nil {
		return nil, err
	}
	if uids == nil {
		uids = allUIDs
	}
	var mask Flags
	if onlyDeleted {
		mask = Deleted
	}
	rows, err := tx.marked(box, uidSet(uids), mask)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	modseq, err := tx.remove(in, mailbox, rows, tx.DropBody)
	if err != nil {
		return nil, err
	}
	gone := rowUIDs(rows)
	tx.noteSet(e, audit.UIDsOf(gone...), audit.Int(audit.KeyModSeq, modseq))
	return gone, nil
}

// remove deletes the rows of messages, and notes for the sessions which look at
// the mailbox what vanished.
func (tx *Tx) remove(in *Inbox, mailbox uuid.UUID, rows []messageRow, drop func(body int64) error) (modseq uint64, err error) {
	var delta tally
	var set audit.UIDs
	for _, r := range rows {
		delta.add(r.flags, r.size, -1)
		set.Add(r.uid, r.uid)
		if err := drop(r.body); err != nil {
			return 0, err
		}
	}
	c, err := tx.count(in, mailbox, 0, delta)
	if err != nil {
		return 0, err
	}
	for _, r := range set {
		if err := tx.deleteMessages(c.box, r); err != nil {
			return 0, err
		}
	}
	tx.changed(in, mailbox)
	return c.modseq, tx.exec("INSERT INTO vanished (mailbox, modseq, uids) VALUES ($1, $2, $3)", mailbox[:], int64(c.modseq), encodeUIDs(set))
}
