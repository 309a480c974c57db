package monitor

import (
	"context"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// lab is a store with one agent, on a clock that tests move.
type lab struct {
	testing.TB
	store *storage.Store
	cfg   storage.Config
	org   storage.Organization
	agent storage.Agent
	m     *Monitor

	mu  sync.Mutex
	now time.Time
}

func newLab(t testing.TB) *lab {
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	l := &lab{TB: t, now: monday}
	l.must(err)
	l.cfg = storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: l.clock}
	l.open()
	t.Cleanup(func() { l.store.Close() })
	l.must(l.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		l.org = storage.Organization{Name: "lab"}
		return tx.CreateOrganization(tx.Record(audit.Event{Verb: audit.OrganizationCreate}), &l.org)
	}))
	l.must(l.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		l.agent = storage.Agent{Head: storage.Head{Org: l.org.ID}, Name: "scout"}
		return tx.CreateAgent(tx.Record(audit.Event{Verb: audit.AgentCreate}), &l.agent)
	}))
	return l
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *lab) advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

func (l *lab) open() {
	l.Helper()
	s, err := storage.Open(context.Background(), l.cfg)
	l.must(err)
	l.store, l.m = s, New(s, Options{Now: l.clock})
}

// act records what the agent does, n times in one transaction.
func (l *lab) act(verb audit.Verb, n int) {
	l.Helper()
	actor := audit.Actor{Kind: audit.Agent, ID: l.agent.ID, Session: storage.NewID(), Network: netip.MustParseAddr("192.0.2.7")}
	l.must(l.store.Write(l.Context(), actor, func(tx *storage.Tx) error {
		for range n {
			tx.Record(audit.Event{Verb: verb, Org: l.org.ID, Agent: l.agent.ID})
		}
		return nil
	}))
}

// watch reads to the end of the log.
func (l *lab) watch() {
	l.Helper()
	for more := true; more; {
		var err error
		more, err = l.m.Watch(l.Context())
		l.must(err)
	}
}

func (l *lab) alerts() []storage.Alert {
	l.Helper()
	all, err := l.store.Alerts(l.Context(), l.org.ID, uuid.Nil, 100, true)
	l.must(err)
	return all
}

// PI-7: what was learned is in the database: a monitor that is killed again and again counts every message once, and
// rings as one that never was.
func TestPI7_LearnsOverRestarts(t *testing.T) {
	l := newLab(t)
	for range 20 {
		for range 10 { // an hour's work, and the process ends in the middle of it
			l.act(audit.MessageSubmitted, 2)
			l.advance(time.Minute)
			l.watch()
			l.act(audit.MessageSubmitted, 1)
			l.must(l.store.Abandon())
			l.open()
			l.watch()
		}
		l.advance(24*time.Hour - 10*time.Minute)
	}
	if all := l.alerts(); len(all) != 0 {
		t.Fatalf("%+v", all)
	}
	b, err := l.store.Baseline(t.Context(), l.org.ID, l.agent.ID)
	if err != nil || b.Days != 20 || b.Sends.Peak > 30 || b.Sends.Peak < 20 {
		t.Fatalf("%+v, %v", b.Sends, err)
	}
	l.act(audit.MessageSubmitted, 100)
	l.must(l.store.Abandon())
	l.open()
	l.watch()
	l.watch()
	all := l.alerts()
	if len(all) != 1 || all[0].Kind != storage.AlertSpikeSends || all[0].Agent != l.agent.ID {
		t.Fatalf("%+v", all)
	}
	l.act(audit.AgentDecommission, 1)
	l.watch()
	if _, err := l.store.Baseline(t.Context(), l.org.ID, l.agent.ID); err == nil {
		t.Error("what an agent used to do is kept after its end")
	}
	l.must(l.store.Close())
	if r, err := storage.VerifyData(context.Background(), l.cfg); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// PI-7: each alert is answered once, also where the process ends between an alert and what follows; what only counts
// up is not answered again, and a failure is tried again.
func TestPI7_AnswersOnce(t *testing.T) {
	l := newLab(t)
	var frozen, told []uuid.UUID
	broken := true
	o := Options{Now: l.clock,
		Rules: func(context.Context, *storage.Alert) (Rules, error) {
			return Rules{Freeze: []storage.AlertKind{storage.AlertTokenLeaked}}, nil
		},
		Freeze: func(_ context.Context, a *storage.Alert) error { frozen = append(frozen, a.ID); return nil },
		Announce: func(_ context.Context, a *storage.Alert) (func(*storage.Upkeep) error, error) {
			if broken {
				return nil, storage.ErrUnavailable
			}
			told = append(told, a.ID)
			return func(*storage.Upkeep) error { return nil }, nil
		}}
	l.m = New(l.store, o)
	for _, kind := range []storage.AlertKind{storage.AlertLimitReached, storage.AlertTokenLeaked, storage.AlertTokenLeaked} {
		l.must(l.store.RaiseAlert(t.Context(), storage.Alert{Head: storage.Head{Org: l.org.ID}, Kind: kind, Agent: l.agent.ID}))
	}
	if _, err := l.m.React(t.Context()); err == nil {
		t.Fatal("a failure was passed over")
	}
	broken = false
	for range 2 {
		if _, err := l.m.React(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.m = New(l.store, o) // another process
	}
	all := l.alerts()
	if len(all) != 2 || all[1].Count != 2 || len(frozen) != 1 || frozen[0] != all[1].ID || len(told) != 2 || told[0] != all[0].ID || told[1] != all[1].ID {
		t.Errorf("%+v, frozen %v, told %v", all, frozen, told)
	}
}

// BenchmarkWatch is what the monitor costs for one message of an agent, in processor time beside the server's own.
func BenchmarkWatch(b *testing.B) {
	l := newLab(b)
	l.advance(time.Hour)
	for left := b.N; left > 0; left -= 500 {
		l.act(audit.MessageSubmitted, min(left, 500))
	}
	b.ReportAllocs()
	b.ResetTimer()
	l.watch()
}
