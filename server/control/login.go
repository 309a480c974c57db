package control

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
)

// PersonLoginRequest asks for a session.
type PersonLoginRequest struct {
	Address       string `json:"address"`
	Password      string `json:"password"`
	Code          string `json:"code,omitempty"`   // of the authenticator, or a recovery code
	Client        string `json:"client,omitempty"` // what the person came with, in its own words
	PasskeyAnswer        // instead of all the rest, or beside it
}

// PersonLogin is a session that began; its token is shown this once.
type PersonLogin struct {
	Session string `json:"session"`
	Whoami
}

// Whoami is who acts.
type Whoami struct {
	Kind    string               `json:"kind"` // person, unix, founder
	Unix    string               `json:"unix"` // the Unix user at the socket
	Address string               `json:"address,omitempty"`
	Roles   []storage.PersonRole `json:"roles,omitempty"`
	Factor  bool                 `json:"second_factor"`        // was shown in this session
	Method  string               `json:"method,omitempty"`     // how the person last showed who they are
	Must    string               `json:"must,omitempty"`       // what they must set up before anything else: account, factor, passkey
	Fresh   time.Time            `json:"fresh_until,omitzero"` // until when acts that ask for it need no second factor again
	Acts    []directory.Act      `json:"acts,omitempty"`
	ID      uuid.UUID            `json:"session_id,omitzero"`
	Expires time.Time            `json:"expires_at,omitzero"`
}

// PersonSession is a session that lives.
type PersonSession struct {
	ID       uuid.UUID `json:"id"`
	Door     string    `json:"door"`
	Factor   bool      `json:"second_factor"`
	Created  time.Time `json:"created_at"`
	LastUsed time.Time `json:"last_used_at"`
	Expires  time.Time `json:"expires_at"`
	Method   string    `json:"method,omitempty"`
	Network  string    `json:"network,omitempty"` // where it began
	Client   string    `json:"client,omitempty"`  // with what, in its own words
	Current  bool      `json:"current,omitempty"` // the one that asks
}

// SessionRef names a session of a person.
type SessionRef struct {
	Person  string `json:"person"`
	Session string `json:"session"`
}

func (s *Server) loginCommands() {
	answer(s, "person.login", s.personLogin)
	answer(s, "person.logout", s.personLogout)
	answer(s, "person.whoami", s.personWhoami)
	lines(s, "person.sessions", s.personSessions)
	answer(s, "person.revoke", s.personRevoke)
}

// Login begins a session of a person. Every refusal has the same words.
func (c *Client) Login(ctx context.Context, q PersonLoginRequest) (PersonLogin, error) {
	return ask[PersonLoginRequest, PersonLogin](ctx, c, "person.login", q)
}

func (s *Server) personLogin(ctx context.Context, by caller, q PersonLoginRequest) (PersonLogin, error) {
	ps, token, err := s.Directory.Login(ctx, directory.PersonAttempt{Org: by.org, Address: q.Address, Password: q.Password, Code: q.Code,
		Passkey: q.Answer, Asked: directory.Asked{Bind: q.Bind, Origin: q.Origin}, Client: q.Client,
		Door: by.door, Peer: by.Actor, Unix: by.unix, Network: by.Network})
	var no *directory.AuthError
	switch {
	case errors.As(err, &no) && no.Cause == nil:
		return PersonLogin{}, &Error{Code: Refused, Noun: "login", cause: err,
			Message: refusedLogin(q) + " (" + no.Trace + ")"}
	case errors.As(err, &no):
		return PersonLogin{}, no.Cause
	case err != nil:
		return PersonLogin{}, err
	}
	by.person = ps
	return PersonLogin{token, by.whoami()}, nil
}

// refusedLogin has the same words whatever was wrong.
func refusedLogin(q PersonLoginRequest) string {
	if len(q.Answer) > 0 {
		return "not let in: the passkey is not known here or was not right, it took too long, or there were too many failures"
	}
	return "not let in: the address, the password or the code is wrong, or there were too many failures"
}

