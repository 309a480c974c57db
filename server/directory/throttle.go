package directory

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// How many failures a network may have: a burst, and one more for each refill.
// A person who mistypes never meets it; a guesser of 190 bits meets it at once.
const (
	failureBurst  = 20
	failureRefill = 3 * time.Second
	// maxNetworks bounds the memory, about 150 bytes each. The network that was
	// quiet for longest is forgotten first.
	maxNetworks = 1 << 14
	// maxFamiliar bounds the tokens that pass a throttled network.
	maxFamiliar = 1 << 13
)

// throttle slows guessing by network: a /24 of IPv4, a /64 of IPv6, which is
// what one customer has. // AC-12
//
// Many agents may share a host, and one of them with a revoked token in a loop
// must not keep the others out. So a token that has logged in before is let
// through to be checked like any other; a guess is not one of those.
type throttle struct {
	mu       sync.Mutex
	networks map[netip.Prefix]*list.Element
	order    *list.List // of *failures, the last that failed in front
	familiar map[[32]byte]struct{}
}

// failures is a token bucket: level failures at a time, emptying steadily.
type failures struct {
	network netip.Prefix
	level   float64
	at      time.Time
}

func newThrottle() *throttle {
	return &throttle{networks: map[netip.Prefix]*list.Element{}, order: list.New(), familiar: map[[32]byte]struct{}{}}
}

// network is what a peer's failures are counted by, and what an aggregate of
// refusals names.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func (f *failures) drain(now time.Time) {
	if gone := now.Sub(f.at); gone > 0 {
		f.level = max(0, f.level-float64(gone)/float64(failureRefill))
	}
	f.at = now
}

// full reports whether the peer's network must wait.
func (t *throttle) full(a netip.Addr, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	el := t.networks[network(a)]
	if el == nil {
		return false
	}
	f := el.Value.(*failures)
	f.drain(now)
	return f.level > failureBurst-1
}

// failed counts one failure.
func (t *throttle) failed(a netip.Addr, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := network(a)
	el := t.networks[n]
	if el == nil {
		if len(t.networks) >= maxNetworks {
			oldest := t.order.Back()
			delete(t.networks, oldest.Value.(*failures).network)
			t.order.Remove(oldest)
		}
		el = t.order.PushFront(&failures{network: n, at: now})
		t.networks[n] = el
	}
	t.order.MoveToFront(el)
	f := el.Value.(*failures)
	f.drain(now)
	f.level = min(f.level+1, failureBurst)
}

// known reports whether a token with this keyed hash has logged in before.
func (t *throttle) known(hash []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.familiar[[32]byte(hash)]
	return ok
}

// learn remembers a token that logged in; when there is no room one goes at random.
func (t *throttle) learn(hash []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := [32]byte(hash)
	if _, ok := t.familiar[h]; ok {
		return
	}
	for old := range t.familiar {
		if len(t.familiar) < maxFamiliar {
			break
		}
		delete(t.familiar, old)
	}
	t.familiar[h] = struct{}{}
}

// forget drops a token that must not be let through any more.
func (t *throttle) forget(hash []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.familiar, [32]byte(hash))
}

// Throttled reports whether a network has failed so often that it must wait, for doors
// that take other proofs than logins. // AC-12
func (d *Directory) Throttled(peer netip.Addr) bool { return d.throttle.full(peer, d.now()) }

// Failed counts such a failure.
func (d *Directory) Failed(peer netip.Addr) { d.throttle.failed(peer, d.now()) }
