package monitor

import (
	"net/netip"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// sessions are those that the log says are open, and what of it looks like one
// credential in two networks.
type sessions struct {
	open   map[uuid.UUID]map[uuid.UUID]session // by credential and session
	doubts []doubt
}

type session struct {
	network netip.Prefix
	event   audit.Event // of its login
}

// doubt is that two sessions overlap, until it is certain: the end of the first
// may not be on record yet.
type doubt struct {
	first, second session
}

// settleTime is how long the end of a session may take to be on record.
const settleTime = 1500 * time.Millisecond

func newSessions() sessions { return sessions{open: map[uuid.UUID]map[uuid.UUID]session{}} }

// begin notes a login.
func (s *sessions) begin(e *audit.Event, network netip.Prefix) {
	of := s.open[e.Credential]
	if of == nil {
		of = map[uuid.UUID]session{}
		s.open[e.Credential] = of
	}
	if _, again := of[e.Actor.Session]; again {
		return // a step that is done once more
	}
	fresh := session{network, *e}
	known := map[netip.Prefix]bool{network: true}
	for _, other := range of {
		if !known[other.network] {
			known[other.network] = true
			s.doubts = append(s.doubts, doubt{other, fresh})
		}
	}
	of[e.Actor.Session] = fresh
}

// end notes that a session is over. What began only after it was over was not
// beside it.
func (s *sessions) end(e *audit.Event) {
	of := s.open[e.Credential]
	delete(of, e.Actor.Session)
	if len(of) == 0 {
		delete(s.open, e.Credential)
	}
	at := e.Time
	if micros, ok := e.Fields.Int(audit.KeyLast); ok {
		at = time.UnixMicro(micros)
	}
	kept := s.doubts[:0]
	for _, d := range s.doubts {
		if d.first.event.Actor.Session != e.Actor.Session || at.After(d.second.event.Time) {
			kept = append(kept, d)
		}
	}
	s.doubts = kept
}

// certain takes out the doubts that are old enough.
func (s *sessions) certain(now time.Time) (all []doubt) {
	kept := s.doubts[:0:0]
	for _, d := range s.doubts {
		if now.Sub(d.second.event.Time) < settleTime {
			kept = append(kept, d)
			continue
		}
		all = append(all, d)
	}
	s.doubts = kept
	return all
}
