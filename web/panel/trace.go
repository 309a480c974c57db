package panel

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

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

// moment is one thing that happened to a message.
type moment struct {
	at                time.Time
	class, icon, what string
	body              func(*visit) templ.Component
}

// moments are what happened to a message, in the order of their times.
func moments(t *control.Trace) (all []moment) {
	add := func(at time.Time, class, icon, what string, body func(*visit) templ.Component) {
		all = append(all, moment{at, class, icon, what, body})
	}
	if r := t.Received; r != nil {
		add(r.Time, "none", "plug", "Connection from "+orUnknown(r.Network), func(*visit) templ.Component { return connected(r) })
		add(r.Time, "ok", "user", "Sender checked", func(*visit) templ.Component { return checked(r) })
		if r.Verdict != "" {
			add(r.Time, verdictState(r.Verdict).Class, "quarantine", "Verdict: "+r.Verdict, func(*visit) templ.Component { return judged() })
		}
	}
	if p := t.Provenance; p != nil {
		add(p.Time, "none", "send", "Submitted by "+named(t.Names, p.Agent), func(v *visit) templ.Component { return submitted(v, p, t.Names) })
	}
	for i := range t.Decisions {
		d := &t.Decisions[i]
		add(d.Time, decisionClass(d.What), "approval", decisionTitle(d), func(*visit) templ.Component { return decided(d) })
	}
	for i := range t.Recipients {
		r := &t.Recipients[i]
		add(r.Time, outcomeState(r).Class, "send", title(r.Outcome)+": "+r.Address, func(*visit) templ.Component { return answered(r) })
	}
	for _, r := range readings(t.Readers) {
		add(r.Time, "none", "eye", "Read by "+named(t.Names, r.Agent), func(v *visit) templ.Component { return readNote(v, r, t.Names) })
	}
	for i := range t.Sequels {
		s := &t.Sequels[i]
		add(s.Time, "none", "reply", "Then "+named(t.Names, s.Agent)+" sent to "+recipients(s.To), func(*visit) templ.Component { return sequel(s) })
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.at.Compare(b.at) })
	return all
}

// reading is that somebody read a message, for the first time and again.
type reading struct {
	control.Read
	more int       // times after the first
	last time.Time // of these
}

// readings are those of a message, of one credential in one way as one, by the first: who
// asks for everything every hour fills no page.
func readings(all []control.Read) (few []*reading) {
	for _, r := range all {
		same := func(f *reading) bool {
			return f.Agent == r.Agent && f.Credential == r.Credential && slices.Equal(f.Class, r.Class)
		}
		if i := slices.IndexFunc(few, same); i >= 0 {
			few[i].more, few[i].last = few[i].more+1, r.Time
		} else {
			few = append(few, &reading{Read: r})
		}
	}
	return few
}

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
