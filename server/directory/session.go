package directory

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// SessionInfo is one live session as listings show it.
type SessionInfo struct {
	Session, Org, Agent, Credential, Inbox uuid.UUID
	Remote                                 netip.Addr
	Door                                   string
	Since                                  time.Time
}

// registry knows the live sessions and what was revoked while they began.
type registry struct {
	mu       sync.Mutex
	sessions map[uuid.UUID]*session
	// dead are credentials and agents that were ended in this process: 16 bytes
	// each, kept so that a login that read its record before cannot enter after.
	dead map[uuid.UUID]string
}

type session struct {
	principal *Principal
	kill      func(reason string) // nil until the door has registered
}

func newRegistry() *registry {
	return &registry{sessions: map[uuid.UUID]*session{}, dead: map[uuid.UUID]string{}}
}

// enter adds a session, unless its credential or agent ended meanwhile.
func (r *registry) enter(p *Principal) (rule string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rule, dead := r.deadRule(p); dead {
		return rule, false
	}
	r.sessions[p.Session] = &session{principal: p}
	return "", true
}

// ended says whether a session's credential or agent was ended, and by what rule.
func (r *registry) ended(p *Principal) (rule string, dead bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deadRule(p)
}

func (r *registry) deadRule(p *Principal) (rule string, dead bool) {
	if rule, dead = r.dead[p.Credential.ID]; !dead {
		rule, dead = r.dead[p.Agent.ID]
	}
	return rule, dead
}

// cut marks an agent or credential as ended and ends its sessions. It returns
// how many there were.
func (r *registry) cut(id uuid.UUID, reason string) int {
	r.mu.Lock()
	r.dead[id] = reason
	victims := r.collect(func(p *Principal) bool { return p.Credential.ID == id || p.Agent.ID == id })
	n := len(victims)
	r.mu.Unlock()
	end(victims, reason)
	return n
}

// expire ends the sessions whose credential has reached its end.
func (r *registry) expire(now time.Time) int {
	r.mu.Lock()
	victims := r.collect(func(p *Principal) bool { return !now.Before(p.Credential.Expires) })
	n := len(victims)
	r.mu.Unlock()
	end(victims, "expired")
	return n
}

// collect takes the matching sessions out and returns them. The lock is held;
// kill functions are called without it, for they may come back to End.
func (r *registry) collect(match func(*Principal) bool) []*session {
	var victims []*session
	for id, s := range r.sessions {
		if match(s.principal) {
			victims = append(victims, s)
			delete(r.sessions, id)
		}
	}
	return victims
}

func end(victims []*session, reason string) {
	for _, s := range victims {
		if s.kill != nil {
			s.kill(reason)
		}
	}
}

func (r *registry) revive(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.dead, id)
}

// Register says how the door cuts a session: kill is called at most once, from
// any goroutine, and must not block. A session that was revoked between its
// login and now is cut at once. The returned function takes kill back; End does
// too.
func (d *Directory) Register(p *Principal, kill func(reason string)) (unregister func()) {
	r := d.registry
	r.mu.Lock()
	s, ok := r.sessions[p.Session]
	if ok {
		s.kill = kill
	}
	reason, dead := r.deadRule(p)
	r.mu.Unlock()
	if !ok {
		if !dead {
			reason = "expired"
		}
		kill(reason)
		return func() {}
	}
	return func() { d.registry.leave(p.Session) }
}

func (r *registry) leave(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, id)
}

// Sessions lists the live sessions by the time they began.
func (d *Directory) Sessions() []SessionInfo {
	r := d.registry
	r.mu.Lock()
	all := make([]SessionInfo, 0, len(r.sessions))
	for _, s := range r.sessions {
		p := s.principal
		all = append(all, SessionInfo{
			Session: p.Session, Org: p.Credential.Org, Agent: p.Agent.ID, Credential: p.Credential.ID,
			Inbox: p.Inbox.ID(), Remote: p.Remote, Door: p.Door, Since: p.Since,
		})
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b SessionInfo) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return slices.Compare(a.Session[:], b.Session[:])
	})
	return all
}
