package smtpd

import (
	"net/netip"
	"sync"
	"time"
)

// guesses counts unknown recipients by network, so that a list of guessed names costs its owner time (AC-5). The counts
// fall with time: see Limits.Guesses. It is a fixed amount of memory: when it is full, the networks whose count has
// fallen are forgotten, and if there are none, all.
type guesses struct {
	now      func() time.Time
	limits   *Limits
	mu       sync.Mutex
	networks map[netip.Prefix]*guess
}

type guess struct {
	count float64
	at    time.Time
}

// fall brings a count up to date.
func (g *guesses) fall(e *guess) float64 {
	now := g.now()
	if passed := now.Sub(e.at); passed > 0 {
		e.count = max(0, e.count-float64(passed)/float64(g.limits.GuessDecay))
		e.at = now
	}
	return e.count
}

// add counts one unknown recipient. It returns how long the refusal waits.
func (g *guesses) add(addr netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.networks) >= maxNetworks {
		g.forget()
	}
	if g.networks == nil {
		g.networks = map[netip.Prefix]*guess{}
	}
	over := 0.0
	for i, n := range networks(addr) {
		e := g.networks[n]
		if e == nil {
			e = &guess{at: g.now()}
			g.networks[n] = e
		}
		g.fall(e)
		e.count++
		over = max(over, e.count-float64(share(i, g.limits.Guesses)))
	}
	return min(time.Duration(over*float64(g.limits.Delay)), maxDelay)
}

// full reports whether the network has to wait.
func (g *guesses) full(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, n := range networks(addr) {
		if e := g.networks[n]; e != nil && g.fall(e) > float64(2*share(i, g.limits.Guesses)-1) {
			return true
		}
	}
	return false
}

func (g *guesses) forget() {
	for n, e := range g.networks {
		if g.fall(e) == 0 {
			delete(g.networks, n)
		}
	}
	if len(g.networks) >= maxNetworks {
		clear(g.networks)
	}
}

// slowDown makes the client wait for the refusal of an unknown recipient, and ends the session of one that goes on.
func (c *conn) slowDown() {
	wait := c.server.guesses.add(c.remote.Addr())
	if c.server.guesses.full(c.remote.Addr()) {
		c.farewell = &byeGuesses
	}
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}
