package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Approval is a submitted message that waits for people: its copy lies in Outbox
// with the flag Held, and its rows in the queue are held. It is there as long as
// nobody has decided; the decision is an event. Head.ID is that of the
// submission, which the agent was told. // PI-5, PI-6
type Approval struct {
	Head
	Inbox      uuid.UUID `json:"inbox"`
	Agent      uuid.UUID `json:"agent"`
	Credential uuid.UUID `json:"credential"`
	Rules      []string  `json:"rules"`   // that made it wait, in the words of the log
	Persons    int       `json:"persons"` // how many must agree; policy that is weakened later does not lower it
	Created    time.Time `json:"created"`
	Expires    time.Time `json:"expires"` // when it is rejected
	Outbox     uuid.UUID `json:"outbox"`  // mailbox of the copy
	UID        uint32    `json:"uid"`     // in it
	MessageID  string    `json:"message_id"`
	SHA256     []byte    `json:"sha256"` // of the stored bytes: what goes out if it goes
	From       string    `json:"from"`   // envelope sender
	Recipients []string  `json:"recipients"`
}

// CreateApproval notes that a message waits for people.
func (tx *Tx) CreateApproval(e *audit.Event, a *Approval) error {
	a.Created = tx.now
	sealed, err := tx.sealRecord(e, "approval", a)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO approval (id, org, inbox, version, event, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
		a.ID[:], a.Org[:], a.Inbox[:], a.Version, a.Event[:], sealed)
}

// SettleApproval ends an approval that was read before, and moves the copy from
// Outbox to another mailbox of the inbox, without the flag Held. ErrConflict when
// somebody else has decided in between: so there is one decision.
func (tx *Tx) SettleApproval(e *audit.Event, in *Inbox, a *Approval, to uuid.UUID) error {
	n, err := tx.execN("DELETE FROM approval WHERE id = $1 AND version = $2", a.ID[:], a.Version)
	if err := changed(n, err); err != nil {
		return err
	}
	tx.forget(e, "approval", a)
	src, _, err := tx.move(e, in, a.Outbox, []UIDRange{{First: a.UID, Last: a.UID}}, to, Held)
	if err == nil && len(src) == 0 {
		return fmt.Errorf("%w: the copy of held message %s is gone", ErrCorrupt, a.ID)
	}
	return err
}

// Approval finds a message of an organization that waits for people.
func (s *Store) Approval(ctx context.Context, org, id uuid.UUID) (Approval, error) {
	return find[Approval](ctx, s, "approval", "org = $1 AND id = $2", org[:], id[:])
}

// Waits reports, as this transaction sees it, whether a message of an organization
// waits for people.
func (tx *Tx) Waits(org, id uuid.UUID) (bool, error) {
	row, err := scanHead(tx.row("SELECT "+headColumns+" FROM approval WHERE org = $1 AND id = $2", org[:], id[:]))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = tx.store().openRecord(context.Background(), "approval", row, &Approval{})
	}
	return err == nil, err
}

// Approvals lists what waits for people in an organization after an id, in the
// order of submission, at most limit.
func (s *Store) Approvals(ctx context.Context, org, after uuid.UUID, limit int) ([]Approval, error) {
	return list[Approval](ctx, s, "approval", "org = $1"+page, org[:], after[:], limit)
}

// eraseApprovals deletes what waited for people of an inbox that is being erased.
func (tx *Tx) eraseApprovals(org, inbox uuid.UUID) (n int, err error) {
	rows, err := tx.rows("SELECT id, version FROM approval WHERE inbox = $1 LIMIT $2", inbox[:], eraseRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var gone []Head
	for rows.Next() {
		h := Head{Org: org}
		if err := rows.Scan(&h.ID, &h.Version); err != nil {
			return 0, classify(err)
		}
		gone = append(gone, h)
	}
	if err := rows.Err(); err != nil {
		return 0, classify(err)
	}
	for _, h := range gone {
		e := tx.Record(audit.Event{Verb: audit.ApprovalReject, Outcome: audit.Failed, Org: org, Inbox: inbox, Object: h.ID,
			Fields: audit.Fields{audit.Word(audit.KeyRule, removedRule)}})
		tx.wrote(e, "approval", h.ID[:], h.Version+1, nil)
		if err := tx.exec("DELETE FROM approval WHERE id = $1", h.ID[:]); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}

// approvalHint compares the column by which an erasure finds approvals.
func approvalHint(s *Store, row sealedRow, column []byte) (bool, error) {
	var a Approval
	err := s.openRecord(context.Background(), "approval", row, &a)
	return bytes.Equal(column, a.Inbox[:]), err
}
