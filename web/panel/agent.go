package panel

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/control"
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

// agentRows is how many agents a page shows.
const agentRows = 100

// agents lists the programs that may read or send mail here.
func (v *visit) agents() error {
	q := control.AgentQuery{Match: strings.TrimSpace(v.r.FormValue("q")), Limit: agentRows + 1}
	q.After, _ = uuid.Parse(v.r.FormValue("after"))
	all, err := collect(v.c.Agents(v.r.Context(), q))
	if err != nil {
		return err
	}
	next := ""
	if len(all) > agentRows {
		all = all[:agentRows]
		next = "/agents?" + url.Values{"q": {q.Match}, "after": {all[agentRows-1].ID.String()}}.Encode()
	}
	stopped, err := v.frozen()
	if err != nil {
		return err
	}
	return v.page("Agents", "/agents", "postern agent list", agentsPage(v, all, stopped, q.Match, next))
}

func (v *visit) newAgent() error {
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
	credentials, err := collect(v.c.Credentials(v.r.Context(), a.Name))
	if err != nil {
		return err
	}
	day, err := v.c.AgentDay(v.r.Context(), a.Name)
	if err != nil {
		return err
	}
	stopped, err := v.frozen()
	if err != nil {
		return err
	}
	return v.page(a.Name, "/agents", "postern agent show "+a.Name, agentPage(v, a, credentials, day, stopped))
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

// lastUsed is when any of the credentials was used last.
func lastUsed(all []control.Credential) (at time.Time) {
	for _, c := range all {
		if c.LastUsed.After(at) {
			at = c.LastUsed
		}
	}
	return at
}

// openSessions counts those of all credentials.
func openSessions(all []control.Credential) (n int) {
	for _, c := range all {
		n += c.Open
	}
	return n
}

// newestLimits are the counters of the newest credential that works: those of the
// agent and above are the same for all.
func newestLimits(v *visit, all []control.Credential) []control.LimitState {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].State == "active" {
			if c, err := v.c.Credential(v.r.Context(), all[i].PublicID); err == nil {
				return c.Limits
			}
		}
	}
	return nil
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
