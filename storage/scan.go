package storage

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// A chunk of a scan: what one short read transaction takes along. It is small
// enough that a pause between two of them comes soon, for the writer's log
// cannot be reset while a reader is inside.
const (
	chunkRows  = 256
	chunkBytes = 1 << 20
	bodyRows   = 4 // how many rows of a body there may be for each message, until some are asked for again
)

// CorruptError names messages of a mailbox whose content does not open, or
// contradicts its row. It is an ErrCorrupt.
type CorruptError struct {
	Mailbox uuid.UUID
	UIDs    []uint32
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: mailbox %s, UID %s", ErrCorrupt, e.Mailbox, audit.UIDsOf(e.UIDs...))
}

func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// Message reads one message with its content, which is the caller's to keep.
// ErrNotFound when it is not there.
func (in *Inbox) Message(ctx context.Context, mailbox uuid.UUID, uid uint32) (m Message, err error) {
	none := ErrNotFound
	err = in.Scan(ctx, mailbox, []UIDRange{{First: uid, Last: uid}}, true, func(found *Message) error {
		c := *found.Content
		for _, part := range []*[]byte{&c.Structure, &c.Overlay, &c.Auth, &c.runs, &c.wrapped, &c.sealed} {
			*part = slices.Clone(*part)
		}
		c.Senders = nil
		m, none = *found, nil
		m.Content = &c
		return nil
	})
	return m, errors.Join(err, none)
}

// UIDs lists the UIDs of a mailbox in order, and the modseq at which the list
// is true.
func (in *Inbox) UIDs(ctx context.Context, mailbox uuid.UUID) (uids []uint32, modseq uint64, err error) {
	err = in.store.read(ctx, func(r *reads) error {
		var box int64
		var n int
		err := found(r.row("SELECT no, modseq, messages FROM mailbox WHERE inbox = $1 AND id = $2", in.record.ID[:], mailbox[:]).Scan(&box, &modseq, &n))
		if err != nil {
			return err
		}
		uids = make([]uint32, 0, n)
		rows, err := r.rows(queryUIDs, place(box, 0), place(box, math.MaxUint32))
		if err != nil {
			return err
		}
		defer rows.Close()
		var at any
		for rows.Next() {
			if err := rows.Scan(&at); err != nil {
				return classify(err)
			}
			uids = append(uids, uint32(integer(at)))
		}
		return classify(rows.Err())
	})
	return uids, modseq, err
}

// integer is the number in a column that was read into an any; what is no
// number is zero.
func integer(v any) int64 {
	n, _ := v.(int64)
	return n
}

// Scan calls fn for each message of uids that is there, in UID order, once.
// Rows are read in chunks, each in a short read transaction of its own; fn runs
// outside of any, so it may write to the network. The Message, its Content and
// their slices are valid until fn returns, and used again. An error of fn ends
// the scan and is returned. Messages whose content does not open are left out;
// the others are handed out, and in the end the answer is a *CorruptError that
// names those which were not.
func (in *Inbox) Scan(ctx context.Context, mailbox uuid.UUID, uids []UIDRange, withContent bool, fn func(*Message) error) error {
	depth := clearRows
	if withContent {
		depth = withContents
	}
	return in.scan(ctx, scan{depth: depth}, mailbox, uids, fn)
}

// ScanBodies is Scan with content for those who open most bodies: small ones
// are read along, so that OpenBody asks the database nothing more. Such a Body
// is closed before fn returns.
func (in *Inbox) ScanBodies(ctx context.Context, mailbox uuid.UUID, uids []UIDRange, fn func(*Message) error) error {
	return in.scan(ctx, scan{depth: withBodies}, mailbox, uids, fn)
}

func (in *Inbox) scan(ctx context.Context, s scan, mailbox uuid.UUID, uids []UIDRange, fn func(*Message) error) error {
	c := chunks.Get().(*chunk)
	defer c.free()
	s.in, s.mailbox, s.rest, s.cols, s.id = in, mailbox, uidSet(uids), newColumns(s.depth, in.safe), contentID(mailbox, 0)
	s.query = queryOf(s.depth, in.safe)
	for begun := false; !begun || len(s.rest) > 0; begun = true {
		if err := s.next(ctx, c); err != nil {
			return err
		}
		for i := range c.rows {
			m, err := s.message(c, &c.rows[i])
			if err != nil {
				continue // named at the end
			}
			if err := fn(m); err != nil {
				return err
			}
		}
	}
	if s.corrupt != nil {
		return &CorruptError{Mailbox: mailbox, UIDs: s.corrupt}
	}
	return nil
}

// scan is one Scan on its way.
type scan struct {
	in      *Inbox
	depth   scanDepth
	query   string
	mailbox uuid.UUID
	box     int64
	rest    audit.UIDs // what is still to read
	cols    *columns
	corrupt []uint32

	id     []byte // identity of the content that is opened
	opened sealedContent
	shown  sealedRendition // by the safe view
	m      Message
}

