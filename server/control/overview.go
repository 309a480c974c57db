package control

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
)

// Overview is what happened in the last 24 hours, and what waits for somebody. Its
// counts follow from the audit log, soon after it, and are no evidence. // AU-6
type Overview struct {
	At        time.Time `json:"at"`
	Since     time.Time `json:"since"`     // the beginning of the first of 24 hours; the last one is not over yet
	Uncounted uint64    `json:"uncounted"` // events of who asks that are not in the counts yet

	Figures []Figure   `json:"figures"` // received, sent, quarantined, waiting, failed
	Oldest  time.Time  `json:"waiting_since,omitzero"`
	Flow    []Stream   `json:"flow"`
	Agents  []AgentDay `json:"agents"`
	More    bool       `json:"more_agents,omitempty"` // there are others, who did less
	Todo    []Todo     `json:"todo"`
}

// Figure is one number of the overview.
type Figure struct {
	Name   string  `json:"name"`
	Now    int64   `json:"now"`              // of the last 24 hours; of what waits: now
	Before *int64  `json:"before,omitempty"` // the same a week earlier; absent where there was no such day
	Days   []int64 `json:"days"`             // of the last seven times 24 hours, the oldest first
}

// Stream is how many of the messages that came in went one way.
type Stream struct {
	Sender  string `json:"sender"`          // known, own, first, unproven, fails
	Verdict string `json:"verdict"`         // clean, suspicious, quarantined, unscored
	Seen    string `json:"seen"`            // who was shown it first: agent, others, nobody
	Agent   string `json:"agent,omitempty"` // which one
	Outcome string `json:"outcome"`         // delivered, answered, answer-held, kept
	Count   int64  `json:"count"`
}

// AgentDay is what an agent did in each of the 24 hours.
type AgentDay struct {
	ID        uuid.UUID   `json:"id"`
	Name      string      `json:"name"`
	State     string      `json:"state"`
	Sent      int64       `json:"sent"`
	Since     time.Time   `json:"since"`                // the beginning of the first of 24 hours
	Limit     int64       `json:"limit,omitempty"`      // messages a day that policy lets it send; absent: no limit
	HourLimit int64       `json:"hour_limit,omitempty"` // the same of an hour
	Refused   int64       `json:"refused"`
	Tainted   int64       `json:"tainted"`
	Shown     int64       `json:"shown"` // messages, one that is shown again counted again
	FirstTime int64       `json:"first_time"`
	Hours     []AgentHour `json:"hours"` // those of 24 in which anything was
}

// AgentHour is what an agent did in one hour.
type AgentHour struct {
	Hour      int   `json:"hour"` // from 0, the first of the 24
	Sent      int64 `json:"sent,omitempty"`
	Refused   int64 `json:"refused,omitempty"`    // messages that policy refused
	Tainted   int64 `json:"tainted,omitempty"`    // times that it was shown what may have been written to steer it
	Shown     int64 `json:"shown,omitempty"`      // messages that it was shown
	FirstTime int64 `json:"first_time,omitempty"` // recipients to whom an inbox wrote for the first time
}

// Todo is something that somebody should see to.
type Todo struct {
	Kind  string `json:"kind"`            // check, approvals, quarantine, alert
	Name  string `json:"name,omitempty"`  // of the check
	Count int64  `json:"count,omitempty"` // of what waits
	Text  string `json:"text,omitempty"`
	Alert *Alert `json:"alert,omitempty"`
}

const (
	overviewHours  = 24
	overviewAgents = 12 // rows of the strip
	flowAgents     = 5  // agents that the flow names
	overviewAlerts = 6  // newest open alerts
)

func (s *Server) overviewCommands() {
	answer(s, "overview", s.overview)
	answer(s, "counters", s.countersNow)
	urgentLines(s, "counters.watch", s.countersWatch)
}

// Overview asks what happened in the last 24 hours.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	return ask[None, Overview](ctx, c, "overview", None{})
}

func (s *Server) overview(ctx context.Context, by caller, _ None) (Overview, error) {
	now := s.Now()
	end := storage.HourOf(now) + 1 // the hour that is not over counts
	o := Overview{At: now.UTC().Truncate(time.Second), Since: time.Unix((end-overviewHours)*3600, 0).UTC(), Flow: []Stream{}, Agents: []AgentDay{}, Todo: []Todo{}}
	var err error
	if o.Uncounted, err = s.Store.Uncounted(ctx, by.org); err != nil {
		return o, err
	}
	if err := s.figures(ctx, by, &o, end); err != nil {
		return o, err
	}
	names := s.newNames(by)
	if o.Flow, err = s.flow(ctx, by, names, end); err != nil {
		return o, err
	}
	if err := s.agentDays(ctx, by, &o, end); err != nil {
		return o, err
	}
	return o, s.todo(ctx, by, names, &o)
}

// week is the same weekday before, in hours.
const week = 7 * 24

