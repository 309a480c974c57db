package monitor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// React reads on in the log and does what policy says about each new alert,
// whoever raised it; more says that there is more to read. A freeze comes first
// and is not undone by anything that fails after it. Mail and what webhooks are
// told are stored in one transaction with the place in the log: once each.
func (m *Monitor) React(ctx context.Context) (more bool, err error) {
	if err := m.locate(ctx, &m.react); err != nil {
		return false, err
	}
	events, next, err := m.store.Follow(ctx, m.react.next, audit.AlertRaise)
	if err != nil {
		return false, err
	}
	for i := range events {
		e := &events[i]
		if len(e.Writes) == 0 {
			continue // it counted up
		}
		if err := m.answer(ctx, e); err != nil {
			return false, err
		}
	}
	more = next-m.react.next == storage.FollowStep
	if next-m.react.saved >= saveEvery {
		if err := m.store.Upkeep(ctx, func(u *storage.Upkeep) error { return u.MoveCursor(m.react.name, next) }); err != nil {
			return false, err
		}
		m.react.saved = next
	}
	m.react.next = next
	return more, nil
}

// answer does what policy says about one alert, and moves on behind it.
func (m *Monitor) answer(ctx context.Context, e *audit.Event) error {
	a, err := m.store.Alert(ctx, e.Org, e.Object)
	if err != nil {
		return err
	}
	var rules Rules
	if m.o.Rules != nil {
		if rules, err = m.o.Rules(ctx, &a); err != nil {
			return err
		}
	}
	frozen := m.o.Freeze != nil && a.Agent != uuid.Nil && rules.frozenBy(a.Kind)
	if frozen {
		if err := m.o.Freeze(ctx, &a); err != nil {
			return err
		}
	}
	notices, err := m.notices(ctx, &a, rules.Mail, frozen)
	defer func() {
		for _, n := range notices {
			n.Discard()
		}
	}()
	if err != nil {
		return err
	}
	announce := func(*storage.Upkeep) error { return nil }
	if m.o.Announce != nil {
		if announce, err = m.o.Announce(ctx, &a); err != nil {
			return err
		}
	}
	err = m.tell(ctx, notices, func(u *storage.Upkeep) error {
		return errors.Join(announce(u), u.MoveCursor(m.react.name, e.Seq+1))
	})
	if err != nil {
		return err
	}
	m.react.next, m.react.saved = e.Seq+1, e.Seq+1
	if m.o.Kick != nil && len(notices) > 0 {
		m.o.Kick()
	}
	return nil
}

// tell stores notices and the rest in one transaction. Without a notice there is
// no event, and it is upkeep: what webhooks are told follows from the alert's own.
func (m *Monitor) tell(ctx context.Context, notices []Notice, rest func(u *storage.Upkeep) error) error {
	if len(notices) == 0 {
		return m.store.Upkeep(ctx, rest)
	}
	return m.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		for _, n := range notices {
			if err := n.Store(tx); err != nil {
				return err
			}
		}
		return rest(tx.Upkeep())
	})
}

// notices prepares mail about an alert. One address that cannot be told keeps
// the others from nothing.
func (m *Monitor) notices(ctx context.Context, a *storage.Alert, to []string, frozen bool) (all []Notice, err error) {
	if m.o.Mail == nil {
		return nil, nil
	}
	if a.Agent != uuid.Nil {
		agent, err := m.store.Agent(ctx, a.Org, a.Agent)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
		if own, err := m.isHere(ctx, a.Org, agent.Owner); err != nil {
			return nil, err
		} else if own && !slices.ContainsFunc(to, func(s string) bool { return strings.EqualFold(s, agent.Owner) }) {
			to = append(slices.Clone(to), agent.Owner)
		}
	}
	for _, address := range to {
		n, err := m.o.Mail(ctx, a, address, frozen)
		if err != nil {
			return all, err
		}
		if n.Store == nil {
			m.o.Log.Warn("an alert cannot be mailed", "alert", a.ID)
			continue
		}
		all = append(all, n)
	}
	return all, nil
}

// isHere reports whether an address is an inbox of the organization.
func (m *Monitor) isHere(ctx context.Context, org uuid.UUID, address string) (bool, error) {
	if address == "" {
		return false, nil
	}
	in, err := m.store.InboxByAddress(ctx, strings.ToLower(address))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil && in.Org == org, err
}
