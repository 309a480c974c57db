package panel

import (
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"postern/server/control"
	"postern/web/ui"
)

// route is one place of the panel.
type route struct {
	pattern string // of net/http
	open    bool   // to those who are not signed in, too
	handle  func(*visit) error
}

// routes are all places where a person may go. A GET changes nothing.
func (s *Server) routes() []route {
	return slices.Concat(overviewRoutes, liveRoutes, sessionRoutes, accountRoutes, proofRoutes, agentRoutes, credentialRoutes, freezeRoutes, inboxRoutes, messageRoutes, domainRoutes,
		approvalRoutes, queueRoutes, healthRoutes, traceRoutes, settingRoutes, quarantineRoutes, auditRoutes,
		setupRoutes)
}

func (s *Server) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+ui.StaticPath, ui.ServeStatic)
	mux.HandleFunc("POST "+reportPath, s.refusedByBrowser)
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, q *http.Request) { s.visit(w, q, r) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) { s.visit(w, q, route{handle: nowhere}) })
	return mux
}

// visit answers one request.
func (s *Server) visit(w http.ResponseWriter, r *http.Request, to route) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	v := &visit{Server: s, w: w, r: r, clock: s.clock(r), pattern: to.pattern}
	v.c = s.Control(peer(r))
	if err := v.recognize(); err != nil {
		v.fail(err)
		return
	}
	if !v.admits(to) {
		v.askToSignIn()
		return
	}
	if v.who.Must != "" && !v.unready(to) {
		http.Redirect(w, r, "/me", http.StatusSeeOther)
		return
	}
	if sent, err := v.asFile(); err != nil {
		v.fail(err)
		return
	} else if sent {
		return
	}
	goOn, err := v.prove()
	if err == nil && goOn {
		err = to.handle(v)
	}
	if err != nil {
		v.fail(err)
	}
}

// unready reports whether a place is open to somebody who has to set up first how
// they sign in: that is where they do it, and the way out.
func (v *visit) unready(to route) bool {
	return to.open || v.r.URL.Path == "/me" || strings.HasPrefix(v.r.URL.Path, "/me/") || v.r.URL.Path == "/logout"
}

// peer is where a request comes from.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

func nowhere(*visit) error {
	return &control.Error{Code: control.NotFound, Message: "There is nothing at this address."}
}

// maxReport bounds what a browser tells of a page.
const maxReport = 8 << 10

// refusedByBrowser notes that a browser kept a page from doing what our policy
// forbids. That is a fault of ours, or an attack that came to nothing. Anybody may
// say so, and a report quotes the page: of it the directive alone goes into the log.
func (s *Server) refusedByBrowser(w http.ResponseWriter, r *http.Request) {
	var told struct {
		Report struct {
			Directive string `json:"effective-directive"`
		} `json:"csp-report"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReport)).Decode(&told)
	if err == nil && told.Report.Directive != "" && strings.Contains(policy, told.Report.Directive+" ") {
		s.Log.Warn("a browser refused what a page wanted", "directive", told.Report.Directive)
	}
	w.WriteHeader(http.StatusNoContent)
}

// status is the HTTP status of a refusal.
func status(err error) int {
	var no *control.Error
	if !errors.As(err, &no) {
		return http.StatusInternalServerError
	}
	switch no.Code {
	case control.Invalid:
		return http.StatusUnprocessableEntity
	case control.NotFound:
		return http.StatusNotFound
	case control.Taken, control.InUse, control.State, control.Busy:
		return http.StatusConflict
	case control.Refused:
		return http.StatusForbidden
	case control.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// collect reads a list to its end.
func collect[T any](rows iter.Seq2[T, error]) (all []T, err error) {
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
}

// Patterns are the places of the panel, as net/http writes them, so that a test can
// walk them all. open are those that need no session.
func Patterns() (all, open []string) {
	for _, r := range (&Server{}).routes() {
		all = append(all, r.pattern)
		if r.open {
			open = append(open, r.pattern)
		}
	}
	return all, open
}
