package control

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// LifeQuery selects the credentials whose life falls into a period: of one agent,
// or of all.
type LifeQuery struct {
	Agent string    `json:"agent,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // exclusive; zero: now
}

// Life is a credential's life cycle, as an auditor asks for it: who issued it,
// how it was replaced, how long both worked and whether the old one was still in
// use, and how it ended. // AC-3, AC-7, AC-8
type Life struct {
	ID       uuid.UUID           `json:"id"`
	PublicID string              `json:"public_id"`
	Agent    string              `json:"agent"`
	Env      storage.Environment `json:"env"`
	State    string              `json:"state"` // as credential.show says it, now
	Scopes   []Scope             `json:"scopes"`

	Issued   time.Time `json:"issued_at"`
	IssuedBy string    `json:"issued_by"` // who asked; the kind of actor where there is no name
	Expires  time.Time `json:"expires_at"`
	Waiver   *Waiver   `json:"waiver,omitempty"`

	Replaces   string    `json:"replaces,omitempty"` // public ids
	ReplacedBy string    `json:"replaced_by,omitempty"`
	Rotated    time.Time `json:"rotated_at,omitzero"`    // when the successor was issued
	Overlap    time.Time `json:"overlap_until,omitzero"` // until when both work
	FirstUse   time.Time `json:"first_login_at,omitzero"`
	LastUse    time.Time `json:"last_login_at,omitzero"` // at all, before Until
	After      bool      `json:"used_after_rotation"`    // it logged in beside its successor
	Logins     int64     `json:"logins"`                 // in the period
	Refused    int64     `json:"refused"`                // in the period

	Ended  time.Time `json:"ended_at,omitzero"`
	How    string    `json:"ended_how,omitempty"` // rotated, expired, revoked
	Reason string    `json:"reason,omitempty"`    // of the revocation
}

// Lives reports the life cycle of credentials. That the log was read for it is an
// event.
func (c *Client) Lives(ctx context.Context, q LifeQuery) iter.Seq2[Life, error] {
	return rows[LifeQuery, Life](ctx, c, "credential.report", q)
}

func (s *Server) credentialReport(ctx context.Context, by caller, q LifeQuery, emit func(Life) error) error {
	if q.Until.IsZero() {
		q.Until = s.Now()
	}
	reads := EventQuery{Agent: q.Agent, Since: q.Since, Until: q.Until,
		Verbs: verbNames([]audit.Verb{audit.SessionLogin, audit.SessionRefused, audit.CredentialCreate, audit.CredentialRotate})}
	if _, err := s.recordReading(ctx, by, reads); err != nil {
		return err
	}
	of := func(a *storage.Agent) error { return s.reportAgent(ctx, by, a, q, emit) }
	if q.Agent == "" {
		return s.eachAgent(ctx, by, of)
	}
	a, err := s.agent(ctx, by, q.Agent)
	if err != nil {
		return err
	}
	return of(&a)
}

// reportAgent reports the credentials of one agent, in the order of issue.
func (s *Server) reportAgent(ctx context.Context, by caller, a *storage.Agent, q LifeQuery, emit func(Life) error) error {
	all, err := s.Directory.Credentials(ctx, by.org, a.ID)
	if err != nil {
		return err
	}
	known := map[uuid.UUID]*storage.Credential{}
	for i := range all {
		known[all[i].ID] = &all[i]
	}
	for i := range all {
		l, err := s.life(ctx, by, a, &all[i], known, q)
		if err != nil {
			return err
		}
		if !l.Issued.Before(q.Until) || !l.Ended.IsZero() && l.Ended.Before(q.Since) {
			continue
		}
		if err := emit(l); err != nil {
			return err
		}
	}
	return nil
}

// life puts one credential's life together from its record, its relatives' and
// the log.
func (s *Server) life(ctx context.Context, by caller, a *storage.Agent, c *storage.Credential, known map[uuid.UUID]*storage.Credential, q LifeQuery) (Life, error) {
	v, err := s.credentialView(ctx, by, c, a.Name)
	if err != nil {
		return Life{}, err
	}
	l := Life{
		ID: c.ID, PublicID: c.PublicID, Agent: a.Name, Env: c.Env, State: v.State, Scopes: v.Scopes,
		Issued: c.Created, Expires: c.Expires, Waiver: v.Waiver, Reason: c.Reason,
	}
	if p := known[c.Predecessor]; p != nil {
		l.Replaces = p.PublicID
	}
	if n := known[c.Successor]; n != nil {
		l.ReplacedBy, l.Rotated, l.Overlap = n.PublicID, n.Created, c.Expires
	}
	l.end(&v)
	if err := s.uses(ctx, c, q, &l); err != nil {
		return Life{}, err
	}
	l.IssuedBy, err = s.issuer(ctx, c)
	return l, err
}

// end fills in when and how a credential ended.
func (l *Life) end(v *Credential) {
	switch v.State {
	case "revoked":
		l.Ended, l.How = v.Revoked, "revoked"
		if !l.Overlap.IsZero() && l.Overlap.After(v.Revoked) {
			l.Overlap = v.Revoked
		}
		if v.End().Before(v.Revoked) { // it had ended before it was revoked
			l.Ended, l.How = v.End(), "expired"
			if l.ReplacedBy != "" {
				l.How = "rotated"
			}
		}
	case "rotated", "expired":
		l.Ended, l.How = v.End(), v.State
	}
}

// uses fills in what the log says of a credential's logins.
func (s *Server) uses(ctx context.Context, c *storage.Credential, q LifeQuery, l *Life) error {
	query := storage.EventQuery{Org: c.Org, Credential: c.ID, Verbs: []audit.Verb{audit.SessionLogin, audit.SessionRefused}, Until: q.Until}
	counts, err := s.Store.CountEvents(ctx, query)
	if err != nil {
		return err
	}
	for _, n := range counts {
		if n.Verb == audit.SessionLogin {
			l.FirstUse, l.LastUse = n.First, n.Last
		}
	}
	l.After = !l.Rotated.IsZero() && l.LastUse.After(l.Rotated)
	query.Since = q.Since
	if counts, err = s.Store.CountEvents(ctx, query); err != nil {
		return err
	}
	for _, n := range counts {
		if n.Verb == audit.SessionLogin {
			l.Logins = n.Count
		} else {
			l.Refused = n.Count
		}
	}
	return nil
}

// issuer is who asked for a credential: the actor of the event that made it,
// which for a successor is its predecessor's rotation.
func (s *Server) issuer(ctx context.Context, c *storage.Credential) (string, error) {
	q := storage.EventQuery{Org: c.Org, Credential: c.ID, Verbs: []audit.Verb{audit.CredentialCreate}, Limit: 1}
	if c.Predecessor != uuid.Nil {
		q.Credential, q.Verbs, q.Limit = c.Predecessor, []audit.Verb{audit.CredentialRotate}, 0
	}
	events, err := s.Store.Events(ctx, q)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", err
	}
	for i := range events {
		e := &events[i]
		if made, ok := e.Fields.ID(audit.KeyCredential); ok && made != c.ID {
			continue // another successor, that was revoked
		}
		if e.Actor.Name != "" {
			return e.Actor.Name, nil
		}
		return e.Actor.Kind.String(), nil
	}
	return "", nil
}
