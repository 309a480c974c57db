package panel

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/web/ui"
)

var liveRoutes = []route{
	{"GET /live", false, (*visit).live},
	{"GET /search", false, (*visit).search},
}

// counters fills in what waits beside each page.
func (v *visit) counters(f *ui.Frame) error {
	c, err := v.c.Counters(v.r.Context())
	if err != nil {
		return err
	}
	f.Counters = countersOf(c)
	return nil
}

func countersOf(c control.Counters) ui.Counters {
	return ui.Counters{"quarantine": int(c.Quarantine), "approvals": int(c.Approvals), "health": c.Failing}
}

// followed is for how long one answer of live goes on, in seconds; then the page asks
// again.
const followed = 1800

// live sends what waits, whenever it changes: once, or with follow for as long as the
// page is open. The stream ends with the session, within a second. // AC-9
func (v *visit) live() error {
	q := control.CountersWatch{}
	if v.r.FormValue("follow") != "" {
		q.Seconds = followed
	}
	ctx, cancel := v.untilStop()
	defer cancel()
	var out *events
	for c, err := range v.c.WatchCounters(ctx, q) {
		if err != nil && out == nil {
			return err
		}
		if err != nil {
			return nil // it has begun; the page asks again, and learns why
		}
		if out == nil {
			out = v.events()
		}
		for name, n := range countersOf(c) {
			if err := out.send(name, ui.Counter(name, n)); err != nil {
				return nil
			}
		}
	}
	return nil
}

// search leads to what a few words name: an agent, an inbox, a message, or else to the
// events that have them.
func (v *visit) search() error {
	q := strings.TrimSpace(v.r.FormValue("q"))
	to := "/audit?" + url.Values{"q": {q}}.Encode()
	switch {
	case q == "":
		to = "/"
	case isMessage(q):
		to = tracePath(q)
	case v.hasAgent(q):
		to = agentPath(q)
	case v.hasInbox(q):
		to = inboxPath(q)
	default:
		if _, err := control.ParseFilter(q); err != nil {
			return &control.Error{Code: control.NotFound, Message: fmt.Sprintf("No agent, inbox or message is called %.80q. Events are found by what they are about, such as agent:NAME.", q)}
		}
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

func (v *visit) hasAgent(name string) bool {
	_, err := v.c.Agent(v.r.Context(), name)
	return err == nil
}

func (v *visit) hasInbox(address string) bool {
	_, err := v.c.Inbox(v.r.Context(), address)
	return err == nil
}

// isMessage reports whether a text is the id of a message, or a Message-ID as mail
// programs show it. Whether there is one, the page of its trace says, which leaves an
// event.
func isMessage(q string) bool {
	_, err := uuid.Parse(q)
	return err == nil || strings.HasPrefix(q, "<") && strings.HasSuffix(q, ">")
}
