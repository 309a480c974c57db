package control

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// Credential is what lets an agent in, without its secret.
type Credential struct {
	ID       uuid.UUID           `json:"id"`
	PublicID string              `json:"public_id"` // as the token shows it
	Agent    string              `json:"agent"`
	AgentID  uuid.UUID           `json:"agent_id"`
	Scopes   []Scope             `json:"scopes"`
	Networks []netip.Prefix      `json:"networks,omitempty"`
	Env      storage.Environment `json:"env"`
	View     storage.View        `json:"view"`  // what it is shown of messages: original, safe
	State    string              `json:"state"` // active, rotated (its overlap is over), expired, barred (policy demands the safe view), revoked
	Created  time.Time           `json:"created_at"`
	Expires  time.Time           `json:"expires_at"`
	Revoked  time.Time           `json:"revoked_at,omitzero"`
	Reason   string              `json:"reason,omitempty"` // of the revocation
	Ends     time.Time           `json:"ends_at,omitzero"` // where policy ends it before Expires
	LastUsed time.Time           `json:"last_used_at,omitzero"`
	Open     int                 `json:"sessions_open"`
	Waiver   *Waiver             `json:"waiver,omitempty"`

	Predecessor uuid.UUID `json:"predecessor,omitzero"` // that it replaces
	Successor   uuid.UUID `json:"successor,omitzero"`   // that replaces it

	// Of credential.show alone: the other of a rotating pair, and the newest login.
	PredecessorUse *Use   `json:"predecessor_use,omitempty"`
	SuccessorUse   *Use   `json:"successor_use,omitempty"`
	Login          *Login `json:"last_login,omitempty"`
	// Rotating is how far the successor has taken over, while both work.
	Rotating *Rotating `json:"rotating,omitempty"`
	// Limits are those that what it sends is counted for.
	Limits []LimitState `json:"limits,omitempty"`
}

// End is when the credential stops to let anybody in, if nobody revokes it.
func (c *Credential) End() time.Time {
	if !c.Ends.IsZero() {
		return c.Ends
	}
	return c.Expires
}

