package panel

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
)

var quarantineRoutes = []route{
	{"GET /quarantine", false, (*visit).quarantine},
	{"GET /quarantine/{item}", false, (*visit).quarantined},
	{"POST /quarantine/{item}/content", false, (*visit).quarantinedContent},
	{"POST /quarantine/{item}/release", false, (*visit).releaseQuarantined},
	{"POST /quarantine/{item}/reject", false, (*visit).rejectQuarantined},
}

// kept is what the quarantine holds, the riskiest first, and the one that is open.
type kept struct {
	rows    []control.Quarantined
	all     bool // those that were decided about, too
	open    *control.QuarantineContent
	content bool // the text of places is shown, and that was recorded
}

func (v *visit) kept() (k kept, err error) {
	k.all = v.r.FormValue("show") == "all"
	k.rows, err = collect(v.c.Quarantine(v.r.Context(), control.QuarantineQuery{All: k.all}))
	slices.SortStableFunc(k.rows, func(a, b control.Quarantined) int { return cmp.Compare(b.Score, a.Score) })
	return k, err
}

// quarantine lists what no agent can see.
func (v *visit) quarantine() error {
	k, err := v.kept()
	if err != nil {
		return err
	}
	return v.page("Quarantine", "/quarantine", "postern quarantine list", quarantinePage(v, k))
}

// quarantined explains why one message was put away. What it says is not shown.
func (v *visit) quarantined() error {
	return v.showQuarantined(control.QuarantineRef{ID: v.r.PathValue("item")})
}

// quarantinedContent shows what the places of a message say, too, once: who asks says
// why, and that they asked is an event.
func (v *visit) quarantinedContent() error {
	err := v.showQuarantined(control.QuarantineRef{ID: v.r.PathValue("item"), Content: true, Reason: v.form("reason")})
	if err != nil {
		return v.again(err, (*visit).quarantined)
	}
	return nil
}

func (v *visit) showQuarantined(q control.QuarantineRef) error {
	item, err := v.c.Quarantined(v.r.Context(), q)
	if err != nil {
		return err
	}
	k, err := v.kept()
	if err != nil {
		return err
	}
	k.open, k.content = &item, q.Content
	return v.page("Quarantine", "/quarantine", "postern quarantine show "+q.ID, quarantinePage(v, k))
}

func (v *visit) releaseQuarantined() error {
	done, err := v.c.ReleaseQuarantined(v.r.Context(), control.QuarantineRuling{ID: v.r.PathValue("item"), Reason: v.form("reason"), Trusted: v.form("trusted") != ""})
	return v.ruled(done, err, "Released: it is new mail in "+done.Inbox+".")
}

func (v *visit) rejectQuarantined() error {
	done, err := v.c.RejectQuarantined(v.r.Context(), control.QuarantineRuling{ID: v.r.PathValue("item"), Reason: v.form("reason")})
	return v.ruled(done, err, "Rejected: it is deleted for good.")
}

// ruled says what became of a message. Who was second learns who was first.
func (v *visit) ruled(done control.QuarantineOutcome, err error, said string) error {
	if err != nil {
		return v.again(err, (*visit).quarantined)
	}
	if !done.Changed {
		said = fmt.Sprintf("%s had it %s already.", done.By, done.State)
	}
	return v.done("/quarantine", said)
}

func quarantinedPath(k *control.Quarantined) string {
	return "/quarantine/" + url.PathEscape(k.ID.String())
}

// risk is how a score is shown beside a row.
func risk(k *control.Quarantined) ui.State {
	switch k.State {
	case "released":
		return ui.State{Class: "ok", Icon: "check", Word: "Released"}
	case "rejected":
		return ui.State{Class: "none", Icon: "x", Word: "Rejected"}
	}
	if k.Verdict == "quarantine" {
		return ui.State{Class: "bad", Word: decimal(k.Score)}
	}
	return ui.State{Class: "warn", Word: decimal(k.Score)}
}

// decimal is a score with two digits, as ".97".
func decimal(score float32) string {
	text := fmt.Sprintf("%.2f", score)
	if text[0] == '0' {
		return text[1:]
	}
	return text
}

// headline says in a few words why a message was put away: the first of its reasons.
func headline(k *control.Quarantined) string {
	if len(k.Reasons) == 0 {
		if k.Rule == "dmarc" {
			return "Does not come from where it says"
		}
		return "Its score is high"
	}
	return title(control.Reasons.Of(k.Reasons[0]))
}

// mayRead reports whether the person may see what messages say.
func (v *visit) mayRead() bool { return v.may(directory.ActContent) }
