package directory

import (
	"errors"
	"fmt"
)

// Classes of failed logins: all that a peer may be told. They are compared with
// errors.Is.
var (
	// ErrCredentials: wrong, unknown, revoked, not for this inbox, not from this
	// network. One class, so that a guess learns nothing. IMAP
	// [AUTHENTICATIONFAILED] (RFC 5530), SMTP 535 5.7.8 (RFC 4954).
	ErrCredentials = errors.New("authentication failed")
	// ErrExpired: the secret is right and its time, or the session's, is over. IMAP
	// [EXPIRED].
	ErrExpired = errors.New("credential expired")
	// ErrIdentity: the secret is right, and its client wants to act as somebody else
	// than it logs in as. IMAP [AUTHORIZATIONFAILED], SMTP 535 5.7.8.
	ErrIdentity = errors.New("acting for another identity is not allowed")
	// ErrTooManyFailures: the peer's network has failed too often lately. IMAP
	// [UNAVAILABLE], SMTP 454 4.7.0. // AC-12
	ErrTooManyFailures = errors.New("too many failed logins from this network, try later")
	// ErrTooManySessions: the credential has as many sessions as it may. IMAP
	// [LIMIT], SMTP 421 4.7.0. // AC-11
	ErrTooManySessions = errors.New("too many sessions of this credential, close some")
	// ErrUnavailable: the login could not be checked or recorded now.
	ErrUnavailable = errors.New("temporary authentication failure")
)

// AuthError is a failed login with two texts: Public for the peer, Error for us.
type AuthError struct {
	Class error  // one of the classes above
	Rule  string // what exactly was wrong, in a word
	Trace string // told to the peer; the event of the refusal has it too
	Cause error  // when the class is ErrUnavailable
}

func (e *AuthError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("directory: login refused by rule %s: %v", e.Rule, e.Cause)
	}
	return "directory: login refused by rule " + e.Rule
}

// Public is the text for the peer: the class, and the trace id to ask with.
func (e *AuthError) Public() string { return e.Class.Error() + " (" + e.Trace + ")" }

// Unwrap gives the class and the cause.
func (e *AuthError) Unwrap() []error { return []error{e.Class, e.Cause} }

// Refusals of what an administrator asks for.
var (
	// ErrInvalid: a name, address or value has the wrong form.
	ErrInvalid = errors.New("directory: invalid")
	// ErrRefused: a rule of the installation says no.
	ErrRefused = errors.New("directory: not allowed")
	// ErrTaken: the name or address exists already.
	ErrTaken = errors.New("directory: already exists")
	// ErrInUse: it cannot go while something depends on it.
	ErrInUse = errors.New("directory: in use")
	// ErrState: the agent or credential is not in a state that allows it.
	ErrState = errors.New("directory: not in this state")
)

// Answers to the question who receives mail for an address.
var (
	// ErrNoSuchInbox: the domain is ours and has no such address: 550 5.1.1.
	ErrNoSuchInbox = errors.New("directory: no such inbox")
	// ErrNotLocal: the domain is not ours.
	ErrNotLocal = errors.New("directory: not a local domain")
)
