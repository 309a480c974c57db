package directory

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// limit is how many wrong guesses are free: a burst, and one more for each refill.
type limit struct {
	burst  float64
	refill time.Duration
}

// Guesses at people. Wrong passwords count by person and network together, so
// that an outsider cannot lock a person out from elsewhere (and by network alone,
// in the throttle that agents have too). // AC-12
//
// Who knows the password and guesses codes is another matter: those count by
// person alone, for a million codes would otherwise fall to many networks. With
// three codes right at any time, a year of guessing at this rate finds one with
// a chance of one in four, and has left 100,000 events.
var (
	placeGuesses = limit{5, 30 * time.Second}
	codeGuesses  = limit{10, 5 * time.Minute}
)

// guesses counts by what was guessed at.
type guesses struct {
	mu     sync.Mutex
	counts map[[32]byte]*count
}

type count struct {
	level float64
	at    time.Time
}

// guessed is a login name and where it was tried from; without a network, the
// name alone.
type guessed struct {
	address string
	peer    netip.Addr
}

func (g guessed) key() [32]byte {
	return sha256.Sum256([]byte("place\x00" + network(g.peer).String() + "\x00" + g.address))
}

func (g guessed) codeKey() [32]byte { return sha256.Sum256([]byte("code\x00" + g.address)) }

// full reports whether no guess is free.
func (g *guesses) full(key [32]byte, l limit, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts[key]
	return c != nil && c.drain(l, now) > l.burst-1
}

// failed counts a wrong guess.
func (g *guesses) failed(key [32]byte, l limit, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.counts == nil {
		g.counts = map[[32]byte]*count{}
	}
	c := g.counts[key]
	if c == nil {
		for old := range g.counts { // one goes at random when there is no room
			if len(g.counts) < maxNetworks {
				break
			}
			delete(g.counts, old)
		}
		c = &count{at: now}
		g.counts[key] = c
	}
	c.level = min(c.drain(l, now)+1, l.burst)
}

// forget ends the count of who was right.
func (g *guesses) forget(key [32]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.counts, key)
}

func (c *count) drain(l limit, now time.Time) float64 {
	if gone := now.Sub(c.at); gone > 0 {
		c.level = max(0, c.level-float64(gone)/float64(l.refill))
	}
	c.at = now
	return c.level
}
