package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage/seal"
)

// correspondentSize is how much of the keyed hash of an address is kept, in
// bytes: two addresses in 2^64 share one.
const correspondentSize = 16

// Correspondent is what an inbox and an address, or a domain, have exchanged. A
// zero time says never. The last times are kept to the day, so that a busy
// correspondence costs no write for each message.
type Correspondent struct {
	FirstSent, LastSent time.Time // mail left for it, or went to it inside
	// Mail from it that was authenticated, with nothing said against it.
	FirstReceived, LastReceived time.Time
	// The first of those that a scorer found clean.
	FirstClean time.Time
}

// correspondentDay is how old a last time is before it is written again.
const correspondentDay = 24 * time.Hour

func (in *Inbox) hashAddress(address string) []byte {
	return in.keys.lookup.Hash("correspondent", []byte(address))[:correspondentSize]
}

func (in *Inbox) hashDomain(address string) []byte {
	domain := address[strings.LastIndexByte(address, '@')+1:]
	return in.keys.lookup.Hash("correspondent domain", []byte(domain))[:correspondentSize]
}

// correspondentIdentity binds a row to its inbox and to the address: a row that
// was copied to another does not open. An older version of the same row opens,
// and says less.
func (in *Inbox) correspondentIdentity(hash []byte) seal.Identity {
	id := append(append(make([]byte, 0, 16+correspondentSize), in.record.ID[:]...), hash...)
	return seal.Identity{Org: in.record.Org, Table: "correspondent", ID: id, Purpose: "record"}
}

// Correspondent finds what an inbox exchanged with a canonical address; the zero
// value when nothing.
func (in *Inbox) Correspondent(ctx context.Context, address string) (c Correspondent, err error) {
	return in.lookCorrespondent(ctx, in.hashAddress(address))
}

// CorrespondentDomain finds what an inbox exchanged with the domain of a canonical
// address.
func (in *Inbox) CorrespondentDomain(ctx context.Context, address string) (c Correspondent, err error) {
	return in.lookCorrespondent(ctx, in.hashDomain(address))
}

func (in *Inbox) lookCorrespondent(ctx context.Context, hash []byte) (c Correspondent, err error) {
	err = in.store.look(ctx, func(r *reads) error {
		c, err = in.correspondent(r, hash)
		return err
	})
	return c, err
}

// Correspondent is Inbox.Correspondent as this transaction sees it.
func (tx *Tx) Correspondent(in *Inbox, address string) (Correspondent, error) {
	return in.correspondent(tx, in.hashAddress(address))
}

// CorrespondentDomain is Inbox.CorrespondentDomain as this transaction sees it.
func (tx *Tx) CorrespondentDomain(in *Inbox, address string) (Correspondent, error) {
	return in.correspondent(tx, in.hashDomain(address))
}

func (in *Inbox) correspondent(r asker, hash []byte) (c Correspondent, err error) {
	var sealed []byte
	err = found(r.row("SELECT sealed FROM correspondent WHERE inbox = $1 AND hash = $2", in.record.ID[:], hash).Scan(&sealed))
	if errors.Is(err, ErrNotFound) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	plain, err := in.keys.metadata.Open(sealed, in.correspondentIdentity(hash))
	if err == nil {
		err = c.decode(plain)
	}
	if err != nil {
		return Correspondent{}, fmt.Errorf("%w: a correspondent of inbox %s: %v", ErrCorrupt, in.record.ID, err)
	}
	return c, nil
}

// NoteSent notes that mail to a canonical address was accepted and goes out.
func (tx *Tx) NoteSent(in *Inbox, address string) error {
	return tx.correspond(in, address, func(c *Correspondent) bool {
		return tx.noteTimes(&c.FirstSent, &c.LastSent)
	})
}

// NoteReceived notes mail that provably came from a canonical address and had
// nothing said against it; clean, that a scorer found it so.
func (tx *Tx) NoteReceived(in *Inbox, address string, clean bool) error {
	return tx.correspond(in, address, func(c *Correspondent) bool {
		changed := tx.noteTimes(&c.FirstReceived, &c.LastReceived)
		if clean && c.FirstClean.IsZero() {
			c.FirstClean, changed = tx.now, true
		}
		return changed
	})
}

// noteTimes reports whether there is something to write.
func (tx *Tx) noteTimes(first, last *time.Time) bool {
	if first.IsZero() {
		*first, *last = tx.now, tx.now
		return true
	}
	if tx.now.Sub(*last) < correspondentDay { // see SentBy
		return false
	}
	*last = tx.now
	return true
}

// SentBy reports whether NoteSent has nothing to add at a time.
func (c *Correspondent) SentBy(now time.Time) bool {
	return !c.FirstSent.IsZero() && now.Sub(c.LastSent) < correspondentDay
}

// correspond changes the rows of an address and of its domain. What is not new of
// the address is not new of the domain.
func (tx *Tx) correspond(in *Inbox, address string, change func(*Correspondent) bool) error {
	for _, hashed := range []func(string) []byte{in.hashAddress, in.hashDomain} {
		hash := hashed(address)
		c, err := in.correspondent(tx, hash)
		if err != nil {
			return err
		}
		if !change(&c) {
			break
		}
		sealed := in.keys.metadata.Seal(c.append(nil), in.correspondentIdentity(hash))
		err = tx.exec(`INSERT INTO correspondent (inbox, hash, sealed) VALUES ($1, $2, $3)
			ON CONFLICT (inbox, hash) DO UPDATE SET sealed = excluded.sealed`, in.record.ID[:], hash, sealed)
		if err != nil {
			return err
		}
	}
	return nil
}

const correspondentVersion = 1

func (c *Correspondent) times() [5]*time.Time {
	return [5]*time.Time{&c.FirstSent, &c.LastSent, &c.FirstReceived, &c.LastReceived, &c.FirstClean}
}

// append writes the times in microseconds, behind a version; 0 is never.
func (c *Correspondent) append(b []byte) []byte {
	b = append(b, correspondentVersion)
	for _, t := range c.times() {
		b = binary.AppendVarint(b, micros(*t))
	}
	return b
}

var errCorrespondent = errors.New("storage: not a correspondent")

func (c *Correspondent) decode(b []byte) error {
	d := decoder{b: b}
	if v := d.take(1); v == nil || v[0] != correspondentVersion {
		return errCorrespondent
	}
	for _, t := range c.times() {
		*t = fromMicros(d.varint())
	}
	if d.failed || len(d.b) != 0 {
		return errCorrespondent
	}
	return nil
}

// forgetCorrespondentsOf deletes some of those of an inbox that is being erased,
// and returns how many rows that were.
func (u *Upkeep) forgetCorrespondentsOf(inbox uuid.UUID) (int64, error) {
	return u.tx.execN("DELETE FROM correspondent WHERE (inbox, hash) IN (SELECT inbox, hash FROM correspondent WHERE inbox = $1 LIMIT $2)", inbox[:], forgetStep)
}
