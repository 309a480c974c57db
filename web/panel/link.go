package panel

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"postern/server/control"
)

// linkTime is how long a link that signs somebody in waits to be used.
const linkTime = 30 * time.Minute

// links are those that wait. They are in memory alone: a restart ends them.
type links struct {
	mu  sync.Mutex
	all map[string]link
}

type link struct {
	enter func(context.Context) (session string, err error)
	ends  time.Time
}

// Link makes the path of a link that works once. enter begins the session of who
// uses it, and returns its token.
func (s *Server) Link(enter func(context.Context) (session string, err error)) string {
	text := rand.Text()
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	now := s.Now()
	if s.links.all == nil {
		s.links.all = map[string]link{}
	}
	for t, l := range s.links.all {
		if !now.Before(l.ends) {
			delete(s.links.all, t)
		}
	}
	s.links.all[text] = link{enter, now.Add(linkTime)}
	return "/enter/" + text
}

// find looks a link up, and takes it away when it is used.
func (l *links) find(text string, now time.Time, use bool) (link, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.all[text]
	if use {
		delete(l.all, text)
	}
	return found, ok && now.Before(found.ends)
}

// errLink is the refusal of a link that leads nowhere (any more).
var errLink = &control.Error{Code: control.NotFound, Message: "This link was used already, or its time is over."}

// atLink shows a button: who looks at a link ahead of the person, such as a mail
// program, uses nothing up.
func (v *visit) atLink() error {
	if _, ok := v.links.find(v.r.PathValue("link"), v.clock.Now, false); !ok {
		return errLink
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return linkPage(v.Host, v.r.URL.Path).Render(v.r.Context(), v.w)
}

// enterByLink uses a link up.
func (v *visit) enterByLink() error {
	l, ok := v.links.find(v.r.PathValue("link"), v.clock.Now, true)
	if !ok {
		return errLink
	}
	session, err := l.enter(v.r.Context())
	if err != nil {
		return err
	}
	v.admit(session)
	http.Redirect(v.w, v.r, "/", http.StatusSeeOther)
	return nil
}
