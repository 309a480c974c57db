package panel

import (
	"fmt"
	"net/url"
	"time"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
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
	all, err := collect(v.c.Agents(v.r.Context()))
	if err != nil {
		return err
	}
	stopped, err := v.frozen()
	if err != nil {
		return err
	}
	return v.page("Agents", "/agents", "postern agent list", agentsPage(v.clock, all, stopped, v.may(directory.ActOperate)))
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
	stopped, err := v.frozen()
	if err != nil {
		return err
	}
	return v.page(a.Name, "/agents", "postern agent show "+a.Name, agentPage(v, a, credentials, stopped))
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
	if v.r.PathValue("change") != "resume" && v.form("name") != name {
		return v.again(&control.Error{Code: control.Invalid, Message: fmt.Sprintf("Type %s to go on.", name)}, (*visit).agent)
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
