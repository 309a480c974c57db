package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// leaves are what a batch adds to the tree: kept as a list until the commit,
// so that a function which fails takes its own back.
type leaves struct {
	tree   *audit.Tree
	hashes [][32]byte
}

func newLeaves(tree *audit.Tree) *leaves { return &leaves{tree: tree} }

func (l *leaves) mark() int      { return len(l.hashes) }
func (l *leaves) reset(mark int) { l.hashes = l.hashes[:mark] }

// add takes a leaf and gives its sequence number, dense from 0.
func (l *leaves) add(h [32]byte) uint64 {
	l.hashes = append(l.hashes, h)
	return l.tree.Size() + uint64(len(l.hashes)) - 1
}

// store folds the leaves into the tree and writes the tiles that became full
// and the tree's one row.
func (l *leaves) store(w *writer) error {
	if len(l.hashes) == 0 {
		return nil
	}
	for _, h := range l.hashes {
		for _, t := range l.tree.Append(h) {
			err := w.exec("INSERT INTO tile (level, n, hashes) VALUES ($1, $2, $3) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes", t.Level, t.N, t.Hashes)
			if err != nil {
				return err
			}
		}
	}
	return w.exec("INSERT INTO tree (id, size, frontier) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET size = excluded.size, frontier = excluded.frontier",
		l.tree.Size(), l.tree.Frontier())
}

