package panel

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones of viewers, where the system has none

	"github.com/a-h/templ"
	"github.com/google/uuid"
	"github.com/klauspost/compress/gzhttp"

	"postern/server/control"
	"postern/server/directory"
	"postern/storage"
	"postern/web/ui"
)

// visit is one request of one person.
type visit struct {
	*Server
	w     http.ResponseWriter
	r     *http.Request
	c     *control.Client // in the person's session
	who   control.Whoami
	clock ui.Clock
	wrong error // what was wrong with the form that is shown again

	pattern string // of the place
}

// may reports whether the person may do a kind of act, so that a page offers only
// what works. The gate is elsewhere.
func (v *visit) may(act directory.Act) bool { return slices.Contains(v.who.Acts, act) }

// needs refuses the form of an act to who could not send it, before they fill it in.
func (v *visit) needs(act directory.Act) error {
	if v.who.Kind != "person" || directory.Allows(v.who.Roles, act) {
		return nil
	}
	var who []string
	for _, role := range allRoles {
		if directory.Allows([]storage.PersonRole{role}, act) {
			who = append(who, string(role))
		}
	}
	return &control.Error{Code: control.Refused, Message: "This takes the role " + strings.Join(who, " or ") + "; " + v.who.Address + " is " + strings.ToLower(roleList(v.who.Roles)) + "."}
}

// clock is the time, in the zone that the browser named.
func (s *Server) clock(r *http.Request) ui.Clock {
	c := ui.Clock{Now: s.Now(), Zone: time.UTC}
	if name, err := r.Cookie("zone"); err == nil && len(name.Value) < 64 {
		if zone, err := time.LoadLocation(name.Value); err == nil && name.Value != "Local" {
			c.Zone = zone
		}
	}
	return c
}

// The rail.
var (
	rail = []ui.Entry{
		{Name: "Overview", Path: "/", Icon: "overview", Key: "o"},
		{Name: "Inboxes", Path: "/inboxes", Icon: "inbox", Key: "i"},
		{Name: "Agents", Path: "/agents", Icon: "agent", Key: "a"},
		{Name: "Domains", Path: "/domains", Icon: "domain", Key: "d"},
		{Name: "Quarantine", Path: "/quarantine", Icon: "quarantine", Key: "q", Counter: "quarantine"},
		{Name: "Approvals", Path: "/approvals", Icon: "approval", Key: "p", Counter: "approvals"},
		{Name: "Queue", Path: "/queue", Icon: "queue", Key: "u"},
		{Name: "Audit", Path: "/audit", Icon: "audit", Key: "e"},
	}
	below = []ui.Entry{
		{Name: "Alerts", Path: "/alerts", Icon: "warn", Key: "l"},
		{Name: "Health", Path: "/health", Icon: "health", Key: "h", Counter: "health"},
		{Name: "Settings", Path: "/settings", Icon: "settings", Key: "s"},
	}
)

// page shows a page.
func (v *visit) page(title, section, command string, body templ.Component) error {
	return v.pageAs(http.StatusOK, title, section, command, body)
}

func (v *visit) pageAs(code int, title, section, command string, body templ.Component) error {
	f := ui.Frame{Title: title, Section: section, Host: v.Host, Live: v.Live, Person: v.who.Address, Rail: rail, Foot: below, Command: command}
	if err := v.counters(&f); err != nil {
		v.Log.Error("what waits could not be counted", "error", err) // a page is worth more than the numbers beside it
	}
	said := v.said.take(v.who.ID)
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.wrong != nil {
		code = status(v.wrong)
	}
	v.w.WriteHeader(code)
	return framed(f, said, v, body).Render(v.r.Context(), v.w)
}

// secret keeps the answer from being compressed, since it shows a secret beside words
// that others may choose: lengths tell nothing then (BREACH).
func (v *visit) secret() { v.w.Header().Set(gzhttp.HeaderNoCompression, "yes") }

// form reads the form of a POST.
func (v *visit) form(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

// sure refuses a form in which another name was typed than that of what it is about.
func (v *visit) sure(name string) error {
	if v.form("sure") == name {
		return nil
	}
	return &control.Error{Code: control.Invalid, Message: "Type " + name + " to go on."}
}

// done leads on after an act, and says there what was done.
func (v *visit) done(to, said string) error {
	v.said.put(v.who.ID, said)
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// again shows the page of a form that was refused, with the reason. Errors that are
// no refusal are passed on.
func (v *visit) again(err error, page func(*visit) error) error {
	if needsProof(err) {
		return err // fail asks for it
	}
	var no *control.Error
	if !errors.As(err, &no) || no.Code == control.Failed || no.Code == control.Unavailable {
		return err
	}
	v.wrong = err
	return page(v)
}

// told is a refusal in words of a page. Of a name that is taken the error has the
// noun alone.
func told(err error) string {
	var no *control.Error
	if errors.As(err, &no) && no.Code == control.Taken && !strings.Contains(no.Message, " ") {
		return "There is such a name already: choose another for this " + no.Message + "."
	}
	return ui.Sentence(err.Error())
}

// fail shows what went wrong.
func (v *visit) fail(err error) {
	var no *control.Error
	if errors.As(err, &no) && no.Noun == "ended" {
		v.forget()
		v.askToSignIn()
		return
	}
	if v.who.Kind == "person" && needsProof(err) {
		v.askProof("")
		return
	}
	text := "Something failed here. The log of the server says what."
	if no != nil {
		text = ui.Sentence(no.Message)
	} else {
		v.Log.Error("a page failed", "path", v.r.URL.Path, "error", err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.who.Kind != "person" {
		v.w.WriteHeader(status(err))
		ui.Gate(heading(status(err)), v.Host).Render(templ.WithChildren(v.r.Context(), failure(text)), v.w)
		return
	}
	v.pageAs(status(err), heading(status(err)), "", "", failed(heading(status(err)), text))
}

func heading(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusServiceUnavailable:
		return "Not possible now"
	case http.StatusInternalServerError:
		return "Failed"
	}
	return "Refused"
}

// askToSignIn leads to the door, and from there back.
func (v *visit) askToSignIn() {
	to := "/login"
	if v.r.Method == http.MethodGet && v.r.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(v.r.URL.RequestURI())
	}
	if v.r.Header.Get("HX-Request") != "" { // a part of a page must not become the door
		v.w.Header().Set("HX-Redirect", to)
		v.w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
}

// said is what the next page of a session says of the act before it.
type said struct {
	mu    sync.Mutex
	texts map[uuid.UUID]string
}

// maxSaid bounds how many sessions are waited for.
const maxSaid = 1000

func (s *said) put(session uuid.UUID, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts == nil || len(s.texts) >= maxSaid {
		s.texts = map[uuid.UUID]string{}
	}
	s.texts[session] = text
}

func (s *said) take(session uuid.UUID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.texts[session]
	delete(s.texts, session)
	return text
}
