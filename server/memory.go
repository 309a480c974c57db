package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How a burst is told from the quiet behind it.
const (
	memoryTick = 400 * time.Millisecond
	quietBytes = 512 << 10 // allocated from one look to the next: nothing much happens
	burstBytes = 4 << 20   // allocated since memory was last given back: it is worth the effort
)

// burst watches how much is allocated.
type burst struct {
	seen  uint64 // bytes ever allocated, at the last look
	given uint64 // the same, when memory was last given back
}

// over reports whether a burst has ended, once for each.
func (b *burst) over(allocated uint64) bool {
	quiet := allocated-b.seen < quietBytes
	b.seen = allocated
	if !quiet || allocated-b.given < burstBytes {
		return false
	}
	b.given = allocated
	return true
}

// giveBack returns what a burst needed to the system when it is over: garbage that a
// busy heap had not come to, and stacks that logins made deep. Otherwise it would
// wait, half of all memory, for as long as nothing happens: with five hundred sessions
// that wait for mail a third of what they take.
func giveBack(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var b burst
	tick := time.NewTicker(memoryTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if metrics.Read(sample); b.over(sample[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}
