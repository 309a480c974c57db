package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

func allMessages(t Tally) int64 { return t.Messages }

var lengths = map[Window]time.Duration{PerMinute: time.Minute, PerHour: time.Hour, PerDay: 24 * time.Hour}

// naive is usage as a list of times, which no clock that steps can confuse: it
// goes by the time that really passed.
type naive []time.Duration

func (n naive) within(now, length time.Duration) (count int64) {
	for _, at := range n {
		if now-at < length {
			count++
		}
	}
	return count
}

// TestAV1_NoWindowHoldsMore sends at random moments under a limit and holds what
// was let through against a list of times: no window ever holds more than the
// limit, nobody is refused who has had room for longer than a bucket, and who
// comes back when told finds room. The wall clock steps back now and then.
func TestAV1_NoWindowHoldsMore(t *testing.T) {
	for window := range lengths {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, uint64(window)))
			s := sending{window: window, limit: 1 + rng.Int64N(30), step: -1 << 60, wall: time.Unix(1_770_000_000, 0).Add(time.Duration(rng.Int64N(int64(48 * time.Hour))))}
			s.usage = newUsage(uuid.Nil, s.wall)
			for range 2000 {
				s.try(t, rng)
			}
			if s.passed == 0 || s.refused == 0 {
				t.Errorf("seed %d: %d passed, %d refused: the test says nothing", seed, s.passed, s.refused)
			}
		}
	}
}

type sending struct {
	window          Window
	limit           int64
	usage           Usage
	sent            naive
	elapsed         time.Duration // that really passed
	wall            time.Time
	step            time.Duration // when the clock stepped back: then room may come late
	passed, refused int
}

func (s *sending) pass(d time.Duration) { s.elapsed, s.wall = s.elapsed+d, s.wall.Add(d) }

func (s *sending) try(t *testing.T, rng *rand.Rand) {
	t.Helper()
	length, width := lengths[s.window], windows[s.window].width
	s.pass(time.Duration(rng.Int64N(int64(length) / s.limit)).Truncate(time.Microsecond))
	if rng.IntN(200) == 0 {
		s.wall, s.step = s.wall.Add(-time.Duration(rng.Int64N(int64(3*length))).Truncate(time.Microsecond)), s.elapsed
	}
	s.reread(t)
	wait := s.usage.Free(s.window, s.limit-1, allMessages)
	if wait > 0 {
		s.refused++
		if s.elapsed-s.step > 2*length && s.sent.within(s.elapsed, length+width) < s.limit {
			t.Fatalf("refused with %d of %d within a window and a bucket", s.sent.within(s.elapsed, length+width), s.limit)
		}
		if wait > length+width {
			t.Fatalf("to wait %v for a window of %v", wait, length)
		}
		s.pass(wait)
		s.reread(t)
		if again := s.usage.Free(s.window, s.limit-1, allMessages); again > 0 {
			t.Fatalf("came back after %v and is to wait %v more", wait, again)
		}
	}
	s.usage.add(Tally{Messages: 1, Recipients: 3, FirstTime: 1})
	s.sent = append(s.sent, s.elapsed)
	s.passed++
	if n := s.sent.within(s.elapsed, length); n > s.limit {
		t.Fatalf("%d within %v, the limit is %d", n, length, s.limit)
	}
	if sum := s.usage.Sum(s.window); sum.Recipients != 3*sum.Messages || sum.FirstTime != sum.Messages {
		t.Fatalf("%+v", sum)
	}
}

// reread takes the usage through its stored form.
func (s *sending) reread(t *testing.T) {
	t.Helper()
	u := newUsage(uuid.Nil, s.wall)
	u.wall, u.clock = s.usage.wall, s.usage.clock
	if err := u.decode(s.usage.encode()); err != nil {
		t.Fatal(err)
	}
	u.advance(s.wall)
	s.usage = u
}

