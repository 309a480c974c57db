package panel

import (
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/server/setup"
	"postern/web/ui"
)

var healthRoutes = []route{
	{"GET /health", false, (*visit).health},
	{"POST /health/look", false, (*visit).lookAgain},
	{"GET /health/report", false, (*visit).healthReport},
	{"GET /alerts", false, (*visit).alerts},
	{"GET /alerts/{alert}", false, (*visit).alert},
	{"POST /alerts/{alert}/acknowledge", false, (*visit).acknowledge},
	{"GET /help", false, (*visit).help},
}

// health says whether anything is wrong with the installation.
func (v *visit) health() error {
	h, err := v.c.Health(v.r.Context())
	if err != nil {
		return err
	}
	certificates, err := collect(v.c.Certificates(v.r.Context()))
	if err != nil {
		return err
	}
	alerts, err := collect(v.c.Alerts(v.r.Context(), control.AlertList{Page: control.Page{Limit: pageRows}}))
	if err != nil {
		return err
	}
	facts, err := v.c.Doctor(v.r.Context(), control.Doctor{})
	if err != nil {
		return err
	}
	changes, err := v.c.Changes(v.r.Context())
	if err != nil {
		return err
	}
	return v.page("Health", "/health", "postern doctor", healthPage(v, h, facts, changes, certificates, alerts))
}

// lookAgain asks the network anew.
func (v *visit) lookAgain() error {
	if _, err := v.c.Doctor(v.r.Context(), control.Doctor{Look: true}); err != nil {
		return v.again(err, (*visit).health)
	}
	return v.done("/health", "The network was asked.")
}

// healthReport is what doctor says, without names and addresses, to show to others.
func (v *visit) healthReport() error {
	facts, err := v.c.Doctor(v.r.Context(), control.Doctor{Redact: true})
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Content-Disposition", `attachment; filename="postern-health.txt"`)
	for _, f := range facts {
		fmt.Fprintf(v.w, "%-8s %-8s %s: %s %s\n", f.State, f.Section, f.Name, f.Text, f.Found)
	}
	return nil
}

// sections are facts by their section, in order.
func sections(facts []control.Fact) (all [][]control.Fact) {
	for _, f := range facts {
		if n := len(all); n > 0 && all[n-1][0].Section == f.Section {
			all[n-1] = append(all[n-1], f)
		} else {
			all = append(all, []control.Fact{f})
		}
	}
	return all
}

// sectionWords name the sections of health.
var sectionWords = map[string]string{"set-up": "Set-up", "network": "Network", "dns": "DNS", "tls": "TLS", "storage": "Storage", "keys": "Keys",
	"queue": "Queue", "clock": "Clock", "backup": "Backup", "audit": "Audit", "version": "Version"}

// inGood says how many of a section's facts are in order.
func inGood(facts []control.Fact) string {
	return fmt.Sprintf("%d of %d", len(facts)-count(facts, setup.Bad)-count(facts, setup.Warn)-count(facts, setup.Unknown), len(facts))
}

// count is how many facts are in a state.
func count(facts []control.Fact, state setup.FindingState) (n int) {
	for _, f := range facts {
		if f.State == state {
			n++
		}
	}
	return n
}

// alerts lists what somebody should look at.
func (v *visit) alerts() error {
	show := v.r.FormValue("show")
	id := func(a *control.Alert) uuid.UUID { return a.ID }
	all, next, err := paged(v, "/alerts", url.Values{"show": {show}}, id, func(p control.Page) iter.Seq2[control.Alert, error] {
		return v.c.Alerts(v.r.Context(), control.AlertList{All: show == "all", Page: p})
	})
	if err != nil {
		return err
	}
	return v.page("Alerts", "/alerts", "postern alert list", alertsPage(v, all, next))
}

func (v *visit) alert() error {
	a, err := v.c.Alert(v.r.Context(), v.r.PathValue("alert"))
	if err != nil {
		return err
	}
	return v.page(alertTitle(&a), "/alerts", "postern alert show "+a.ID.String(), alertPage(v, a))
}

func (v *visit) acknowledge() error {
	if _, err := v.c.AcknowledgeAlert(v.r.Context(), control.AlertRef{ID: v.r.PathValue("alert"), Reason: v.form("reason")}); err != nil {
		return v.again(err, (*visit).alert)
	}
	return v.done("/alerts", "Acknowledged.")
}

// help says how the panel is used.
func (v *visit) help() error { return v.page("Help", "", "postern help", helpPage(v)) }

func alertPath(a *control.Alert) string { return "/alerts/" + url.PathEscape(a.ID.String()) }

// alertTitle is the kind of an alert for people: "domain-broken" is "Domain broken".
func alertTitle(a *control.Alert) string { return title(strings.ReplaceAll(string(a.Kind), "-", " ")) }

func alertState(a *control.Alert) ui.State {
	if a.State == "open" {
		return ui.State{Class: "warn", Word: "Open"}
	}
	if a.State == "resolved" {
		return ui.State{Class: "ok", Word: "Over"}
	}
	return ui.State{Class: "none", Icon: "check", Word: "Acknowledged"}
}

// changeState says in which direction a check went.
func changeState(c *control.Change) ui.State {
	switch {
	case c.Better:
		return ui.State{Class: "ok", Word: "Better"}
	case c.Is == setup.Bad:
		return ui.State{Class: "bad", Word: "Worse"}
	}
	return ui.State{Class: "warn", Word: "Worse"}
}

// changeWay says from what to what a check went.
func changeWay(c *control.Change) string {
	switch {
	case c.Is == "":
		return "It is in order now."
	case c.Was == "":
		return "New: " + stateWords[c.Is] + "."
	}
	return "It was " + stateWords[c.Was] + ", and is " + stateWords[c.Is] + "."
}

// stateWords are the states of checks in a sentence.
var stateWords = map[setup.FindingState]string{setup.Good: "in order", setup.Warn: "something to look at", setup.Bad: "failing"}

// checkWords name what health looks at.
var checkWords = map[string]string{
	"writes": "Writing to the database", "doors": "Doors for mail", "database": "Database", "log": "Audit log", "heartbeat": "Heartbeat of the log", "certificate": "Certificate", "queue": "Queue", "disk": "Disk", "clock": "Clock",
}

func checkWord(name string) string {
	if word := checkWords[name]; word != "" {
		return word
	}
	return title(strings.ReplaceAll(name, "-", " "))
}

// certificateState is the state of a certificate as a page shows it.
func certificateState(c *control.Certificate) ui.State {
	switch c.State {
	case "ok":
		return ui.State{Class: "ok", Icon: "lock", Word: "In order"}
	case "renewing":
		return ui.State{Class: "wait", Word: "Is renewed"}
	case "missing":
		return ui.State{Class: "bad", Icon: "missing", Word: "Missing"}
	}
	return ui.State{Class: "bad", Word: "Ended"}
}
