package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// Rendition is what a credential with the safe view is shown in place of a message:
// a whole message of its own, without an overlay. It is made once, by whoever needs
// it first, and never changes as long as the message is there; a copy of the message
// has the same. // CO-6
type Rendition struct {
	Version   int     // of what made it
	Body      BodyRef // Key is set for what is to be stored alone
	Structure []byte  // server/message's binary form; opaque here
	Overlay   []byte  // one that hides nothing; opaque here
	SHA256    [32]byte

	wrapped []byte
}

// sealedRendition is the plaintext of a rendition's row: what it is of, and what it is.
//
//	1 version message id(16)
//	body: no id(16) size wrapped key(60) SHA-256(32)
//	overlay, structure: each behind its length
//
// Numbers without a size are varints.
type sealedRendition struct {
	id uuid.UUID // of the message
	Rendition
}

const renditionVersion = 1

var (
	errRendition = errors.New("storage: not a rendition")
	// errUnrendered: a message has none yet.
	errUnrendered = errors.New("storage: the message has no rendition")
)

func (r *sealedRendition) append(b []byte) []byte {
	b = append(b, renditionVersion)
	b = binary.AppendUvarint(b, uint64(r.Version))
	b = append(b, r.id[:]...)
	b = binary.AppendUvarint(b, uint64(r.Body.No))
	b = append(b, r.Body.ID[:]...)
	b = binary.AppendUvarint(b, uint64(r.Body.Size))
	b = append(b, r.wrapped...)
	b = append(b, r.SHA256[:]...)
	for _, part := range [...][]byte{r.Overlay, r.Structure} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// decode reads what append wrote. Slices are those of b.
func (r *sealedRendition) decode(b []byte) error {
	d := decoder{b: b}
	if v := d.take(1); v == nil || v[0] != renditionVersion {
		return fmt.Errorf("%w: version", errRendition)
	}
	r.Version = int(d.uvarint())
	copy(r.id[:], d.take(16))
	r.Body = BodyRef{No: int64(d.uvarint())}
	copy(r.Body.ID[:], d.take(16))
	r.Body.Size = int64(d.uvarint())
	r.wrapped = d.take(seal.WrappedSize)
	copy(r.SHA256[:], d.take(32))
	r.Overlay, r.Structure = d.prefixed(), d.prefixed()
	if d.failed || len(d.b) != 0 {
		return errRendition
	}
	return nil
}

// renditionIdentity binds a rendition to its place, as contentIdentity does a content.
func (in *Inbox) renditionIdentity(id []byte) seal.Identity {
	return seal.Identity{Org: in.record.Org, Table: "rendition", ID: id}
}

// Safe is the inbox as a credential with the safe view sees it: Scan and ScanBodies
// hand out the rendition of each message in place of its size, structure, overlay and
// body, and of a message without one neither content nor size, which is -1. So
// whoever holds this and nothing else cannot show what is not to be seen. // CO-6
func (in *Inbox) Safe() *Inbox {
	c := *in
	c.safe = true
	return &c
}

// addRendition stores the rendition of a message and holds its body. It reports
// false when the message is gone, or has one.
func (tx *Tx) addRendition(in *Inbox, mailbox uuid.UUID, box int64, uid uint32, message uuid.UUID, r Rendition) (bool, error) {
	s := sealedRendition{id: message, Rendition: r}
	s.wrapped = in.keys.key.Wrap(r.Body.Key, in.dataKeyIdentity(r.Body.ID))
	return tx.insertRendition(in, mailbox, box, uid, &s)
}

func (tx *Tx) insertRendition(in *Inbox, mailbox uuid.UUID, box int64, uid uint32, s *sealedRendition) (bool, error) {
	plain := s.append(make([]byte, 0, 192+len(s.Structure)))
	sealed := in.keys.metadata.Seal(plain, in.renditionIdentity(contentID(mailbox, uid)))
	n, err := tx.execN(`INSERT INTO rendition (place, body, size, sealed) SELECT place, $1, $2, $3 FROM message
		WHERE place = $4 AND id = $5 ON CONFLICT (place) DO NOTHING`, s.Body.No, s.Body.Size, sealed, place(box, uid), s.id[:])
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.HoldBody(s.Body.No)
}

// copyRendition gives the copy of a message the rendition that the message has, if
// it has one.
func (tx *Tx) copyRendition(in *Inbox, from uuid.UUID, fromBox int64, src uint32, to uuid.UUID, toBox int64, dst uint32) error {
	if !tx.store().safe.Load() {
		return nil
	}
	var sealed []byte
	err := found(tx.row("SELECT sealed FROM rendition WHERE place = $1", place(fromBox, src)).Scan(&sealed))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var s sealedRendition
	plain, err := in.keys.metadata.Open(sealed, in.renditionIdentity(contentID(from, src)))
	if err == nil {
		err = s.decode(plain)
	}
	if err != nil {
		return fmt.Errorf("%w: rendition of message %d of mailbox %s: %v", ErrCorrupt, src, from, err)
	}
	_, err = tx.insertRendition(in, to, toBox, dst, &s)
	return err
}

// deleteRenditions deletes those of a range of messages.
func (tx *Tx) deleteRenditions(first, last int64) error {
	if !tx.store().safe.Load() {
		return nil
	}
	rows, err := tx.rows("SELECT body FROM rendition WHERE place BETWEEN $1 AND $2", first, last)
	if err != nil {
		return err
	}
	defer rows.Close()
	var bodies []int64
	for rows.Next() {
		var no int64
		if err := rows.Scan(&no); err != nil {
			return classify(err)
		}
		bodies = append(bodies, no)
	}
	if err := rows.Err(); err != nil || len(bodies) == 0 {
		return classify(err)
	}
	for _, no := range bodies {
		if err := tx.DropBody(no); err != nil {
			return err
		}
	}
	return tx.exec("DELETE FROM rendition WHERE place BETWEEN $1 AND $2", first, last)
}

// Rendered is the rendition that was made of a stored message.
type Rendered struct {
	UID     uint32
	Message uuid.UUID // its id, so that nothing else gets it
	Rendition
}

// ErrRendered: every one of the messages is gone, or somebody else was faster.
var ErrRendered = errors.New("storage: nothing is left to render")

// AddRenditions stores what was made of messages of a mailbox, for the first to ask.
// Of several who do so at once one succeeds for each message, and the others are
// passed over; ErrRendered when that leaves none, and then nothing is to be recorded.
func (tx *Tx) AddRenditions(e *audit.Event, in *Inbox, mailbox uuid.UUID, made []Rendered) error {
	box, err := in.box(tx, mailbox)
	if err != nil {
		return err
	}
	if err := tx.concerns(e, in, mailbox); err != nil {
		return err
	}
	var done []uint32
	for _, r := range made {
		added, err := tx.addRendition(in, mailbox, box, r.UID, r.Message, r.Rendition)
		if err != nil {
			return err
		}
		if added {
			done = append(done, r.UID)
		}
	}
	if len(done) == 0 {
		return ErrRendered
	}
	e.Fields = append(e.Fields, audit.Int(audit.KeyRendition, made[0].Version))
	tx.noteSet(e, audit.UIDsOf(done...))
	return nil
}

// Unrendered lists the messages of a set that have no rendition, at most limit of
// them, in order.
func (in *Inbox) Unrendered(ctx context.Context, mailbox uuid.UUID, uids []UIDRange, limit int) (missing []UIDRange, err error) {
	set := uidSet(uids)
	err = in.store.read(ctx, func(r *reads) error {
		missing = nil
		box, err := in.box(r, mailbox)
		if err != nil {
			return err
		}
		for rest := set; len(rest) > 0 && len(missing) < limit; {
			h := hull(rest)
			if missing, err = unrendered(r, missing, box, h, rest, limit); err != nil {
				return err
			}
			rest = after(rest, h.Last)
		}
		return nil
	})
	return missing, err
}

// unrendered is Unrendered for one stretch of the set.
func unrendered(r *reads, missing []UIDRange, box int64, h UIDRange, set audit.UIDs, limit int) ([]UIDRange, error) {
	rows, err := r.rows(`SELECT m.place FROM message m LEFT JOIN rendition r ON r.place = m.place
		WHERE m.place BETWEEN $1 AND $2 AND r.place IS NULL ORDER BY m.place`, place(box, h.First), place(box, h.Last))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for len(missing) < limit && rows.Next() {
		var at int64
		if err := rows.Scan(&at); err != nil {
			return nil, classify(err)
		}
		if uid := uint32(at); set.Contains(uid) {
			missing = append(missing, UIDRange{First: uid, Last: uid})
		}
	}
	return missing, classify(rows.Err())
}

// RenditionBytes is the size of all renditions of a mailbox together.
func (in *Inbox) RenditionBytes(ctx context.Context, mailbox uuid.UUID) (n int64, err error) {
	err = in.store.read(ctx, func(r *reads) error {
		box, err := in.box(r, mailbox)
		if err != nil {
			return err
		}
		return classify(r.row("SELECT COALESCE(SUM(size), 0) FROM rendition WHERE place BETWEEN $1 AND $2",
			place(box, allUIDs[0].First), place(box, allUIDs[0].Last)).Scan(&n))
	})
	return n, err
}

// expectSafe notes that a credential with the safe view reads its inboxes.
func (tx *Tx) expectSafe(c *Credential) error {
	if !c.Safe() {
		return nil
	}
	for _, s := range c.Scopes {
		err := tx.exec(`INSERT INTO safe_inbox (inbox, until) VALUES ($1, $2)
			ON CONFLICT (inbox) DO UPDATE SET until = excluded.until WHERE safe_inbox.until < excluded.until`, s.Inbox[:], micros(c.Expires))
		if err != nil {
			return err
		}
	}
	tx.afterCommit(func() { tx.store().safe.Store(true) })
	return nil
}

// ReadsSafe reports whether a credential with the safe view may be reading an inbox,
// so that what arrives is worth rendering at once. Where nobody on this installation
// has that view it costs nothing.
func (s *Store) ReadsSafe(ctx context.Context, inbox uuid.UUID) (bool, error) {
	if !s.safe.Load() {
		return false, nil
	}
	var until int64
	err := s.look(ctx, func(r *reads) error {
		return found(r.row("SELECT until FROM safe_inbox WHERE inbox = $1", inbox[:]).Scan(&until))
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && until > micros(s.now()), err
}

// recallSafe notes at the start whether anybody has the safe view.
func (s *Store) recallSafe(ctx context.Context) error {
	var n int
	err := s.look(ctx, func(r *reads) error {
		return found(r.row("SELECT COUNT(*) FROM (SELECT inbox FROM safe_inbox LIMIT 1) AS any_inbox").Scan(&n))
	})
	s.safe.Store(n > 0)
	return err
}
