package storage

import "time"

// line is where functions wait for the writer. Those that are patient stand behind
// all others: a flood that is worked off shares neither commit nor disk with an
// agent that has one message to send. // AV-2
type line struct {
	ops     chan *op
	patient chan *op

	// Of the writer:
	waiting []*op     // taken from patient
	others  bool      // the last commit was for others too
	served  time.Time // when the last such was over
}

// The patient wait until nobody else was served for linger, since one write brings
// another: a message that was just submitted is delivered next. But none waits
// longer than patience while others come and go without end.
const (
	linger   = 3 * time.Millisecond
	patience = 25 * time.Millisecond
)

func newLine() *line {
	return &line{ops: make(chan *op, batchLimit), patient: make(chan *op, batchLimit)}
}

// of is the end of the line where a function stands in.
func (l *line) of(o *op) chan<- *op {
	if o.patient {
		return l.patient
	}
	return l.ops
}

// close says that nobody comes any more.
func (l *line) close() {
	close(l.ops)
	close(l.patient)
}

// next waits for the functions that share the next commit; none means that there
// will be no more.
func (l *line) next() []*op {
	if l.others {
		l.served = time.Now()
	}
	ops, patient := l.ops, l.patient
	var batch []*op
	for {
		batch, ops = drain(batch, ops)
		l.waiting, patient = drain(l.waiting, patient)
		closed := ops == nil && patient == nil
		l.others = len(batch) > 0
		pause := l.pause()
		if len(l.waiting) > 0 && (pause <= 0 || closed) {
			n := min(len(l.waiting), batchLimit-len(batch))
			batch, l.waiting = append(batch, l.waiting[:n]...), l.waiting[n:]
		}
		if len(batch) > 0 || closed {
			return batch
		}
		batch, ops, patient = l.wait(batch, ops, patient, pause)
	}
}

// pause is how long the patient wait yet.
func (l *line) pause() time.Duration {
	if len(l.waiting) == 0 {
		return patience
	}
	pause := patience - time.Since(l.waiting[0].since)
	if !l.others {
		pause = min(pause, linger-time.Since(l.served))
	}
	return pause
}

// wait returns when somebody came or, where somebody waits, the pause is over.
func (l *line) wait(batch []*op, ops, patient chan *op, pause time.Duration) ([]*op, chan *op, chan *op) {
	var over <-chan time.Time
	if len(l.waiting) > 0 {
		over = time.After(pause)
	}
	select {
	case o, ok := <-ops:
		if !ok {
			return batch, nil, patient
		}
		batch = append(batch, o)
	case o, ok := <-patient:
		if !ok {
			return batch, ops, nil
		}
		l.waiting = append(l.waiting, o)
	case <-over:
	}
	return batch, ops, patient
}

// drain takes what stands in line, as much as a commit takes; a line that is closed
// becomes nil.
func drain(batch []*op, line chan *op) ([]*op, chan *op) {
	for len(batch) < batchLimit {
		select {
		case o, ok := <-line:
			if !ok {
				return batch, nil
			}
			batch = append(batch, o)
		default:
			return batch, line
		}
	}
	return batch, line
}
