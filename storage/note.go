package storage

import (
	"errors"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// What the mail side says in an event: which inbox and mailbox it is about, and
// which UIDs. The log can be replayed from these against the rows.

// errEventTaken is a mistake of the caller: an event speaks of one mailbox.
var errEventTaken = errors.New("storage: the event already concerns another mailbox")

// concerns says in the event which inbox and mailbox it is about.
func (tx *Tx) concerns(e *audit.Event, in *Inbox, mailbox uuid.UUID) error {
	if e.Inbox != uuid.Nil && e.Inbox != in.record.ID || e.Mailbox != uuid.Nil && e.Mailbox != mailbox {
		return errEventTaken
	}
	if tx.store().keys.retired(in.record.ID) {
		return ErrNotFound // a session that outlived its inbox
	}
	e.Org, e.Inbox, e.Mailbox = in.record.Org, in.record.ID, mailbox
	return nil
}

// eventRanges is how many UID ranges one event names at the most: its canonical
// form is bounded (audit.MaxCanonical).
const eventRanges = 10000

// noteSet says in the event which UIDs it is about, and further fields of that
// change. Beyond eventRanges the rest is said in further events of the same
// kind.
func (tx *Tx) noteSet(e *audit.Event, set audit.UIDs, more ...audit.Field) {
	tx.eachEvent(e, len(set), func(e *audit.Event, from, to int) {
		part := set[from:to]
		e.Fields = append(e.Fields, audit.Set(audit.KeyUIDs, part), audit.Int(audit.KeyCount, part.Count()))
		e.Fields = append(e.Fields, more...)
	})
}

// noteTransfer says in the event which UIDs of its mailbox became which in
// another.
func (tx *Tx) noteTransfer(e *audit.Event, src []uint32, to uuid.UUID, dst []uint32, modseq uint64) {
	tx.eachEvent(e, len(src), func(e *audit.Event, a, b int) {
		e.Fields = append(e.Fields, audit.Set(audit.KeyUIDs, audit.UIDsOf(src[a:b]...)), audit.Int(audit.KeyCount, b-a),
			audit.ID(audit.KeyToMailbox, to), audit.Set(audit.KeyToUIDs, audit.UIDsOf(dst[a:b]...)), audit.Int(audit.KeyModSeq, modseq))
	})
}

// eachEvent divides n things among events: e, and as many more as are needed,
// each with the fields that e had at first.
func (tx *Tx) eachEvent(e *audit.Event, n int, fn func(e *audit.Event, from, to int)) {
	head := *e
	head.Writes, head.Personal = nil, nil
	head.Fields = head.Fields[:len(head.Fields):len(head.Fields)]
	for from := 0; from < n; from += eventRanges {
		if from > 0 {
			e = tx.Record(head)
		}
		fn(e, from, min(n, from+eventRanges))
	}
}
