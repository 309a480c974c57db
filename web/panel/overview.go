package panel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/server/control"
	"postern/web/ui"
	"postern/web/ui/chart"
)

var overviewRoutes = []route{
	{"GET /{$}", false, (*visit).overview},
}

// overview is the first page: is anything wrong, and what did the agents do today?
func (v *visit) overview() error {
	o, err := v.c.Overview(v.r.Context())
	if err != nil {
		return err
	}
	return v.page("Overview", "/", "postern overview -o json", overviewPage(v, &overview{v: v, Overview: o, steps: chart.Steps(o.Since, time.Hour, hoursShown, v.clock.Zone)}))
}

const (
	hoursShown = 24
	lag        = 500 // events that are not counted yet without a word about it: in a moment they are
)

// overview is what the first page shows.
type overview struct {
	v *visit
	control.Overview
	steps []chart.Step
}

// lead is the sentence under the title.
func (o *overview) lead() string {
	text := "The last 24 hours, to " + o.At.In(o.v.clock.Zone).Format("Monday 2 January 2006, 15:04") + "."
	switch n := len(o.Todo); {
	case n == 0:
		return text + " Nothing needs you."
	case n == 1:
		return text + " One thing needs you."
	default:
		return fmt.Sprintf("%s %s things need you.", text, ui.Number(n))
	}
}

// empty reports whether nothing has happened yet at all: the first day.
func (o *overview) empty() bool {
	for _, f := range o.Figures {
		if f.Now > 0 || slices.Max(f.Days) > 0 {
			return false
		}
	}
	return len(o.Flow) == 0
}

// tile is one figure as the page shows it.
type tile struct {
	control.Figure
	label, path, change string
	dot                 chart.Colour
}

// figures are what each tile is called, where it leads, and its colour while it counts.
var tiles = map[string]tile{
	"received":    {label: "Received", path: "/inboxes", dot: chart.Subject},
	"sent":        {label: "Sent", path: "/agents", dot: chart.Subject},
	"quarantined": {label: "Quarantined", path: "/quarantine", dot: chart.Bad},
	"waiting":     {label: "Waiting for approval", path: "/approvals", dot: chart.Wait},
	"failed":      {label: "Failed deliveries", path: "/queue", dot: chart.Warn},
}

func (o *overview) tiles() (all []tile) {
	for _, f := range o.Figures {
		t := tiles[f.Name]
		t.Figure, t.change = f, o.change(f)
		if f.Now == 0 {
			t.dot = chart.Usual
		}
		all = append(all, t)
	}
	return all
}

// change is a figure against the same weekday before.
func (o *overview) change(f control.Figure) string {
	day := o.At.In(o.v.clock.Zone).Format("Monday")
	switch {
	case f.Name == "waiting" && !o.Oldest.IsZero():
		return "Oldest waits " + ui.Span(o.At.Sub(o.Oldest))
	case f.Before == nil: // in the first week
		return ""
	case f.Now > *f.Before:
		return ui.Number(f.Now-*f.Before) + " more than last " + day
	case f.Now < *f.Before:
		return ui.Number(*f.Before-f.Now) + " fewer than last " + day
	}
	return "As many as last " + day
}

func (t tile) spark() chart.Spark {
	var days []string
	for _, n := range t.Days {
		days = append(days, ui.Number(n))
	}
	return chart.Spark{Words: chart.Words{ID: "t-" + t.Name, Title: t.label + ", last seven days", Desc: "Daily: " + strings.Join(days, ", ")},
		Values: t.Days, Dot: t.dot}
}

