package queue

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// lookAhead is how many due rows are looked at for each free worker, and how many
// a sender may have that has no backlog; lookInto how many of one sender in a
// backlog are looked at, the first of which may all be for a destination that has
// no place, or inside be under way; and maxWalk how many senders one look at a
// backlog visits.
const (
	lookAhead = 8
	lookInto  = 64
	maxWalk   = 64
)

// choose picks which messages are tried next, no more than there are free
// workers. As long as all that is due fits into one look, senders take turns
// among it; in a backlog the lane walks from one to the next, so that one with a
// hundred thousand rows costs the others nothing. It goes on walking until a walk
// finds less than there is room for.
func (l *lane) choose(ctx context.Context) ([]choice, error) {
	l.more, l.next = true, time.Time{}
	l.mu.Lock()
	l.left = true // until it is known that nothing is
	turn, rows := newTurn(l.free, l.shares, l.busy, l.under), maps.Clone(l.rows)
	l.mu.Unlock()
	if turn.free == 0 {
		l.more = false // until a worker is free
		return nil, nil
	}
	now := l.q.o.Now()
	if !l.backlog {
		limit := turn.free * lookAhead
		due, next, err := l.q.store.DueOutgoing(ctx, l.local, now, limit)
		if err != nil {
			return nil, err
		}
		if len(due) < limit {
			l.more, l.next = false, next
			turn.take(due, false)
			l.leaves(turn.leaves(due, rows))
			return turn.chosen, nil
		}
	}
	err := l.walk(ctx, turn, now)
	return turn.chosen, err
}

// leaves notes whether something that is due was left for when a worker is free.
func (l *lane) leaves(left bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = left
}

// walk gives one sender after the other its turn, from where the last walk
// stopped, until no worker is free, all had a turn, or maxWalk is reached.
func (l *lane) walk(ctx context.Context, t *turn, now time.Time) error {
	start, wrapped := l.cursor, false
	l.backlog = false
	for range maxWalk {
		sender, ok, err := l.q.store.NextSender(ctx, l.local, l.cursor)
		if err != nil {
			return err
		}
		if !ok && wrapped || wrapped && bytes.Compare(sender[:], start[:]) > 0 {
			return nil
		}
		l.cursor = sender // zero at the end: the walk goes on in front
		if !ok {
			wrapped = true
			continue
		}
		if !t.busy.room(sender, "", t.shares) {
			l.backlog = true
			continue
		}
		limit := l.lookInto()
		due, err := l.q.store.DueOutgoingOf(ctx, l.local, sender, now, limit)
		if err != nil {
			return err
		}
		t.take(due, len(due) == limit)
		l.backlog = l.backlog || len(due) > lookAhead
		if t.free == 0 {
			return nil
		}
	}
	return nil
}

// lookInto is how much of one sender is looked at.
func (l *lane) lookInto() int {
	if l.local {
		return max(lookAhead+1, 2*l.shares.workers)
	}
	return max(lookInto, l.shares.workers)
}

// shares bound what one sender may have of what is scarce: the workers of the lane,
// and the places at one destination, of which zero is no bound. It may have half of
// what the others leave. So one that floods never has all: whoever comes next finds
// as much as it holds, and it shrinks as others come. // AV-2
type shares struct{ workers, places int }

// half is what one may have of n when the others have some.
func half(n, others int) int { return max(1, (n-others)/2) }

// load counts attempts under way: of each sender, to each destination, and of each to
// each.
type load struct {
	all    int
	sender map[uuid.UUID]int
	to     map[string]int
	pair   map[pair]int
}

type pair struct {
	sender      uuid.UUID
	destination string
}

func newLoad() load {
	return load{sender: map[uuid.UUID]int{}, to: map[string]int{}, pair: map[pair]int{}}
}

func (l *load) clone() load {
	return load{l.all, maps.Clone(l.sender), maps.Clone(l.to), maps.Clone(l.pair)}
}

// add counts n attempts more, or fewer.
func (l *load) add(sender uuid.UUID, destination string, n int) {
	l.all += n
	count(l.sender, sender, n)
	count(l.to, destination, n)
	count(l.pair, pair{sender, destination}, n)
}

func count[K comparable](m map[K]int, key K, n int) {
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

// room reports whether a sender may have one attempt more, to a destination if one is
// named.
func (l *load) room(sender uuid.UUID, destination string, s shares) bool {
	n, to := l.sender[sender], l.pair[pair{sender, destination}]
	return n < half(s.workers, l.all-n) && (s.places == 0 || to < half(s.places, l.to[destination]-to))
}

// turn chooses among rows that are due.
type turn struct {
	free   int
	shares shares
	busy   load
	seen   map[group]bool
	chosen []choice
}

// choice is a row whose group is tried.
type choice struct {
	storage.DueOutgoing
	patient bool // its sender has a backlog, and lets others go first
}

// group is what goes in one transaction.
type group struct {
	message     uuid.UUID
	destination string
}

func groupOf(d storage.DueOutgoing) group { return group{d.Message, d.Destination} }

// newTurn begins a turn beside what is under way. That must be known before rows
// are read: what ends in between is then left out, and not tried again.
func newTurn(free int, s shares, busy load, under map[group]bool) *turn {
	return &turn{free: free, shares: s, busy: busy.clone(), seen: maps.Clone(under)}
}

// take chooses from due, one group of each sender after the other, until no
// worker is free or every sender has its share.
// Whose due is more than was looked at has a backlog in any case.
func (t *turn) take(due []storage.DueOutgoing, more bool) {
	groups := groupsOf(due)
	for again := true; again; {
		again = false
		had := map[uuid.UUID]bool{}
		for _, d := range due {
			g := groupOf(d)
			switch {
			case t.free == 0:
				return
			case t.seen[g] || !t.busy.room(d.Turn, d.Destination, t.shares):
				continue
			case had[d.Turn]:
				again = true
				continue
			}
			had[d.Turn], t.seen[g] = true, true
			t.busy.add(d.Turn, d.Destination, 1)
			t.free--
			t.chosen = append(t.chosen, choice{d, more || groups[d.Turn] > lookAhead})
		}
	}
}

// leaves reports whether a row is due that is neither under way nor of a group that
// was chosen.
func (t *turn) leaves(due []storage.DueOutgoing, under map[uuid.UUID]bool) bool {
	chosen := map[group]bool{}
	for _, c := range t.chosen {
		chosen[groupOf(c.DueOutgoing)] = true
	}
	return slices.ContainsFunc(due, func(d storage.DueOutgoing) bool { return !under[d.ID] && !chosen[groupOf(d)] })
}

// groupsOf counts what is due of each sender.
func groupsOf(due []storage.DueOutgoing) map[uuid.UUID]int {
	seen, n := map[group]bool{}, map[uuid.UUID]int{}
	for _, d := range due {
		if g := groupOf(d); !seen[g] {
			seen[g] = true
			n[d.Turn]++
		}
	}
	return n
}
