package panel

import (
	"net/url"
	"strings"

	"postern/server/control"
	"postern/web/ui"
)

var healthRoutes = []route{
	{"GET /health", false, (*visit).health},
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
	alerts, err := collect(v.c.Alerts(v.r.Context(), control.AlertList{}))
	if err != nil {
		return err
	}
	return v.page("Health", "/health", "postern health", healthPage(v, h, certificates, alerts))
}

// alerts lists what somebody should look at.
func (v *visit) alerts() error {
	all, err := collect(v.c.Alerts(v.r.Context(), control.AlertList{All: v.r.FormValue("show") == "all"}))
	if err != nil {
		return err
	}
	return v.page("Alerts", "/alerts", "postern alert list", alertsPage(v, all))
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
	return ui.State{Class: "none", Icon: "check", Word: "Acknowledged"}
}

// checkWords name what health looks at.
var checkWords = map[string]string{
	"database": "Database", "log": "Audit log", "heartbeat": "Heartbeat of the log", "certificate": "Certificate", "queue": "Queue", "disk": "Disk", "clock": "Clock",
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