// Logout ends the session of the client.
func (c *Client) Logout(ctx context.Context) error {
	_, err := ask[None, None](ctx, c, "person.logout", None{})
	return err
}

func (s *Server) personLogout(ctx context.Context, by caller, _ None) (None, error) {
	if by.person == nil {
		return None{}, &Error{Code: State, Message: "nobody is logged in"}
	}
	return None{}, s.Directory.EndPersonSession(ctx, by.Actor, by.person.Person, by.person.Session.ID, "logout")
}

// Whoami says who acts.
func (c *Client) Whoami(ctx context.Context) (Whoami, error) {
	return ask[None, Whoami](ctx, c, "person.whoami", None{})
}

func (s *Server) personWhoami(_ context.Context, by caller, _ None) (Whoami, error) {
	return by.whoami(), nil
}

func (by caller) whoami() Whoami {
	w := Whoami{Kind: "unix", Unix: by.unix}
	if by.founder {
		return Whoami{Kind: "founder", Acts: []directory.Act{directory.ActOperate, directory.ActEvidence, directory.ActSelf}, ID: by.Session}
	}
	if by.person == nil {
		return w
	}
	p, ps := by.person.Person, by.person.Session
	w = Whoami{Kind: "person", Unix: by.unix, Address: p.Address, Roles: p.Roles, Factor: ps.Factor, ID: ps.ID, Expires: ps.Expires,
		Method: ps.Method, Must: by.person.Must, Fresh: by.person.Fresh}
	for _, act := range directory.Acts() {
		ready := act == directory.ActSelf || w.Must == ""
		if ready && directory.Allows(p.Roles, act) && (ps.Factor || !act.Reserved()) {
			w.Acts = append(w.Acts, act)
		}
	}
	return w
}

// PersonSessions lists the sessions of a person that live; empty: one's own.
func (c *Client) PersonSessions(ctx context.Context, person string) iter.Seq2[PersonSession, error] {
	return rows[PersonRef, PersonSession](ctx, c, "person.sessions", PersonRef{person})
}

func (s *Server) personSessions(ctx context.Context, by caller, q PersonRef, emit func(PersonSession) error) error {
	p, err := s.somebody(ctx, by, q.Person, directory.ActEvidence)
	if err != nil {
		return err
	}
	all, err := s.Directory.PersonSessions(ctx, by.org, p.ID)
	for i := range all {
		if err == nil {
			err = emit(sessionView(&all[i], by.Session))
		}
	}
	return err
}

func sessionView(ps *storage.PersonSession, current uuid.UUID) PersonSession {
	v := PersonSession{ID: ps.ID, Door: ps.Door, Factor: ps.Factor, Method: ps.Method, Client: ps.Client,
		Created: ps.Created, LastUsed: ps.LastUsed, Expires: ps.Expires, Current: current == ps.ID}
	if ps.Network.IsValid() {
		v.Network = ps.Network.String()
	}
	return v
}

// RevokeSession ends a session: one's own, or, for who manages people, anybody's.
func (c *Client) RevokeSession(ctx context.Context, q SessionRef) error {
	_, err := ask[SessionRef, None](ctx, c, "person.revoke", q)
	return err
}

func (s *Server) personRevoke(ctx context.Context, by caller, q SessionRef) (None, error) {
	p, err := s.findPerson(ctx, by, q.Person)
	if err != nil {
		return None{}, err
	}
	if !by.is(p.ID) {
		if err := by.may(directory.ActPeople); err != nil {
			return None{}, err
		}
	}
	id, err := uuid.Parse(q.Session)
	if err != nil {
		return None{}, invalid("%q is no id of a session", q.Session)
	}
	return None{}, missing(s.Directory.EndPersonSession(ctx, by.Actor, p, id, "revoked"), "session", q.Session)
}
