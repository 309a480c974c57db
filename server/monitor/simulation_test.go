package monitor

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// simulated is an agent whose life is played on a clock, event by event, through the eyes of a monitor.
type simulated struct {
	t       *testing.T
	m       *Monitor
	rng     *rand.Rand
	agent   uuid.UUID
	b       *storage.Baseline
	network netip.Addr
	passing bool                      // one message in twenty passes stored content on
	rang    map[storage.AlertKind]int // alerts: what repeats within an hour is one
	since   map[storage.AlertKind]time.Time
}

func newSimulated(t *testing.T, seed uint64) *simulated {
	agent := storage.NewID()
	return &simulated{t: t, m: New(nil, Options{}), rng: rand.New(rand.NewPCG(seed, 7)), agent: agent,
		b: &storage.Baseline{Agent: agent}, network: netip.MustParseAddr("192.0.2.7"), rang: map[storage.AlertKind]int{}, since: map[storage.AlertKind]time.Time{}}
}

func (s *simulated) event(e audit.Event, at time.Time) {
	s.t.Helper()
	e.Agent, e.Time = s.agent, at
	w := &stretch{baselines: map[uuid.UUID]*storage.Baseline{s.agent: s.b}}
	if err := s.m.see(s.t.Context(), w, &e); err != nil {
		s.t.Fatal(err)
	}
	for _, a := range w.alerts {
		if at.Sub(s.since[a.Kind]) >= time.Hour {
			s.since[a.Kind] = at
			s.rang[a.Kind]++
		}
	}
}

// session is a login, some messages, and the end.
func (s *simulated) session(at time.Time, messages, strangers int, forwards bool) {
	id := storage.NewID()
	actor := audit.Actor{Kind: audit.Agent, ID: s.agent, Session: id, Network: s.network}
	s.event(audit.Event{Verb: audit.SessionLogin, Actor: actor}, at)
	for i := range messages {
		e := audit.Event{Verb: audit.MessageSubmitted, Actor: actor}
		if strangers > 0 {
			e.Fields = append(e.Fields, audit.Int(audit.KeyFirstTime, 1))
			strangers--
		}
		if forwards || s.passing && s.rng.IntN(20) == 0 {
			e.Fields = append(e.Fields, audit.Word(audit.KeyRemark, "forwards-text"))
		}
		s.event(e, at.Add(time.Duration(i)*time.Second))
	}
	s.event(audit.Event{Verb: audit.SessionEnd, Actor: actor}, at.Add(time.Duration(messages)*time.Second))
}

func (s *simulated) poisson(mean float64) (n int) {
	for p, limit := s.rng.Float64(), math.Exp(-mean); p > limit; p *= s.rng.Float64() {
		n++
	}
	return n
}

// monday is the first hour of a week.
var monday = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// officeHours plays weeks of work from nine to five, a few messages in each hour.
func (s *simulated) officeHours(from time.Time, weeks int, mean float64) time.Time {
	s.passing = true
	for range weeks {
		for d := range 5 {
			for h := range 8 {
				s.session(from.AddDate(0, 0, d).Add(time.Duration(9+h)*time.Hour+time.Duration(s.rng.IntN(30))*time.Minute), s.poisson(mean), s.poisson(0.3), false)
			}
		}
		from = from.AddDate(0, 0, 7)
	}
	return from
}

// PI-7: an agent that does what it always did never rings, whatever that is.
func TestPI7_SteadyAgentsNeverRing(t *testing.T) {
	lives := map[string]func(s *simulated){
		"nine to five": func(s *simulated) { s.officeHours(monday, 26, 20) },
		"busy":         func(s *simulated) { s.officeHours(monday, 12, 300) },
		"always": func(s *simulated) {
			for h := range 24 * 7 * 12 {
				s.session(monday.Add(time.Duration(h)*time.Hour), s.poisson(40), 0, false)
			}
		},
		"a digest each week": func(s *simulated) {
			for w := range 40 {
				s.session(monday.AddDate(0, 0, 7*w).Add(9*time.Hour), 100, 0, false)
			}
		},
		"a letter each month": func(s *simulated) {
			for d := range 360 { // and little in between
				s.session(monday.AddDate(0, 0, d).Add(9*time.Hour), 2, 0, false)
				if d%30 == 5 {
					s.session(monday.AddDate(0, 0, d).Add(9*time.Hour+10*time.Minute), 150, 0, false)
				}
			}
		},
		"now and then, from anywhere": func(s *simulated) {
			for d := range 365 {
				s.network = netip.AddrFrom4([4]byte{byte(1 + s.rng.IntN(220)), byte(s.rng.IntN(256)), byte(s.rng.IntN(256)), 1})
				s.session(monday.AddDate(0, 0, d).Add(time.Duration(s.rng.IntN(24*60))*time.Minute), s.poisson(3), s.poisson(1), false)
			}
		},
		"tiny": func(s *simulated) {
			for d := range 100 {
				s.session(monday.AddDate(0, 0, d).Add(10*time.Hour), s.rng.IntN(4), 0, false)
			}
		},
		"new and eager": func(s *simulated) {
			for h := range 24 * 6 {
				s.session(monday.Add(time.Duration(h)*time.Hour), h*h/20, 5, true)
			}
		},
	}
	for name, live := range lives {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				s := newSimulated(t, seed)
				live(s)
				// A letter a month is as old as its peak: the first ones are news.
				if name == "a letter each month" && s.rang[storage.AlertSpikeSends] == 1 {
					delete(s.rang, storage.AlertSpikeSends)
				}
				if len(s.rang) != 0 {
					t.Errorf("seed %d rang %v", seed, s.rang)
				}
			}
		})
	}
}

