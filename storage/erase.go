package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// eraseRows is how many messages or queue rows one transaction of an erasure
// removes: some milliseconds of the writer, between which others have their turn.
const eraseRows = 256

// removedRule is the rule that events of an erasure name.
const removedRule = "inbox-removed"

// QueuedError: the queue holds mail that the inbox sent.
type QueuedError struct {
	Rows     int  // recipients that wait
	UnderWay bool // an attempt is being made for one of them
}

func (e *QueuedError) Error() string {
	if e.UnderWay {
		return "storage: mail of the inbox is being sent now"
	}
	return fmt.Sprintf("storage: the queue holds mail of the inbox for %d recipients", e.Rows)
}

// RemoveInbox ends an inbox: with the commit its address receives nothing, and
// nobody opens, reads or writes it any more. What is left is erased by
// EraseInbox, which is called next and, after a crash, by the next start.
//
// A *QueuedError when mail of it waits in the queue, unless force gives that
// mail up; with force too when an attempt is under way, for its result must not
// be lost. ErrConflict when the inbox was removed or written meanwhile.
//
// The event is the organization's and not the inbox's: who removed it, and why,
// is to be read when the inbox's own key is gone.
func (tx *Tx) RemoveInbox(e *audit.Event, in *InboxRecord, force bool) error {
	q, err := tx.queued(in.ID)
	if err != nil {
		return err
	}
	if q.UnderWay || q.Rows > 0 && !force {
		return q
	}
	n, err := tx.execN("DELETE FROM inbox WHERE id = $1 AND version = $2", in.ID[:], in.Version)
	if err := changed(n, err); err != nil {
		return err
	}
	if err := tx.dropPolicy(e, in.ID); err != nil {
		return err
	}
	tx.forget(e, "inbox", in)
	e.Org, e.Object = in.Org, in.ID
	e.Fields = append(e.Fields, audit.ID(audit.KeyInbox, in.ID), audit.Int(audit.KeyRecipients, q.Rows))
	keys := tx.store().keys
	tx.afterCommit(func() { keys.retire(in.ID) })
	return tx.exec("INSERT INTO erasure (inbox, org) VALUES ($1, $2)", in.ID[:], in.Org[:])
}

// queued counts what an inbox has in the queue, held or not, in either lane.
func (tx *Tx) queued(inbox uuid.UUID) (*QueuedError, error) {
	var q QueuedError
	err := tx.row("SELECT COUNT(*), COUNT(lease_owner) > 0 FROM outgoing WHERE inbox = $1", inbox[:]).Scan(&q.Rows, &q.UnderWay)
	return &q, classify(err)
}

// Erasures lists the inboxes that were removed and are not yet erased.
func (s *Store) Erasures(ctx context.Context) (inboxes []uuid.UUID, err error) {
	err = s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT inbox FROM erasure ORDER BY inbox")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id uuid.UUID
			if err := rows.Scan(&id); err != nil {
				return classify(err)
			}
			inboxes = append(inboxes, id)
		}
		return classify(rows.Err())
	})
	return inboxes, err
}

// EraseInbox erases an inbox that RemoveInbox removed: its key first, after
// which nothing of it can be read anywhere, then its rows and files step by
// step, and at last the event inbox.erased. It may be called again, also while
// it runs, and does what is left.
func (s *Store) EraseInbox(ctx context.Context, inbox uuid.UUID) error {
	for {
		more, err := s.eraseStep(ctx, inbox)
		if err != nil || !more {
			return err
		}
	}
}

