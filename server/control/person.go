package control

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
)

// Person is somebody with an account of their own.
type Person struct {
	ID       uuid.UUID            `json:"id"`
	Address  string               `json:"address"`
	Roles    []storage.PersonRole `json:"roles"`
	State    string               `json:"state"`              // active, disabled
	Factor   bool                 `json:"factor"`             // has an authenticator
	Password bool                 `json:"password"`           // has one
	Passkeys int                  `json:"passkeys,omitempty"` // of person.show
	Recovery int                  `json:"recovery_codes_left"`
	Created  time.Time            `json:"created_at"`
	Disabled time.Time            `json:"disabled_at,omitzero"`
	Reason   string               `json:"reason,omitempty"`
}

// PersonCreate asks for an account.
type PersonCreate struct {
	Address       string               `json:"address"`
	Roles         []storage.PersonRole `json:"roles"`
	Password      string               `json:"password,omitempty"`
	WithoutFactor bool                 `json:"without_factor,omitempty"`
	Invite        bool                 `json:"invite,omitempty"` // they set up by a link how they sign in
}

// Factor is a new second factor, which is shown this once.
type Factor struct {
	Secret   string   `json:"totp_secret,omitempty"`
	URI      string   `json:"totp_uri,omitempty"`
	Recovery []string `json:"recovery_codes,omitempty"`
}

// Enrolled is a person with what is shown of their second factor, or of the link by
// which they set it up, this once.
type Enrolled struct {
	Person
	Factor
	Invitation *Invitation `json:"invitation,omitempty"`
}

// PersonRef names a person by mail address or id.
type PersonRef struct {
	Person string `json:"person"`
}

// PersonChange asks for a change of an account.
type PersonChange struct {
	Person string               `json:"person"`
	Roles  []storage.PersonRole `json:"roles,omitempty"`
	Reason string               `json:"reason,omitempty"`
}

// PasswordChange asks for another password; who changes their own says the old.
type PasswordChange struct {
	Person string `json:"person"`
	Old    string `json:"old,omitempty"`
	New    string `json:"new"`
}

func (s *Server) personCommands() {
	answer(s, "person.create", s.personCreate)
	lines(s, "person.list", s.personList)
	answer(s, "person.show", s.personShow)
	answer(s, "person.roles", s.personRoles)
	answer(s, "person.disable", s.personDisable)
	answer(s, "person.enable", s.personEnable)
	answer(s, "person.factor", s.personFactor)
	answer(s, "person.password", s.personPassword)
	s.loginCommands()
	s.passkeyCommands()
	s.renewCommands()
}

// CreatePerson makes an account. Until there is the first, no session is needed:
// that one is made by who may use the socket, and is an admin. // AC-15
func (c *Client) CreatePerson(ctx context.Context, q PersonCreate) (Enrolled, error) {
	return ask[PersonCreate, Enrolled](ctx, c, "person.create", q)
}

func (s *Server) personCreate(ctx context.Context, by caller, q PersonCreate) (Enrolled, error) {
	switch {
	case q.Invite && q.Password != "":
		return Enrolled{}, invalid("who is invited sets a password of their own")
	case !q.Invite && q.Password == "":
		return Enrolled{}, invalid("an account needs a password, or an invitation")
	}
	some, err := s.Directory.People(ctx, by.org, uuid.Nil, 1)
	if err != nil {
		return Enrolled{}, err
	}
	if len(some) > 0 {
		if err := by.may(directory.ActPeople); err != nil {
			return Enrolled{}, err
		}
	}
	p, f, err := s.Directory.CreatePerson(ctx, by.Actor, by.org, directory.PersonSpec{
		Address: q.Address, Roles: q.Roles, Password: q.Password, Factor: !q.WithoutFactor && !q.Invite, First: len(some) == 0})
	if err != nil {
		return Enrolled{}, err
	}
	if len(some) == 0 {
		if err := s.Setup.Settle(ctx, by.org); err != nil { // doors may wait for somebody to answer for them
			return Enrolled{}, err
		}
	}
	made := Enrolled{Person: *personView(&p), Factor: factorView(f)}
	if q.Invite {
		in, err := s.personInvite(ctx, by, PersonRef{p.Address})
		if err != nil {
			return made, err
		}
		made.Invitation = &in
	}
	return made, nil
}

// People lists all who have an account.
func (c *Client) People(ctx context.Context, q Page) iter.Seq2[*Person, error] {
	return rows[Page, *Person](ctx, c, "person.list", q)
}

func (s *Server) personList(ctx context.Context, by caller, q Page, emit func(*Person) error) error {
	read := func(after uuid.UUID, step int) ([]storage.Person, error) {
		return s.Directory.People(ctx, by.org, after, step)
	}
	return paged(q, read, func(p *storage.Person) uuid.UUID { return p.ID }, func(p *storage.Person) (bool, error) { return true, emit(personView(p)) })
}

// Person shows one account.
func (c *Client) Person(ctx context.Context, person string) (Person, error) {
	return ask[PersonRef, Person](ctx, c, "person.show", PersonRef{person})
}

