package storage

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// MaxAllowances is how many senders one inbox can except.
const MaxAllowances = 200

// Allowance excepts mail of one sender to one inbox from being put away because of
// its score. It holds for mail that provably comes from there, and never because of
// anything that a message says. // PI-3
type Allowance struct {
	Head
	Inbox   uuid.UUID `json:"inbox"`
	Sender  string    `json:"sender"` // canonical address or domain of From
	Reason  string    `json:"reason"` // code of a closed list, which package policy has
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	By      string    `json:"by"`               // who allowed it
}

// Ended reports whether its time is over.
func (a *Allowance) Ended(now time.Time) bool { return !a.Expires.IsZero() && !now.Before(a.Expires) }

// CreateAllowance excepts a sender. ErrLimit when the inbox has MaxAllowances.
func (tx *Tx) CreateAllowance(e *audit.Event, a *Allowance) error {
	var count int
	if err := tx.row("SELECT COUNT(*) FROM allowance WHERE inbox = $1", a.Inbox[:]).Scan(&count); err != nil {
		return classify(err)
	}
	if count >= MaxAllowances {
		return fmt.Errorf("%w: %d allowed senders", ErrLimit, count)
	}
	a.Created = tx.now
	sealed, err := tx.sealRecord(e, "allowance", a)
	if err != nil {
		return err
	}
	a.name(e)
	return tx.exec("INSERT INTO allowance (id, org, inbox, version, event, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
		a.ID[:], a.Org[:], a.Inbox[:], a.Version, a.Event[:], sealed)
}

// RemoveAllowance ends an exception that was read before. ErrConflict when somebody
// else did in between.
func (tx *Tx) RemoveAllowance(e *audit.Event, a *Allowance) error {
	n, err := tx.execN("DELETE FROM allowance WHERE id = $1 AND version = $2", a.ID[:], a.Version)
	if err := changed(n, err); err != nil {
		return err
	}
	tx.forget(e, "allowance", a)
	a.name(e)
	return nil
}

// name says in an event which exception it is about.
func (a *Allowance) name(e *audit.Event) {
	e.Org, e.Inbox, e.Object = a.Org, a.Inbox, a.ID
	e.Fields = append(e.Fields, audit.Word(audit.KeyLabel, a.Reason))
	if !a.Expires.IsZero() {
		e.Fields = append(e.Fields, audit.Time(audit.KeyExpires, a.Expires))
	}
	e.Personal = append(e.Personal, audit.Text(audit.KeyFrom, a.Sender))
}

// Allowance finds an exception of an organization.
func (s *Store) Allowance(ctx context.Context, org, id uuid.UUID) (Allowance, error) {
	return find[Allowance](ctx, s, "allowance", "org = $1 AND id = $2", org[:], id[:])
}

// Allowances lists the exceptions of an organization after an id, at most limit.
func (s *Store) Allowances(ctx context.Context, org, after uuid.UUID, limit int) ([]Allowance, error) {
	return list[Allowance](ctx, s, "allowance", "org = $1"+page, org[:], after[:], limit)
}

// AllowancesOf lists the exceptions of an inbox, at most MaxAllowances, the oldest
// first. One that stands at another inbox than its record says is corrupt.
func (s *Store) AllowancesOf(ctx context.Context, org, inbox uuid.UUID) ([]Allowance, error) {
	all, err := list[Allowance](ctx, s, "allowance", "org = $1 AND inbox = $2 ORDER BY id LIMIT $3", org[:], inbox[:], MaxAllowances)
	for i := range all {
		if all[i].Inbox != inbox {
			return nil, fmt.Errorf("%w: allowance %s: a clear column contradicts the record", ErrCorrupt, all[i].ID)
		}
	}
	return all, err
}

// eraseAllowances deletes the exceptions of an inbox that is being erased.
func (tx *Tx) eraseAllowances(org, inbox uuid.UUID) (n int, err error) {
	return tx.eraseRecords(audit.Event{Verb: audit.AllowRemove, Org: org, Inbox: inbox}, "allowance")
}

// allowanceHint holds the column by which an exception is found.
func allowanceHint(s *Store, row sealedRow, column []byte) (bool, error) {
	var a Allowance
	err := s.openRecord(context.Background(), "allowance", row, &a)
	return bytes.Equal(column, a.Inbox[:]), err
}
