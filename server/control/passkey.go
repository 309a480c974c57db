package control

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
)

// Passkey is a key by which a person signs in with a browser.
type Passkey struct {
	ID       uuid.UUID `json:"id"`
	Name     string    `json:"name"`
	Host     string    `json:"host"`  // works there alone
	State    string    `json:"state"` // active, suspect, elsewhere: made for another name of this server
	Created  time.Time `json:"created_at"`
	LastUsed time.Time `json:"last_used_at,omitzero"`
}

// PasskeyAsk asks for the question that a page hands to the browser.
type PasskeyAsk struct {
	For    directory.Purpose `json:"for"`            // add, login, prove
	Origin string            `json:"origin"`         // where the page is
	Bind   string            `json:"bind,omitempty"` // of login: what the browser alone was given
}

// PasskeyQuestion is that question, as WebAuthn writes it in JSON.
type PasskeyQuestion struct {
	Options json.RawMessage `json:"options"`
}

// PasskeyAnswer is what the browser says to it.
type PasskeyAnswer struct {
	Answer json.RawMessage `json:"answer,omitempty"`
	Origin string          `json:"origin,omitempty"`
	Bind   string          `json:"bind,omitempty"`
}

// NewPasskey asks to keep a passkey.
type NewPasskey struct {
	Name string `json:"name"`
	PasskeyAnswer
}

// PasskeyRef names a passkey of a person by id or name; no person is the caller.
type PasskeyRef struct {
	Person  string `json:"person,omitempty"`
	Passkey string `json:"passkey"`
}

// Renewed is a session that goes on under another token, which is shown this once.
type Renewed struct {
	Session string `json:"session"`
	Whoami
}

// PasskeyAdded is a passkey, and the session in which it was shown.
type PasskeyAdded struct {
	Passkey
	Session string `json:"session"`
}

func (s *Server) passkeyCommands() {
	answer(s, "passkey.ask", s.passkeyAsk)
	answer(s, "passkey.add", s.passkeyAdd)
	lines(s, "passkey.list", s.passkeyList)
	answer(s, "passkey.remove", s.passkeyRemove)
}

// AskPasskey makes a question to a browser; it changes nothing.
func (c *Client) AskPasskey(ctx context.Context, q PasskeyAsk) (PasskeyQuestion, error) {
	return ask[PasskeyAsk, PasskeyQuestion](ctx, c, "passkey.ask", q)
}

func (s *Server) passkeyAsk(ctx context.Context, by caller, q PasskeyAsk) (PasskeyQuestion, error) {
	asked := directory.Asked{For: q.For, Bind: q.Bind, Origin: q.Origin}
	var p *storage.Person
	switch q.For {
	case directory.PasskeyLogin:
		if len(q.Bind) < minBind {
			return PasskeyQuestion{}, invalid("to sign in, the browser needs %d characters that it alone has", minBind)
		}
	case directory.PasskeyAdd, directory.PasskeyProve:
		if by.person == nil {
			return PasskeyQuestion{}, &Error{Code: State, Message: "nobody is logged in"}
		}
		asked.Bind, p = by.person.Session.ID.String(), &by.person.Person
	default:
		return PasskeyQuestion{}, invalid("%q is nothing that a passkey is asked for: add, login or prove", q.For)
	}
	options, err := s.Directory.AskPasskey(ctx, asked, p)
	return PasskeyQuestion{options}, err
}

// minBind is how long a text must be that nobody guesses.
const minBind = 20

// asked is the question that an answer is to, of a person in their session.
func (by caller) asked(a PasskeyAnswer) directory.Asked {
	return directory.Asked{For: directory.PasskeyAdd, Bind: by.person.Session.ID.String(), Origin: a.Origin}
}

// AddPasskey keeps a passkey of who asks. Their session goes on under another token.
func (c *Client) AddPasskey(ctx context.Context, q NewPasskey) (PasskeyAdded, error) {
	return ask[NewPasskey, PasskeyAdded](ctx, c, "passkey.add", q)
}

func (s *Server) passkeyAdd(ctx context.Context, by caller, q NewPasskey) (PasskeyAdded, error) {
	if err := by.own(); err != nil {
		return PasskeyAdded{}, err
	}
	k, token, err := s.Directory.AddPasskey(ctx, by.person, by.Actor, by.asked(q.PasskeyAnswer), q.Name, q.Answer)
	return PasskeyAdded{s.passkeyView(&k), token}, err
}

// Passkeys lists the passkeys of a person; empty: one's own.
func (c *Client) Passkeys(ctx context.Context, person string) iter.Seq2[Passkey, error] {
	return rows[PersonRef, Passkey](ctx, c, "passkey.list", PersonRef{person})
}

func (s *Server) passkeyList(ctx context.Context, by caller, q PersonRef, emit func(Passkey) error) error {
	p, err := s.somebody(ctx, by, q.Person, directory.ActEvidence)
	if err != nil {
		return err
	}
	all, err := s.Directory.Passkeys(ctx, by.org, p.ID)
	for i := range all {
		if err == nil {
			err = emit(s.passkeyView(&all[i]))
		}
	}
	return err
}

// somebody finds a person about whom the caller asks: themselves, or, if their roles
// allow an act, anybody.
func (s *Server) somebody(ctx context.Context, by caller, ref string, act directory.Act) (storage.Person, error) {
	p, err := s.findPerson(ctx, by, ref)
	switch {
	case by.is(p.ID), by.person == nil && !act.Reserved():
		return p, err
	case act.Reserved():
		if refused := by.may(act); refused != nil {
			return p, refused
		}
	case by.person.Must != "":
		return p, by.unready(act)
	case !directory.Allows(by.person.Person.Roles, act):
		return p, by.roleRefuses(act)
	}
	return p, err
}

// RemovePasskey takes a passkey away: one's own, or, for who manages people, anybody's.
func (c *Client) RemovePasskey(ctx context.Context, q PasskeyRef) error {
	_, err := ask[PasskeyRef, None](ctx, c, "passkey.remove", q)
	return err
}

func (s *Server) passkeyRemove(ctx context.Context, by caller, q PasskeyRef) (None, error) {
	p, err := s.somebody(ctx, by, q.Person, directory.ActPeople)
	if err != nil {
		return None{}, err
	}
	if by.is(p.ID) {
		if err := by.own(); err != nil {
			return None{}, err
		}
	}
	all, err := s.Directory.Passkeys(ctx, by.org, p.ID)
	if err != nil {
		return None{}, err
	}
	for _, k := range all {
		if k.ID.String() == q.Passkey || k.Name == q.Passkey {
			return None{}, missing(s.Directory.RemovePasskey(ctx, by.Actor, by.org, p.ID, k.ID), "passkey", q.Passkey)
		}
	}
	return None{}, missing(storage.ErrNotFound, "passkey", q.Passkey)
}

func (s *Server) passkeyView(k *storage.Passkey) Passkey {
	v := Passkey{ID: k.ID, Name: k.Name, Host: k.Host, State: "active", Created: k.Created, LastUsed: k.LastUsed}
	switch {
	case !k.Suspect.IsZero():
		v.State = "suspect"
	case k.Host != s.Directory.Site():
		v.State = "elsewhere"
	}
	return v
}
