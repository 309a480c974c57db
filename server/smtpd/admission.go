package smtpd

import (
	"net/netip"
	"sync"
)

// networks are what a peer is counted by: its own and the one around it. One subscriber has an IPv4 address or an IPv6
// /64; an attacker easily has an IPv4 /24 or an IPv6 /48.
func networks(addr netip.Addr) [2]netip.Prefix {
	addr = addr.Unmap().WithZone("")
	narrow, wide := 64, 48
	if addr.Is4() {
		narrow, wide = 32, 24
	}
	var out [2]netip.Prefix
	out[0], _ = addr.Prefix(narrow)
	out[1], _ = addr.Prefix(wide)
	return out
}

// share is what the narrow (0) or the wide network (1) may have of n.
func share(i, n int) int {
	if i == 1 {
		return n * wideFactor
	}
	return n
}

// admission counts connections: all of them, and those that have not authenticated by network.
type admission struct {
	mu        sync.Mutex
	total     int
	strangers map[netip.Prefix]int
}

// slot is a connection's place in the count.
type slot struct {
	admission *admission
	remote    netip.AddrPort
	stranger  bool
	taken     bool
}

// admit gives a connection its place, or says why it gets none.
func (a *admission) admit(remote netip.AddrPort, limits *Limits) (*slot, reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total >= limits.Conns {
		return nil, byeFull
	}
	nets := networks(remote.Addr())
	for i, n := range nets {
		if a.strangers[n] >= share(i, limits.PerAddress) {
			return nil, byeAddress
		}
	}
	if a.strangers == nil {
		a.strangers = map[netip.Prefix]int{}
	}
	for _, n := range nets {
		a.strangers[n]++
	}
	a.total++
	return &slot{admission: a, remote: remote, stranger: true, taken: true}, reply{}
}

// known takes an authenticated connection out of the count of its network.
func (s *slot) known() {
	s.admission.mu.Lock()
	defer s.admission.mu.Unlock()
	s.leaveNetworks()
}

func (s *slot) leaveNetworks() {
	if !s.stranger {
		return
	}
	s.stranger = false
	for _, n := range networks(s.remote.Addr()) {
		if s.admission.strangers[n]--; s.admission.strangers[n] <= 0 {
			delete(s.admission.strangers, n)
		}
	}
}

// release gives the place back.
func (s *slot) release() {
	s.admission.mu.Lock()
	defer s.admission.mu.Unlock()
	s.leaveNetworks()
	if s.taken {
		s.taken = false
		s.admission.total--
	}
}