func (s *Server) personShow(ctx context.Context, by caller, q PersonRef) (*Person, error) {
	p, err := s.somebody(ctx, by, q.Person, directory.ActEvidence)
	if err != nil {
		return nil, err
	}
	keys, err := s.Directory.Passkeys(ctx, by.org, p.ID)
	v := personView(&p)
	v.Passkeys = len(keys)
	return v, err
}

// Self shows the account of who asks.
func (c *Client) Self(ctx context.Context) (Person, error) { return c.Person(ctx, "") }

// SetRoles gives a person other roles.
func (c *Client) SetRoles(ctx context.Context, q PersonChange) (Person, error) {
	return ask[PersonChange, Person](ctx, c, "person.roles", q)
}

func (s *Server) personRoles(ctx context.Context, by caller, q PersonChange) (*Person, error) {
	p, err := s.findPerson(ctx, by, q.Person)
	if err == nil {
		p, err = s.Directory.SetRoles(ctx, by.Actor, by.org, p.ID, q.Roles)
	}
	return personView(&p), err
}

// DisablePerson keeps a person out, and ends their sessions. // AC-9
func (c *Client) DisablePerson(ctx context.Context, q PersonChange) (Person, error) {
	return ask[PersonChange, Person](ctx, c, "person.disable", q)
}

func (s *Server) personDisable(ctx context.Context, by caller, q PersonChange) (*Person, error) {
	p, err := s.findPerson(ctx, by, q.Person)
	if err == nil {
		p, err = s.Directory.DisablePerson(ctx, by.Actor, by.org, p.ID, q.Reason)
	}
	return personView(&p), err
}

// EnablePerson lets a person in again.
func (c *Client) EnablePerson(ctx context.Context, person string) (Person, error) {
	return ask[PersonRef, Person](ctx, c, "person.enable", PersonRef{person})
}

func (s *Server) personEnable(ctx context.Context, by caller, q PersonRef) (*Person, error) {
	p, err := s.findPerson(ctx, by, q.Person)
	if err == nil {
		p, err = s.Directory.EnablePerson(ctx, by.Actor, by.org, p.ID)
	}
	return personView(&p), err
}

// ResetFactor gives a person a new second factor; their sessions end.
func (c *Client) ResetFactor(ctx context.Context, person string) (Enrolled, error) {
	return ask[PersonRef, Enrolled](ctx, c, "person.factor", PersonRef{person})
}

func (s *Server) personFactor(ctx context.Context, by caller, q PersonRef) (Enrolled, error) {
	p, err := s.findPerson(ctx, by, q.Person)
	if err != nil {
		return Enrolled{}, err
	}
	p, f, err := s.Directory.ResetFactor(ctx, by.Actor, by.org, p.ID)
	return Enrolled{Person: *personView(&p), Factor: factorView(f)}, err
}

// PasswordChanged is an account with another password. Who changed their own goes on
// under another token.
type PasswordChanged struct {
	Person
	Session string `json:"session,omitempty"`
}

// ChangePassword gives a person another password; their other sessions end.
func (c *Client) ChangePassword(ctx context.Context, q PasswordChange) (PasswordChanged, error) {
	return ask[PasswordChange, PasswordChanged](ctx, c, "person.password", q)
}

func (s *Server) personPassword(ctx context.Context, by caller, q PasswordChange) (PasswordChanged, error) {
	p, err := s.findPerson(ctx, by, q.Person)
	if err != nil {
		return PasswordChanged{}, err
	}
	if by.is(p.ID) {
		if err := by.own(); err != nil {
			return PasswordChanged{}, err
		}
		p, token, err := s.Directory.SetPassword(ctx, by.person, by.Actor, q.Old, q.New)
		return PasswordChanged{*personView(&p), token}, err
	}
	if err := by.may(directory.ActPeople); err != nil {
		return PasswordChanged{}, err
	}
	p, err = s.Directory.ChangePassword(ctx, by.Actor, by.org, p.ID, q.New)
	return PasswordChanged{Person: *personView(&p)}, err
}

// is reports whether the caller is a person, in a session of theirs.
func (by caller) is(person uuid.UUID) bool { return by.person != nil && by.person.Person.ID == person }

// findPerson finds a person by address or id; without either, the caller.
func (s *Server) findPerson(ctx context.Context, by caller, ref string) (storage.Person, error) {
	if ref == "" && by.person != nil {
		return by.person.Person, nil
	}
	p, err := s.Directory.Person(ctx, by.org, ref)
	if errors.Is(err, directory.ErrInvalid) {
		err = storage.ErrNotFound
	}
	return p, missing(err, "person", ref)
}

func personView(p *storage.Person) *Person {
	v := &Person{ID: p.ID, Address: p.Address, Roles: slices.Clone(p.Roles), State: "active", Factor: len(p.TOTP) > 0, Password: p.Password != nil,
		Recovery: len(p.Recovery), Created: p.Created, Disabled: p.Disabled, Reason: p.Reason}
	if !p.Disabled.IsZero() {
		v.State = "disabled"
	}
	return v
}

func factorView(f *directory.Factor) Factor {
	if f == nil {
		return Factor{}
	}
	return Factor{f.Secret, f.URI, f.Recovery}
}