func TestUsageDecode(t *testing.T) {
	good := newUsage(uuid.Nil, time.Unix(0, 0))
	good.add(Tally{1, 300, 7})
	text := good.encode()
	for n := range text {
		u := newUsage(uuid.Nil, time.Unix(0, 0))
		if err := u.decode(text[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(text), err)
		}
	}
	for _, bad := range [][]byte{append(slices.Clone(text), 0), {14}, slices.Repeat([]byte{0xff}, 40)} {
		u := newUsage(uuid.Nil, time.Unix(0, 0))
		if err := u.decode(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

// TestAV1_UsageIsExact: many writers at once get exactly as many through as there
// is room for, a function that runs again counts once, one that fails does not
// count, and what was counted survives a restart.
func TestAV1_UsageIsExact(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	subjects := []uuid.UUID{org.ID, newID(), newID()}
	errNoRoom, errOther := errors.New("no room"), errors.New("other")
	send := func(fail bool) error {
		return ts.Write(t.Context(), System, func(tx *Tx) error {
			tx.Record(audit.Event{Verb: audit.MessageSubmitted, Org: org.ID})
			all, err := tx.Usage(subjects...)
			if err != nil {
				return err
			}
			if all[1].Free(PerHour, 99, allMessages) > 0 {
				return errNoRoom
			}
			if err := tx.CountUsage(Tally{Messages: 1, Recipients: 2}, all...); err != nil || !fail {
				return err
			}
			return errOther
		})
	}
	var passed, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for j := range 4 {
				switch err := send((i+j)%5 == 0); {
				case err == nil:
					passed.Add(1)
				case errors.Is(err, errNoRoom):
					refused.Add(1)
				case !errors.Is(err, errOther):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 100 || refused.Load() == 0 {
		t.Errorf("%d passed, %d refused", passed.Load(), refused.Load())
	}
	ts.Close()
	ts.open(t)
	got, err := ts.Usage(t.Context(), subjects...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if sum := got[i].Sum(PerDay); sum != (Tally{Messages: 100, Recipients: 200}) || got[i].Subject != subjects[i] {
			t.Errorf("%+v", got[i])
		}
	}
}

// TestAV1_IdleUsageIsForgotten: rows of subjects that have sent nothing for longer
// than any window go while the server runs, a few at a time; the others stay.
func TestAV1_IdleUsageIsForgotten(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "support")
	send := func(subjects []uuid.UUID) {
		t.Helper()
		err := ts.Write(t.Context(), System, func(tx *Tx) error {
			tx.Record(audit.Event{Verb: audit.MessageSubmitted, Org: org.ID})
			all, err := tx.Usage(subjects...)
			if err != nil {
				return err
			}
			return tx.CountUsage(Tally{Messages: 1}, all...)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	subjects := make([]uuid.UUID, 2*forgetStep+10)
	for i := range subjects {
		subjects[i] = newID()
	}
	send(subjects)
	ts.clock.advance(usageLife - time.Hour)
	busy := []uuid.UUID{subjects[0], subjects[forgetStep], subjects[2*forgetStep+9]}
	send(busy)
	ts.clock.advance(2 * time.Hour)

	ctx, stop := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- ts.Keep(ctx) }()
	rows := func() int { return count(t, ts, "SELECT COUNT(*) FROM usage") }
	for range 2000 {
		if rows() < len(subjects) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	if err := <-kept; err != nil {
		t.Error(err)
	}
	if n := rows(); n != len(subjects)-forgetStep+1 {
		t.Errorf("%d rows after the first step, want %d", n, len(subjects)-forgetStep+1)
	}
	after := subjects[forgetStep-1]
	for step := range 2 {
		err := ts.Upkeep(t.Context(), func(u *Upkeep) (err error) { after, err = u.forgetUsage(after); return err })
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
	}
	if n := rows(); n != len(busy) || after != uuid.Nil {
		t.Errorf("%d rows are left, want those of %d that sent; the walk is at %v", n, len(busy), after)
	}
}

// BenchmarkCountUsage is what counting one message for five subjects costs, with
// rows for few and for many agents beside them.
func BenchmarkCountUsage(b *testing.B) {
	for _, rows := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			ts := newTestStore(b)
			org, _, _ := ts.addOrg(b, "example.com", "support")
			subjects := fillUsage(b, ts, org.ID, rows)
			b.ResetTimer()
			err := ts.Write(b.Context(), System, func(tx *Tx) error {
				tx.Record(audit.Event{Verb: audit.MessageSubmitted, Org: org.ID})
				for i := range b.N {
					at := (i * 7919) % (len(subjects) - 5)
					all, err := tx.Usage(subjects[at : at+5]...)
					if err != nil {
						return err
					}
					if err := tx.CountUsage(Tally{Messages: 1, Recipients: 1}, all...); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

// fillUsage makes rows of subjects.
func fillUsage(b *testing.B, ts *testStore, org uuid.UUID, rows int) []uuid.UUID {
	b.Helper()
	subjects := make([]uuid.UUID, rows)
	for i := range subjects {
		subjects[i] = newID()
	}
	err := ts.Write(b.Context(), System, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.MessageSubmitted, Org: org})
		for chunk := range slices.Chunk(subjects, 100) {
			all, err := tx.Usage(chunk...)
			if err != nil {
				return err
			}
			if err := tx.CountUsage(Tally{Messages: 3, Recipients: 5, FirstTime: 1}, all...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return subjects
}
