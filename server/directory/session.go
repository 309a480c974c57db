package directory

import (
	"context"
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

// registry knows the live sessions, and what was ended or frozen while they
// began.
type registry struct {
	mu       sync.Mutex
	sessions map[uuid.UUID]*session
	leaving  map[uuid.UUID]*session // cut, and not over yet
	counts   map[uuid.UUID]int      // sessions by credential, those that are leaving too
	// dead are credentials, agents and inboxes that were ended in this process: 16 bytes
	// each, kept so that a login that read its record before cannot enter after.
	dead map[uuid.UUID]string
	// ends are credentials whose end was moved forward in this process.
	ends map[uuid.UUID]time.Time
	// frozen are credentials, agents, domains and organizations; the zero id is all.
	frozen map[uuid.UUID]struct{}
}

type session struct {
	principal *Principal
	kill      func(reason string) // nil until the door has registered
	over      chan struct{}       // closed when the door has let go
}

func newRegistry() *registry {
	return &registry{
		sessions: map[uuid.UUID]*session{}, leaving: map[uuid.UUID]*session{}, counts: map[uuid.UUID]int{},
		dead: map[uuid.UUID]string{}, ends: map[uuid.UUID]time.Time{}, frozen: map[uuid.UUID]struct{}{},
	}
}

// enter adds a session, unless what it acts as ended meanwhile or has as many
// sessions as it may.
func (r *registry) enter(p *Principal, now time.Time) *AuthError {
	r.mu.Lock()
	defer r.mu.Unlock()
	if no := r.verdict(p, now); no != nil {
		return no
	}
	if r.counts[p.Credential.ID] >= p.rules().Sessions {
		return &AuthError{Class: ErrTooManySessions, Rule: "sessions"} // AC-11
	}
	r.counts[p.Credential.ID]++
	r.sessions[p.Session] = &session{principal: p, over: make(chan struct{})}
	return nil
}

// check says why a session may not act any more, nil when it may.
func (r *registry) check(p *Principal, now time.Time) *AuthError {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verdict(p, now)
}

// verdict is check with the lock held.
func (r *registry) verdict(p *Principal, now time.Time) *AuthError {
	for _, id := range [...]uuid.UUID{p.Credential.ID, p.Agent.ID, p.Inbox.ID()} {
		if rule, dead := r.dead[id]; dead {
			return &AuthError{Class: ErrCredentials, Rule: rule}
		}
	}
	if r.isFrozen(p.Credential.ID, p.Agent.ID, p.Inbox.Domain(), p.Credential.Org) {
		return &AuthError{Class: ErrCredentials, Rule: "frozen"}
	}
	if end, rotated := r.ends[p.Credential.ID]; rotated && !now.Before(end) { // AC-8
		return &AuthError{Class: ErrExpired, Rule: ruleRotated}
	}
	terms := p.rules()
	if over := terms.lapse(&p.Credential, now); over != "" {
		return &AuthError{Class: ErrExpired, Rule: over}
	}
	if now.Sub(p.Since) >= terms.SessionLength { // AC-11
		return &AuthError{Class: ErrExpired, Rule: ruleLength}
	}
	return nil
}

// isFrozen reports whether everything is frozen, or one of some. The lock is held.
func (r *registry) isFrozen(some ...uuid.UUID) bool {
	if _, all := r.frozen[zeroID]; all {
		return true
	}
	return slices.ContainsFunc(some, func(id uuid.UUID) bool { _, is := r.frozen[id]; return is })
}

// shorten moves the end of a credential forward: its sessions end then.
func (r *registry) shorten(credential uuid.UUID, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends[credential] = end
}

// cut marks an agent, credential or inbox as ended and ends its sessions.
func (r *registry) cut(id uuid.UUID, reason string) *Cut {
	r.mu.Lock()
	r.dead[id] = reason
	victims := r.collect(func(p *Principal) string {
		if p.Credential.ID == id || p.Agent.ID == id || p.Inbox.ID() == id {
			return reason
		}
		return ""
	})
	r.mu.Unlock()
	return victims.end()
}

// freeze marks what may not act until thaw, and ends its sessions.
func (r *registry) freeze(target uuid.UUID) *Cut {
	r.mu.Lock()
	r.frozen[target] = struct{}{}
	victims := r.collect(func(p *Principal) string {
		if r.isFrozen(p.Credential.ID, p.Agent.ID, p.Inbox.Domain(), p.Credential.Org) {
			return "frozen"
		}
		return ""
	})
	r.mu.Unlock()
	return victims.end()
}

func (r *registry) thaw(target uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.frozen, target)
}

// expire ends the sessions whose time is over, their credential's or their own,
// and those that are too many. It returns those whose credential's time was over,
// and how many it ended in all.
func (r *registry) expire(now time.Time) (over *Cut, all int) {
	r.mu.Lock()
	over = r.collect(func(p *Principal) string {
		if no := r.verdict(p, now); no != nil && no.Rule != ruleLength {
			return no.Rule
		}
		return ""
	})
	surplus := r.surplus()
	own := r.collect(func(p *Principal) string {
		switch {
		case now.Sub(p.Since) >= p.rules().SessionLength:
			return ruleLength
		case surplus[p.Session]:
			return "sessions"
		}
		return ""
	})
	r.mu.Unlock()
	return over.end(), over.Sessions + own.end().Sessions
}

