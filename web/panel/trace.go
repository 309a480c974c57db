package panel

import (
	"net/url"
	"strings"

	"postern/server/control"
	"postern/web/ui"
)

var traceRoutes = []route{
	{"GET /trace", false, (*visit).trace},
}

// trace tells the story of a message: where it came from, who read it, what these
// sent next, who decided, and where it went.
func (v *visit) trace() error {
	t, err := v.c.Trace(v.r.Context(), v.r.FormValue("id"))
	if err != nil {
		return err
	}
	return v.page("Trace", "/audit", "postern message trace '"+t.MessageID+"'", tracePage(v, t))
}

func tracePath(id string) string { return "/trace?id=" + url.QueryEscape(id) }

// verdictState is a verdict as a page shows it.
func verdictState(verdict string) ui.State {
	switch verdict {
	case "clean":
		return ui.State{Class: "ok", Word: "Clean"}
	case "suspicious":
		return ui.State{Class: "warn", Word: "Suspicious"}
	case "quarantine":
		return ui.State{Class: "bad", Word: "Quarantined"}
	case "partial":
		return ui.State{Class: "warn", Icon: "half", Word: "Judged in part"}
	}
	return ui.State{Class: "warn", Icon: "missing", Word: "Not judged"}
}

// outcomeState is what became of a message for one recipient.
func outcomeState(r *control.Recipient) ui.State {
	switch r.Outcome {
	case "received", "delivered":
		return ui.State{Class: "ok", Word: title(r.Outcome)}
	case "held", "queued", "retrying":
		return ui.State{Class: "wait", Word: title(r.Outcome)}
	case "duplicate":
		return ui.State{Class: "none", Word: "Duplicate"}
	}
	return ui.State{Class: "bad", Word: title(r.Outcome)}
}

// proof is the result of a check of the sender, in the words of RFC 8601.
func proof(name, result string) ui.State {
	switch result {
	case "pass":
		return ui.State{Class: "ok", Word: name + " pass"}
	case "", "none":
		return ui.State{Class: "none", Word: name + " none"}
	}
	return ui.State{Class: "warn", Word: name + " " + result}
}

// seqs are the numbers of events in the log, where they are few.
func seqs(all []control.Event) string {
	if len(all) == 0 || len(all) > 40 {
		return ""
	}
	var words []string
	for _, e := range all {
		words = append(words, ui.Number(e.Seq))
	}
	return ": No. " + strings.Join(words, ", ")
}
