package panel

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/server/control"
	"postern/web/ui"
)

var auditRoutes = []route{
	{"GET /audit", false, (*visit).audit},
	{"GET /audit/export", false, (*visit).exportAudit},
}

// auditPageRows is how many events a page shows.
const auditPageRows = 50

// entry is an event as a page shows it.
type entry struct {
	control.Event
	names map[string]string
}

// audit shows what happened, the newest first. That it was looked at is an event.
func (v *visit) audit() error {
	text := strings.TrimSpace(v.r.FormValue("q"))
	if isMessageID(text) {
		http.Redirect(v.w, v.r, tracePath(text), http.StatusSeeOther)
		return nil
	}
	q, err := parseFilter(text, v.clock.Now)
	var rows []entry
	if err == nil {
		q.Limit = auditPageRows
		q.Before, _ = strconv.ParseUint(v.r.FormValue("before"), 10, 64)
		rows, err = v.entries(q)
	}
	if err != nil {
		v.wrong = err
	}
	next := ""
	if len(rows) == auditPageRows {
		next = "/audit?" + url.Values{"q": {text}, "before": {strconv.FormatUint(rows[len(rows)-1].Seq, 10)}}.Encode()
	}
	return v.page("Audit", "/audit", "postern audit list"+flags(q)+" --limit "+strconv.Itoa(auditPageRows), auditPage(v, text, rows, next))
}

// entries reads events, the newest first.
func (v *visit) entries(q control.EventQuery) (rows []entry, err error) {
	names := map[string]string{}
	for row, err := range v.c.Events(v.r.Context(), q) {
		if err != nil {
			return nil, err
		}
		maps.Copy(names, row.Names)
		rows = append(rows, entry{row.Event, names})
	}
	slices.Reverse(rows)
	return rows, nil
}

// exportAudit gives the events of a filter as a file that anybody can verify.
func (v *visit) exportAudit() error {
	q, err := parseFilter(v.r.FormValue("q"), v.clock.Now)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/octet-stream")
	v.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "postern-"+v.clock.Now.UTC().Format("20060102T150405Z")+".bundle"))
	return v.c.Export(v.r.Context(), q, v.w)
}

// parseFilter reads a filter: words with an operator, such as agent:scout since:24h.
func parseFilter(text string, now time.Time) (q control.EventQuery, err error) {
	for _, word := range strings.Fields(text) {
		key, value, ok := strings.Cut(word, ":")
		if !ok || value == "" {
			return q, &control.Error{Code: control.Invalid, Message: fmt.Sprintf("%q is no filter: write agent:, credential:, inbox:, verb:, message:, since: or until: before it.", word)}
		}
		switch key {
		case "agent":
			q.Agent = value
		case "credential":
			q.Credential = value
		case "inbox":
			q.Inbox = value
		case "verb":
			q.Verbs = append(q.Verbs, strings.Split(value, ",")...)
		case "message":
			q.MessageID = value
		case "since":
			q.Since, err = moment(value, now)
		case "until":
			q.Until, err = moment(value, now)
		default:
			err = &control.Error{Code: control.Invalid, Message: fmt.Sprintf("There is no filter %q.", key+":")}
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

// moment reads a time, or how long ago one was.
func moment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, &control.Error{Code: control.Invalid, Message: fmt.Sprintf("%q is no time, such as 2026-01-31, 24h or 7d.", text)}
}

// flags are those of the command line that select the same.
func flags(q control.EventQuery) string {
	var b strings.Builder
	for _, f := range []struct{ name, value string }{
		{"agent", q.Agent}, {"credential", q.Credential}, {"inbox", q.Inbox}, {"verb", strings.Join(q.Verbs, ",")}, {"message-id", q.MessageID},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " --%s %s", f.name, f.value)
		}
	}
	for _, f := range []struct {
		name string
		at   time.Time
	}{{"since", q.Since}, {"until", q.Until}} {
		if !f.at.IsZero() {
			fmt.Fprintf(&b, " --%s %s", f.name, f.at.UTC().Format(time.RFC3339))
		}
	}
	return b.String()
}

// isMessageID reports whether somebody looks for a message.
func isMessageID(text string) bool {
	return strings.Contains(text, "@") && !strings.ContainsAny(text, " :") || strings.HasPrefix(text, "<")
}

// outcome is the outcome of an event as a page shows it.
func (e *entry) outcome() ui.State {
	switch e.Outcome {
	case "ok":
		return ui.State{Class: "ok", Word: "Done"}
	case "refused":
		return ui.State{Class: "bad", Word: "Refused"}
	case "held":
		return ui.State{Class: "wait", Word: "Held"}
	}
	return ui.State{Class: "warn", Word: title(e.Outcome)}
}

// json is the event as the log renders it, for reading.
func (e *entry) json() string {
	text, err := json.MarshalIndent(e.Event, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
