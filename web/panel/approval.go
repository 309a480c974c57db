package panel

import (
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
	"postern/web/ui/chart"
)

var approvalRoutes = []route{
	{"GET /approvals", false, (*visit).approvals},
	{"GET /approvals/{approval}", false, (*visit).approval},
	{"POST /approvals/{approval}/release", false, (*visit).releaseApproval},
	{"POST /approvals/{approval}/reject", false, (*visit).rejectApproval},
}

// approvals lists what waits for a person.
func (v *visit) approvals() error {
	id := func(a *control.Approval) uuid.UUID { return a.ID }
	all, next, err := paged(v, "/approvals", nil, id, func(p control.Page) iter.Seq2[control.Approval, error] { return v.c.Approvals(v.r.Context(), p) })
	if err != nil {
		return err
	}
	d, err := v.c.Decisions(v.r.Context())
	if err != nil {
		return err
	}
	return v.page("Approvals", "/approvals", "postern approval list", approvalsPage(v, all, next, d))
}

// maxDecided is how many agents the page names with what was decided about their mail.
const maxDecided = 10

// waits is how long held mail waited, and what was decided.
func waits(d *control.Decisions) chart.Bars {
	released := chart.Series{Name: "released", Colour: chart.Subject, Values: make([]int64, len(d.Waits))}
	rejected := chart.Series{Name: "rejected", Colour: chart.Bad, Values: make([]int64, len(d.Waits))}
	expired := chart.Series{Name: "expired", Colour: chart.Warn, Values: make([]int64, len(d.Waits))}
	b := chart.Bars{Axis: "Waited", Last: "Longer"}
	longest := ""
	for i, w := range d.Waits {
		released.Values[i], rejected.Values[i], expired.Values[i] = int64(w.Released), int64(w.Rejected), int64(w.Expired)
		step := chart.Step{Name: "under " + w.Under, Tick: "<" + w.Under}
		if w.Under == "" {
			step = chart.Step{Name: d.Waits[i-1].Under + " or more"}
		}
		b.Steps = append(b.Steps, step)
		if w.Sum() > 0 {
			longest = step.Name
		}
	}
	b.Words = chart.Words{ID: "waits", Title: "How long held mail waited for a decision", Desc: ui.Count(d.Looked, "decision") + "; the longest wait was " + longest + "."}
	b.Series = []chart.Series{released, rejected, expired}
	return b
}

// approval shows a message that waits. That it was looked at is an event.
func (v *visit) approval() error {
	a, err := v.c.Approval(v.r.Context(), v.r.PathValue("approval"))
	if err != nil {
		return err
	}
	return v.page("Approval", "/approvals", "postern approval show "+a.ID.String(), approvalPage(v, a))
}

func (v *visit) releaseApproval() error {
	done, err := v.c.ReleaseApproval(v.r.Context(), v.decision())
	if err != nil {
		return v.again(err, (*visit).approval)
	}
	if done.State != "released" {
		return v.done("/approvals", fmt.Sprintf("Noted: %d of %d people agree.", done.Agreed, done.Persons))
	}
	return v.done("/approvals", "Released: it is on its way.")
}

func (v *visit) rejectApproval() error {
	if _, err := v.c.RejectApproval(v.r.Context(), v.decision()); err != nil {
		return v.again(err, (*visit).approval)
	}
	return v.done("/approvals", "Rejected: the agent is told.")
}

func (v *visit) decision() control.ApprovalDecision {
	return control.ApprovalDecision{ID: v.r.PathValue("approval"), Reason: v.form("reason")}
}

func approvalPath(a *control.Approval) string { return "/approvals/" + url.PathEscape(a.ID.String()) }

// recipients names who gets a message, in few words.
func recipients(to []string) string {
	if len(to) > 3 {
		return ui.Count(len(to), "recipient")
	}
	return strings.Join(to, ", ")
}

// ruleWords say what a rule that holds a message found.
var ruleWords = map[string]string{
	"hold-always": "Everything it sends is held", "hold-first-time": "First contact", "hold-new-domain": "New domain", "hold-attachment": "Has an attachment",
	"hold-recipients": "Many recipients", "hold-taint": "After reading a suspicious message", "hold-forward": "Forwards what it read",
	"hold-rate": "Many within an hour",
}

// ruleWord is a rule for people.
func ruleWord(rule string) string {
	if word := ruleWords[rule]; word != "" {
		return word
	}
	return title(strings.ReplaceAll(rule, "-", " "))
}

// mayRelease reports whether the person may decide about what waits.
func (v *visit) mayRelease() bool { return v.may(directory.ActRelease) }
