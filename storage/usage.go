package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Window is a length of time over which sending is counted.
type Window uint8

// The windows.
const (
	PerMinute Window = iota
	PerHour
	PerDay
)

// windows holds how each is counted: the width of a bucket, and how many of them
// reach back over the whole window from any moment in the newest.
var windows = [...]struct {
	width   time.Duration
	buckets int
}{
	PerMinute: {5 * time.Second, 12 + 1},
	PerHour:   {5 * time.Minute, 12 + 1},
	PerDay:    {time.Hour, 24 + 1},
}

// Tally is a number of messages and of what went with them.
type Tally struct {
	Messages   int64
	Recipients int64
	FirstTime  int64 // recipients that the inbox had never sent to
}

func (t *Tally) add(u Tally) {
	t.Messages += u.Messages
	t.Recipients += u.Recipients
	t.FirstTime += u.FirstTime
}

// Usage is what one subject of limits sent in the last minute, hour and day: a
// ring of buckets for each. Its size and the cost of counting do not depend on
// how much was sent. // AV-1
//
// A window is the bucket that runs and as many whole ones before it as the window
// is long, so what is counted covers the window from wherever it is looked at:
// no window of that length ever holds more than a limit, and room comes back up
// to one bucket late (5 s, 5 min, 1 h).
//
// The rings go by a clock of their own. It moves with the wall clock and stands
// still while that steps back, so a step back brings no room early, and a clock
// that had been years ahead delays nothing for longer than a window.
type Usage struct {
	Subject uuid.UUID

	wall  int64                 // microseconds: when clock was read
	clock int64                 // microseconds of the rings' own clock, never less than before
	rings [len(windows)][]Tally // newest first
}

// newUsage is the usage of a subject that sent nothing.
func newUsage(subject uuid.UUID, now time.Time) Usage {
	u := Usage{Subject: subject, wall: micros(now), clock: micros(now)}
	for w := range windows {
		u.rings[w] = make([]Tally, windows[w].buckets)
	}
	return u
}

// Sum is what is counted in a window.
func (u *Usage) Sum(w Window) Tally {
	var sum Tally
	for _, t := range u.rings[w] {
		sum.add(t)
	}
	return sum
}

// Free is how long it takes until of counts at most most in a window, if nothing
// more is sent. Zero: it does now. of picks a number of a Tally.
func (u *Usage) Free(w Window, most int64, of func(Tally) int64) time.Duration {
	ring := u.rings[w]
	sum, last := of(u.Sum(w)), len(ring)
	for sum > most && last > 0 {
		last--
		sum -= of(ring[last])
	}
	if last == len(ring) {
		return 0
	}
	width := windows[w].width.Microseconds()
	leaves := (u.clock/width + int64(len(ring)-last)) * width
	return time.Duration(leaves-u.clock) * time.Microsecond
}

// advance moves the rings' clock to now.
func (u *Usage) advance(now time.Time) {
	before := u.clock
	if passed := micros(now) - u.wall; passed > 0 {
		u.clock += passed
	}
	u.wall = micros(now)
	for w, ring := range u.rings {
		width := windows[w].width.Microseconds()
		shift := min(u.clock/width-before/width, int64(len(ring)))
		copy(ring[shift:], ring)
		clear(ring[:shift])
	}
}

// add counts at the rings' time.
func (u *Usage) add(t Tally) {
	for _, ring := range u.rings {
		ring[0].add(t)
	}
}

// encode writes the rings one after the other: how many buckets, without the
// empty ones at the old end, and three numbers for each.
func (u *Usage) encode() []byte {
	b := make([]byte, 0, 64)
	for _, ring := range u.rings {
		used := len(ring)
		for used > 0 && ring[used-1] == (Tally{}) {
			used--
		}
		b = append(b, byte(used))
		for _, t := range ring[:used] {
			b = binary.AppendUvarint(b, uint64(t.Messages))
			b = binary.AppendUvarint(b, uint64(t.Recipients))
			b = binary.AppendUvarint(b, uint64(t.FirstTime))
		}
	}
	return b
}

// decode reads what encode wrote.
func (u *Usage) decode(b []byte) error {
	for _, ring := range u.rings {
		if len(b) == 0 || int(b[0]) > len(ring) {
			return u.corrupt()
		}
		used := int(b[0])
		b = b[1:]
		for i := range ring[:used] {
			for _, n := range []*int64{&ring[i].Messages, &ring[i].Recipients, &ring[i].FirstTime} {
				v, size := binary.Uvarint(b)
				if size <= 0 || v > 1<<62 {
					return u.corrupt()
				}
				*n, b = int64(v), b[size:]
			}
		}
	}
	if len(b) > 0 {
		return u.corrupt()
	}
	return nil
}

