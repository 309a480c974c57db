package nameserver

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Rate bounds the replies over UDP that one network gets, an IPv4 /24 or an IPv6
// /56. The address of a query is easily forged, so a server that answers all is a
// tool against whoever is named there. A resolver remembers what it was told, and
// never comes near such numbers.
type Rate struct {
	// Network is how many replies a second go to one network; zero: any number.
	Network int
	// Name is how many of these may say the same: about one name, of the absence of
	// names in one zone, or that a question is not for us. Zero: any number.
	Name int
}

// PublicRate is what a server on the Internet allows.
var PublicRate = Rate{Network: 200, Name: 20}

// Shape of the table of a limiter: 64 Ki entries in a megabyte. What does not fit
// takes the place of what was least busy, so that a flood from forged networks
// makes room for itself among its own.
const (
	sets = 1 << 14
	ways = 4
)

// limiter counts replies. It is the leaky bucket of a cell network: one moment in
// time for each key, at which all that was sent would have been sent evenly.
type limiter struct {
	rate Rate
	seed maphash.Seed
	sets [sets]set
}

type set struct {
	mu      sync.Mutex
	entries [ways]entry
}

type entry struct {
	key  uint64
	even int64 // nanoseconds on the server's clock
}

func newLimiter(r Rate) *limiter { return &limiter{rate: r, seed: maphash.MakeSeed()} }

// allow counts a reply at a moment, and reports whether it is sent as it is. Beyond
// the rate every reply is sent as one that was cut. It is no longer than its query,
// so that to forge an address gains nothing, and a resolver that lives behind the
// address always gets its answer, over TCP.
func (l *limiter) allow(now int64, client netip.Addr, k kind, name string) bool {
	var h maphash.Hash
	h.SetSeed(l.seed)
	b := network(client).Addr().As16()
	h.Write(b[:])
	all := h.Sum64()
	h.WriteByte(byte(k))
	h.WriteString(name)
	// What is over the rate of a name leaves the network its other names.
	return l.count(now, h.Sum64(), l.rate.Name) && l.count(now, all, l.rate.Network)
}

// count takes one from the bucket of a key, which holds what a second allows.
func (l *limiter) count(now int64, key uint64, perSecond int) bool {
	if perSecond <= 0 {
		return true
	}
	s := &l.sets[key%sets]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(key)
	even := max(e.even, now) + int64(time.Second)/int64(perSecond)
	if even-now > int64(time.Second) {
		return false
	}
	e.even = even
	return true
}

// find is the entry of a key, or a new one in the place of the least busy.
func (s *set) find(key uint64) *entry {
	least := &s.entries[0]
	for i := range s.entries {
		e := &s.entries[i]
		if e.key == key {
			return e
		}
		if e.even < least.even {
			least = e
		}
	}
	*least = entry{key: key}
	return least
}

// network is whom a client's replies are counted for.
func network(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	bits := 24
	if client.Is6() {
		bits = 56
	}
	p, _ := client.Prefix(bits) // the zero Prefix, for no address, is a network as well
	return p
}
