package delivery

import (
	"sync"

	"postern/storage"
)

// maxPassing is how many judgements are remembered, about a kilobyte each.
const maxPassing = 256

// passing remembers how messages that agents submit were judged, for the copy in
// Sent, until the queue brings the same bytes to an inbox of this server a moment
// later: by the same model they have the same judgement. Each is good for one copy.
// Nothing that comes from elsewhere is remembered, or the time of an answer would
// tell strangers what others sent.
type passing struct {
	mu   sync.Mutex
	of   map[[32]byte]*storage.Scoring
	ring [maxPassing][32]byte // digests in the order in which they came
	next int
}

// put remembers a judgement in place of the oldest.
func (p *passing) put(sum [32]byte, s *storage.Scoring) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[[32]byte]*storage.Scoring{}
	}
	delete(p.of, p.ring[p.next])
	p.ring[p.next] = sum
	p.next = (p.next + 1) % maxPassing
	own := *s
	p.of[sum] = &own
}

// take returns a judgement, once; nil when there is none.
func (p *passing) take(sum [32]byte) *storage.Scoring {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of[sum]
	delete(p.of, sum)
	return s
}

// passes reports whether a message may come again as the copy of another.
func (m *Judged) passes() bool {
	return m.Origin == storage.OriginSubmission && m.SHA256 != [32]byte{}
}