func (u *Usage) corrupt() error { return fmt.Errorf("%w: usage of %s", ErrCorrupt, u.Subject) }

// Usage is what the subjects sent, as of now and with what this transaction and
// those before it counted; in the order of subjects, of which none is named twice.
// What nobody counted in the same batch is what the last commit made it.
func (tx *Tx) Usage(subjects ...uuid.UUID) ([]Usage, error) {
	all := make([]Usage, len(subjects))
	for i, subject := range subjects {
		stored, err := tx.usage(subject)
		if err != nil {
			return nil, err
		}
		all[i] = newUsage(subject, tx.now)
		if err := all[i].restore(stored, tx.now); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (tx *Tx) usage(subject uuid.UUID) (storedUsage, error) {
	if tx.w.counted[subject] {
		return readUsage(tx, subject)
	}
	return tx.store().known.usages.ask(subject, func() (storedUsage, error) { return readUsage(tx, subject) })
}

// Usage is what the subjects sent, as of now: from memory, as it was at the last
// commit.
func (s *Store) Usage(ctx context.Context, subjects ...uuid.UUID) ([]Usage, error) {
	now := s.now()
	all := make([]Usage, len(subjects))
	for i, subject := range subjects {
		stored, err := s.known.usages.ask(subject, func() (u storedUsage, err error) {
			err = s.look(ctx, func(r *reads) error {
				u, err = readUsage(r, subject)
				return err
			})
			return u, err
		})
		if err != nil {
			return nil, err
		}
		all[i] = newUsage(subject, now)
		if err := all[i].restore(stored, now); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// storedUsage is a row, but for its subject; the zero one is none.
type storedUsage struct {
	wall, clock int64
	counts      []byte
}

// readUsage reads the row of a subject, if there is one.
func readUsage(db asker, subject uuid.UUID) (u storedUsage, err error) {
	err = found(db.row("SELECT wall, clock, counts FROM usage WHERE subject = $1", subject[:]).Scan(&u.wall, &u.clock, &u.counts))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return u, err
}

// restore makes the usage what was stored, and moves it to now.
func (u *Usage) restore(stored storedUsage, now time.Time) error {
	if stored.counts == nil {
		return nil
	}
	u.wall, u.clock = stored.wall, stored.clock
	if err := u.decode(stored.counts); err != nil {
		return err
	}
	u.advance(now)
	return nil
}

// usageLife is after how long without a message a row says nothing any more: no
// ring reaches back so far.
const usageLife = 26 * time.Hour

// forgetUsage deletes rows that say nothing, among the next few after a subject. It
// returns where to go on: behind those, or at the zero id from the start again. There
// is no index by time, since every message would move its rows in it.
func (u *Upkeep) forgetUsage(after uuid.UUID) (next uuid.UUID, err error) {
	err = found(u.tx.row("SELECT subject FROM usage WHERE subject > $1 ORDER BY subject LIMIT 1 OFFSET $2", after[:], forgetStep-1).Scan(&next))
	last := next
	if errors.Is(err, ErrNotFound) {
		last = uuid.Max
	} else if err != nil {
		return next, err
	}
	return next, u.tx.exec("DELETE FROM usage WHERE subject > $1 AND subject <= $2 AND wall < $3",
		after[:], last[:], micros(u.tx.now.Add(-usageLife)))
}

// CountUsage adds to what Usage read in this transaction. It stands beside the
// change that it counts, in the same commit.
func (tx *Tx) CountUsage(t Tally, all ...Usage) error {
	if len(all) == 0 {
		return nil
	}
	var rows []string
	var args []any
	for i := range all {
		u := &all[i]
		u.add(t)
		n := len(args)
		rows = append(rows, fmt.Sprintf("($%d, $%d, $%d, $%d)", n+1, n+2, n+3, n+4))
		subject, stored := u.Subject, storedUsage{u.wall, u.clock, u.encode()}
		args = append(args, subject[:], stored.wall, stored.clock, stored.counts)
		tx.w.counted[subject] = true
		tx.afterCommit(func() { tx.store().known.usages.set(subject, stored) })
	}
	return tx.exec("INSERT INTO usage (subject, wall, clock, counts) VALUES "+strings.Join(rows, ", ")+
		" ON CONFLICT (subject) DO UPDATE SET wall = excluded.wall, clock = excluded.clock, counts = excluded.counts", args...)
}