// figures fills in the numbers, and what each was before.
func (s *Server) figures(ctx context.Context, by caller, o *Overview, end int64) error {
	counts, err := s.Store.Hours(ctx, by.org, uuid.Nil, end-overviewHours-week, end, storage.CountReceived, storage.CountSent,
		storage.CountKept, storage.CountHeld, storage.CountDecided, storage.CountGivenUp)
	if err != nil {
		return err
	}
	first, err := s.Store.Events(ctx, storage.EventQuery{Limit: 1})
	if err != nil {
		return err
	}
	old := len(first) > 0 && storage.HourOf(first[0].Time) < end-overviewHours-week
	for _, f := range []struct {
		name string
		what storage.Counted
	}{{"received", storage.CountReceived}, {"sent", storage.CountSent}, {"quarantined", storage.CountKept}, {"failed", storage.CountGivenUp}} {
		figure := Figure{Name: f.name, Days: make([]int64, 7)}
		var before int64
		for _, c := range counts {
			if c.What != f.what {
				continue
			}
			if ago := (end - 1 - c.Hour) / overviewHours; ago < 7 {
				figure.Days[6-ago] += c.N
			} else {
				before += c.N
			}
		}
		if figure.Now = figure.Days[6]; old {
			figure.Before = &before
		}
		o.Figures = append(o.Figures, figure)
	}
	waiting, err := s.waitingFigure(ctx, by, o, counts, end, old)
	o.Figures = slices.Insert(o.Figures, 3, waiting)
	return err
}

// waitingFigure is how many messages wait for people. What it was at the end of each
// day follows from how many wait now, and from what came and went since.
func (s *Server) waitingFigure(ctx context.Context, by caller, o *Overview, counts []storage.HourCount, end int64, old bool) (Figure, error) {
	w, err := s.Store.Waiting(ctx, by.org)
	if err != nil {
		return Figure{}, err
	}
	f := Figure{Name: "waiting", Now: w.Approvals, Days: make([]int64, 7)}
	at := func(hour int64) int64 {
		n := w.Approvals
		for _, c := range counts {
			switch {
			case c.Hour < hour:
			case c.What == storage.CountHeld:
				n -= c.N
			case c.What == storage.CountDecided:
				n += c.N
			}
		}
		return max(0, n)
	}
	for i := range f.Days {
		f.Days[i] = at(end - int64(6-i)*overviewHours)
	}
	if before := at(end - week); old {
		f.Before = &before
	}
	if w.Approvals == 0 {
		return f, nil
	}
	first, err := s.Queue.Approvals(ctx, by.org, uuid.Nil, 1)
	if len(first) > 0 {
		o.Oldest = first[0].Created
	}
	return f, err
}

// journeys are counts by the way that messages went.
type journeys map[storage.Journey]int64

// flow says which ways the messages went that came in: by name of the agents that were
// the first to be shown most of them.
func (s *Server) flow(ctx context.Context, by caller, names *names, end int64) ([]Stream, error) {
	all, err := s.Store.Hours(ctx, by.org, uuid.Nil, end-overviewHours, end)
	if err != nil {
		return nil, err
	}
	unseen, others := journeys{}, journeys{}
	for _, c := range all {
		j, seen, ok := c.What.Journey()
		switch {
		case !ok:
		case seen:
			others[j] += c.N
			unseen[j] -= c.N
		default:
			unseen[j] += c.N
		}
	}
	top, err := s.Store.Busiest(ctx, by.org, end-overviewHours, end, storage.CountReceived, flowAgents)
	if err != nil {
		return nil, err
	}
	flow := []Stream{}
	for _, agent := range top {
		mine, err := s.journeysOf(ctx, by, agent, end)
		if err != nil {
			return nil, err
		}
		name, err := names.agent(ctx, agent)
		if err != nil {
			return nil, err
		}
		for j, n := range mine {
			others[j] -= n
		}
		flow = append(flow, mine.streams("agent", name)...)
	}
	return append(append(flow, others.streams("others", "")...), unseen.streams("nobody", "")...), nil
}

func (s *Server) journeysOf(ctx context.Context, by caller, agent uuid.UUID, end int64) (journeys, error) {
	counts, err := s.Store.Hours(ctx, by.org, agent, end-overviewHours, end)
	all := journeys{}
	for _, c := range counts {
		if j, _, ok := c.What.Journey(); ok {
			all[j] += c.N
		}
	}
	return all, err
}

// streams are journeys as the overview has them, in a fixed order.
func (j journeys) streams(seen, agent string) (all []Stream) {
	ways := make([]storage.Journey, 0, len(j))
	for way, n := range j {
		if n > 0 {
			ways = append(ways, way)
		}
	}
	slices.SortFunc(ways, func(a, b storage.Journey) int {
		return cmp.Or(cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Judged, b.Judged), cmp.Compare(a.Outcome, b.Outcome))
	})
	for _, way := range ways {
		all = append(all, Stream{way.Sender.String(), way.Judged.String(), seen, agent, way.Outcome.String(), j[way]})
	}
	return all
}

