package policy

import (
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// counted is what a limit counts, over which window, and the rule that refuses.
var counted = map[Key]struct {
	of     func(storage.Tally) int64
	window storage.Window
	rule   Rule
}{
	KeyMessagesPerMinute:   {messages, storage.PerMinute, LimitMessages},
	KeyMessagesPerHour:     {messages, storage.PerHour, LimitMessages},
	KeyMessagesPerDay:      {messages, storage.PerDay, LimitMessages},
	KeyRecipientsPerMinute: {recipients, storage.PerMinute, LimitRecipients},
	KeyRecipientsPerHour:   {recipients, storage.PerHour, LimitRecipients},
	KeyRecipientsPerDay:    {recipients, storage.PerDay, LimitRecipients},
	KeyFirstTimePerDay:     {firstTime, storage.PerDay, LimitFirstTime},
}

func messages(t storage.Tally) int64   { return t.Messages }
func recipients(t storage.Tally) int64 { return t.Recipients }
func firstTime(t storage.Tally) int64  { return t.FirstTime }

// room decides whether every level has room for more. Where several have none,
// the answer is that of the one that has none for the longest, so that who comes
// back when told is not told again. // AV-1
func room(r Rules, usage []storage.Usage, more storage.Tally) Decision {
	d := allow
	for _, level := range r.Levels {
		for _, limit := range level.Limits {
			one := limit.room(usageOf(usage, level.Subject), more)
			one.Level = level.Level
			if !one.Allow && one.outlasts(d) {
				d = one
			}
		}
	}
	return d
}

// outlasts reports whether a refusal stands for longer than another decision.
func (d Decision) outlasts(o Decision) bool {
	switch {
	case o.Allow:
		return true
	case d.Closed || o.Closed:
		return d.Closed && !o.Closed
	case d.Retry == 0 || o.Retry == 0:
		return d.Retry == 0 && o.Retry > 0
	}
	return d.Retry > o.Retry
}

// room decides about one limit. Without the usage there is none.
func (l Limit) room(u *storage.Usage, more storage.Tally) Decision {
	c := counted[l.Key]
	most := l.Max - c.of(more)
	switch {
	case c.of(more) == 0:
		return allow
	case l.Max == 0:
		return Decision{Rule: c.rule, Closed: true}
	case u == nil || most < 0:
		return refuse(c.rule)
	}
	if wait := u.Free(c.window, most, c.of); wait > 0 {
		return Decision{Rule: c.rule, Retry: wait}
	}
	return allow
}

// State is how far a limit is used up.
type State struct {
	Level   storage.PolicyLevel
	Subject uuid.UUID
	Limit
	Used int64
	// Reset is when everything that is counted now will have left the window, if
	// nothing more is sent; zero when nothing is counted.
	Reset time.Duration
}

// States are the limits of all levels with how far they are used up.
func (r Rules) States(usage []storage.Usage) []State {
	var all []State
	for _, level := range r.Levels {
		u := usageOf(usage, level.Subject)
		for _, limit := range level.Limits {
			s := State{Level: level.Level, Subject: level.Subject, Limit: limit}
			if c := counted[limit.Key]; u != nil {
				s.Used = c.of(u.Sum(c.window))
				s.Reset = u.Free(c.window, 0, c.of)
			}
			all = append(all, s)
		}
	}
	return all
}

func usageOf(all []storage.Usage, subject uuid.UUID) *storage.Usage {
	for i := range all {
		if all[i].Subject == subject {
			return &all[i]
		}
	}
	return nil
}
