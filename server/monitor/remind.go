package monitor

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// remindEvery is how often somebody looks for what waits for too long, by the
// server's clock.
const remindEvery = 5 * time.Minute

// Remind raises an alert about each message that has waited for people for half of
// the time after which it is rejected (invariant 12), once for each: the alert
// itself is the note that it was raised. There is never more to do.
func (m *Monitor) Remind(ctx context.Context) (more bool, err error) {
	now := m.o.Now()
	if since := now.Sub(m.reminded); since >= 0 && since < remindEvery {
		return false, nil
	}
	orgs, err := m.store.Organizations(ctx)
	if err != nil {
		return false, err
	}
	for _, org := range orgs {
		if err := m.remind(ctx, org.ID, now); err != nil {
			return false, err
		}
	}
	m.reminded = now
	return false, nil
}

// waitingPage is how many messages that wait one short read takes.
const waitingPage = 200

func (m *Monitor) remind(ctx context.Context, org uuid.UUID, now time.Time) error {
	for after := uuid.Nil; ; {
		some, err := m.store.Approvals(ctx, org, after, waitingPage)
		if err != nil || len(some) == 0 {
			return err
		}
		for i := range some {
			if !halfOver(&some[i], now) {
				continue
			}
			if err := m.stillWaits(ctx, &some[i]); err != nil {
				return err
			}
		}
		after = some[len(some)-1].ID
	}
}

// halfOver reports whether half of a message's time is over, and not all of it.
func halfOver(a *storage.Approval, now time.Time) bool {
	return !now.Before(a.Created.Add(a.Expires.Sub(a.Created)/2)) && now.Before(a.Expires)
}

// stillWaits raises the alert about a message, unless there was one.
func (m *Monitor) stillWaits(ctx context.Context, a *storage.Approval) error {
	alert := storage.Alert{
		Head: storage.Head{Org: a.Org}, Kind: storage.AlertHoldWaiting, Agent: a.Agent, Credential: a.Credential, Inbox: a.Inbox, Object: a.ID,
		Detail: fmt.Sprintf("A message of the agent has waited for half of its time and is rejected at %s: postern approval show %s",
			a.Expires.UTC().Format("2006-01-02 15:04:05 MST"), a.ID),
	}
	raised, err := m.store.Alerted(ctx, &alert)
	if err != nil || raised {
		return err
	}
	return m.store.RaiseAlert(ctx, alert)
}
