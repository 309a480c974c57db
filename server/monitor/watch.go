package monitor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// watched are the verbs that say what agents do.
var watched = []audit.Verb{
	audit.ServerStart, audit.SessionLogin, audit.SessionEnd, audit.SessionRefused, audit.MessageSubmitted, audit.AgentDecommission,
}

// stretch is what one step of Watch found.
type stretch struct {
	baselines map[uuid.UUID]*storage.Baseline
	dropped   []uuid.UUID
	alerts    []storage.Alert
}

// Watch reads on in the log, learns, and raises alerts; more says that there is
// more to read. Everything that follows from a stretch of the log is written in
// one transaction with the place where it ends.
func (m *Monitor) Watch(ctx context.Context) (more bool, err error) {
	if err := m.locate(ctx, &m.watch); err != nil {
		return false, err
	}
	events, next, err := m.store.Follow(ctx, m.watch.next, watched...)
	if err != nil {
		return false, err
	}
	w := &stretch{baselines: map[uuid.UUID]*storage.Baseline{}}
	for i := range events {
		if err := m.see(ctx, w, &events[i]); err != nil {
			return false, err
		}
	}
	doubts := m.sessions.certain(m.o.Now())
	for _, d := range doubts {
		if err := m.twice(ctx, w, d); err != nil {
			return false, err
		}
	}
	more = next-m.watch.next == storage.FollowStep
	if err := m.keep(ctx, w, next); err != nil {
		m.sessions.doubts = append(m.sessions.doubts, doubts...)
		return false, err
	}
	return more, nil
}

// keep writes what follows from a stretch.
func (m *Monitor) keep(ctx context.Context, w *stretch, next uint64) error {
	if len(w.baselines) == 0 && len(w.dropped) == 0 && len(w.alerts) == 0 && next-m.watch.saved < saveEvery {
		m.watch.next = next
		return nil
	}
	rest := func(u *storage.Upkeep) error {
		for _, b := range w.baselines {
			if err := u.PutBaseline(b); err != nil {
				return err
			}
		}
		for _, agent := range w.dropped {
			if err := u.DropBaseline(agent); err != nil {
				return err
			}
		}
		return u.MoveCursor(m.watch.name, next)
	}
	if err := m.raise(ctx, w.alerts, rest); err != nil {
		return err
	}
	m.watch.next, m.watch.saved = next, next
	return nil
}

// raise raises alerts and does the rest, in one transaction. Where all of them
// only count up there is no event, and it is upkeep.
func (m *Monitor) raise(ctx context.Context, alerts []storage.Alert, rest func(u *storage.Upkeep) error) error {
	if len(alerts) > 0 {
		err := m.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
			for _, a := range alerts {
				if err := tx.RaiseAlert(a); err != nil {
					return err
				}
			}
			return rest(tx.Upkeep())
		})
		if !errors.Is(err, storage.ErrNoEvent) {
			return err
		}
	}
	return m.store.Upkeep(ctx, func(u *storage.Upkeep) error {
		for _, a := range alerts {
			if err := u.CountAlert(a); err != nil {
				return err
			}
		}
		return rest(u)
	})
}

// see learns from one event.
func (m *Monitor) see(ctx context.Context, w *stretch, e *audit.Event) error {
	switch e.Verb {
	case audit.ServerStart:
		m.sessions = newSessions() // with the process, its sessions ended
	case audit.SessionEnd:
		m.sessions.end(e)
	case audit.SessionRefused:
		return m.refused(ctx, w, e)
	case audit.AgentDecommission:
		delete(w.baselines, e.Agent)
		w.dropped = append(w.dropped, e.Agent)
	case audit.SessionLogin, audit.MessageSubmitted:
		b, err := m.baseline(ctx, w, e.Org, e.Agent)
		if err != nil {
			return err
		}
		if active(b, e.Time) {
			w.ring(e, storage.AlertOddHours, "The agent is active at an hour of the week at which it never was.")
		}
		if e.Verb == audit.SessionLogin {
			m.login(w, b, e)
		} else {
			w.submitted(b, e)
		}
	}
	return nil
}