// ruleLength names the end of a session that lasted too long, whatever its
// credential.
const ruleLength = "session-length"

// byCredential parts a cut by the credential of its sessions.
func (c *Cut) byCredential() []*Cut {
	parts := map[uuid.UUID]*Cut{}
	var all []*Cut
	for _, v := range c.victims {
		id := v.principal.Credential.ID
		if parts[id] == nil {
			parts[id] = &Cut{began: c.began}
			all = append(all, parts[id])
		}
		parts[id].Sessions++
		parts[id].victims = append(parts[id].victims, v)
	}
	return all
}

// surplus are the sessions that policy, since it got tighter, does not allow any
// more: of each credential the youngest, which a login now would not get. The
// lock is held. // AC-11
func (r *registry) surplus() map[uuid.UUID]bool {
	var crowds map[uuid.UUID][]*Principal
	for _, s := range r.sessions {
		p := s.principal
		if r.counts[p.Credential.ID] > p.rules().Sessions {
			if crowds == nil {
				crowds = map[uuid.UUID][]*Principal{}
			}
			crowds[p.Credential.ID] = append(crowds[p.Credential.ID], p)
		}
	}
	surplus := map[uuid.UUID]bool{}
	for _, crowd := range crowds {
		slices.SortFunc(crowd, func(a, b *Principal) int { return a.Since.Compare(b.Since) })
		for i, p := range crowd {
			if i >= p.rules().Sessions {
				surplus[p.Session] = true
			}
		}
	}
	return surplus
}

// principals are those of all live sessions.
func (r *registry) principals() []*Principal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Principal, 0, len(r.sessions))
	for _, s := range r.sessions {
		all = append(all, s.principal)
	}
	return all
}

// collect takes the sessions out for which why has a reason. The lock is held;
// kill functions are called without it, for they may come back to End.
func (r *registry) collect(why func(*Principal) string) *Cut {
	c := &Cut{began: time.Now()}
	for id, s := range r.sessions {
		if reason := why(s.principal); reason != "" {
			delete(r.sessions, id)
			r.leaving[id] = s
			c.victims = append(c.victims, victim{s, s.kill, reason})
		}
	}
	c.Sessions = len(c.victims)
	return c
}

// Cut is how sessions were ended: how many, and how long it took until their
// doors had said the last word to the last of them.
type Cut struct {
	Sessions int
	Open     int           // of these, how many were not over when waiting ended
	Took     time.Duration // by the machine's clock, as the client felt it

	began   time.Time
	victims []victim
}

type victim struct {
	*session
	kill   func(string) // nil: it ends when its door registers
	reason string
}

func (c *Cut) end() *Cut {
	for _, v := range c.victims {
		if v.kill != nil {
			v.kill(v.reason)
		}
	}
	return c
}

// containTime is how long an act of ending waits for its sessions to be over
// before it is recorded: what invariant 8 allows them.
const containTime = time.Second

// wait waits until the sessions are over and measures it. What has not
// registered yet has no door that could let go, and is not waited for.
func (c *Cut) wait() *Cut {
	ctx, stop := context.WithTimeout(context.Background(), containTime)
	defer stop()
	for _, v := range c.victims {
		if v.kill == nil {
			continue
		}
		select {
		case <-v.over:
		case <-ctx.Done():
			c.Open++
		}
	}
	c.Took, c.victims = time.Since(c.began), nil
	return c
}

func (r *registry) revive(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.dead, id)
}

// Register says how the door cuts a session: kill is called at most once, from
// any goroutine, and must not block. A session that was ended between its login
// and now is cut at once. The returned function takes kill back; End does too.
func (d *Directory) Register(p *Principal, kill func(reason string)) (unregister func()) {
	r := d.registry
	r.mu.Lock()
	s, ok := r.sessions[p.Session]
	if ok {
		s.kill = kill
	}
	no := r.verdict(p, d.now())
	r.mu.Unlock()
	if !ok {
		reason := "ended" // and what ended it is over: a freeze was lifted, an agent resumed
		if no != nil {
			reason = no.Rule
		}
		kill(reason)
		return func() {}
	}
	return func() { r.leave(p.Session) }
}

// leave forgets a session that is over.
func (r *registry) leave(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	if s == nil {
		s = r.leaving[id]
	}
	if s == nil {
		return
	}
	delete(r.sessions, id)
	delete(r.leaving, id)
	credential := s.principal.Credential.ID
	if r.counts[credential]--; r.counts[credential] == 0 {
		delete(r.counts, credential)
	}
	close(s.over)
}

// SessionsOf counts the sessions of a credential that are not over.
func (d *Directory) SessionsOf(credential uuid.UUID) int {
	r := d.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[credential]
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
