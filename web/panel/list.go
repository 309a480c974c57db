package panel

import (
	"iter"
	"maps"
	"strconv"
	"strings"

	"postern/server/control"
)

// The lists that may be had as files, each with the columns of its table.
var (
	auditFile = fileOf[entry]{"audit", (*visit).allEntries, []cellOf[entry]{
		{"seq", func(e *entry) string { return strconv.FormatUint(e.Seq, 10) }}, {"time", func(e *entry) string { return exact(e.Time) }},
		{"verb", func(e *entry) string { return e.Verb }}, {"result", func(e *entry) string { return e.Outcome }},
		{"actor", func(e *entry) string { return e.Actor.Kind }}, {"actor_name", func(e *entry) string { return e.actor() }},
		{"network", func(e *entry) string { return e.Actor.Network }}, {"agent", func(e *entry) string { return e.name(e.Agent) }},
		{"credential", func(e *entry) string { return e.name(e.Credential) }}, {"inbox", func(e *entry) string { return e.name(e.Inbox) }},
		{"what_happened", func(e *entry) string { return e.Sentence(e.names) }}, {"leaf", func(e *entry) string { return e.leaf }},
	}}
	agentFile = fileOf[control.Agent]{"agents", each(func(v *visit) iter.Seq2[control.Agent, error] {
		return v.c.Agents(v.r.Context(), control.AgentQuery{Match: strings.TrimSpace(v.r.FormValue("q"))})
	}), []cellOf[control.Agent]{
		{"name", func(a *control.Agent) string { return a.Name }}, {"owner", func(a *control.Agent) string { return a.Owner }},
		{"purpose", func(a *control.Agent) string { return a.Purpose }}, {"state", func(a *control.Agent) string { return string(a.State) }},
		{"created_at", func(a *control.Agent) string { return exact(a.Created) }}, {"id", func(a *control.Agent) string { return a.ID.String() }},
	}}
	inboxFile = fileOf[control.Inbox]{"inboxes", each(func(v *visit) iter.Seq2[control.Inbox, error] {
		return v.c.Inboxes(v.r.Context(), control.InboxQuery{Match: strings.TrimSpace(v.r.FormValue("q"))})
	}), []cellOf[control.Inbox]{
		{"address", func(in *control.Inbox) string { return in.Address }}, {"env", func(in *control.Inbox) string { return string(in.Env) }},
		{"messages", func(in *control.Inbox) string { return strconv.FormatInt(in.Messages, 10) }}, {"bytes", func(in *control.Inbox) string { return strconv.FormatInt(in.Bytes, 10) }},
		{"arrived", func(in *control.Inbox) string { return strconv.FormatInt(in.Arrived, 10) }}, {"suspected", func(in *control.Inbox) string { return strconv.FormatInt(in.Suspected, 10) }},
		{"quarantined", func(in *control.Inbox) string { return strconv.FormatInt(in.Quarantined, 10) }},
		{"created_at", func(in *control.Inbox) string { return exact(in.Created) }}, {"id", func(in *control.Inbox) string { return in.ID.String() }},
	}}
	domainFile = fileOf[control.Domain]{"domains", each(func(v *visit) iter.Seq2[control.Domain, error] { return v.c.Domains(v.r.Context(), control.Page{}) }), []cellOf[control.Domain]{
		{"name", func(d *control.Domain) string { return d.Name }}, {"owned", func(d *control.Domain) string { return strconv.FormatBool(d.Owned) }},
		{"dns", func(d *control.Domain) string { return d.DNS.State }}, {"problems", func(d *control.Domain) string { return strconv.Itoa(d.DNS.Problems) }},
		{"receives", func(d *control.Domain) string { return strconv.FormatBool(d.DNS.Receives) }}, {"names", func(d *control.Domain) string { return d.Names }},
		{"checked_at", func(d *control.Domain) string { return exact(d.DNS.Checked) }}, {"created_at", func(d *control.Domain) string { return exact(d.Created) }},
		{"id", func(d *control.Domain) string { return d.ID.String() }},
	}}
	queueFile = fileOf[control.Outgoing]{"queue", each(func(v *visit) iter.Seq2[control.Outgoing, error] { return v.c.Queue(v.r.Context(), control.Page{}) }), []cellOf[control.Outgoing]{
		{"to", func(o *control.Outgoing) string { return o.To }}, {"from", func(o *control.Outgoing) string { return o.From }},
		{"agent", func(o *control.Outgoing) string { return o.Agent }}, {"state", func(o *control.Outgoing) string { return o.State }},
		{"attempts", func(o *control.Outgoing) string { return strconv.Itoa(o.Attempts) }}, {"code", func(o *control.Outgoing) string { return strconv.Itoa(o.Code) }},
		{"size", func(o *control.Outgoing) string { return strconv.FormatInt(o.Size, 10) }}, {"created_at", func(o *control.Outgoing) string { return exact(o.Created) }},
		{"due_at", func(o *control.Outgoing) string { return exact(o.Due) }}, {"expires_at", func(o *control.Outgoing) string { return exact(o.Expires) }},
		{"message_id", func(o *control.Outgoing) string { return o.MessageID }}, {"id", func(o *control.Outgoing) string { return o.ID.String() }},
	}}
	approvalFile = fileOf[control.Approval]{"approvals", each(func(v *visit) iter.Seq2[control.Approval, error] { return v.c.Approvals(v.r.Context(), control.Page{}) }), []cellOf[control.Approval]{
		{"agent", func(a *control.Approval) string { return a.Agent }}, {"inbox", func(a *control.Approval) string { return a.Inbox }},
		{"from", func(a *control.Approval) string { return a.From }}, {"to", func(a *control.Approval) string { return joined(a.To) }},
		{"rules", func(a *control.Approval) string { return joined(a.Rules) }}, {"persons", func(a *control.Approval) string { return strconv.Itoa(a.Persons) }},
		{"agreed", func(a *control.Approval) string { return strconv.Itoa(a.Agreed) }}, {"created_at", func(a *control.Approval) string { return exact(a.Created) }},
		{"expires_at", func(a *control.Approval) string { return exact(a.Expires) }}, {"message_id", func(a *control.Approval) string { return a.MessageID }},
		{"id", func(a *control.Approval) string { return a.ID.String() }},
	}}
	quarantineFile = fileOf[control.Quarantined]{"quarantine", each(func(v *visit) iter.Seq2[control.Quarantined, error] {
		return v.c.Quarantine(v.r.Context(), control.QuarantineQuery{All: v.r.FormValue("show") == "all"})
	}), []cellOf[control.Quarantined]{
		{"inbox", func(k *control.Quarantined) string { return k.Inbox }}, {"from", func(k *control.Quarantined) string { return k.From }},
		{"sender", func(k *control.Quarantined) string { return k.Sender }}, {"verdict", func(k *control.Quarantined) string { return k.Verdict }},
		{"score", func(k *control.Quarantined) string { return strconv.FormatFloat(float64(k.Score), 'f', 3, 32) }},
		{"reasons", func(k *control.Quarantined) string { return joined(k.Reasons) }}, {"rule", func(k *control.Quarantined) string { return k.Rule }},
		{"state", func(k *control.Quarantined) string { return k.State }}, {"received_at", func(k *control.Quarantined) string { return exact(k.Received) }},
		{"decided_at", func(k *control.Quarantined) string { return exact(k.Decided) }}, {"decided_by", func(k *control.Quarantined) string { return k.By }},
		{"id", func(k *control.Quarantined) string { return k.ID.String() }},
	}}
	alertFile = fileOf[control.Alert]{"alerts", each(func(v *visit) iter.Seq2[control.Alert, error] {
		return v.c.Alerts(v.r.Context(), control.AlertList{All: v.r.FormValue("show") == "all"})
	}), []cellOf[control.Alert]{
		{"kind", func(a *control.Alert) string { return string(a.Kind) }}, {"state", func(a *control.Alert) string { return string(a.State) }},
		{"agent", func(a *control.Alert) string { return a.Agent }}, {"credential", func(a *control.Alert) string { return a.Credential }},
		{"inbox", func(a *control.Alert) string { return a.Inbox }}, {"detail", func(a *control.Alert) string { return a.Detail }},
		{"count", func(a *control.Alert) string { return strconv.FormatInt(a.Count, 10) }}, {"first_at", func(a *control.Alert) string { return exact(a.First) }},
		{"last_at", func(a *control.Alert) string { return exact(a.Last) }}, {"acknowledged_by", func(a *control.Alert) string { return a.By }},
		{"acknowledged_at", func(a *control.Alert) string { return exact(a.Acknowledged) }}, {"resolved_at", func(a *control.Alert) string { return exact(a.Resolved) }}, {"id", func(a *control.Alert) string { return a.ID.String() }},
	}}
	personFile = fileOf[*control.Person]{"people", each(func(v *visit) iter.Seq2[*control.Person, error] { return v.c.People(v.r.Context(), control.Page{}) }), []cellOf[*control.Person]{
		{"address", func(p **control.Person) string { return (*p).Address }}, {"roles", func(p **control.Person) string { return roleList((*p).Roles) }},
		{"state", func(p **control.Person) string { return (*p).State }}, {"factor", func(p **control.Person) string { return strconv.FormatBool((*p).Factor) }},
		{"created_at", func(p **control.Person) string { return exact((*p).Created) }}, {"disabled_at", func(p **control.Person) string { return exact((*p).Disabled) }},
		{"id", func(p **control.Person) string { return (*p).ID.String() }},
	}}
	capturedFile = fileOf[control.Captured]{"captured", each(func(v *visit) iter.Seq2[control.Captured, error] { return v.c.Captures(v.r.Context(), control.Page{}) }), []cellOf[control.Captured]{
		{"captured_at", func(c *control.Captured) string { return exact(c.At) }}, {"agent", func(c *control.Captured) string { return c.Agent }},
		{"credential", func(c *control.Captured) string { return c.Credential }}, {"from", func(c *control.Captured) string { return c.From }},
		{"to", func(c *control.Captured) string { return c.To }}, {"size", func(c *control.Captured) string { return strconv.FormatInt(c.Size, 10) }},
		{"message_id", func(c *control.Captured) string { return c.MessageID }}, {"kept_until", func(c *control.Captured) string { return exact(c.Until) }},
		{"id", func(c *control.Captured) string { return c.ID.String() }},
	}}
	freezeFile = fileOf[control.Freeze]{"freezes", each(func(v *visit) iter.Seq2[control.Freeze, error] {
		return v.c.Freezes(v.r.Context(), control.FreezeQuery{})
	}), []cellOf[control.Freeze]{
		{"kind", func(f *control.Freeze) string { return string(f.Kind) }}, {"name", func(f *control.Freeze) string { return f.Name }},
		{"reason", func(f *control.Freeze) string { return f.Reason }}, {"frozen_at", func(f *control.Freeze) string { return exact(f.At) }},
	}}
	glassFile = fileOf[control.Glass]{"glass", each(func(v *visit) iter.Seq2[control.Glass, error] {
		return v.c.Glasses(v.r.Context(), control.GlassQuery{Newest: true})
	}), []cellOf[control.Glass]{
		{"person", func(g *control.Glass) string { return g.By }}, {"inbox", func(g *control.Glass) string { return g.Inbox }},
		{"message", func(g *control.Glass) string { return g.Message.String() }}, {"why", func(g *control.Glass) string { return g.Why }},
		{"reason", func(g *control.Glass) string { return g.Reason }}, {"state", func(g *control.Glass) string { return g.State }},
		{"asked_at", func(g *control.Glass) string { return exact(g.Asked) }}, {"until", func(g *control.Glass) string { return exact(g.Until) }},
		{"agreed_by", func(g *control.Glass) string { return g.Agreed }}, {"owners_told", func(g *control.Glass) string { return strconv.Itoa(g.Told) }},
		{"id", func(g *control.Glass) string { return g.ID.String() }},
	}}
)

// allEntries are all events that the filter of the page leaves, the oldest first.
func (v *visit) allEntries() (iter.Seq2[entry, error], error) {
	f, err := control.ParseFilter(v.r.FormValue("q"))
	if err != nil {
		return nil, invalidFilter(err)
	}
	return func(yield func(entry, error) bool) {
		names := map[string]string{}
		for row, err := range v.c.Events(v.r.Context(), control.EventQuery{Query: f.String()}) {
			maps.Copy(names, row.Names)
			if !yield(entry{row.Event, row.Leaf, names}, err) {
				return
			}
		}
	}, nil
}
