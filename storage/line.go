package storage

import (
	"fmt"
	"sync"
	"time"
)

// line is where functions wait for their turn at the writer, of which there is one at a
// time. Who comes while nobody has it and nobody waits takes it at once, in his own
// goroutine: to wake another, and to be woken by it, costs as much as a statement.
// Those that wait are served together by the writer's.
//
// Those that are patient stand behind all others: a flood that is worked off shares
// neither commit nor disk with an agent that has one message to send. // AV-2
type line struct {
	wake chan struct{} // the writer's goroutine looks what there is to do

	mu      sync.Mutex
	ops     []*op
	patient []*op
	busy    bool // somebody has his turn
	closed  bool
	others  bool      // it is one of those who are not patient, or some of them
	served  time.Time // when the last such was over
}

// The patient wait until nobody else was served for linger, since one write brings
// another: a message that was just submitted is delivered next. But none waits
// longer than patience while others come and go without end.
const (
	linger   = 3 * time.Millisecond
	patience = 25 * time.Millisecond
)

func newLine() *line { return &line{wake: make(chan struct{}, 1)} }

// enter reports whether a function has its turn at once, which leave ends; else it
// stands in line, and is answered.
func (l *line) enter(o *op) (turn bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return false, fmt.Errorf("%w: closed", ErrUnavailable)
	case o.patient:
		l.patient = append(l.patient, o)
	case !l.busy && len(l.ops) == 0 && !l.overdue():
		l.busy, l.others = true, true
		return true, nil
	default:
		l.ops = append(l.ops, o)
	}
	if !l.busy {
		l.call()
	}
	return false, nil
}

// overdue reports whether a patient one has waited for long enough.
func (l *line) overdue() bool {
	return len(l.patient) > 0 && time.Since(l.patient[0].since) >= patience
}

// leave ends a turn.
func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	if l.others {
		l.served = time.Now()
	}
	if l.closed || len(l.ops)+len(l.patient) > 0 {
		l.call()
	}
}

func (l *line) call() {
	select {
	case l.wake <- struct{}{}:
	default: // it was called already
	}
}

// close says that nobody comes any more.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.call()
}

// next waits for the functions that share the next commit, and gives them their turn,
// which leave ends; none means that there will be no more.
func (l *line) next() []*op {
	for {
		batch, pause, end := l.take()
		if len(batch) > 0 || end {
			return batch
		}
		if pause == 0 {
			<-l.wake
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take gives a batch its turn, if nobody has it. Where it is too early for those who
// wait, pause says for how long.
func (l *line) take() (batch []*op, pause time.Duration, end bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy {
		return nil, 0, false
	}
	batch, l.ops = split(nil, l.ops)
	others := len(batch) > 0
	if len(l.patient) > 0 {
		if pause = l.pause(others); pause <= 0 || l.closed {
			batch, l.patient = split(batch, l.patient)
		}
	}
	if len(batch) > 0 {
		l.busy, l.others = true, others
	}
	return batch, pause, l.closed
}

// pause is how long the patient wait yet.
func (l *line) pause(others bool) time.Duration {
	pause := patience - time.Since(l.patient[0].since)
	if !others {
		pause = min(pause, linger-time.Since(l.served))
	}
	return pause
}

// split takes from those who stand in line as many as a commit has room for.
func split(batch, line []*op) (taken, rest []*op) {
	n := min(len(line), batchLimit-len(batch))
	batch = append(batch, line[:n]...)
	if n == len(line) {
		clear(line)
		return batch, line[:0]
	}
	return batch, line[n:]
}
