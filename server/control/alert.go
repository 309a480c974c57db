package control

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Alert is something that somebody should look at. // PI-7
type Alert struct {
	ID           uuid.UUID          `json:"id"`
	Kind         storage.AlertKind  `json:"kind"`
	State        storage.AlertState `json:"state"` // open, acknowledged, resolved
	Agent        string             `json:"agent,omitempty"`
	AgentID      uuid.UUID          `json:"agent_id,omitzero"`
	Credential   string             `json:"credential,omitempty"` // its public id
	CredentialID uuid.UUID          `json:"credential_id,omitzero"`
	Inbox        string             `json:"inbox,omitempty"`
	Object       uuid.UUID          `json:"object,omitzero"` // what it is about beyond these
	Detail       string             `json:"detail"`
	Count        int64              `json:"count"`
	First        time.Time          `json:"first_at"`
	Last         time.Time          `json:"last_at"`
	By           string             `json:"acknowledged_by,omitempty"`
	Acknowledged time.Time          `json:"acknowledged_at,omitzero"`
	Reason       string             `json:"reason,omitempty"`
	Resolved     time.Time          `json:"resolved_at,omitzero"` // when what it is about was over
}

// AlertList selects alerts.
type AlertList struct {
	All bool `json:"all,omitempty"` // those that were acknowledged too
	Page
}

// AlertRef names an alert, and why it may rest.
type AlertRef struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
}

func (s *Server) alertCommands() {
	lines(s, "alert.list", s.alertList)
	answer(s, "alert.show", s.alertShow)
	answer(s, "alert.acknowledge", s.alertAcknowledge)
}

// Alerts lists alerts, the oldest first.
func (c *Client) Alerts(ctx context.Context, q AlertList) iter.Seq2[Alert, error] {
	return rows[AlertList, Alert](ctx, c, "alert.list", q)
}

func (s *Server) alertList(ctx context.Context, by caller, q AlertList, emit func(Alert) error) error {
	names := s.newNames(by)
	read := func(after uuid.UUID, step int) ([]storage.Alert, error) {
		return s.Store.Alerts(ctx, by.org, after, step, !q.All)
	}
	return paged(q.Page, read, func(a *storage.Alert) uuid.UUID { return a.ID }, func(a *storage.Alert) (bool, error) {
		view, err := names.alert(ctx, a)
		if err != nil {
			return false, err
		}
		return true, emit(view)
	})
}

// Alert shows one alert.
func (c *Client) Alert(ctx context.Context, id string) (Alert, error) {
	return ask[AlertRef, Alert](ctx, c, "alert.show", AlertRef{ID: id})
}

func (s *Server) alertShow(ctx context.Context, by caller, q AlertRef) (Alert, error) {
	a, err := s.alert(ctx, by, q.ID)
	if err != nil {
		return Alert{}, err
	}
	return s.newNames(by).alert(ctx, &a)
}

// AcknowledgeAlert says that a person has seen an alert, and why it may rest.
func (c *Client) AcknowledgeAlert(ctx context.Context, q AlertRef) (Alert, error) {
	return ask[AlertRef, Alert](ctx, c, "alert.acknowledge", q)
}

func (s *Server) alertAcknowledge(ctx context.Context, by caller, q AlertRef) (Alert, error) {
	if q.Reason == "" {
		return Alert{}, invalid("to acknowledge an alert needs a reason")
	}
	a, err := s.alert(ctx, by, q.ID)
	if err != nil {
		return Alert{}, err
	}
	if a.State == storage.AlertResolved {
		return Alert{}, &Error{Code: State, Message: "what the alert is about is over: it rests by itself"}
	}
	if a.State != storage.AlertOpen {
		return Alert{}, &Error{Code: State, Message: "the alert was acknowledged already, by " + a.By}
	}
	err = s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		seen := a // the function may run twice
		return tx.AcknowledgeAlert(tx.Record(audit.Event{Verb: audit.AlertAcknowledge}), &seen, by.Name, q.Reason)
	})
	if err != nil {
		return Alert{}, err
	}
	return s.alertShow(ctx, by, q)
}

// alert finds an alert of the caller's organization. // AC-19
func (s *Server) alert(ctx context.Context, by caller, ref string) (storage.Alert, error) {
	id, err := uuid.Parse(ref)
	if err != nil {
		return storage.Alert{}, invalid("%q is no id of an alert: postern alert list shows them", ref)
	}
	a, err := s.Store.Alert(ctx, by.org, id)
	return a, missing(err, "alert", ref)
}

func (n *names) alert(ctx context.Context, a *storage.Alert) (Alert, error) {
	view := Alert{
		ID: a.ID, Kind: a.Kind, State: a.State, AgentID: a.Agent, CredentialID: a.Credential, Object: a.Object, Detail: a.Detail,
		Count: a.Count, First: a.First, Last: a.Last, By: a.By, Acknowledged: a.Acknowledged, Reason: a.Reason, Resolved: a.Resolved,
	}
	var err error
	if view.Agent, err = n.agent(ctx, a.Agent); err != nil {
		return view, err
	}
	if view.Credential, err = n.credential(ctx, a.Credential); err != nil {
		return view, err
	}
	view.Inbox, err = n.inbox(ctx, a.Inbox)
	return view, err
}
