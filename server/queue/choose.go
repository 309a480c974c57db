package queue

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// lookAhead is how many due rows are looked at for each free worker, and
// maxWalk how many inboxes one look at a backlog visits.
const (
	lookAhead = 8
	maxWalk   = 64
)

// choose picks which messages are tried next, no more than there are free
// workers. As long as all that is due fits into one look, inboxes take turns
// among it; in a backlog the lane walks from inbox to inbox, so that one with a
// hundred thousand rows costs the others nothing.
func (l *lane) choose(ctx context.Context) ([]storage.DueOutgoing, error) {
	l.mu.Lock()
	turn := newTurn(l.free, max(1, l.q.o.Workers/2), l.busy)
	l.mu.Unlock()
	if turn.free == 0 {
		return nil, nil
	}
	now := l.q.o.Now()
	limit := turn.free * lookAhead
	due, err := l.q.store.DueOutgoing(ctx, l.local, now, limit)
	if err != nil {
		return nil, err
	}
	if len(due) < limit {
		turn.take(due)
		return turn.chosen, nil
	}
	return turn.chosen, l.walk(ctx, turn, now)
}

// walk gives one inbox after the other its turn, from where the last walk
// stopped, until no worker is free, all had a turn, or maxWalk is reached.
func (l *lane) walk(ctx context.Context, t *turn, now time.Time) error {
	start, wrapped := l.cursor, false
	for range maxWalk {
		inbox, ok, err := l.q.store.NextSender(ctx, l.local, l.cursor)
		if err != nil {
			return err
		}
		if !ok && wrapped || wrapped && bytes.Compare(inbox[:], start[:]) > 0 {
			return nil
		}
		l.cursor = inbox // zero at the end: the walk goes on in front
		if !ok {
			wrapped = true
			continue
		}
		if t.busy[inbox] >= t.share {
			continue
		}
		due, err := l.q.store.DueOutgoingOf(ctx, l.local, inbox, now, max(lookAhead, t.free))
		if err != nil {
			return err
		}
		if t.take(due); t.free == 0 {
			return nil
		}
	}
	return nil
}

// turn chooses among rows that are due.
type turn struct {
	free, share int
	busy        map[uuid.UUID]int
	seen        map[group]bool
	chosen      []storage.DueOutgoing
}

// group is what goes in one transaction.
type group struct {
	message     uuid.UUID
	destination string
}

func newTurn(free, share int, busy map[uuid.UUID]int) *turn {
	t := &turn{free: free, share: share, busy: make(map[uuid.UUID]int, len(busy)), seen: map[group]bool{}}
	for inbox, n := range busy {
		t.busy[inbox] = n
	}
	return t
}

// take chooses from due, one group of each inbox after the other, until no
// worker is free or every inbox has its share.
func (t *turn) take(due []storage.DueOutgoing) {
	for again := true; again; {
		again = false
		had := map[uuid.UUID]bool{}
		for _, d := range due {
			g := group{d.Message, d.Destination}
			switch {
			case t.free == 0:
				return
			case t.seen[g] || t.busy[d.Inbox] >= t.share:
				continue
			case had[d.Inbox]:
				again = true
				continue
			}
			had[d.Inbox], t.seen[g] = true, true
			t.busy[d.Inbox]++
			t.free--
			t.chosen = append(t.chosen, d)
		}
	}
}