// eraseStep does the next short step of an erasure.
func (s *Store) eraseStep(ctx context.Context, inbox uuid.UUID) (more bool, err error) {
	var org uuid.UUID
	err = s.read(ctx, func(r *reads) error {
		return found(r.row("SELECT org FROM erasure WHERE inbox = $1", inbox[:]).Scan(&org))
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil // done, or never removed
	}
	if err != nil {
		return false, err
	}
	if gone, err := s.keys.destroyInbox(ctx, inbox); err != nil || gone {
		return true, err
	}
	forgotten := int64(0)
	err = s.Upkeep(ctx, func(u *Upkeep) (err error) {
		if forgotten, err = u.forgetVanishedOf(inbox); err != nil || forgotten > 0 {
			return err
		}
		forgotten, err = u.forgetCorrespondentsOf(inbox)
		return err
	})
	if err != nil || forgotten > 0 {
		return true, err
	}
	err = s.Write(ctx, System, func(tx *Tx) (err error) {
		more, err = tx.eraseRows(org, inbox)
		return err
	})
	if errors.Is(err, ErrNoEvent) {
		return false, nil // somebody else took the last step
	}
	return more, err
}

// eraseRows removes what comes next of an inbox: rows of the queue, messages, a
// mailbox without messages, and when nothing is left, the note that there was
// something.
func (tx *Tx) eraseRows(org, inbox uuid.UUID) (more bool, err error) {
	for _, erase := range []func(org, inbox uuid.UUID) (int, error){tx.eraseQueued, tx.eraseApprovals, tx.eraseCaptured, tx.eraseQuarantine, tx.eraseAllowances, tx.eraseGlasses} {
		if n, err := erase(org, inbox); err != nil || n > 0 {
			return true, err
		}
	}
	var mailbox uuid.UUID
	var box, version int64
	err = found(tx.row("SELECT id, no, version FROM mailbox WHERE inbox = $1 ORDER BY name_hash LIMIT 1", inbox[:]).Scan(&mailbox, &box, &version))
	if errors.Is(err, ErrNotFound) {
		return false, tx.erased(org, inbox)
	}
	if err != nil {
		return false, err
	}
	e := audit.Event{Verb: audit.MessageExpunged, Org: org, Inbox: inbox, Mailbox: mailbox, Fields: audit.Fields{audit.Word(audit.KeyRule, removedRule)}}
	n, err := tx.eraseMessages(e, box)
	if err != nil || n > 0 {
		return true, err
	}
	e.Verb = audit.MailboxDelete
	tx.wrote(tx.Record(e), "mailbox", mailbox[:], uint64(version)+1, nil)
	return true, tx.deleteMailboxRows(mailbox)
}

// eraseQueued gives up queued mail, without a report: there is nobody to get it.
func (tx *Tx) eraseQueued(org, inbox uuid.UUID) (n int, err error) {
	type queued struct {
		id, message   uuid.UUID
		version, body int64
	}
	var all []queued
	rows, err := tx.rows("SELECT id, message, version, body FROM outgoing WHERE inbox = $1 LIMIT $2", inbox[:], eraseRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var q queued
		if err := rows.Scan(&q.id, &q.message, &q.version, &q.body); err != nil {
			return 0, classify(err)
		}
		all = append(all, q)
	}
	if err := rows.Err(); err != nil {
		return 0, classify(err)
	}
	for _, q := range all {
		e := tx.Record(audit.Event{Verb: audit.QueueBounce, Outcome: audit.Failed, Org: org, Inbox: inbox, Object: q.message,
			Fields: audit.Fields{audit.ID(audit.KeyOutgoing, q.id), audit.Word(audit.KeyRule, removedRule)}})
		tx.wrote(e, "outgoing", q.id[:], uint64(q.version)+1, nil)
		if err := tx.exec("DELETE FROM outgoing WHERE id = $1", q.id[:]); err != nil {
			return 0, err
		}
		if err := tx.DropBody(q.body); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// eraseMessages removes the first messages of a mailbox; the event says which.
func (tx *Tx) eraseMessages(e audit.Event, box int64) (n int, err error) {
	rows, err := tx.rows("SELECT place, body FROM message WHERE place BETWEEN $1 AND $2 ORDER BY place LIMIT $3",
		place(box, allUIDs[0].First), place(box, allUIDs[0].Last), eraseRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var uids []uint32
	var bodies []int64
	for rows.Next() {
		var at, body int64
		if err := rows.Scan(&at, &body); err != nil {
			return 0, classify(err)
		}
		uids, bodies = append(uids, uint32(at)), append(bodies, body)
	}
	if err := rows.Err(); err != nil || len(uids) == 0 {
		return 0, classify(err)
	}
	for _, no := range bodies {
		if err := tx.DropBody(no); err != nil {
			return 0, err
		}
	}
	tx.noteSet(tx.Record(e), audit.UIDsOf(uids...))
	return len(uids), tx.deleteMessages(box, UIDRange{First: uids[0], Last: uids[len(uids)-1]})
}

// erased ends an erasure, once.
func (tx *Tx) erased(org, inbox uuid.UUID) error {
	n, err := tx.execN("DELETE FROM erasure WHERE inbox = $1", inbox[:])
	if err != nil || n == 0 {
		return err
	}
	tx.Record(audit.Event{Verb: audit.InboxErased, Org: org, Object: inbox, Fields: audit.Fields{audit.ID(audit.KeyInbox, inbox)}})
	if err := tx.exec("DELETE FROM safe_inbox WHERE inbox = $1", inbox[:]); err != nil {
		return err
	}
	return tx.exec("DELETE FROM uid_validity WHERE inbox = $1", inbox[:])
}

// resumeErasures destroys, before anything can be read, the keys of inboxes
// whose erasure a crash cut short. Their rows can wait for EraseInbox.
func (s *Store) resumeErasures(ctx context.Context) error {
	inboxes, err := s.Erasures(ctx)
	if err != nil {
		return err
	}
	for _, id := range inboxes {
		s.keys.retire(id)
		if _, err := s.keys.destroyInbox(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
