package storage

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Bounds of what is remembered of an agent's reading.
const (
	RecentReadTime   = 24 * time.Hour // how far back
	MaxRecentReads   = 64             // reads of an agent; the newest
	maxRecentRanges  = 16             // UID ranges of a read; those of the newest messages
	maxRecentAgents  = 1024           // agents; one that is forgotten is read from the log again
	maxRecentVisited = 10_000         // events of an agent that are looked at for its reads
)

// RecentRead is one command by which an agent saw content.
type RecentRead struct {
	Seq        uint64 // of its event
	Time       time.Time
	Credential uuid.UUID
	Inbox      uuid.UUID
	Mailbox    uuid.UUID
	UIDs       audit.UIDs // ascending; the last ones, when they were many
	Text       bool       // bodies were shown, and not only headers or structure
}

// same reports whether a read saw what another one did: a client that polls makes
// one of a day, and not the 64 of an hour.
func (r *RecentRead) same(o *RecentRead) bool {
	return r.Credential == o.Credential && r.Mailbox == o.Mailbox && r.Text == o.Text && slices.Equal(r.UIDs, o.UIDs)
}

// recentReads remembers the reading of agents that send. An agent is loaded from
// the log when it is first asked for, and kept up by every commit after that, so
// that reading costs agents that never send nothing.
type recentReads struct {
	mu     sync.Mutex
	agents map[uuid.UUID]*agentReads
}

// agentReads are the reads of one agent, oldest first.
type agentReads struct {
	loaded chan struct{} // closed when the log was read
	err    error         // of that, once loaded is closed
	reads  []RecentRead
	asked  time.Time
}

// RecentReads are what an agent read lately, by any of its credentials, oldest
// first: at most MaxRecentReads within RecentReadTime. A read is in it before its
// answer leaves, and a restart changes nothing. // AU-3
func (s *Store) RecentReads(ctx context.Context, agent uuid.UUID) ([]RecentRead, error) {
	now := s.now()
	a, fresh := s.recent.find(agent, now)
	if fresh {
		old, err := s.loadReads(ctx, agent, now)
		s.recent.load(agent, a, old, err)
	}
	select {
	case <-a.loaded:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	s.recent.mu.Lock()
	defer s.recent.mu.Unlock()
	first := slices.IndexFunc(a.reads, func(r RecentRead) bool { return now.Sub(r.Time) <= RecentReadTime })
	if first < 0 {
		return nil, nil
	}
	return slices.Clone(a.reads[first:]), nil
}

// find returns the entry of an agent; fresh when the caller is to load it.
func (r *recentReads) find(agent uuid.UUID, now time.Time) (a *agentReads, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a = r.agents[agent]; a != nil {
		a.asked = now
		return a, false
	}
	if len(r.agents) >= maxRecentAgents {
		r.forget()
	}
	if r.agents == nil {
		r.agents = map[uuid.UUID]*agentReads{}
	}
	a = &agentReads{loaded: make(chan struct{}), asked: now}
	r.agents[agent] = a
	return a, true
}

// forget drops the agent that was not asked for for longest.
func (r *recentReads) forget() {
	var oldest uuid.UUID
	for id, a := range r.agents {
		if o := r.agents[oldest]; o == nil || a.asked.Before(o.asked) {
			oldest = id
		}
	}
	delete(r.agents, oldest)
}

// load puts what the log has in front of what was committed meanwhile.
func (r *recentReads) load(agent uuid.UUID, a *agentReads, old []RecentRead, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(a.loaded)
	if err != nil {
		a.err = err
		if r.agents[agent] == a {
			delete(r.agents, agent) // the next one tries again
		}
		return
	}
	all := append(old, a.reads...)
	slices.SortStableFunc(all, func(a, b RecentRead) int { return cmp.Compare(a.Seq, b.Seq) })
	a.reads = nil
	for _, read := range all {
		a.add(read)
	}
}

// note adds a read of an agent that somebody asked for.
func (r *recentReads) note(agent uuid.UUID, read RecentRead) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.agents[agent]; a != nil {
		a.add(read)
	}
}

func (a *agentReads) add(read RecentRead) {
	a.reads = slices.DeleteFunc(a.reads, func(r RecentRead) bool { return r.Seq == read.Seq || r.same(&read) })
	a.reads = append(a.reads, read)
	if n := len(a.reads) - MaxRecentReads; n > 0 {
		a.reads = slices.Delete(a.reads, 0, n)
	}
}

// noteRecent remembers a read once it is committed.
func (tx *Tx) noteRecent(e *audit.Event, set audit.UIDs) {
	if e.Agent == uuid.Nil || e.Verb != audit.MessageRead {
		return
	}
	recent := &tx.store().recent
	tx.afterCommit(func() { recent.note(e.Agent, recentRead(e, set)) })
}

// recentRead is what is remembered of an event.
func recentRead(e *audit.Event, set audit.UIDs) RecentRead {
	r := RecentRead{Seq: e.Seq, Time: e.Time, Credential: e.Credential, Inbox: e.Inbox, Mailbox: e.Mailbox,
		UIDs: slices.Clone(set[max(len(set)-maxRecentRanges, 0):])}
	for _, f := range e.Fields {
		if class, ok := f.Value.(string); ok && f.Key == audit.KeyClass {
			r.Text = r.Text || class == "body" || class == "text" || class == "part"
		}
	}
	return r
}

// loadReads finds an agent's reads in the log, going back from its end.
func (s *Store) loadReads(ctx context.Context, agent uuid.UUID, now time.Time) (reads []RecentRead, err error) {
	before := int64(1<<63 - 1)
	for visited := 0; visited < maxRecentVisited && len(reads) < MaxRecentReads && before >= 0; visited += tracePage {
		page, next, err := s.readsBefore(ctx, agent, before, micros(now.Add(-RecentReadTime)))
		if err != nil {
			return nil, err
		}
		reads, before = append(reads, page...), next
	}
	slices.Reverse(reads)
	return reads, nil
}

// readsBefore looks at one page of an agent's events, newest first. It returns
// where the next page begins, negative when there is none.
func (s *Store) readsBefore(ctx context.Context, agent uuid.UUID, before, since int64) (found []RecentRead, next int64, err error) {
	next = -1
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT seq, verb, at, canonical FROM event WHERE agent = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3", agent[:], before, tracePage)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var seq, verb, at int64
			var canonical []byte
			if err := rows.Scan(&seq, &verb, &at, &canonical); err != nil {
				return classify(err)
			}
			if at < since {
				next = -1
				return nil
			}
			next = seq
			if audit.Verb(verb) != audit.MessageRead {
				continue
			}
			e, err := audit.DecodeEvent(canonical, nil)
			if err != nil {
				return ErrCorrupt
			}
			e.Seq = uint64(seq)
			if set, ok := e.Fields.UIDs(audit.KeyUIDs); ok {
				found = append(found, recentRead(e, set))
			}
		}
		if n < tracePage {
			next = -1
		}
		return classify(rows.Err())
	})
	return found, next, err
}
