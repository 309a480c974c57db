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

// WatchHeader says that a page is only open: what asks then is no use of the session.
const WatchHeader = "Postern-Watch"

// Watching is a client whose requests do not keep a session alive that nobody uses.
func (c *Client) Watching() *Client {
	as := *c
	as.watching = true
	return &as
}

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
	find := s.Directory.PersonSession
	if r.Header.Get(WatchHeader) != "" {
		find = s.Directory.WatchedSession
	}
	ps, err := find(r.Context(), tokens[0])
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
	by.person, by.Actor, by.fresh = ps, ps.Actor(by.unix, by.Network), s.Now().Before(ps.Fresh)
	return by, nil
}

// may refuses an act that is reserved for people, unless the caller is one, in a
// session with a second factor, whose role allows it; and one that does harm in the
// wrong hands, unless they showed a moment ago who they are. // AC-15
func (by caller) may(act directory.Act) error {
	switch {
	case by.person == nil:
		return &reservedError{act, "session", "this act is reserved for people, and nobody is logged in"}
	case by.person.Must != "":
		return by.unready(act)
	case !by.person.Session.Factor:
		return &reservedError{act, "factor", "this act needs a session with a second factor"}
	case !directory.Allows(by.person.Person.Roles, act):
		return by.roleRefuses(act)
	case act.Dangerous():
		return by.proved(act)
	}
	return nil
}

// proved refuses a person who did not show a moment ago who they are: the session may
// be in other hands since. // AC-15
func (by caller) proved(act directory.Act) error {
	if by.fresh {
		return nil
	}
	return &reservedError{act, "proof", "this act needs to be sure that it is you: show again who you are"}
}

// own refuses what changes how a person signs in, unless they showed a moment ago who
// they are: with the second factor, if they have one. // AC-15
func (by caller) own() error {
	if by.person == nil {
		return &Error{Code: State, Message: "nobody is logged in"}
	}
	return by.proved(directory.ActSelf)
}

// unready refuses somebody who has to set up first how they sign in.
func (by caller) unready(act directory.Act) error {
	return &reservedError{act, "enrol", "before anything else, " + mustWords[by.person.Must]}
}

var mustWords = map[string]string{
	"account": "set up how you sign in: a password, an authenticator or a passkey",
	"factor":  "show a second factor: this installation lets nobody do anything without one",
	"passkey": "sign in with a passkey: this installation lets nobody do anything without one",
}

func (by caller) roleRefuses(act directory.Act) error {
	return &reservedError{act, "role", "the roles of " + by.person.Person.Address + " do not allow this act (" + string(act) + ")"}
}

// reservedError is the refusal of an act by who asks for it.
type reservedError struct {
	act  directory.Act
	rule string // session, enrol, factor, role, proof
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
