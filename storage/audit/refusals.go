package audit

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Refusals counts what strangers were refused, so that no stranger writes an event: they are aggregated by network,
// command and rule, and written together at most every RefusalsEvery, as a bounded number of events. // AU-13
//
// The zero value is ready for use, by many goroutines at once.
type Refusals struct {
	mu      sync.Mutex
	counts  map[refusal]tally
	flushed time.Time
}

// Bounds of Refusals: what a flood from many networks may cost.
const (
	RefusalsEvery = 10 * time.Second
	maxNetworks   = 64 // kinds that are told apart in one interval; beyond, networks are not
	maxKinds      = 96 // kinds at all; beyond, one counts everything
)

type refusal struct {
	network       netip.Prefix // zero: many networks
	command, rule string
}

type tally struct {
	count       int64
	first, last time.Time
}

// Add counts a refusal at a time. Command and rule are words (see Word); the network is the /24 of an IPv4 address or
// the /48 of an IPv6 address.
func (r *Refusals) Add(now time.Time, peer netip.Addr, command, rule string) {
	kind := refusal{Network(peer), word(command), word(rule)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.merge(kind, tally{1, now, now})
}

// word keeps a mistake in a caller's vocabulary from costing the event.
func word(s string) string {
	if !isWord(s) {
		return "other"
	}
	return s
}

// Network is what an address stands for where peers are counted: the /24 of an IPv4 address, the /48 of an IPv6 one, which
// is what one customer of a provider usually has. No address has the zero Prefix.
func Network(peer netip.Addr) netip.Prefix {
	peer = peer.Unmap().WithZone("")
	bits := 48
	if peer.Is4() {
		bits = 24
	}
	p, _ := peer.Prefix(bits) // fails for the zero address, with the zero prefix
	return p
}

func (r *Refusals) merge(kind refusal, t tally) {
	if r.counts == nil {
		r.counts = map[refusal]tally{}
	}
	old, ok := r.counts[kind]
	if !ok && len(r.counts) >= maxNetworks {
		kind.network = netip.Prefix{}
		old, ok = r.counts[kind]
	}
	if !ok && len(r.counts) >= maxKinds {
		kind = refusal{command: "other", rule: "other"}
		old, ok = r.counts[kind]
	}
	if ok {
		t.count += old.count
		if old.first.Before(t.first) {
			t.first = old.first
		}
		if old.last.After(t.last) {
			t.last = old.last
		}
	}
	r.counts[kind] = t
}

// Flush hands what was counted to write, as events that Stamp has yet to complete, when there is anything and the last
// successful flush was RefusalsEvery ago or longer; a stop flushes with the zero time, which is always due. When write
// fails, the counts stay.
func (r *Refusals) Flush(now time.Time, write func([]Event) error) error {
	r.mu.Lock()
	if len(r.counts) == 0 || !now.IsZero() && now.Sub(r.flushed).Abs() < RefusalsEvery {
		r.mu.Unlock()
		return nil
	}
	counts := r.counts
	r.counts = nil
	r.mu.Unlock()

	err := write(refusalEvents(counts))

	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.flushed = now
		return nil
	}
	for kind, t := range counts {
		r.merge(kind, t)
	}
	return err
}

func refusalEvents(counts map[refusal]tally) []Event {
	events := make([]Event, 0, len(counts))
	for kind, t := range counts {
		e := Event{
			Verb: StrangersRefused, Outcome: Refused, Actor: Actor{Kind: Stranger},
			Fields: Fields{
				Word(KeyCommand, kind.command), Word(KeyRule, kind.rule),
				Int(KeyCount, t.count), Time(KeyFirst, t.first), Time(KeyLast, t.last),
			},
		}
		if kind.network.IsValid() {
			e.Personal = Fields{Text(KeyNetwork, kind.network.String())}
		}
		events = append(events, e)
	}
	// Order by time, not by the map's chance.
	slices.SortFunc(events, func(a, b Event) int {
		x, _ := a.Fields.Int(KeyFirst)
		y, _ := b.Fields.Int(KeyFirst)
		return cmp.Compare(x, y)
	})
	return events
}
