package relay

import (
	"context"
	"sync"
	"time"
)

// slots bounds how many attempts use one destination at a time. Keys exist for
// as long as somebody holds or awaits a slot.
type slots struct {
	limit int
	mu    sync.Mutex
	keys  map[string]*slot
}

type slot struct {
	held  chan struct{} // one element per holder
	users int           // holders and those who wait
}

func newSlots(limit int) *slots { return &slots{limit: limit, keys: make(map[string]*slot)} }

// acquire waits for a slot for at most patience. The caller calls release once
// when ok.
func (s *slots) acquire(ctx context.Context, key string, patience time.Duration) (release func(), ok bool) {
	s.mu.Lock()
	k := s.keys[key]
	if k == nil {
		k = &slot{held: make(chan struct{}, s.limit)}
		s.keys[key] = k
	}
	k.users++
	s.mu.Unlock()

	select {
	case k.held <- struct{}{}:
		ok = true
	default:
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case k.held <- struct{}{}:
			ok = true
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if !ok {
		s.leave(key, k)
		return nil, false
	}
	return func() {
		<-k.held
		s.leave(key, k)
	}, true
}

func (s *slots) leave(key string, k *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(s.keys, key)
	}
}
