package control

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
)

// Counters are what waits, as it stands beside each page.
type Counters struct {
	Quarantine int64 `json:"quarantine"` // messages in quarantine
	Approvals  int64 `json:"approvals"`  // messages that wait for people
	Failing    int   `json:"failing"`    // checks of health that fail
}

// CountersWatch asks to be told of each change.
type CountersWatch struct {
	Seconds int `json:"seconds"` // for how long; zero: only how it is now
}

// Bounds of watching.
const (
	maxWatching   = 512                    // at once
	maxOfSession  = 32                     // by one person's session
	maxWatch      = 3600                   // seconds, after which one asks again
	watchPause    = 250 * time.Millisecond // between two looks: much at once is one change
	watchSession  = 15 * time.Second       // a session may end without an event: by its time
	countersStale = time.Minute            // health changes without an event, too
)

// counted remembers the counters of organizations, so that many who watch cost one
// look at the database for each change.
type counted struct {
	mu       sync.Mutex
	of       map[uuid.UUID]countersAt
	watching int
	sessions map[uuid.UUID]int
}

type countersAt struct {
	Counters
	version uint64
	at      time.Time
}

// Counters asks what waits.
func (c *Client) Counters(ctx context.Context) (Counters, error) {
	return ask[None, Counters](ctx, c, "counters", None{})
}

func (s *Server) countersNow(ctx context.Context, by caller, _ None) (Counters, error) {
	return s.counters(ctx, by)
}

// counters looks when something happened since the last look, or that was long ago.
func (s *Server) counters(ctx context.Context, by caller) (Counters, error) {
	s.counted.mu.Lock()
	defer s.counted.mu.Unlock()
	now, version := time.Now(), s.Store.LogVersion()
	if c, ok := s.counted.of[by.org]; ok && c.version == version && now.Sub(c.at) < countersStale {
		return c.Counters, nil
	}
	w, err := s.Store.Waiting(ctx, by.org)
	if err != nil {
		return Counters{}, err
	}
	h, err := s.health(ctx, by, HealthQuery{})
	if err != nil {
		return Counters{}, err
	}
	c := Counters{Quarantine: w.Quarantine, Approvals: w.Approvals}
	for _, check := range h.Checks {
		if !check.OK {
			c.Failing++
		}
	}
	if s.counted.of == nil {
		s.counted.of = map[uuid.UUID]countersAt{}
	}
	s.counted.of[by.org] = countersAt{c, version, now}
	return c, nil
}

// WatchCounters yields what waits, now and whenever it changes. It ends with the
// session within a second of its revocation. // AC-9
func (c *Client) WatchCounters(ctx context.Context, q CountersWatch) iter.Seq2[Counters, error] {
	return rows[CountersWatch, Counters](ctx, c, "counters.watch", q)
}

func (s *Server) countersWatch(ctx context.Context, by caller, q CountersWatch, emit func(Counters) error) error {
	if q.Seconds < 0 || q.Seconds > maxWatch {
		return invalid("seconds are 0 to %d", maxWatch)
	}
	leave, err := s.counted.enter(by)
	if err != nil {
		return err
	}
	defer leave()
	news := s.Store.WatchLog()
	defer news.Stop()
	over := time.NewTimer(time.Duration(q.Seconds) * time.Second)
	defer over.Stop()
	look := time.NewTicker(watchSession)
	defer look.Stop()
	said := Counters{Failing: -1}
	for {
		c, err := s.counters(ctx, by)
		if err != nil {
			return err
		}
		if c != said {
			if err := emit(c); err != nil {
				return err
			}
			said = c
		}
		if q.Seconds == 0 {
			return nil
		}
		select {
		case <-news.Hint():
		case <-look.C:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.stillIn(ctx, by); err != nil {
			return err
		}
		select {
		case <-time.After(watchPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stillIn refuses who came in a session that has ended.
func (s *Server) stillIn(ctx context.Context, by caller) error {
	if by.person == nil {
		return nil
	}
	err := s.Directory.Lives(ctx, by.person)
	if errors.Is(err, directory.ErrSession) {
		return &Error{Code: Refused, Noun: "ended", Message: "the session has ended", cause: err}
	}
	return err
}

// enter admits one who watches. // AV-1
func (c *counted) enter(by caller) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var session uuid.UUID
	if by.person != nil {
		session = by.person.Session.ID
	}
	if c.watching >= maxWatching || c.sessions[session] >= maxOfSession {
		return nil, &Error{Code: Busy, Message: "too many pages watch already: close some"}
	}
	if c.sessions == nil {
		c.sessions = map[uuid.UUID]int{}
	}
	c.watching++
	c.sessions[session]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.watching--
		if c.sessions[session]--; c.sessions[session] == 0 {
			delete(c.sessions, session)
		}
	}, nil
}
