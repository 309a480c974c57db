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
	return v.page("Approvals", "/approvals", "postern approval list", approvalsPage(v, all, next))
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