// agentDays fills in the agents that stand out: who sends most, and who was refused or
// was shown what may steer it. Where these are few, others fill the rows.
func (s *Server) agentDays(ctx context.Context, by caller, o *Overview, end int64) error {
	from := end - overviewHours
	var chosen []uuid.UUID
	add := func(agents []uuid.UUID) {
		for _, agent := range agents {
			if len(chosen) < overviewAgents && !slices.Contains(chosen, agent) {
				chosen = append(chosen, agent)
			}
		}
	}
	for _, by24 := range []struct {
		what  storage.Counted
		limit int
	}{{storage.CountRefused, 3}, {storage.CountTainted, 3}, {storage.CountSent, overviewAgents}} {
		agents, err := s.Store.Busiest(ctx, by.org, from, end, by24.what, by24.limit)
		if err != nil {
			return err
		}
		add(agents)
	}
	known, err := s.Directory.Agents(ctx, by.org, uuid.Nil, overviewAgents+1)
	if err != nil {
		return err
	}
	for i := range known {
		add([]uuid.UUID{known[i].ID})
	}
	o.More = len(known) > overviewAgents
	for _, id := range chosen {
		day, err := s.agentDay(ctx, by, id, from, end)
		if err != nil {
			return err
		}
		o.Agents = append(o.Agents, day)
	}
	slices.SortStableFunc(o.Agents, func(a, b AgentDay) int { return cmp.Or(cmp.Compare(b.Sent, a.Sent), cmp.Compare(a.Name, b.Name)) })
	return nil
}

func (s *Server) agentDay(ctx context.Context, by caller, id uuid.UUID, from, end int64) (AgentDay, error) {
	day := AgentDay{ID: id, Since: time.Unix(from*3600, 0).UTC(), Hours: []AgentHour{}}
	agent, err := s.Store.Agent(ctx, by.org, id)
	if err != nil {
		return day, missing(err, "agent", id.String())
	}
	day.Name, day.State = agent.Name, string(agent.State)
	rules, err := policy.Load(ctx, s.Store, policy.Subjects{Organization: by.org, Agent: id})
	if err != nil {
		return day, err
	}
	for _, state := range rules.States(nil) {
		switch {
		case state.Level != storage.LevelAgent:
		case state.Key == policy.KeyMessagesPerDay:
			day.Limit = state.Max
		case state.Key == policy.KeyMessagesPerHour:
			day.HourLimit = state.Max
		}
	}
	counts, err := s.Store.Hours(ctx, by.org, id, from, end, storage.CountSent, storage.CountRefused, storage.CountTainted, storage.CountFirstTime, storage.CountShown)
	if err != nil {
		return day, err
	}
	var hours [overviewHours]AgentHour
	for _, c := range counts {
		h := &hours[c.Hour-from]
		switch c.What {
		case storage.CountSent:
			h.Sent, day.Sent = c.N, day.Sent+c.N
		case storage.CountRefused:
			h.Refused, day.Refused = c.N, day.Refused+c.N
		case storage.CountTainted:
			h.Tainted, day.Tainted = c.N, day.Tainted+c.N
		case storage.CountShown:
			h.Shown, day.Shown = c.N, day.Shown+c.N
		case storage.CountFirstTime:
			h.FirstTime, day.FirstTime = c.N, day.FirstTime+c.N
		}
	}
	for i, h := range hours {
		if h != (AgentHour{}) {
			h.Hour = i
			day.Hours = append(day.Hours, h)
		}
	}
	return day, nil
}

// todo says what somebody should see to, the gravest first.
func (s *Server) todo(ctx context.Context, by caller, names *names, o *Overview) error {
	h, err := s.health(ctx, by, HealthQuery{})
	if err != nil {
		return err
	}
	for _, c := range h.Checks {
		if !c.OK {
			o.Todo = append(o.Todo, Todo{Kind: "check", Name: c.Name, Text: c.Text})
		}
	}
	w, err := s.Store.Waiting(ctx, by.org)
	if err != nil {
		return err
	}
	if w.Approvals > 0 {
		o.Todo = append(o.Todo, Todo{Kind: "approvals", Count: w.Approvals})
	}
	if w.Quarantine > 0 {
		o.Todo = append(o.Todo, Todo{Kind: "quarantine", Count: w.Quarantine})
	}
	alerts, err := s.Store.LastAlerts(ctx, by.org, overviewAlerts)
	if err != nil {
		return err
	}
	for i := range alerts {
		if k := alerts[i].Kind; k == storage.AlertHoldWaiting || k == storage.AlertQuarantined {
			continue // said already
		}
		view, err := names.alert(ctx, &alerts[i])
		if err != nil {
			return err
		}
		o.Todo = append(o.Todo, Todo{Kind: "alert", Text: view.Detail, Alert: &view})
	}
	return nil
}
