package panel

import (
	"cmp"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
	"postern/web/ui/chart"
)

var quarantineRoutes = []route{
	{"GET /quarantine", false, (*visit).quarantine},
	{"GET /quarantine/{item}", false, (*visit).quarantined},
	{"POST /quarantine/{item}/content", false, (*visit).quarantinedContent},
	{"POST /quarantine/{item}/release", false, (*visit).releaseQuarantined},
	{"POST /quarantine/{item}/reject", false, (*visit).rejectQuarantined},
	{"POST /quarantine/{item}/wrong", false, (*visit).markQuarantined},
	{"POST /quarantine/{item}/allow", false, (*visit).allowQuarantined},
	{"POST /quarantine-rules/{rule}", false, (*visit).ruleQuarantined},
}

// kept is a page of what the quarantine holds, the riskiest first, and the one that is
// open. Pages are by age: those that wait longest come first.
type kept struct {
	rows    []control.Quarantined
	next    string // where the next page is
	all     bool   // those that were decided about, too
	open    *control.QuarantineContent
	content bool // the text of places is shown, and that was recorded
	rule    string
	scores  control.Scores
}

func (v *visit) kept() (k kept, err error) {
	k.all, k.rule = v.r.FormValue("show") == "all", v.r.FormValue("rule")
	id := func(q *control.Quarantined) uuid.UUID { return q.ID }
	filter := url.Values{"show": {v.r.FormValue("show")}, "rule": {k.rule}}
	k.rows, k.next, err = paged(v, "/quarantine", filter, id, func(p control.Page) iter.Seq2[control.Quarantined, error] {
		return v.c.Quarantine(v.r.Context(), control.QuarantineQuery{All: k.all, Rule: k.rule, Page: p})
	})
	if err != nil {
		return k, err
	}
	slices.SortStableFunc(k.rows, func(a, b control.Quarantined) int { return cmp.Compare(b.Score, a.Score) })
	at, _ := strconv.ParseFloat(v.r.FormValue("at"), 32)
	k.scores, err = v.c.Scores(v.r.Context(), control.ScoresQuery{At: float32(min(1, max(0, at)))})
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

// markQuarantined notes that a message was judged wrongly: one case of what models are
// compared on. It changes no verdict.
func (v *visit) markQuarantined() error {
	m, err := v.c.Mark(v.r.Context(), control.MarkRequest{ID: v.r.PathValue("item"), Label: "harmless", Reason: v.form("reason")})
	if err != nil {
		return v.again(err, (*visit).quarantined)
	}
	return v.done("/quarantine/"+url.PathEscape(v.r.PathValue("item")), "Noted as "+m.Label+". Its verdict stays until somebody decides.")
}

// allowQuarantined lets mail of the sender in from now on, whatever it scores.
func (v *visit) allowQuarantined() error {
	item, err := v.c.Quarantined(v.r.Context(), control.QuarantineRef{ID: v.r.PathValue("item")})
	if err != nil {
		return err
	}
	_, err = v.c.Allow(v.r.Context(), control.AllowanceAdd{Inbox: item.Inbox, Sender: item.From, Code: "false-positive", Reason: v.form("reason")})
	if err != nil {
		return v.again(err, (*visit).quarantined)
	}
	return v.done(quarantinedPath(&item.Quarantined), "From now on authenticated mail of "+item.From+" comes into "+item.Inbox+". This message still waits.")
}

// maxBulk is how many messages one decision is about.
const maxBulk = 100

// ruleQuarantined rejects what one rule put away: the riskiest, as many as one form
// decides about. One that somebody else decided about meanwhile does not stop the others.
func (v *visit) ruleQuarantined() error {
	k, err := v.kept()
	if err != nil {
		return err
	}
	done := 0
	for _, row := range k.rows {
		if row.State != "waiting" || row.Rule != v.r.PathValue("rule") || done == maxBulk {
			continue
		}
		o, failed := v.c.RejectQuarantined(v.r.Context(), control.QuarantineRuling{ID: row.ID.String(), Reason: v.form("reason")})
		if failed != nil {
			err = failed
			continue
		}
		if o.Changed {
			done++
		}
	}
	if done == 0 && err != nil {
		return v.again(err, (*visit).quarantine)
	}
	return v.done("/quarantine", fmt.Sprintf("Rejected: %s deleted for good.", ui.Count(done, "message")))
}

// histogram is how the newest mail scored, with the two lines of the model.
func histogram(s *control.Scores) chart.Bars {
	b := chart.Bars{Words: chart.Words{ID: "scores", Title: fmt.Sprintf("Scores of the newest %s", ui.Count(s.Looked, "delivery")),
		Desc: fmt.Sprintf("%d of %d are at or over %s, %d between the lines.", s.Over, s.Looked, decimal(s.Quarantine), s.Marked)},
		Axis: "Score from", Last: "1", Log: true, Series: []chart.Series{{Name: "deliveries", Noun: "delivery", Colour: chart.Subject, Values: s.Bins[:]}}}
	for i := range s.Bins {
		from := fmt.Sprintf("%.2f", float64(i)/control.ScoreBins)
		b.Steps = append(b.Steps, chart.Step{Name: from, Tick: from})
	}
	for _, m := range []struct {
		at   float32
		said string
	}{{s.Suspicious, "Mark from "}, {s.Quarantine, "Quarantine from "}} {
		b.Marks = append(b.Marks, chart.Mark{Step: int(m.at * control.ScoreBins), Label: m.said + decimal(m.at)})
	}
	return b
}

// rulesOf are the rules by which the rows were put away, each with how many wait.
func rulesOf(rows []control.Quarantined) (all []kept) {
	for _, row := range rows {
		i := slices.IndexFunc(all, func(k kept) bool { return k.rule == row.Rule })
		if i < 0 {
			all = append(all, kept{rule: row.Rule})
			i = len(all) - 1
		}
		if row.State == "waiting" {
			all[i].rows = append(all[i].rows, row)
		}
	}
	return all
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
