package dns

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Cache is a resolver that remembers what another one said, for as long as the
// records live, an hour at most. An authoritative no is kept for as long as
// its zone says, a failure for a few seconds. A mail server asks the same few
// questions for every message of a burst, and where a name server is away each
// would wait for it anew.
type Cache struct {
	next Resolver
	now  func() time.Time

	mx  table[string, Answer[MX]]
	txt table[string, Answer[string]]
	ip  table[string, Answer[netip.Addr]]
	ptr table[netip.Addr, Answer[string]]

	tlsa table[string, Answer[TLSA]]
}

var _ Resolver = (*Cache)(nil)

// maxAge bounds every entry: mail should follow a change of DNS within the
// hour, whatever the TTL was before. maxEntries bounds each of five tables.
// failureAge is shorter than any retry of mail, so that no attempt meets the
// failure of the one before (RFC 2308, section 7.1 allows five minutes).
const (
	maxAge     = time.Hour
	maxEntries = 4096
	failureAge = 10 * time.Second
)

// NewCache puts a cache in front of next. The clock now serves the ageing; nil
// is time.Now.
func NewCache(next Resolver, now func() time.Time) *Cache {
	if now == nil {
		now = time.Now
	}
	return &Cache{next: next, now: now}
}

// LookupMX implements [Resolver].
func (c *Cache) LookupMX(ctx context.Context, domain string) (Answer[MX], error) {
	return cached(ctx, c, &c.mx, domain, c.next.LookupMX)
}

// LookupTXT implements [Resolver].
func (c *Cache) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	return cached(ctx, c, &c.txt, name, c.next.LookupTXT)
}

// LookupIP implements [Resolver].
func (c *Cache) LookupIP(ctx context.Context, host string) (Answer[netip.Addr], error) {
	return cached(ctx, c, &c.ip, host, c.next.LookupIP)
}

// LookupPTR implements [Resolver].
func (c *Cache) LookupPTR(ctx context.Context, ip netip.Addr) (Answer[string], error) {
	return cached(ctx, c, &c.ptr, ip, c.next.LookupPTR)
}

// LookupTLSA implements [Resolver].
func (c *Cache) LookupTLSA(ctx context.Context, name string) (Answer[TLSA], error) {
	return cached(ctx, c, &c.tlsa, name, c.next.LookupTLSA)
}

// Flush forgets everything: an admin who has just mended a record need not wait.
func (c *Cache) Flush() {
	c.mx.clear()
	c.txt.clear()
	c.ip.clear()
	c.ptr.clear()
	c.tlsa.clear()
}

func cached[K comparable, T any](ctx context.Context, c *Cache, t *table[K, Answer[T]], key K,
	ask func(context.Context, K) (Answer[T], error)) (Answer[T], error) {
	now := c.now()
	if e, ok := t.get(key, now); ok {
		e.value.Records = append([]T(nil), e.value.Records...) // the caller may sort or shuffle
		return e.value, e.err
	}
	a, err := ask(ctx, key)
	keep := a.TTL
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Class == ErrName || ctx.Err() != nil {
			return a, err // the fault of the question, or of who asked
		}
		// A no without its zone's SOA has no age of its own. RFC 2308, section 5,
		// would not have it cached, lest servers feed it to each other for ever;
		// nobody asks this cache but us.
		if keep = e.TTL; keep == 0 {
			keep = failureAge
		}
	}
	if keep > 0 {
		held := a
		held.Records = append([]T(nil), a.Records...)
		t.put(key, entry[Answer[T]]{held, err, now.Add(min(keep, maxAge))}, now)
	}
	return a, err
}

// table is a bounded map with an end date for each entry.
type table[K comparable, V any] struct {
	mu sync.Mutex
	m  map[K]entry[V]
}

type entry[V any] struct {
	value V
	err   error
	until time.Time
}

func (t *table[K, V]) get(k K, now time.Time) (entry[V], bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.m[k]
	return e, ok && now.Before(e.until)
}

// put makes room by dropping what has ended, and where nothing has, an entry
// of the map's choice: an attacker who fills the table costs others a lookup.
func (t *table[K, V]) put(k K, e entry[V], now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[K]entry[V])
	}
	if len(t.m) >= maxEntries {
		t.evict(now)
	}
	t.m[k] = e
}

func (t *table[K, V]) evict(now time.Time) {
	const look = 32 // bounded work per insertion; maps iterate from a random place
	seen, dropped := 0, false
	for k, e := range t.m {
		if seen++; seen > look && dropped {
			return
		}
		if !now.Before(e.until) || seen > look {
			delete(t.m, k)
			dropped = true
		}
	}
}

func (t *table[K, V]) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.m)
}
