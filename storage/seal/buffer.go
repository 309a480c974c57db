package seal

import "sync"

// buffer is a piece of memory that goes back to a pool. Its capacity is the
// least that was asked for; the holder may replace b, for one by longer.
type buffer struct{ b []byte }

// Capacities of pooled buffers. The common message has 4 KB: it and its
// overhead fit the small one, so that ten thousand open bodies do not hold
// 64 KiB each.
const (
	smallBuffer = 8 << 10
	largeBuffer = chunkSize + 1<<10
)

var (
	smallBuffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, smallBuffer)} }}
	largeBuffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, largeBuffer)} }}
)

// getBuffer returns an empty buffer with room for at least n bytes.
func getBuffer(n int) *buffer {
	switch {
	case n <= smallBuffer:
		return smallBuffers.Get().(*buffer)
	case n <= largeBuffer:
		return largeBuffers.Get().(*buffer)
	}
	return &buffer{make([]byte, 0, n)}
}

// put gives the buffer back. What it held is wiped first: the next holder
// works for another inbox, and a mistake there must not show this one's mail.
func (f *buffer) put() {
	clear(f.b)
	f.b = f.b[:0]
	switch c := cap(f.b); {
	case c >= largeBuffer && c <= 2*largeBuffer:
		largeBuffers.Put(f)
	case c >= smallBuffer && c < largeBuffer:
		smallBuffers.Put(f)
	}
}