// baseline finds an agent's baseline, or begins one.
func (m *Monitor) baseline(ctx context.Context, w *stretch, org, agent uuid.UUID) (*storage.Baseline, error) {
	if b := w.baselines[agent]; b != nil {
		return b, nil
	}
	b, err := m.store.Baseline(ctx, org, agent)
	switch {
	case errors.Is(err, storage.ErrCorrupt):
		m.o.Log.Error("a baseline does not open and is learned anew", "agent", agent, "error", err)
		fallthrough
	case errors.Is(err, storage.ErrNotFound):
		b = storage.Baseline{Org: org, Agent: agent}
	case err != nil:
		return nil, err
	}
	w.baselines[agent] = &b
	return &b, nil
}

// ring notes an alert about what an event's agent did.
func (w *stretch) ring(e *audit.Event, kind storage.AlertKind, detail string) {
	w.alerts = append(w.alerts, storage.Alert{
		Head: storage.Head{Org: e.Org}, Kind: kind, Agent: e.Agent, Credential: e.Credential, Inbox: e.Inbox, Detail: detail})
}

// login holds a login against where an agent comes from.
func (m *Monitor) login(w *stretch, b *storage.Baseline, e *audit.Event) {
	network := audit.Network(e.Actor.Network)
	if !network.IsValid() {
		return
	}
	if cameFrom(b, network, e.Time) {
		w.ring(e, storage.AlertNewNetwork, fmt.Sprintf("The agent logged in from the network %s, from which it never came.", network))
	}
	m.sessions.begin(e, network)
}

// submitted counts a message.
func (w *stretch) submitted(b *storage.Baseline, e *audit.Event) {
	old := learned(b, e.Time)
	strangers, _ := e.Fields.Int(audit.KeyFirstTime)
	for _, c := range []struct {
		rate  *storage.Rate
		n     int64
		floor float64
		kind  storage.AlertKind
		what  string
	}{
		{&b.Sends, 1, floorSends, storage.AlertSpikeSends, "messages sent"},
		{&b.Forwards, forwards(e), floorForwards, storage.AlertSpikeForwards, "messages with stored content passed on"},
		{&b.FirstTime, strangers, floorFirstTime, storage.AlertSpikeFirstTime, "recipients written to for the first time"},
	} {
		if c.n == 0 {
			continue
		}
		total, limit, rings := count(c.rate, e.Time, uint32(min(c.n, math.MaxInt16)), c.floor, old)
		if rings {
			w.ring(e, c.kind, fmt.Sprintf("%d %s within an hour, where up to %.0f are usual.", total, c.what, limit))
		}
	}
}

// forwards is 1 for a message that passes stored content on, by what submission
// remarked about it.
func forwards(e *audit.Event) int64 {
	for _, f := range e.Fields {
		if remark, ok := f.Value.(string); ok && f.Key == audit.KeyRemark && strings.HasPrefix(remark, "forwards-") {
			return 1
		}
	}
	return 0
}

// refused rings for a token that was rotated out, or revoked, and is still in
// somebody's hands. // AC-8
func (m *Monitor) refused(ctx context.Context, w *stretch, e *audit.Event) error {
	rule := e.Fields.Text(audit.KeyRule)
	if rule != "revoked" && rule != "rotated" && rule != "expired" {
		return nil
	}
	c, err := m.store.Credential(ctx, e.Org, e.Credential)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !c.Revoked.IsZero():
		w.ring(e, storage.AlertTokenAfterRotation, "A token that was revoked was tried.")
	case c.Successor != uuid.Nil:
		w.ring(e, storage.AlertTokenAfterRotation, "A token that was rotated out was tried after the overlap.")
	}
	return nil
}

// twice rings for a credential in two networks at once. // AC-1
func (m *Monitor) twice(ctx context.Context, w *stretch, d doubt) error {
	e := &d.second.event
	b, err := m.baseline(ctx, w, e.Org, e.Agent)
	if err != nil {
		return err
	}
	if together(b, d.first.network, d.second.network, e.Time) {
		w.ring(e, storage.AlertTwoNetworks, fmt.Sprintf("One token has sessions from %s and %s at the same time.", d.first.network, d.second.network))
	}
	return nil
}