// PI-7: an agent that changes rings for what changed, and does not storm.
func TestPI7_ChangedAgentsRingOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *simulated, from time.Time)
		want   map[storage.AlertKind]int
	}{
		{"ten times as much, for good", func(s *simulated, from time.Time) {
			s.officeHours(from, 8, 200)
		}, map[storage.AlertKind]int{storage.AlertSpikeSends: 2, storage.AlertSpikeForwards: 2}}, // and where that has doubled
		{"a flood at once", func(s *simulated, from time.Time) {
			s.session(from.Add(9*time.Hour), 1000, 0, false)
			s.officeHours(from.AddDate(0, 0, 7), 4, 20)
		}, map[storage.AlertKind]int{storage.AlertSpikeSends: 1, storage.AlertSpikeForwards: 1}},
		{"passes mail on", func(s *simulated, from time.Time) {
			s.session(from.Add(9*time.Hour), 25, 0, true)
		}, map[storage.AlertKind]int{storage.AlertSpikeForwards: 1}},
		{"writes to strangers", func(s *simulated, from time.Time) {
			s.session(from.Add(9*time.Hour), 20, 20, false)
		}, map[storage.AlertKind]int{storage.AlertSpikeFirstTime: 1}},
		{"works at night, for good", func(s *simulated, from time.Time) {
			s.officeHours(from.Add(13*time.Hour), 8, 20)
		}, map[storage.AlertKind]int{storage.AlertOddHours: 1}},
		{"one Sunday", func(s *simulated, from time.Time) {
			s.session(from.Add(-12*time.Hour), 3, 0, false)
			s.officeHours(from, 4, 20)
		}, map[storage.AlertKind]int{storage.AlertOddHours: 1}},
		{"moves house", func(s *simulated, from time.Time) {
			s.network = netip.MustParseAddr("2001:db8:1:2::3")
			s.officeHours(from, 8, 20)
		}, map[storage.AlertKind]int{storage.AlertNewNetwork: 1}},
		{"another host of the same network", func(s *simulated, from time.Time) {
			s.network = netip.MustParseAddr("192.0.2.200")
			s.officeHours(from, 4, 20)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(5) {
				s := newSimulated(t, seed)
				from := s.officeHours(monday, 6, 20)
				if len(s.rang) != 0 {
					t.Fatalf("rang %v before anything changed", s.rang)
				}
				c.change(s, from)
				for kind, n := range s.rang {
					if n > c.want[kind] {
						t.Errorf("seed %d: %s rang %d times", seed, kind, n)
					}
				}
				for kind := range c.want {
					if s.rang[kind] == 0 && !(kind == storage.AlertSpikeForwards && c.want[kind] == 2) { // few to begin with
						t.Errorf("seed %d: %s did not ring", seed, kind)
					}
				}
			}
		})
	}
}

// AC-1: two networks at once are told from one after the other, also where the end of a session is written late.
func TestAC1_TwoNetworksAtOnce(t *testing.T) {
	credential := storage.NewID()
	login := func(at time.Time, network string) *audit.Event {
		return &audit.Event{Verb: audit.SessionLogin, Time: at, Credential: credential,
			Actor: audit.Actor{Kind: audit.Agent, Session: storage.NewID(), Network: netip.MustParseAddr(network)}}
	}
	end := func(of *audit.Event, at, written time.Time) *audit.Event {
		return &audit.Event{Verb: audit.SessionEnd, Time: written, Credential: credential, Actor: of.Actor,
			Fields: audit.Fields{audit.Time(audit.KeyLast, at)}}
	}
	t0 := monday
	for _, c := range []struct {
		name  string
		play  func(s *sessions)
		wants int
	}{
		{"beside each other", func(s *sessions) {
			for i, n := range []string{"192.0.2.1", "198.51.100.1"} {
				s.begin(login(t0.Add(time.Duration(i)*time.Minute), n), audit.Network(netip.MustParseAddr(n)))
			}
		}, 1},
		{"the same network", func(s *sessions) {
			for i, n := range []string{"192.0.2.1", "192.0.2.99"} {
				s.begin(login(t0.Add(time.Duration(i)*time.Minute), n), audit.Network(netip.MustParseAddr(n)))
			}
		}, 0},
		{"after one another, written late", func(s *sessions) {
			a, b := login(t0, "192.0.2.1"), login(t0.Add(time.Second), "198.51.100.1")
			s.begin(a, audit.Network(a.Actor.Network))
			s.begin(b, audit.Network(b.Actor.Network))
			s.end(end(a, t0.Add(999*time.Millisecond), t0.Add(1400*time.Millisecond)))
		}, 0},
		{"for a moment", func(s *sessions) {
			a, b := login(t0, "192.0.2.1"), login(t0.Add(time.Second), "198.51.100.1")
			s.begin(a, audit.Network(a.Actor.Network))
			s.begin(b, audit.Network(b.Actor.Network))
			s.end(end(b, t0.Add(1200*time.Millisecond), t0.Add(1400*time.Millisecond)))
			s.end(end(a, t0.Add(1300*time.Millisecond), t0.Add(1400*time.Millisecond)))
		}, 1},
	} {
		s := newSessions()
		c.play(&s)
		if len(s.certain(t0.Add(2*time.Second))) != 0 {
			t.Errorf("%s: certain before the end of a session could be on record", c.name)
		}
		if got := s.certain(t0.Add(time.Hour)); len(got) != c.wants {
			t.Errorf("%s: %d, want %d", c.name, len(got), c.wants)
		}
	}
}