// days are the figures of the last seven days, as a table.
func (o *overview) days() chart.Table {
	t := chart.Table{Label: "Figures of the last seven days", Show: "Show the seven days as table", Head: []string{"24 hours to"}}
	for _, tile := range o.tiles() {
		t.Head = append(t.Head, tile.label)
	}
	for i := range 7 {
		row := []string{o.At.In(o.v.clock.Zone).AddDate(0, 0, i-6).Format("Monday 2 January")}
		for _, f := range o.Figures {
			row = append(row, ui.Number(f.Days[i]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// The nodes of the flow, in the words of people.
var (
	senderNodes = []chart.Node{{Name: "Known correspondents", Short: "Known"}, {Name: "Own agents", Short: "Own"}, {Name: "First contact", Short: "New"},
		{Name: "Unproven", Colour: chart.Usual}, {Name: "Fails DMARC", Short: "Forged?", Colour: chart.Bad}}
	senderOrder  = []string{"known", "own", "first", "unproven", "fails"}
	verdictNodes = []chart.Node{{Name: "Clean"}, {Name: "Suspicious", Colour: chart.Warn}, {Name: "Not judged", Short: "Unjudged", Colour: chart.Usual},
		{Name: "Quarantined", Short: "Put away", Colour: chart.Bad}}
	verdictOrder = []string{"clean", "suspicious", "unscored", "quarantined"}
	outcomeNodes = []chart.Node{{Name: "Delivered"}, {Name: "Answered"}, {Name: "Answer held", Short: "Held", Colour: chart.Warn},
		{Name: "Kept from agents", Short: "Kept", Colour: chart.Bad}}
	outcomeOrder = []string{"delivered", "answered", "answer-held", "kept"}
)

// flow is the picture of the ways that mail went.
func (o *overview) flow() chart.Flow {
	readers := []chart.Node{}
	reader := map[string]int{}
	for _, s := range o.Flow {
		if s.Seen == "agent" {
			if _, known := reader[s.Agent]; !known {
				reader[s.Agent] = len(readers)
				readers = append(readers, chart.Node{Name: s.Agent, Short: shortName(s.Agent)})
			}
		}
	}
	others, nobody, kept := len(readers), len(readers)+1, len(readers)+2
	readers = append(readers, chart.Node{Name: "Other agents", Short: "Others"}, chart.Node{Name: "Not read yet", Short: "Unread", Colour: chart.Usual},
		chart.Node{Name: "None", Passed: true})
	f := chart.Flow{Words: chart.Words{ID: "flow", Title: "Which ways mail went, last 24 hours", Desc: o.flowWords()}, Noun: "message",
		Head: []string{"Sender", "Verdict", "Agent", "Outcome", "Messages"}, Columns: []chart.Column{
			{Name: "Sender", Nodes: senderNodes}, {Name: "Verdict", Nodes: verdictNodes}, {Name: "Agent", Nodes: readers}, {Name: "Outcome", Nodes: outcomeNodes}}}
	for _, s := range o.Flow {
		way := chart.Way{Count: s.Count, Nodes: []int{slices.Index(senderOrder, s.Sender), slices.Index(verdictOrder, s.Verdict), others, slices.Index(outcomeOrder, s.Outcome)}}
		switch {
		case s.Outcome == "kept":
			way.Nodes[2] = kept
		case s.Seen == "agent":
			way.Nodes[2] = reader[s.Agent]
		case s.Seen == "nobody":
			way.Nodes[2] = nobody
		}
		way.Colour = map[string]chart.Colour{"suspicious": chart.Warn, "quarantined": chart.Bad}[s.Verdict]
		if !slices.Contains(way.Nodes, -1) {
			f.Ways = append(f.Ways, way)
		}
	}
	return f
}

// shortName cuts the name of an agent for a phone.
func shortName(name string) string {
	if r := []rune(name); len(r) > 12 {
		return string(r[:11]) + "…"
	}
	return name
}

func (o *overview) received() (n int64) {
	for _, s := range o.Flow {
		n += s.Count
	}
	return n
}

// flowWords says in a sentence what the picture shows.
func (o *overview) flowWords() string {
	verdicts, outcomes := map[string]int64{}, map[string]int64{}
	for _, s := range o.Flow {
		verdicts[s.Verdict] += s.Count
		outcomes[s.Outcome] += s.Count
	}
	return fmt.Sprintf("%s received: %d clean, %d suspicious, %d not judged, %d quarantined. %d answered, %d answers held, %d delivered without an answer, %d kept from agents.",
		ui.Count(o.received(), "message"), verdicts["clean"], verdicts["suspicious"], verdicts["unscored"], verdicts["quarantined"],
		outcomes["answered"], outcomes["answer-held"], outcomes["delivered"], outcomes["kept"])
}

// shades are those of all strips, so that one can be held against another.
func (o *overview) shades() chart.Shades {
	most := int64(0)
	for _, a := range o.Agents {
		for _, h := range a.Hours {
			most = max(most, h.Sent)
		}
	}
	return chart.ShadesUpTo(most)
}

// strip is one agent's day.
func (o *overview) strip(a *control.AgentDay) chart.Heat {
	h := chart.Heat{Words: chart.Words{ID: "heat-" + a.ID.String(), Title: a.Name + ", messages sent by the hour",
		Desc: fmt.Sprintf("%d sent, %d refused, %s written to for the first time", a.Sent, a.Refused, ui.Count(a.FirstTime, "recipient"))},
		Steps: o.steps, Noun: "sent", Shades: o.shades(), Cells: make([]chart.Cell, hoursShown)}
	for _, hour := range a.Hours {
		c := chart.Cell{Value: hour.Sent}
		var wrong []string
		if hour.Refused > 0 {
			wrong = append(wrong, ui.Number(hour.Refused)+" refused")
		}
		if hour.Tainted > 0 {
			wrong = append(wrong, "read what may steer it")
		}
		c.Notch = strings.Join(wrong, ", ")
		if hour.FirstTime > 0 {
			c.Dot = "first mail to " + ui.Count(hour.FirstTime, "recipient")
		}
		h.Cells[hour.Hour] = c
	}
	return h
}

// strips are the numbers of all strips, as a table.
func (o *overview) strips() chart.Table {
	t := chart.Table{Label: "Agents by the hour", Head: []string{"Agent", "Sent", "Refused", "Suspicious mail read", "First-time recipients", "Busiest hour"}}
	for _, a := range o.Agents {
		busiest := "–"
		if len(a.Hours) > 0 {
			if top := slices.MaxFunc(a.Hours, func(x, y control.AgentHour) int { return cmp.Compare(x.Sent, y.Sent) }); top.Sent > 0 {
				busiest = o.steps[top.Hour].Name + ": " + ui.Number(top.Sent)
			}
		}
		t.Rows = append(t.Rows, []string{a.Name, ui.Number(a.Sent), ui.Number(a.Refused), ui.Number(a.Tainted), ui.Number(a.FirstTime), busiest})
	}
	return t
}

// axis are the hours over the strips, each third.
func (o *overview) axis() (all []string) {
	for i := 0; i < hoursShown; i += 3 {
		all = append(all, o.steps[i].Tick)
	}
	return append(all, "Now")
}

// span says from when to when the strips go.
func (o *overview) span() string {
	return "Messages sent, " + o.steps[0].Tick + " yesterday to now"
}

// runaway is the agent and the hour that somebody should look at: many refusals in an
// hour, or many recipients to whom nobody wrote before.
func (o *overview) runaway() (a *control.AgentDay, h control.AgentHour) {
	const many = 10
	for i := range o.Agents {
		for _, hour := range o.Agents[i].Hours {
			if n := hour.Refused + hour.FirstTime; n >= many && n > h.Refused+h.FirstTime {
				a, h = &o.Agents[i], hour
			}
		}
	}
	return a, h
}

// wrong is what an agent's row says at its end.
func wrong(a *control.AgentDay) ui.State {
	switch {
	case a.Refused > 0:
		return ui.State{Class: "bad", Word: ui.Count(a.Refused, "refusal")}
	case a.Tainted > 0:
		return ui.State{Class: "warn", Word: "Read suspicious mail"}
	}
	return ui.State{Class: "none", Word: "None"}
}

// todoItem is one thing that somebody should see to, in words.
type todoItem struct {
	state            ui.State
	link, path, text string
}

func (o *overview) todo() (all []todoItem) {
	for i := range o.Todo {
		all = append(all, o.item(&o.Todo[i]))
	}
	return all
}

func (o *overview) item(d *control.Todo) todoItem {
	switch d.Kind {
	case "approvals":
		text := "They go nowhere until people decide."
		if !o.Oldest.IsZero() {
			text = "The oldest has waited " + ui.Span(o.At.Sub(o.Oldest)) + "; what is not decided in time is rejected."
		}
		return todoItem{ui.State{Class: "wait", Word: ui.Number(d.Count) + " waiting"}, "Messages held for approval", "/approvals", text}
	case "quarantine":
		return todoItem{ui.State{Class: "warn", Icon: "quarantine", Word: ui.Number(d.Count) + " in quarantine"}, "Messages that no agent sees", "/quarantine", "Somebody should release or reject them."}
	case "alert":
		return todoItem{ui.State{Class: "warn", Word: alertTitle(d.Alert)}, aboutOr(d.Alert, "See the alert"), alertPath(d.Alert), shortened(d.Text)}
	}
	return todoItem{ui.State{Class: "bad", Word: checkWord(d.Name)}, "Health", "/health", d.Text}
}

func aboutOr(a *control.Alert, otherwise string) string {
	if text := about(a); text != "" {
		return text
	}
	return otherwise
}

func shadeWords(s chart.Shades) string {
	return fmt.Sprintf("0, to %s, %s, %s, more", ui.Number(s[0]), ui.Number(s[1]), ui.Number(s[2]))
}

func runawayWords(h control.AgentHour) string {
	var all []string
	if h.FirstTime > 0 {
		all = append(all, "to "+ui.Count(h.FirstTime, "recipient")+" that it had never written to")
	}
	if h.Refused > 0 {
		all = append(all, "and policy refused "+ui.Count(h.Refused, "message"))
	}
	return strings.Join(all, ", ") + "."
}
