package imapd

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"postern/storage"
)

// An idling is one IDLE (RFC 9051, section 6.3.13). It has no goroutine: while nothing happens the one that waits for
// DONE is all that a session needs, and each change wakes another for as long as it takes to tell of it.
type idling struct {
	mu    sync.Mutex     // held while the client is told of something
	over  bool           // DONE came, or the client has gone
	watch *storage.Watch // of the mailbox, once there is something to tell of
}

// end waits until the client has been told of what it is being told of, and lets nothing follow.
func (i *idling) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	if i.watch != nil {
		i.watch.OnHint(nil)
	}
}

// Idle begins to tell of changes as they come, until the guard hears the end of it. The library calls it in a goroutine
// that it needs for nothing but this, and which ends here: what is told later is written by others, one at a time.
func (s *session) Idle(w *imapserver.UpdateWriter, _ <-chan struct{}) error {
	i := s.guard.idling
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over || s.box == nil {
		return nil
	}
	i.watch = s.box.watch
	i.watch.OnHint(func() { s.wake(i, w) })
	return s.Poll(w, true)
}

// wake tells of what has changed, if the IDLE goes on.
func (s *session) wake(i *idling, w *imapserver.UpdateWriter) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over || s.ctx.Err() != nil {
		return // cut: the guard says BYE
	}
	defer func() {
		if v := recover(); v != nil { // its text may be a client's
			s.server.log.Error("imap: panic idling", "kind", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			s.guard.cut()
		}
	}()
	select {
	case <-i.watch.Hint(): // it is being followed
	default:
	}
	if !s.tell(w) {
		time.AfterFunc(tryAgain, func() { s.wake(i, w) })
	}
	s.tellVanished(w)
}

// tryAgain is how long IDLE waits when the store has not answered.
const tryAgain = time.Second

// readDone waits for the line that ends IDLE. RFC 9051, section 6.3.13: DONE and nothing else, because a server could
// not tell a command from it. Ours can: anything else ends the IDLE as DONE would and is then a command of its own, so
// that a client which forgot gets a tagged reply to each of the two.
func (g *guard) readDone() error {
	g.rest()
	g.deadline = g.idleDeadline()
	const done = "DONE\r\n"
	length := 0
	for length < len(done) {
		b, err := g.in.peek(length)
		if err != nil {
			// Told of the end, the library would close the session without waiting for its Idle, which may not even
			// have begun. Told DONE, it waits; its OK goes nowhere, and then it learns of the end.
			g.idling.end()
			g.pending = []byte(done)
			return nil
		}
		g.hurry()
		if isLetter(b) {
			b &^= 0x20
		}
		if b != done[length] {
			break
		}
		length++
	}
	if length == len(done) {
		g.in.drop(length)
	}
	g.idling.end()
	g.pending, g.phase = []byte(done), phaseRunning
	return nil
}
