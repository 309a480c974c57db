package report

import (
	"net/netip"
	"sync"
	"time"

	"postern/storage/audit"
)

// Bounds of what comes from one network (an IPv4 /24 or an IPv6 /48) in an hour.
// Large reporters send about thousands of domains at once; whoever sends what is
// refused has no need of so many.
const (
	maxPerNetwork     = 2000
	maxRefusedNetwork = 20
	maxNetworks       = 4096
	window            = time.Hour
)

// limits counts what networks send. The zero value is ready for use.
type limits struct {
	mu     sync.Mutex
	since  time.Time
	counts map[netip.Prefix]*count
}

type count struct{ all, refused int }

// allow counts a message, and says whether it may be looked at.
func (l *limits) allow(now time.Time, peer netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.of(now, peer)
	if c == nil || c.all >= maxPerNetwork || c.refused >= maxRefusedNetwork {
		return false
	}
	c.all++
	return true
}

// refused counts one that was refused.
func (l *limits) refused(now time.Time, peer netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.of(now, peer); c != nil {
		c.refused++
	}
}

// of finds the count of a network; nil when there is no room for one more.
func (l *limits) of(now time.Time, peer netip.Addr) *count {
	if l.counts == nil || now.Sub(l.since).Abs() >= window {
		l.since, l.counts = now, map[netip.Prefix]*count{}
	}
	network := audit.Network(peer)
	if !network.IsValid() {
		return nil
	}
	c := l.counts[network]
	if c == nil && len(l.counts) < maxNetworks {
		c = &count{}
		l.counts[network] = c
	}
	return c
}
