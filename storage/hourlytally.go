package storage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// hourlyCursor is how far the counting has come. Another way to count takes another
// name, and with it the log from its beginning.
const hourlyCursor = "hourly-1"

// How long what is counted is kept, in hours.
const (
	hourlyKept  = 40 * 24 // a month, and the same weekday before it
	journeyKept = 48      // after that, an answer changes nothing any more
)

// hourlyVerbs are the events that are counted.
var hourlyVerbs = []audit.Verb{
	audit.MessageReceived, audit.MessageRead, audit.MessageMoved, audit.QuarantineRelease,
	audit.MessageSubmitted, audit.MessageRefused, audit.AgentTainted,
	audit.ApprovalRelease, audit.ApprovalReject, audit.ApprovalExpire,
	audit.QueueAttempt, audit.QueueDelivered, audit.QueueFailed, audit.QueueExpired, audit.QueueBounce,
}

// KeepHours counts what happens, until the context is done: soon after it happened,
// and not more often than a person would notice.
func (s *Store) KeepHours(ctx context.Context) {
	const pause = 250 * time.Millisecond
	news := s.WatchLog()
	defer news.Stop()
	said := ""
	for {
		more, err := s.CountHours(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			s.log.Error("what happens cannot be counted, and is tried again", "error", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-news.Hint():
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// CountHours reads on in the log by a bounded stretch and counts it; more says that
// there is more to read. Counts and cursor move in one transaction, so that each event
// counts once, whenever the process ends; where the rows were lost, it begins at the
// beginning.
func (s *Store) CountHours(ctx context.Context) (more bool, err error) {
	from, err := s.Cursor(ctx, hourlyCursor)
	if err != nil {
		return false, err
	}
	if from > 0 && s.hourly.CompareAndSwap(false, true) {
		if from, err = s.foundHours(ctx, from); err != nil {
			s.hourly.Store(false)
			return false, err
		}
	}
	events, next, err := s.countable(ctx, from)
	if err != nil || next == from {
		return false, err
	}
	err = s.Upkeep(ctx, func(u *Upkeep) error { return u.countHours(from, next, events) })
	return err == nil && next-from == FollowStep, err
}

// foundHours looks once in a process whether there are counts where there should be.
func (s *Store) foundHours(ctx context.Context, from uint64) (uint64, error) {
	var some int
	err := s.look(ctx, func(r *reads) error {
		return classify(r.row("SELECT COUNT(*) FROM (SELECT 1 FROM hourly LIMIT 1) AS one").Scan(&some))
	})
	if some == 0 {
		from = 0
	}
	return from, err
}

// Uncounted is how many events of an organization are not counted yet.
func (s *Store) Uncounted(ctx context.Context, org uuid.UUID) (n uint64, err error) {
	from, err := s.Cursor(ctx, hourlyCursor)
	if err != nil {
		return 0, err
	}
	where, args := eventConditions(EventQuery{From: from, Org: org}, nil)
	err = s.look(ctx, func(r *reads) error {
		return classify(r.row("SELECT COUNT(*) FROM event WHERE "+where, args...).Scan(&n))
	})
	return n, err
}

// countable reads the clear half of the events of a stretch.
func (s *Store) countable(ctx context.Context, from uint64) (events []audit.Event, next uint64, err error) {
	err = s.look(ctx, func(r *reads) error {
		return classify(r.row("SELECT COALESCE(MAX(seq) + 1, 0) FROM event").Scan(&next))
	})
	next = min(next, from+FollowStep)
	if err != nil || next <= from {
		return nil, from, err
	}
	where, args := eventConditions(EventQuery{From: from, To: next, Verbs: hourlyVerbs}, nil)
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT seq, canonical FROM event WHERE "+where+" ORDER BY seq", args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var seq uint64
			var canonical []byte
			if err := rows.Scan(&seq, &canonical); err != nil {
				return classify(err)
			}
			e, err := audit.DecodeEvent(canonical, nil)
			if err != nil {
				return ErrCorrupt
			}
			e.Seq = seq
			events = append(events, *e)
		}
		return classify(rows.Err())
	})
	return events, next, err
}

// countHours counts a stretch of the log that begins where the last one ended.
func (u *Upkeep) countHours(from, next uint64, events []audit.Event) error {
	if from == 0 {
		for _, table := range []string{"DELETE FROM hourly", "DELETE FROM journey"} {
			if err := u.tx.exec(table); err != nil {
				return err
			}
		}
	}
	h := &hourly{u: u, now: HourOf(u.tx.now), sums: map[hourlyKey]int64{}}
	for i := range events {
		if e := &events[i]; e.Org != uuid.Nil && HourOf(e.Time) >= h.now-hourlyKept {
			if err := h.see(e); err != nil {
				return err
			}
		}
	}
	if err := h.write(); err != nil {
		return err
	}
	return u.MoveCursor(hourlyCursor, next)
}

// hourly is what a stretch of the log comes to.
type hourly struct {
	u    *Upkeep
	now  int64
	sums map[hourlyKey]int64
}

type hourlyKey struct {
	org, agent uuid.UUID
	hour       int64
	what       Counted
}

// add counts for the organization, and for its agent if there is one.
func (h *hourly) add(e *audit.Event, what Counted, n int64) {
	hour := HourOf(e.Time)
	h.sums[hourlyKey{e.Org, uuid.Nil, hour, what}] += n
	if e.Agent != uuid.Nil {
		h.sums[hourlyKey{e.Org, e.Agent, hour, what}] += n
	}
}

func (h *hourly) write() error {
	orgs := map[uuid.UUID]bool{}
	for k, n := range h.sums {
		if n == 0 {
			continue
		}
		if err := h.u.addHourly(k, n); err != nil {
			return err
		}
		orgs[k.org] = true
	}
	for org := range orgs {
		if err := h.u.tx.exec("DELETE FROM hourly WHERE org = $1 AND hour < $2", org[:], h.now-hourlyKept); err != nil {
			return err
		}
	}
	return h.u.tx.exec("DELETE FROM journey WHERE hour < $1", h.now-journeyKept)
}

// addHourly adds to a count.
func (u *Upkeep) addHourly(k hourlyKey, n int64) error {
	return u.tx.exec(`INSERT INTO hourly (org, agent, hour, what, n) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (org, agent, hour, what) DO UPDATE SET n = hourly.n + excluded.n`, k.org[:], k.agent[:], k.hour, int(k.what), n)
}

// see counts one event.
func (h *hourly) see(e *audit.Event) error {
	switch e.Verb {
	case audit.MessageReceived:
		return h.received(e)
	case audit.MessageRead:
		return h.shown(e)
	case audit.MessageMoved, audit.QuarantineRelease:
		return h.moved(e)
	case audit.MessageSubmitted:
		return h.submitted(e)
	case audit.MessageRefused:
		h.add(e, CountRefused, 1)
	case audit.AgentTainted:
		h.add(e, CountTainted, 1)
	case audit.ApprovalRelease, audit.ApprovalReject, audit.ApprovalExpire:
		return h.decided(e)
	default:
		h.queued(e)
	}
	return nil
}

// queued counts what became of a recipient in the queue.
func (h *hourly) queued(e *audit.Event) {
	attempts, _ := e.Fields.Int(audit.KeyAttempts)
	if e.Verb == audit.QueueAttempt {
		if attempts <= 1 {
			h.add(e, CountPutOff, 1)
		}
		return
	}
	if attempts <= 1 {
		h.add(e, CountLeft, 1)
	} else {
		h.add(e, CountLeftLate, 1)
	}
	if e.Verb != audit.QueueDelivered {
		h.add(e, CountGivenUp, 1)
	}
}

// submitted counts a message that an agent handed in, and what it answers.
func (h *hourly) submitted(e *audit.Event) error {
	if n, ok := e.Fields.Int(audit.KeyFirstTime); ok {
		h.add(e, CountFirstTime, n)
	}
	outcome := OutcomeAnswered
	if e.Outcome == audit.Held {
		outcome = OutcomeAnswerHeld
		h.add(e, CountHeld, 1)
	} else {
		h.add(e, CountSent, 1)
		h.enqueued(e)
	}
	answers, ok := e.Fields.ID(audit.KeyAnswers)
	if !ok {
		return nil
	}
	return h.answered(e, answers, outcome)
}

func (h *hourly) enqueued(e *audit.Event) {
	n, ok := e.Fields.Int(audit.KeyRecipients)
	if !ok {
		n = 1
	}
	h.add(e, CountEnqueued, n)
}

// decided counts what people, or time, decided about a message that waited.
func (h *hourly) decided(e *audit.Event) error {
	h.add(e, CountDecided, 1)
	if since, ok := e.Fields.Int(audit.KeySince); ok {
		h.add(e, CountWaited, int64(e.Time.Sub(fromMicros(since))/time.Minute))
	}
	if e.Verb != audit.ApprovalRelease {
		return nil
	}
	h.add(e, CountSent, 1)
	h.enqueued(e)
	return h.released(e)
}
