package panel

import (
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
	"postern/web/ui/chart"
)

var agentRoutes = []route{
	{"GET /agents", false, (*visit).agents},
	{"GET /agents/new", false, (*visit).newAgent},
	{"POST /agents", false, (*visit).createAgent},
	{"GET /agents/{agent}", false, (*visit).agent},
	{"POST /agents/{agent}/{change}", false, (*visit).changeAgent},
}

// agents lists the programs that may read or send mail here.
func (v *visit) agents() error {
	q := control.AgentQuery{Match: strings.TrimSpace(v.r.FormValue("q"))}
	id := func(a *control.Agent) uuid.UUID { return a.ID }
	all, next, err := paged(v, "/agents", url.Values{"q": {q.Match}}, id, func(p control.Page) iter.Seq2[control.Agent, error] {
		q.Page = p
		return v.c.Agents(v.r.Context(), q)
	})
	if err != nil {
		return err
	}
	ids := make([]uuid.UUID, len(all))
	for i := range all {
		ids[i] = all[i].ID
	}
	stopped, err := v.frozen(ids...)
	if err != nil {
		return err
	}
	return v.page("Agents", "/agents", "postern agent list", agentsPage(v, all, stopped, q.Match, next))
}

func (v *visit) newAgent() error {
	if err := v.needs(directory.ActOperate); err != nil {
		return err
	}
	return v.page("New agent", "/agents", "postern agent create NAME --owner PERSON --purpose TEXT", newAgentPage(v))
}

func (v *visit) createAgent() error {
	a, err := v.c.CreateAgent(v.r.Context(), control.AgentCreate{Name: v.form("name"), Owner: v.form("owner"), Purpose: v.form("purpose")})
	if err != nil {
		return v.again(err, (*visit).newAgent)
	}
	return v.done(agentPath(a.Name), a.Name+" is made. Give it a credential next.")
}

// agent shows one agent with its credentials.
func (v *visit) agent() error {
	a, err := v.c.Agent(v.r.Context(), v.r.PathValue("agent"))
	if err != nil {
		return err
	}
	id := func(c *control.Credential) uuid.UUID { return c.ID }
	own, next, err := paged(v, agentPath(a.Name), nil, id, func(p control.Page) iter.Seq2[control.Credential, error] {
		return v.c.Credentials(v.r.Context(), control.CredentialQuery{Agent: a.Name, Page: p})
	})
	if err != nil {
		return err
	}
	day, err := v.c.AgentDay(v.r.Context(), a.Name)
	if err != nil {
		return err
	}
	ids := []uuid.UUID{a.ID}
	for i := range own {
		ids = append(ids, own[i].ID)
	}
	stopped, err := v.frozen(ids...)
	if err != nil {
		return err
	}
	return v.page(a.Name, "/agents", "postern agent show "+a.Name, agentPage(v, a, own, next, day, stopped))
}

// changeAgent suspends an agent, lets it work again, or retires it for good. Who
// stops one types its name, so that no slip of a hand does.
func (v *visit) changeAgent() error {
	name, reason := v.r.PathValue("agent"), v.form("reason")
	var change func() (control.Stopped, error)
	q := control.AgentChange{Agent: name, Reason: reason}
	switch v.r.PathValue("change") {
	case "suspend":
		change = func() (control.Stopped, error) { return v.c.SuspendAgent(v.r.Context(), q) }
	case "resume":
		change = func() (control.Stopped, error) { return v.c.ResumeAgent(v.r.Context(), q) }
	case "decommission":
		change = func() (control.Stopped, error) { return v.c.DecommissionAgent(v.r.Context(), q) }
	default:
		return nowhere(v)
	}
	if v.r.PathValue("change") != "resume" {
		if err := v.sure(name); err != nil {
			return v.again(err, (*visit).agent)
		}
	}
	done, err := change()
	if err != nil {
		return v.again(err, (*visit).agent)
	}
	return v.done(agentPath(name), fmt.Sprintf("%s is %s; %s ended.", name, done.State, ui.Count(done.Sessions, "session")))
}

func agentPath(name string) string { return "/agents/" + url.PathEscape(name) }

// agentState is the state of an agent as a page shows it.
func agentState(a *control.Agent, stopped frozen) ui.State {
	switch word := string(a.State); word {
	case "active":
		if stopped.agent(a.Name) != nil {
			return isFrozen
		}
		return ui.State{Class: "ok", Word: "Active"}
	case "suspended":
		return ui.State{Class: "wait", Icon: "pause", Word: "Suspended"}
	default:
		return ui.State{Class: "none", Word: "Decommissioned"}
	}
}

// uses is in which hours an agent did anything.
func uses(v *visit, d *control.AgentDay) chart.Heat {
	h := chart.Heat{Words: chart.Words{ID: "uses", Title: d.Name + ", uses by the hour", Desc: fmt.Sprintf("Shown %s and sent %d in 24 hours.", ui.Count(d.Shown, "message"), d.Sent)},
		Steps: chart.Steps(d.Since, time.Hour, hoursShown, v.clock.Zone), Noun: "shown or sent", Cells: make([]chart.Cell, hoursShown)}
	var most int64
	for _, hour := range d.Hours {
		h.Cells[hour.Hour].Value = hour.Shown + hour.Sent
		most = max(most, hour.Shown+hour.Sent)
	}
	h.Shades = chart.ShadesUpTo(most)
	return h
}

// sends are what an agent sent in each hour, against its limit.
func sends(v *visit, d *control.AgentDay) chart.Bars {
	b := chart.Bars{Axis: "Hour", Steps: chart.Steps(d.Since, time.Hour, hoursShown, v.clock.Zone), Last: "Now", Limit: d.HourLimit, Wide: 1000}
	sent := chart.Series{Name: "sent", Colour: chart.Subject, Values: make([]int64, hoursShown)}
	refused := chart.Series{Name: "refused", Colour: chart.Bad, Values: make([]int64, hoursShown)}
	for _, h := range d.Hours {
		sent.Values[h.Hour], refused.Values[h.Hour] = h.Sent, h.Refused
	}
	b.Words = chart.Words{ID: "sends", Title: "Messages sent by the hour", Desc: fmt.Sprintf("%d sent and %d refused in 24 hours.", d.Sent, d.Refused)}
	if b.Series = []chart.Series{sent}; d.Refused > 0 {
		b.Series = append(b.Series, refused)
	}
	if d.HourLimit > 0 {
		b.Said = "Limit " + ui.Number(d.HourLimit) + " an hour"
	}
	return b
}
