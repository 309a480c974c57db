package relay

import (
	"net/netip"
	"sync"
	"time"
)

// A host that could not be reached is left alone for half a minute, twice as
// long after each further failure, ten minutes at most: a thousand messages for
// a dead host shall not each wait for its time-out.
const (
	firstAbsence = 30 * time.Second
	maxAbsence   = 10 * time.Minute
	maxAbsences  = 4096
)

// absences remembers which addresses failed. It is lost at restart, which costs
// one attempt per host.
type absences struct {
	now func() time.Time
	mu  sync.Mutex
	m   map[netip.AddrPort]absence
}

type absence struct {
	until  time.Time
	length time.Duration
}

func newAbsences(now func() time.Time) *absences {
	return &absences{now: now, m: make(map[netip.AddrPort]absence)}
}

func (a *absences) away(addr netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	x, ok := a.m[addr]
	return ok && a.now().Before(x.until)
}

// failed notes a failure. Failures of attempts that ran side by side count once.
func (a *absences) failed(addr netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	x, known := a.m[addr]
	switch {
	case known && now.Before(x.until):
		return
	case known && now.Before(x.until.Add(maxAbsence)):
		x.length = min(2*x.length, maxAbsence)
	default:
		x.length = firstAbsence
	}
	x.until = now.Add(x.length)
	if !known && len(a.m) >= maxAbsences {
		for k := range a.m { // any: the price is one more attempt at that host
			delete(a.m, k)
			break
		}
	}
	a.m[addr] = x
}

func (a *absences) answered(addr netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.m, addr)
}

func (a *absences) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.m)
}
