package control

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
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
	State    string              `json:"state"` // active, expired, revoked
	Created  time.Time           `json:"created_at"`
	Expires  time.Time           `json:"expires_at"`
	Revoked  time.Time           `json:"revoked_at,omitzero"`
	Reason   string              `json:"reason,omitempty"` // of the revocation
	LastUsed time.Time           `json:"last_used_at,omitzero"`

	Predecessor uuid.UUID `json:"predecessor,omitzero"` // that it replaces
	Successor   uuid.UUID `json:"successor,omitzero"`   // that replaces it
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
	Seconds  int64               `json:"seconds,omitempty"` // how long it lives; zero: as long as policy allows
}

// maxSeconds keeps an age within what a time can hold; policy allows much less.
const maxSeconds = 100 * 366 * 24 * 3600

// CredentialRef names a credential by its id or public id.
type CredentialRef struct {
	Credential string `json:"credential"`
}

// CredentialRevoke ends a credential.
type CredentialRevoke struct {
	Credential string `json:"credential"`
	Reason     string `json:"reason"`
}

// CredentialRotate asks for a successor of a credential.
type CredentialRotate struct {
	Credential string `json:"credential"`
	Overlap    int64  `json:"overlap"` // seconds for which both work
}

// CredentialQuery selects credentials: of one agent, or of all.
type CredentialQuery struct {
	Agent string `json:"agent,omitempty"`
}

func (s *Server) credentialCommands() {
	answer(s, "credential.create", s.credentialCreate)
	lines(s, "credential.list", s.credentialList)
	answer(s, "credential.show", s.credentialShow)
	answer(s, "credential.rotate", s.credentialRotate)
	answer(s, "credential.revoke", s.credentialRevoke)
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
	spec := directory.CredentialSpec{Agent: a.ID, Networks: q.Networks, Env: q.Env}
	if q.Seconds < 0 || q.Seconds > maxSeconds {
		return Issued{}, invalid("a credential cannot live for %d seconds", q.Seconds)
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

// Credentials lists the credentials of an agent, or with none named of all.
func (c *Client) Credentials(ctx context.Context, agent string) iter.Seq2[Credential, error] {
	return rows[CredentialQuery, Credential](ctx, c, "credential.list", CredentialQuery{agent})
}

func (s *Server) credentialList(ctx context.Context, by caller, q CredentialQuery, emit func(Credential) error) error {
	of := func(a *storage.Agent) error {
		creds, err := s.Directory.Credentials(ctx, by.org, a.ID)
		if err != nil {
			return err
		}
		for i := range creds {
			view, err := s.credentialView(ctx, by, &creds[i], a.Name)
			if err != nil {
				return err
			}
			if err := emit(view); err != nil {
				return err
			}
		}
		return nil
	}
	if q.Agent == "" {
		return s.eachAgent(ctx, by, of)
	}
	a, err := s.agent(ctx, by, q.Agent)
	if err != nil {
		return err
	}
	return of(&a)
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
	for i := range all {
		if all[i].ID == cred.ID {
			cred = all[i]
		}
	}
	return s.credentialView(ctx, by, &cred, a.Name)
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
	cred, err := s.credential(ctx, by, q.Credential)
	if err != nil {
		return Issued{}, err
	}
	r, err := s.Directory.RotateCredential(ctx, by.Actor, by.org, cred.ID, time.Duration(q.Overlap)*time.Second)
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

// RevokeCredential ends a credential and its live sessions. // AC-9
func (c *Client) RevokeCredential(ctx context.Context, q CredentialRevoke) (Stopped, error) {
	return ask[CredentialRevoke, Stopped](ctx, c, "credential.revoke", q)
}

func (s *Server) credentialRevoke(ctx context.Context, by caller, q CredentialRevoke) (Stopped, error) {
	if q.Reason == "" {
		return Stopped{}, invalid("a revocation needs a reason")
	}
	cred, err := s.credential(ctx, by, q.Credential)
	if err != nil {
		return Stopped{}, err
	}
	n, err := s.Directory.RevokeCredential(ctx, by.Actor, by.org, cred.ID, q.Reason)
	return Stopped{cred.ID, "revoked", n}, err
}

func (s *Server) credential(ctx context.Context, by caller, ref string) (storage.Credential, error) {
	cred, err := s.Directory.Credential(ctx, by.org, ref)
	return cred, missing(err, "credential", ref)
}

// credentialView is a credential as people read it: scopes by address.
func (s *Server) credentialView(ctx context.Context, by caller, c *storage.Credential, agent string) (Credential, error) {
	v := Credential{
		ID: c.ID, PublicID: c.PublicID, Agent: agent, AgentID: c.Agent, Networks: c.Networks, Env: c.Env,
		State: "active", Created: c.Created, Expires: c.Expires, Revoked: c.Revoked, Reason: c.Reason, LastUsed: c.LastUsed,
		Predecessor: c.Predecessor, Successor: c.Successor,
	}
	switch {
	case !c.Revoked.IsZero():
		v.State = "revoked"
	case !s.Now().Before(c.Expires):
		v.State = "expired"
	}
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