// scanDepth is how much of each message a scan reads.
type scanDepth uint8

const (
	clearRows scanDepth = iota
	withContents
	withBodies
)

func queryOf(d scanDepth, safe bool) string {
	if safe {
		return [...]string{querySafeClear, querySafeContent, querySafeBody}[d]
	}
	return [...]string{queryClear, queryContent, queryBody}[d]
}

// chunk holds rows after their transaction has ended.
type chunk struct {
	rows   []scannedRow
	sealed []byte // contents, one behind the other
	plain  []byte // the content that is open
	shown  []byte // and its rendition
}

type scannedRow struct {
	messageRow
	modseq   uint64
	from, to int // of the content in sealed
	shown    int // end of the rendition there, behind the content; equal to to when it was not read
	body     int // end of the body there, behind both; equal to shown when it was not read along
	stored   int64
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

func (c *chunk) free() {
	if cap(c.sealed)+cap(c.plain)+cap(c.shown) <= 4*chunkBytes {
		clear(c.plain[:cap(c.plain)])
		clear(c.shown[:cap(c.shown)])
		chunks.Put(c)
	}
}

func (c *chunk) full() bool { return len(c.rows) >= chunkRows || len(c.sealed) >= chunkBytes }

// next reads the next chunk.
func (s *scan) next(ctx context.Context, c *chunk) error {
	c.rows, c.sealed = c.rows[:0], c.sealed[:0]
	return s.in.store.read(ctx, func(r *reads) (err error) {
		if s.box, err = s.in.box(r, s.mailbox); err != nil {
			return err
		}
		for queries := 0; len(s.rest) > 0 && !c.full() && queries < chunkRows; queries++ {
			if err := s.stretch(r, c); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	queryUIDs    = "SELECT place FROM message WHERE place BETWEEN $1 AND $2 ORDER BY place"
	queryClear   = "SELECT place, modseq, flags, size, received, id FROM message WHERE place BETWEEN $1 AND $2 ORDER BY place LIMIT $3"
	queryContent = `SELECT m.place, m.modseq, m.flags, c.sealed FROM message m LEFT JOIN content c ON c.place = m.place
		WHERE m.place BETWEEN $1 AND $2 ORDER BY m.place LIMIT $3`
	// With a body come as many rows for a message as its body lies in, of which only the
	// first has all the rest. No rest is looked for where there is none.
	withRest = ` LEFT JOIN body_rest x ON x.place > CASE WHEN b.stored > LENGTH(b.sealed) THEN b.no * 256 END AND x.place < b.no * 256 + 256
		WHERE m.place BETWEEN $1 AND $2 ORDER BY m.place, x.place LIMIT $3`
	queryBody = `SELECT m.place, m.modseq, m.flags, CASE WHEN x.place % 256 > 1 THEN NULL ELSE c.sealed END,
		b.stored, CASE WHEN x.place % 256 > 1 THEN NULL ELSE b.sealed END, x.sealed
		FROM message m LEFT JOIN content c ON c.place = m.place LEFT JOIN body b ON b.no = m.body` + withRest

	// Of the safe view.
	querySafeClear = `SELECT m.place, m.modseq, m.flags, COALESCE(r.size, -1), m.received, m.id FROM message m LEFT JOIN rendition r ON r.place = m.place
		WHERE m.place BETWEEN $1 AND $2 ORDER BY m.place LIMIT $3`
	querySafeContent = `SELECT m.place, m.modseq, m.flags, c.sealed, r.sealed FROM message m LEFT JOIN content c ON c.place = m.place
		LEFT JOIN rendition r ON r.place = m.place WHERE m.place BETWEEN $1 AND $2 ORDER BY m.place LIMIT $3`
	querySafeBody = `SELECT m.place, m.modseq, m.flags, CASE WHEN x.place % 256 > 1 THEN NULL ELSE c.sealed END, r.sealed,
		b.stored, CASE WHEN x.place % 256 > 1 THEN NULL ELSE b.sealed END, x.sealed
		FROM message m LEFT JOIN content c ON c.place = m.place LEFT JOIN rendition r ON r.place = m.place LEFT JOIN body b ON b.no = r.body` + withRest
)

// stretch reads one stretch of the set, as far as the chunk has room.
func (s *scan) stretch(r *reads, c *chunk) error {
	h := hull(s.rest)
	limit := chunkRows - len(c.rows)
	if s.depth == withBodies {
		limit *= bodyRows
	}
	rows, err := r.rows(s.query, place(s.box, h.First), place(s.box, h.Last), limit)
	if err != nil {
		return err
	}
	defer rows.Close()
	n, last := 0, h.Last
	var row *scannedRow
	for ; rows.Next(); n++ {
		if err := rows.Scan(s.cols.dest...); err != nil {
			return classify(err)
		}
		if uid := uint32(integer(s.cols.at)); n == 0 || uid != last {
			if c.full() {
				break
			}
			last = uid
			row = s.begin(c, uid)
		} else if row != nil {
			row.add(c, s.cols.rest)
		}
	}
	if n == limit && row != nil {
		row.whole(c)
	}
	if n < limit && !c.full() {
		last = h.Last // the stretch is at its end
	}
	s.rest = after(s.rest, last)
	return classify(rows.Err())
}

// columns is where a row is read to: the numbers into any, which costs no
// reflection, and all of it once for a scan, since what database/sql points at
// lies on the heap.
type columns struct {
	at, modseq, flags, size, received any
	stored                            any
	blob, shown, body, rest           sql.RawBytes
	dest                              []any
}

func newColumns(d scanDepth, safe bool) *columns {
	c := &columns{}
	if d == clearRows {
		c.dest = []any{&c.at, &c.modseq, &c.flags, &c.size, &c.received, &c.blob}
		return c
	}
	c.dest = []any{&c.at, &c.modseq, &c.flags, &c.blob}
	if safe {
		c.dest = append(c.dest, &c.shown)
	}
	if d == withBodies {
		c.dest = append(c.dest, &c.stored, &c.body, &c.rest)
	}
	return c
}

// begin takes the first row of a message; nil when it is not one of the set.
func (s *scan) begin(c *chunk, uid uint32) *scannedRow {
	if !s.rest.Contains(uid) {
		return nil
	}
	cols := s.cols
	row := scannedRow{modseq: uint64(integer(cols.modseq))}
	row.uid, row.flags = uid, Flags(integer(cols.flags))
	if s.depth == clearRows {
		copy(row.id[:], cols.blob)
		row.size, row.received = integer(cols.size), integer(cols.received)
	} else {
		row.from = len(c.sealed)
		c.sealed = append(c.sealed, cols.blob...)
		row.to = len(c.sealed)
		c.sealed = append(c.sealed, cols.shown...)
		row.shown = len(c.sealed)
		c.sealed = append(append(c.sealed, cols.body...), cols.rest...)
		row.body, row.stored = len(c.sealed), integer(cols.stored)
	}
	c.rows = append(c.rows, row)
	return &c.rows[len(c.rows)-1]
}

// add takes one more piece of the body.
func (row *scannedRow) add(c *chunk, piece []byte) {
	c.sealed = append(c.sealed, piece...)
	row.body = len(c.sealed)
}

// whole leaves a body out that was read in part: OpenBody asks for it.
func (row *scannedRow) whole(c *chunk) {
	if int64(row.body-row.shown) != row.stored {
		c.sealed, row.body = c.sealed[:row.shown], row.shown
	}
}

var errServerFlags = errors.New("storage: the server's flags differ from those of the content")

// message makes a row what fn gets.
func (s *scan) message(c *chunk, row *scannedRow) (*Message, error) {
	s.m = Message{Mailbox: s.mailbox, UID: row.uid, ID: row.id, Modseq: row.modseq, Size: row.size, Received: fromMicros(row.received), Flags: row.flags}
	if s.depth == clearRows {
		return &s.m, nil
	}
	err := s.open(c, row)
	if err == nil && s.in.safe {
		err = s.show(c, row)
	}
	if err != nil {
		s.corrupt = append(s.corrupt, row.uid)
		return nil, err
	}
	o := &s.opened
	o.sealed = c.sealed[row.shown:row.body]
	s.m.ID, s.m.Size, s.m.Received, s.m.Content = o.id, o.size, fromMicros(o.received), &o.Content
	return &s.m, nil
}

// open opens the content of a row. The server's flags tell an agent what to
// distrust: those in the clear row count only when they are the sealed ones.
func (s *scan) open(c *chunk, row *scannedRow) error {
	sealed := c.sealed[row.from:row.to]
	binary.BigEndian.PutUint32(s.id[16:], row.uid)
	plain, err := s.in.keys.metadata.AppendOpen(c.plain[:0], sealed, s.in.contentIdentity(s.id))
	if err != nil {
		return err
	}
	c.plain = plain
	if err := s.opened.decode(plain); err != nil {
		return err
	}
	if row.flags&ServerFlags != s.opened.server {
		return errServerFlags
	}
	return nil
}

// show puts a message's rendition in the place of all that its content says of the
// original. // CO-6
func (s *scan) show(c *chunk, row *scannedRow) error {
	if row.shown == row.to {
		return errUnrendered
	}
	plain, err := s.in.keys.metadata.AppendOpen(c.shown[:0], c.sealed[row.to:row.shown], s.in.renditionIdentity(s.id))
	if err != nil {
		return err
	}
	c.shown = plain
	r, o := &s.shown, &s.opened
	if err := r.decode(plain); err != nil {
		return err
	}
	if r.id != o.id {
		return errRendition // of what was in this place before
	}
	o.size, o.Body, o.wrapped = r.Body.Size, r.Body, r.wrapped
	o.Content.Structure, o.Overlay, o.SHA256 = r.Structure, r.Overlay, r.SHA256
	o.Auth, o.MessageID, o.Senders = nil, "", nil
	return nil
}
