package storage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// Head is what every record has: who it is, whose it is, and which event wrote
// it last. It is authenticated with the record's sealed fields, so a row cannot
// be copied, renamed, made older or moved to another organization.
type Head struct {
	ID      uuid.UUID `json:"-"`
	Org     uuid.UUID `json:"-"`
	Version uint64    `json:"-"` // 1 at creation
	Event   uuid.UUID `json:"-"`
}

func (h *Head) head() *Head { return h }

// record is a noun whose decisive fields are sealed as JSON.
type record interface{ head() *Head }

func recordIdentity(table string, h *Head) seal.Identity {
	return seal.Identity{Org: h.Org, Table: table, ID: h.ID[:], Purpose: "record", Version: h.Version, Event: h.Event}
}

// sealRecord gives the record its next version under event e and notes the
// write there.
func (tx *Tx) sealRecord(e *audit.Event, table string, rec record) ([]byte, error) {
	h := rec.head()
	if h.ID == uuid.Nil {
		h.ID = newID()
	}
	h.Version++
	h.Event = e.ID
	key, err := tx.store().orgKey(context.Background(), h.Org)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("storage: %s: %w", table, err)
	}
	sealed := key.Seal(plain, recordIdentity(table, h))
	tx.wrote(e, table, h.ID[:], h.Version, sealed)
	tx.publishes(rec)
	return sealed, nil
}

// forget notes in e that a record was deleted.
func (tx *Tx) forget(e *audit.Event, table string, rec record) {
	h := rec.head()
	tx.wrote(e, table, h.ID[:], h.Version+1, nil)
	tx.publishes(rec)
}

// sealedRow is a record's row before it is opened.
type sealedRow struct {
	head   Head
	sealed []byte
}

// headColumns are the first columns of every query for a record, in the order
// that scanHead wants.
const headColumns = "id, org, version, event, sealed"

func scanHead(row rowScanner, more ...any) (sealedRow, error) {
	var r sealedRow
	dest := append([]any{&r.head.ID, &r.head.Org, &r.head.Version, &r.head.Event, &r.sealed}, more...)
	return r, found(row.Scan(dest...))
}

// openRecord opens a row into rec. A record that does not open is corrupt, and
// nothing of it is used.
func (s *Store) openRecord(ctx context.Context, table string, r sealedRow, rec record) error {
	key, err := s.orgKey(ctx, r.head.Org)
	if err != nil {
		return err
	}
	plain, err := key.Open(r.sealed, recordIdentity(table, &r.head))
	if err != nil {
		return fmt.Errorf("%w: %s %s: %v", ErrCorrupt, table, r.head.ID, err)
	}
	if err := json.Unmarshal(plain, rec); err != nil {
		return fmt.Errorf("%w: %s %s: %v", ErrCorrupt, table, r.head.ID, err)
	}
	*rec.head() = r.head
	return nil
}

// find reads and opens one record.
func find[R any, P interface {
	*R
	record
}](ctx context.Context, s *Store, table, where string, args ...any) (R, error) {
	var rec R
	var row sealedRow
	err := s.look(ctx, func(r *reads) (err error) {
		row, err = scanHead(r.row("SELECT "+headColumns+" FROM "+table+" WHERE "+where, args...))
		return err
	})
	if err != nil {
		return rec, err
	}
	return rec, s.openRecord(ctx, table, row, P(&rec))
}

// list reads and opens the records of a query, in its order.
func list[R any, P interface {
	*R
	record
}](ctx context.Context, s *Store, table, where string, args ...any) ([]R, error) {
	var sealed []sealedRow
	err := s.read(ctx, func(r *reads) (err error) {
		sealed, err = sealedRows(r, table, where, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return openRows[R, P](ctx, s, table, sealed)
}

// listIn is list as a write transaction sees it.
func listIn[R any, P interface {
	*R
	record
}](tx *Tx, table, where string, args ...any) ([]R, error) {
	sealed, err := sealedRows(tx, table, where, args...)
	if err != nil {
		return nil, err
	}
	return openRows[R, P](context.Background(), tx.store(), table, sealed)
}

func sealedRows(a asker, table, where string, args ...any) (sealed []sealedRow, err error) {
	rows, err := a.rows("SELECT "+headColumns+" FROM "+table+" WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scanHead(rows)
		if err != nil {
			return nil, err
		}
		sealed = append(sealed, row)
	}
	return sealed, classify(rows.Err())
}

func openRows[R any, P interface {
	*R
	record
}](ctx context.Context, s *Store, table string, sealed []sealedRow) ([]R, error) {
	recs := make([]R, len(sealed))
	for i, row := range sealed {
		if err := s.openRecord(ctx, table, row, P(&recs[i])); err != nil {
			return nil, err
		}
	}
	return recs, nil
}

// page bounds a listing: records after an id, at most limit of them.
const page = " AND id > $2 ORDER BY id LIMIT $3"

// hashName is the keyed hash by which a name is found before its organization
// is known: domains, addresses, tokens.
func (s *Store) hashName(purpose, name string) []byte {
	return s.index.Hash(purpose, []byte(name))
}
