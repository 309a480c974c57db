package control

import (
	"context"
	"errors"
	"net/http"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// SessionHeader carries the token of a person's session. Without it a request
// acts as the Unix user alone; with one that has ended it is refused, and never
// taken for that user's.
const SessionHeader = "Postern-Session"

// As is a client that acts in a person's session, by its token; empty: as the
// Unix user.
func (c *Client) As(session string) *Client {
	return c.AsFound(func() (string, error) { return session, nil })
}

// AsFound is As for a token that is looked for when a request is made. An error
// is that of the request.
func (c *Client) AsFound(session func() (string, error)) *Client {
	as := *c
	as.session = session
	return &as
}

// person puts a person in front of the Unix user, when the request names a
// session.
func (s *Server) person(r *http.Request, by caller) (caller, error) {
	tokens := r.Header.Values(SessionHeader)
	if len(tokens) == 0 {
		return by, nil
	}
	ps, err := s.Directory.PersonSession(r.Context(), tokens[0])
	if err == nil && ps.Person.Org != by.org {
		err = directory.ErrSession // AC-19
	}
	if errors.Is(err, directory.ErrSession) {
		founder, ferr := s.Setup.Session(r.Context(), by.Network, by.org, tokens[0])
		if ferr == nil {
			by.Actor, by.founder = founder, true
			return by, nil
		}
		if !errors.Is(ferr, directory.ErrSession) {
			return by, ferr
		}
		return by, &Error{Code: Refused, Noun: "ended", Message: "the session cannot be used: " + plain(err, directory.ErrSession), cause: err}
	}
	if err != nil {
		return by, err
	}
	by.person, by.Actor = ps, ps.Actor(by.unix, by.Network)
	return by, nil
}

// may refuses an act that is reserved for people, unless the caller is one, in a
// session with a second factor, whose role allows it. // AC-15
func (by caller) may(act directory.Act) error {
	switch {
	case by.person == nil:
		return &reservedError{act, "session", "this act is reserved for people, and nobody is logged in"}
	case !by.person.Session.Factor:
		return &reservedError{act, "factor", "this act needs a session with a second factor"}
	case !directory.Allows(by.person.Person.Roles, act):
		return by.roleRefuses(act)
	}
	return nil
}

func (by caller) roleRefuses(act directory.Act) error {
	return &reservedError{act, "role", "the roles of " + by.person.Person.Address + " do not allow this act (" + string(act) + ")"}
}

// reservedError is the refusal of an act by who asks for it.
type reservedError struct {
	act  directory.Act
	rule string // session, factor, role
	text string
}

func (e *reservedError) Error() string { return e.text }

// recordReserved leaves the event of an act that was refused because of who
// asked. // AU-1
func (s *Server) recordReserved(ctx context.Context, by caller, command string, err error) error {
	var no *reservedError
	if !errors.As(err, &no) {
		return err
	}
	failed := s.Store.Write(context.WithoutCancel(ctx), by.Actor, func(tx *storage.Tx) error {
		tx.Record(audit.Event{Verb: audit.PersonRefused, Outcome: audit.Refused, Org: by.org, Object: by.Actor.ID, Fields: audit.Fields{
			audit.Word(audit.KeyDoor, by.door), audit.Word(audit.KeyCommand, command),
			audit.Word(audit.KeyAct, string(no.act)), audit.Word(audit.KeyRule, no.rule)}})
		return nil
	})
	if failed != nil {
		return failed
	}
	return &Error{Code: Refused, Noun: no.rule, Message: no.text, cause: err}
}