// flushEvents writes what the transaction recorded.
func (tx *Tx) flushEvents(l *leaves) error {
	for _, e := range tx.op.events {
		if err := tx.insertEvent(e, l); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) insertEvent(e *audit.Event, l *leaves) error {
	if e.Outcome == 0 {
		e.Outcome = audit.OK
	}
	e.Salt = [32]byte{}
	if len(e.Personal) > 0 || e.Actor.Name != "" || e.Actor.Network.IsValid() {
		rand.Read(e.Salt[:])
	}
	if err := e.Check(); err != nil {
		return err
	}
	canonical := e.Canonical()
	e.Seq = l.add(audit.LeafHash(canonical))
	var sealed any
	if personal := e.PersonalBytes(); len(personal) > 0 {
		key, err := tx.store().eventKey(context.Background(), e.Org, e.Inbox)
		switch {
		case errors.Is(err, ErrNotFound) && tx.store().keys.retired(e.Inbox):
			// The end of a session that outlived its inbox, say: its personal
			// half is as unreadable as if it had been written before.
		case err != nil:
			return err
		default:
			sealed = key.Seal(personal, eventIdentity(e))
		}
	}
	mid, err := tx.messageIDHash(e)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO event (seq, id, at, verb, org, agent, credential, inbox, object, mid, canonical, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		e.Seq, e.ID[:], micros(e.Time), int64(e.Verb), nullable(e.Org), nullable(e.Agent), nullable(e.Credential),
		nullable(e.Inbox), nullable(e.Object), mid, canonical, sealed)
}

func eventIdentity(e *audit.Event) seal.Identity {
	return seal.Identity{Org: e.Org, Table: "event", ID: e.ID[:], Purpose: "personal"}
}

// midSize is enough of a keyed hash to find a Message-ID by; what is found is
// compared after opening.
const midSize = 16

// messageIDHash is the index column by which an event is found from a Message-ID.
// It is keyed by the inbox's key: erasing the inbox ends the look-up too.
func (tx *Tx) messageIDHash(e *audit.Event) (any, error) {
	id := e.Personal.Text(audit.KeyMessageID)
	if id == "" || e.Inbox == uuid.Nil {
		return nil, nil
	}
	ik, err := tx.store().inboxKeysOf(context.Background(), e.Org, e.Inbox)
	if errors.Is(err, ErrNotFound) && tx.store().keys.retired(e.Inbox) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ik.messageID(id), nil
}

func (ik *inboxKeys) messageID(id string) []byte {
	return ik.lookup.Hash("message-id", []byte(id))[:midSize]
}

// EventQuery selects events; zero fields select all.
type EventQuery struct {
	From, To   uint64 // sequence numbers [From, To); To zero: to the end
	Since      time.Time
	Until      time.Time // exclusive
	Org        uuid.UUID
	Agent      uuid.UUID
	Credential uuid.UUID
	Inbox      uuid.UUID
	Object     uuid.UUID
	Verbs      []audit.Verb
	MessageID  string // needs Org
	Newest     bool   // newest first
	Limit      int    // at most this many; zero: 1000
}

// Events returns the events that a query selects, in sequence, with their
// personal fields where the key still exists.
func (s *Store) Events(ctx context.Context, q EventQuery) ([]audit.Event, error) {
	if q.Limit <= 0 {
		q.Limit = 1000
	}
	if q.MessageID == "" {
		return s.selectEvents(ctx, q, nil)
	}
	hashes, err := s.messageIDHashes(ctx, q.Org, q.MessageID)
	if err != nil {
		return nil, err
	}
	var events []audit.Event
	for group := range slices.Chunk(hashes, midGroup) {
		some, err := s.selectEvents(ctx, q, group)
		if err != nil {
			return nil, err
		}
		for i := range some {
			if some[i].Personal.Text(audit.KeyMessageID) == q.MessageID {
				events = append(events, some[i])
			}
		}
	}
	slices.SortFunc(events, func(a, b audit.Event) int {
		if q.Newest {
			a, b = b, a
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
	return events[:min(len(events), q.Limit)], nil
}

// midGroup is how many hashes of a Message-ID one query looks up.
const midGroup = 500

// selectEvents reads and opens what a query selects, among these hashes of a
// Message-ID if there are any.
func (s *Store) selectEvents(ctx context.Context, q EventQuery, mids [][]byte) ([]audit.Event, error) {
	where, args := eventWhere(q, mids)
	var sealed []sealedEvent
	err := s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT "+eventColumns+" FROM event WHERE "+where, args...)
		if err != nil {
			return err
		}
		sealed, err = scanEvents(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	events := make([]audit.Event, 0, len(sealed))
	for i := range sealed {
		e, err := s.openEvent(ctx, &sealed[i])
		if err != nil {
			return nil, err
		}
		events = append(events, *e)
	}
	return events, nil
}

// eventWhere writes the condition, order and limit of a query.
func eventWhere(q EventQuery, mids [][]byte) (where string, args []any) {
	where, args = eventConditions(q, mids)
	order := " ORDER BY seq"
	if q.Newest {
		order += " DESC"
	}
	args = append(args, q.Limit)
	return fmt.Sprintf("%s%s LIMIT $%d", where, order, len(args)), args
}

// eventConditions writes the condition of a query.
func eventConditions(q EventQuery, mids [][]byte) (where string, args []any) {
	var conds []string
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	conds = append(conds, "seq >= "+arg(q.From))
	if q.To > 0 {
		conds = append(conds, "seq < "+arg(q.To))
	}
	for _, c := range []struct {
		column string
		id     uuid.UUID
	}{{"org", q.Org}, {"agent", q.Agent}, {"credential", q.Credential}, {"inbox", q.Inbox}, {"object", q.Object}} {
		if c.id != uuid.Nil {
			conds = append(conds, c.column+" = "+arg(append([]byte(nil), c.id[:]...)))
		}
	}
	if !q.Since.IsZero() {
		conds = append(conds, "at >= "+arg(micros(q.Since)))
	}
	if !q.Until.IsZero() {
		conds = append(conds, "at < "+arg(micros(q.Until)))
	}
	if len(q.Verbs) > 0 {
		var in []string
		for _, v := range q.Verbs {
			in = append(in, arg(int64(v)))
		}
		conds = append(conds, "verb IN ("+strings.Join(in, ", ")+")")
	}
	if len(mids) > 0 {
		var places []string
		for _, h := range mids {
			places = append(places, arg(h))
		}
		conds = append(conds, "mid IN ("+strings.Join(places, ", ")+")")
	}
	return strings.Join(conds, " AND "), args
}

// messageIDHashes are the hashes of one Message-ID under the key of every inbox
// of the organization.
func (s *Store) messageIDHashes(ctx context.Context, org uuid.UUID, id string) ([][]byte, error) {
	inboxes, err := s.inboxIDs(ctx, org)
	if err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, inbox := range inboxes {
		ik, err := s.inboxKeysOf(ctx, org, inbox)
		if errors.Is(err, ErrNotFound) {
			continue // erased
		}
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, ik.messageID(id))
	}
	return hashes, nil
}

// sealedEvent is an event's row before it is opened.
type sealedEvent struct {
	seq        uint64
	id         uuid.UUID
	org, inbox uuid.NullUUID
	canonical  []byte
	sealed     []byte
}

// eventColumns are what scanEvents wants.
const eventColumns = "seq, id, org, inbox, canonical, sealed"

func scanEvents(rows *sql.Rows) (events []sealedEvent, err error) {
	defer rows.Close()
	for rows.Next() {
		var e sealedEvent
		if err := rows.Scan(&e.seq, &e.id, &e.org, &e.inbox, &e.canonical, &e.sealed); err != nil {
			return nil, classify(err)
		}
		events = append(events, e)
	}
	return events, classify(rows.Err())
}

// openEvent decodes a row; personal fields whose key was destroyed stay away.
func (s *Store) openEvent(ctx context.Context, row *sealedEvent) (*audit.Event, error) {
	personal, err := s.openPersonal(ctx, row)
	if err != nil {
		return nil, err
	}
	e, err := audit.DecodeEvent(row.canonical, personal)
	if err != nil {
		return nil, fmt.Errorf("%w: event %d: %v", ErrCorrupt, row.seq, err)
	}
	e.Seq = row.seq
	return e, nil
}

// openPersonal returns an event's personal bytes, nil when there are none or
// their key was destroyed.
func (s *Store) openPersonal(ctx context.Context, row *sealedEvent) ([]byte, error) {
	if row.sealed == nil {
		return nil, nil
	}
	key, err := s.eventKey(ctx, row.org.UUID, row.inbox.UUID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id := seal.Identity{Org: row.org.UUID, Table: "event", ID: row.id[:], Purpose: "personal"}
	personal, err := key.Open(row.sealed, id)
	if err != nil {
		return nil, fmt.Errorf("%w: personal fields of event %d: %v", ErrCorrupt, row.seq, err)
	}
	return personal, nil
}