// Waiver is who let a credential live longer than policy allows, and why. // AC-7
type Waiver struct {
	Person string    `json:"person"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Use is how far the other credential of a rotating pair is in use: who moves an
// agent over looks whether the predecessor still is. // AC-8
type Use struct {
	ID       uuid.UUID `json:"id"`
	PublicID string    `json:"public_id"`
	State    string    `json:"state"`
	Expires  time.Time `json:"expires_at"`
	LastUsed time.Time `json:"last_used_at,omitzero"`
	Open     int       `json:"sessions_open"`
}

// Login is a login as the log has it. The network is personal: it is nowhere but
// in the sealed half of the event, and ends with the inbox's key.
type Login struct {
	At      time.Time  `json:"at"`
	Door    string     `json:"door"`
	TLS     string     `json:"tls,omitempty"`
	Network netip.Addr `json:"network,omitzero"`
}

// Scope is what a credential may do on one inbox.
type Scope struct {
	Inbox string `json:"inbox"` // its address; its id when it was removed
	Verbs string `json:"verbs"` // "read,flag,send"
}

// Issued is a new credential with its secret, which nobody can ask for again. // AC-6
type Issued struct {
	Secret string `json:"secret"`
	Credential
}

// CredentialCreate asks for a new credential.
type CredentialCreate struct {
	Agent    string              `json:"agent"`
	Scopes   []Scope             `json:"scopes"`
	Networks []netip.Prefix      `json:"networks,omitempty"`
	Env      storage.Environment `json:"env,omitempty"`     // empty: live
	View     storage.View        `json:"view,omitempty"`    // empty: original, or safe where policy demands it
	Seconds  int64               `json:"seconds,omitempty"` // how long it lives; zero: as long as policy allows
	Waiver   string              `json:"waiver,omitempty"`  // why it may live longer than policy allows: needs a person
}

// maxSeconds keeps an age within what a time can hold; policy allows much less.
const maxSeconds = 100 * 366 * 24 * 3600

// CredentialRef names a credential by its id or public id.
type CredentialRef struct {
	Credential string `json:"credential"`
}

// CredentialRevoke ends a credential.
type CredentialRevoke struct {
	Credential string    `json:"credential"`
	Reason     string    `json:"reason"`
	Since      time.Time `json:"list_since,omitzero"` // list all that it did since then
}

// Revoked says what a revocation did, and what the credential had done before.
type Revoked struct {
	Stopped
	Activity *Activity `json:"activity,omitempty"`
}

// CredentialRotate asks for a successor of a credential.
type CredentialRotate struct {
	Credential string `json:"credential"`
	Overlap    int64  `json:"overlap"`           // seconds for which both work
	Seconds    int64  `json:"seconds,omitempty"` // how long the successor lives; zero: as long as its predecessor
	Waiver     string `json:"waiver,omitempty"`  // why that may be longer than policy allows: needs a person
}

// CredentialRotateDue asks for successors of all credentials that end soon.
type CredentialRotateDue struct {
	Within  int64 `json:"within"`  // seconds: those that end in this time
	Overlap int64 `json:"overlap"` // seconds for which both work
}

// RotatedDue is one rotation of many: a successor with its secret, or why there
// is none.
type RotatedDue struct {
	Issued
	Predecessor string    `json:"predecessor_public_id"`
	Overlap     time.Time `json:"overlap_until,omitzero"` // when the predecessor ends
	Error       *Error    `json:"error,omitempty"`
}

// CredentialQuery selects credentials: of one agent, or of all.
type CredentialQuery struct {
	Agent string `json:"agent,omitempty"`
	Page         // agent by agent, in the order in which these were made
}

func (s *Server) credentialCommands() {
	answer(s, "credential.create", s.credentialCreate)
	lines(s, "credential.list", s.credentialList)
	answer(s, "credential.show", s.credentialShow)
	answer(s, "credential.rotate", s.credentialRotate)
	urgentLines(s, "credential.rotate-due", s.credentialRotateDue)
	answer(s, "credential.revoke", s.credentialRevoke)
	lines(s, "credential.report", s.credentialReport)
	answer(s, "credential.activity", s.credentialActivity)
}

// CreateCredential issues a credential. // AC-3
func (c *Client) CreateCredential(ctx context.Context, q CredentialCreate) (Issued, error) {
	return ask[CredentialCreate, Issued](ctx, c, "credential.create", q)
}

func (s *Server) credentialCreate(ctx context.Context, by caller, q CredentialCreate) (Issued, error) {
	a, err := s.agent(ctx, by, q.Agent)
	if err != nil {
		return Issued{}, err
	}
	spec := directory.CredentialSpec{Agent: a.ID, Networks: q.Networks, Env: q.Env, View: q.View, Waiver: q.Waiver}
	if err := mayLive(by, q.Seconds, q.Waiver); err != nil {
		return Issued{}, err
	}
	if q.Seconds > 0 {
		spec.Expires = s.Now().Add(time.Duration(q.Seconds) * time.Second)
	}
	for _, scope := range q.Scopes {
		in, err := s.inbox(ctx, by, scope.Inbox)
		if err != nil {
			return Issued{}, err
		}
		verbs, err := directory.ParseVerbs(scope.Verbs)
		if err != nil {
			return Issued{}, err
		}
		spec.Scopes = append(spec.Scopes, storage.Scope{Inbox: in.ID, Verbs: verbs})
	}
	cred, secret, err := s.Directory.CreateCredential(ctx, by.Actor, by.org, spec)
	if err != nil {
		return Issued{}, err
	}
	view, err := s.credentialView(ctx, by, &cred, a.Name)
	return Issued{Secret: secret, Credential: view}, err
}

// mayLive holds what is asked for a credential's life to what can be asked for.
func mayLive(by caller, seconds int64, waiver string) error {
	if seconds < 0 || seconds > maxSeconds {
		return invalid("a credential cannot live for %d seconds", seconds)
	}
	if waiver != "" {
		return by.may(directory.ActWaive) // AC-7
	}
	return nil
}

// Credentials lists the credentials of an agent, or with none named of all.
func (c *Client) Credentials(ctx context.Context, q CredentialQuery) iter.Seq2[Credential, error] {
	return rows[CredentialQuery, Credential](ctx, c, "credential.list", q)
}

func (s *Server) credentialList(ctx context.Context, by caller, q CredentialQuery, emit func(Credential) error) error {
	p := credentialPage{Page: q.Page, emit: emit}
	of := func(a *storage.Agent) (full bool, err error) { return p.add(ctx, s, by, a) }
	only := q.Agent != ""
	switch {
	case only:
		a, err := s.agent(ctx, by, q.Agent)
		if err != nil {
			return err
		}
		p.from = a.ID
	case q.After != uuid.Nil:
		last, err := s.credential(ctx, by, q.After.String())
		if err != nil {
			return err
		}
		p.from = last.Agent
	}
	first := p.from
	if first != uuid.Nil {
		a, err := s.Store.Agent(ctx, by.org, first)
		if err != nil {
			return err
		}
		if full, err := of(&a); full || only || err != nil {
			return err
		}
	}
	read := func(after uuid.UUID, _ int) ([]storage.Agent, error) {
		return s.Directory.Agents(ctx, by.org, after, page)
	}
	return paged(Page{After: first, Limit: 1}, read, func(a *storage.Agent) uuid.UUID { return a.ID }, of)
}

// credentialPage is a page of credentials as it is filled.
type credentialPage struct {
	Page
	from uuid.UUID // the agent of After
	n    int
	emit func(Credential) error
}

// add adds those of an agent that belong on the page, and says whether that is full.
func (p *credentialPage) add(ctx context.Context, s *Server, by caller, a *storage.Agent) (full bool, err error) {
	var q Page
	if a.ID == p.from {
		q.After = p.After
	}
	if p.Limit > 0 {
		q.Limit = p.Limit - p.n
	}
	read := func(after uuid.UUID, step int) ([]storage.Credential, error) {
		return s.Directory.CredentialsAfter(ctx, by.org, a.ID, after, step)
	}
	err = paged(q, read, func(c *storage.Credential) uuid.UUID { return c.ID }, func(c *storage.Credential) (bool, error) {
		view, err := s.credentialView(ctx, by, c, a.Name)
		if err != nil {
			return false, err
		}
		p.n++
		return true, p.emit(view)
	})
	return p.Limit > 0 && p.n >= p.Limit, err
}

// Credential shows one credential.
func (c *Client) Credential(ctx context.Context, ref string) (Credential, error) {
	return ask[CredentialRef, Credential](ctx, c, "credential.show", CredentialRef{ref})
}

func (s *Server) credentialShow(ctx context.Context, by caller, q CredentialRef) (Credential, error) {
	cred, err := s.credential(ctx, by, q.Credential)
	if err != nil {
		return Credential{}, err
	}
	a, err := s.Directory.Agent(ctx, by.org, cred.Agent.String())
	if err != nil {
		return Credential{}, err
	}
	all, err := s.Directory.Credentials(ctx, by.org, a.ID) // these know when they were last used
	if err != nil {
		return Credential{}, err
	}
	var views [3]Credential // itself, the one that it replaces, the one that replaces it
	for i := range all {
		for at, id := range [...]uuid.UUID{cred.ID, cred.Predecessor, cred.Successor} {
			if all[i].ID != id {
				continue
			}
			if views[at], err = s.credentialView(ctx, by, &all[i], a.Name); err != nil {
				return Credential{}, err
			}
		}
	}
	v := views[0]
	v.PredecessorUse, v.SuccessorUse = views[1].use(), views[2].use()
	if v.Rotating, err = s.rotating(ctx, views); err != nil {
		return v, err
	}
	if v.Login, err = s.lastLogin(ctx, &cred); err != nil {
		return v, err
	}
	v.Limits, err = s.limits(ctx, by, &cred)
	return v, err
}

// use is what a pair's other credential shows of itself; nil when there is none.
func (c *Credential) use() *Use {
	if c.ID == uuid.Nil {
		return nil
	}
	return &Use{c.ID, c.PublicID, c.State, c.Expires, c.LastUsed, c.Open}
}

// lastLogin is the newest login with a credential; nil when there was none.
func (s *Server) lastLogin(ctx context.Context, c *storage.Credential) (*Login, error) {
	events, err := s.Store.Events(ctx, storage.EventQuery{Org: c.Org, Credential: c.ID, Verbs: []audit.Verb{audit.SessionLogin}, Newest: true, Limit: 1})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	e := &events[0]
	return &Login{At: e.Time, Door: e.Fields.Text(audit.KeyDoor), TLS: e.Fields.Text(audit.KeyTLS), Network: e.Actor.Network}, nil
}

// RotateCredential issues a successor of a credential, which ends when the
// overlap is over. // AC-8
func (c *Client) RotateCredential(ctx context.Context, q CredentialRotate) (Issued, error) {
	return ask[CredentialRotate, Issued](ctx, c, "credential.rotate", q)
}

func (s *Server) credentialRotate(ctx context.Context, by caller, q CredentialRotate) (Issued, error) {
	if q.Overlap < 0 || q.Overlap > maxSeconds {
		return Issued{}, invalid("an overlap cannot last %d seconds", q.Overlap)
	}
	if err := mayLive(by, q.Seconds, q.Waiver); err != nil {
		return Issued{}, err
	}
	cred, err := s.credential(ctx, by, q.Credential)
	if err != nil {
		return Issued{}, err
	}
	r, err := s.Directory.RotateCredential(ctx, by.Actor, by.org, cred.ID, directory.Rotation{
		Overlap: time.Duration(q.Overlap) * time.Second, Life: time.Duration(q.Seconds) * time.Second, Waiver: q.Waiver})
	if err != nil {
		return Issued{}, err
	}
	a, err := s.Directory.Agent(ctx, by.org, cred.Agent.String())
	if err != nil {
		return Issued{}, err
	}
	view, err := s.credentialView(ctx, by, &r.Successor, a.Name)
	return Issued{Secret: r.Secret, Credential: view}, err
}

// RotateDue issues a successor of every credential that ends within a time and
// has none. Each secret comes as soon as it is made; a rotation that fails is a
// row with an error, and does not keep the others from theirs. // AC-3, AC-8
func (c *Client) RotateDue(ctx context.Context, q CredentialRotateDue) iter.Seq2[RotatedDue, error] {
	return rows[CredentialRotateDue, RotatedDue](ctx, c, "credential.rotate-due", q)
}

func (s *Server) credentialRotateDue(ctx context.Context, by caller, q CredentialRotateDue, emit func(RotatedDue) error) error {
	if q.Overlap < 0 || q.Overlap > maxSeconds || q.Within < 0 || q.Within > maxSeconds {
		return invalid("an overlap of %d seconds, for what ends within %d, cannot be", q.Overlap, q.Within)
	}
	how := directory.Rotation{Overlap: time.Duration(q.Overlap) * time.Second}
	return s.eachAgent(ctx, by, func(a *storage.Agent) error {
		due, err := s.Directory.DueCredentials(ctx, a, time.Duration(q.Within)*time.Second)
		if err != nil {
			return err
		}
		for i := range due {
			if err := emit(s.rotateDue(ctx, by, a, &due[i], how)); err != nil {
				return err
			}
		}
		return nil
	})
}

// rotateDue rotates one credential of many.
func (s *Server) rotateDue(ctx context.Context, by caller, a *storage.Agent, c *storage.Credential, how directory.Rotation) RotatedDue {
	row := RotatedDue{Predecessor: c.PublicID}
	r, err := s.Directory.RotateCredential(ctx, by.Actor, by.org, c.ID, how)
	if err == nil {
		row.Secret, row.Overlap = r.Secret, r.Predecessor.Expires
		row.Credential, err = s.credentialView(ctx, by, &r.Successor, a.Name)
	}
	if err != nil {
		row.Agent, row.AgentID = a.Name, a.ID
		row.Error = s.note("credential.rotate-due", err)
	}
	return row
}

// RevokeCredential ends a credential and its live sessions, and lists what it did
// since a time when one is given. What is contained comes before what is told: an
// error of the list leaves the credential revoked. // AC-9, AC-18
func (c *Client) RevokeCredential(ctx context.Context, q CredentialRevoke) (Revoked, error) {
	return ask[CredentialRevoke, Revoked](ctx, c, "credential.revoke", q)
}

func (s *Server) credentialRevoke(ctx context.Context, by caller, q CredentialRevoke) (Revoked, error) {
	if q.Reason == "" {
		return Revoked{}, invalid("a revocation needs a reason")
	}
	cred, err := s.credential(ctx, by, q.Credential)
	if err != nil {
		return Revoked{}, err
	}
	n, err := s.Directory.RevokeCredential(ctx, by.Actor, by.org, cred.ID, q.Reason)
	done := Revoked{Stopped: Stopped{cred.ID, "revoked", n}}
	if err != nil || q.Since.IsZero() {
		return done, err
	}
	did, err := s.activity(ctx, by, &cred, q.Since)
	if err != nil {
		return done, fmt.Errorf("the credential is revoked, and what it did could not be listed: %w", err)
	}
	done.Activity = &did
	return done, nil
}

func (s *Server) credential(ctx context.Context, by caller, ref string) (storage.Credential, error) {
	cred, err := s.Directory.Credential(ctx, by.org, ref)
	return cred, missing(err, "credential", ref)
}

// credentialView is a credential as people read it: scopes by address.
func (s *Server) credentialView(ctx context.Context, by caller, c *storage.Credential, agent string) (Credential, error) {
	v := Credential{
		ID: c.ID, PublicID: c.PublicID, Agent: agent, AgentID: c.Agent, Networks: c.Networks, Env: c.Env, View: directory.ViewOf(c),
		Created: c.Created, Expires: c.Expires, Revoked: c.Revoked, Reason: c.Reason, LastUsed: c.LastUsed,
		Open: s.Directory.SessionsOf(c.ID), Predecessor: c.Predecessor, Successor: c.Successor,
	}
	if w := c.Waiver; w != nil {
		v.Waiver = &Waiver{Person: w.Name, Reason: w.Reason, At: w.At}
	}
	terms, err := s.Directory.Terms(ctx, c)
	if err != nil {
		return v, err
	}
	if end := terms.End(c); end.Before(c.Expires) {
		v.Ends = end
	}
	v.State = state(c, terms, s.Now())
	for _, scope := range c.Scopes {
		name := scope.Inbox.String()
		in, err := s.Store.InboxRecord(ctx, by.org, scope.Inbox)
		switch {
		case err == nil:
			name = in.Address
		case !errors.Is(err, storage.ErrNotFound):
			return v, err
		}
		v.Scopes = append(v.Scopes, Scope{Inbox: name, Verbs: directory.FormatVerbs(scope.Verbs)})
	}
	return v, nil
}

// state is where a credential stands in its life.
func state(c *storage.Credential, terms directory.Terms, now time.Time) string {
	switch {
	case !c.Revoked.IsZero():
		return "revoked"
	case now.Before(terms.End(c)) && terms.SafeView && !c.Safe():
		return "barred"
	case now.Before(terms.End(c)):
		return "active"
	case c.Successor != uuid.Nil:
		return "rotated"
	}
	return "expired"
}
