package storage

import (
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Message is one message of a mailbox.
type Message struct {
	Mailbox  uuid.UUID
	UID      uint32
	ID       uuid.UUID // the same for all copies of a message
	Modseq   uint64
	Size     int64 // bytes of the view that IMAP shows
	Received time.Time
	Flags    Flags
	Content  *Content // nil when read without
}

// Deposit is a message to store. The promoted Content.Body names the stored
// body.
type Deposit struct {
	ID       uuid.UUID
	Received time.Time // zero means the time of the transaction
	Flags    Flags     // the fixed ones, ServerFlags included
	Keywords []string  // the others, by name; those that find no room in the mailbox's table are left out
	Size     int64     // bytes of the view that IMAP shows
	// Senders are the canonical addresses of who wrote a message that taints:
	// From, Reply-To, return path. Only their keyed hashes are kept, of the first
	// 16; mail to them is no reply to an old correspondent. // PI-5
	Senders []string
	// Scoring says how the message was judged, and then Verdict, Score and Model come
	// from it. Nil: nobody judged it.
	Scoring *Scoring
	// Rendition is what the safe view shows; nil: it is made when somebody asks.
	Rendition *Rendition
	Content
}

// Deposit stores a message in a mailbox and returns its UID. It takes UID and
// modseq from the mailbox's counters, holds the body, and says in the event
// which mailbox and UID it was; an event speaks of one deposit. ErrNotFound
// when the mailbox is not one of in.
func (tx *Tx) Deposit(e *audit.Event, in *Inbox, mailbox uuid.UUID, d Deposit) (uid uint32, err error) {
	if err := tx.concerns(e, in, mailbox); err != nil {
		return 0, err
	}
	bits, err := tx.keywordBits(e, in, mailbox, d.Keywords, true, true)
	if err != nil {
		return 0, err
	}
	if d.Received.IsZero() {
		d.Received = tx.now
	}
	content := sealedContent{id: d.ID, Content: d.Content}
	if err := content.judged(d.Scoring, tx.now); err != nil {
		return 0, err
	}
	d.Verdict = content.Verdict
	d.Flags &^= Tainting
	content.Senders = nil
	if d.Verdict.Taints() {
		d.Flags |= Tainting
		content.Senders = in.sendersOf(d.Senders)
	}
	r := messageRow{flags: d.Flags&fixedFlags | bits, body: d.Body.No, size: d.Size, id: d.ID, received: micros(d.Received)}
	var delta tally
	delta.add(r.flags, r.size, 1)
	c, err := tx.count(in, mailbox, 1, delta)
	if err != nil {
		return 0, err
	}
	r.uid = c.first
	content.received, content.size, content.server = r.received, d.Size, r.flags&ServerFlags
	content.wrapped = in.keys.key.Wrap(d.Body.Key, in.dataKeyIdentity(d.Body.ID))
	if err := tx.HoldBody(d.Body.No); err != nil {
		return 0, err
	}
	plain := content.append(make([]byte, 0, 256+len(d.Structure)+len(d.Overlay)+len(d.Auth)))
	if err := tx.insertMessage(c.box, r, c.modseq, in.sealContent(plain, mailbox, r.uid)); err != nil {
		return 0, err
	}
	if d.Rendition != nil {
		if _, err := tx.addRendition(in, mailbox, c.box, r.uid, d.ID, *d.Rendition); err != nil {
			return 0, err
		}
		e.Fields = append(e.Fields, audit.Int(audit.KeyRendition, d.Rendition.Version))
	}
	if e.Object == uuid.Nil {
		e.Object = d.ID
	}
	e.Fields = append(e.Fields, audit.Int(audit.KeyUID, r.uid), audit.Int(audit.KeyModSeq, c.modseq))
	tx.changed(in, mailbox)
	return r.uid, nil
}

// messageRow is the clear row of a message.
type messageRow struct {
	uid      uint32
	flags    Flags
	body     int64
	size     int64
	id       uuid.UUID
	received int64
}

// insertMessage writes the two rows of a message: the narrow one that changes
// and is scanned often, and its content.
func (tx *Tx) insertMessage(box int64, r messageRow, modseq uint64, content []byte) error {
	err := tx.exec("INSERT INTO message (place, box, id, body, born, modseq, size, received, flags) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)",
		place(box, r.uid), box, r.id[:], r.body, int64(modseq), r.size, r.received, int64(r.flags))
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO content (place, sealed) VALUES ($1, $2)", place(box, r.uid), content)
}

// deleteMessages deletes the rows of a range of messages, and their renditions.
func (tx *Tx) deleteMessages(box int64, r UIDRange) error {
	first, last := place(box, r.First), place(box, r.Last)
	if err := tx.deleteRenditions(first, last); err != nil {
		return err
	}
	if err := tx.exec("DELETE FROM message WHERE place BETWEEN $1 AND $2", first, last); err != nil {
		return err
	}
	return tx.exec("DELETE FROM content WHERE place BETWEEN $1 AND $2", first, last)
}

// tally is a change of a mailbox's counters.
type tally struct{ messages, unseen, deleted, bytes int64 }

// add counts n messages with these flags and this size. A size of zero is that
// of a message which only changes its flags; it still counts as a message, so
// that adding one and taking one away leaves the rest as it was.
func (t *tally) add(flags Flags, size, n int64) {
	t.messages += n
	t.bytes += n * size
	if flags&Seen == 0 {
		t.unseen += n
	}
	if flags&Deleted != 0 {
		t.deleted += n
	}
}

// counted is what a change took from the counters of a mailbox.
type counted struct {
	box    int64  // the mailbox's number
	first  uint32 // the first UID taken
	modseq uint64
}

// count changes the counters of a mailbox, takes as many UIDs as asked for, and
// one modseq. ErrNotFound when the mailbox is not one of in; ErrLimit when the
// UIDs have run out.
func (tx *Tx) count(in *Inbox, mailbox uuid.UUID, uids int64, t tally) (c counted, err error) {
	var next int64
	err = found(tx.row("SELECT no, uidnext, modseq FROM mailbox WHERE id = $1 AND inbox = $2", mailbox[:], in.record.ID[:]).
		Scan(&c.box, &next, &c.modseq))
	if err == nil && next+uids > math.MaxUint32 {
		err = fmt.Errorf("%w: UIDs of mailbox %s", ErrLimit, mailbox)
	}
	if err != nil {
		return counted{}, err
	}
	c.first = uint32(next)
	c.modseq++
	return c, tx.exec(`UPDATE mailbox SET uidnext = uidnext + $1, modseq = modseq + 1, messages = messages + $2,
		unseen = unseen + $3, deleted = deleted + $4, bytes = bytes + $5 WHERE id = $6`,
		uids, t.messages, t.unseen, t.deleted, t.bytes, mailbox[:])
}

// allUIDs is every message of a mailbox.
var allUIDs = []UIDRange{{First: 1, Last: math.MaxUint32}}

// marked reads the clear rows of those messages of a set that have all flags of
// the mask, in UID order.
func (tx *Tx) marked(box int64, set audit.UIDs, mask Flags) ([]messageRow, error) {
	var found []messageRow
	for len(set) > 0 {
		h := hull(set)
		var err error
		if found, err = tx.markedIn(found, box, h, set, mask); err != nil {
			return nil, err
		}
		set = after(set, h.Last)
	}
	return found, nil
}

func (tx *Tx) markedIn(found []messageRow, box int64, h UIDRange, set audit.UIDs, mask Flags) ([]messageRow, error) {
	rows, err := tx.rows(`SELECT place, flags, body, size, id, received FROM message
		WHERE place BETWEEN $1 AND $2 AND (flags & $3) = $3 ORDER BY place`, place(box, h.First), place(box, h.Last), int64(mask))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r messageRow
		var at, flags int64
		if err := rows.Scan(&at, &flags, &r.body, &r.size, &r.id, &r.received); err != nil {
			return nil, classify(err)
		}
		r.uid, r.flags = uint32(at), Flags(flags)
		if set.Contains(r.uid) {
			found = append(found, r)
		}
	}
	return found, classify(rows.Err())
}
