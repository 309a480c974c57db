package main

import (
	"errors"
	"fmt"
	"io/fs"

	"postern/server"
	"postern/server/control"
	"postern/storage"
	"postern/storage/seal"
)

// Exit statuses. Scripts and systemd rely on them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitProblems    = 4  // a check found some
	exitRefused     = 5  // by policy
	exitUnreachable = 69 // EX_UNAVAILABLE of sysexits(3): no server answers
	exitConfig      = 78 // EX_CONFIG: systemd does not try again
)

// failure is an error with its exit status and what to do next.
type failure struct {
	status int
	next   string
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage is a command line that cannot be meant.
func usage(format string, args ...any) error {
	return &failure{status: exitUsage, err: fmt.Errorf(format, args...)}
}

// problems is a check that found some; what they are was said already.
func problems(n int) error {
	if n == 1 {
		return &failure{status: exitProblems, err: errors.New("1 problem was found")}
	}
	return &failure{status: exitProblems, err: fmt.Errorf("%d problems were found", n)}
}

// report says on standard error how a command failed, and returns its status.
func (t *talk) report(err error) int {
	if err == nil {
		return exitOK
	}
	f := classify(err)
	fmt.Fprintf(t.err, "postern: %s\n", visible(err.Error()))
	if f.next != "" {
		fmt.Fprintf(t.err, "  %s\n", f.next)
	}
	return f.status
}

// classify finds the exit status of an error, and what helps.
func classify(err error) *failure {
	var ready *failure
	var answered *control.Error
	var config *server.ConfigError
	var key *seal.KeyFileError
	var wrongKey *seal.WrongKeyError
	switch {
	case errors.As(err, &ready):
		return ready
	case errors.As(err, &answered):
		return &failure{status: statuses[answered.Code], next: advice(answered), err: err}
	case errors.As(err, &config), errors.As(err, &key), errors.As(err, &wrongKey), errors.Is(err, seal.ErrNoRootKey):
		return &failure{status: exitConfig, err: err} // these say themselves what to do
	case errors.Is(err, storage.ErrLocked):
		return &failure{status: exitFailed, next: "Stop the server first.", err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &failure{status: exitNotFound, err: err}
	}
	return &failure{status: exitFailed, err: err}
}

var statuses = map[control.Code]int{
	control.Invalid: exitUsage, control.NotFound: exitNotFound, control.Taken: exitFailed, control.InUse: exitFailed,
	control.State: exitFailed, control.Refused: exitRefused, control.Busy: exitFailed, control.Unavailable: exitFailed,
	control.Failed: exitFailed, control.Unreachable: exitUnreachable, control.Interrupted: exitFailed,
}

// lists are the commands that show what there is of a noun.
var lists = map[string]string{
	"domain": "postern domain list", "key": "postern dkim list", "inbox": "postern inbox list", "agent": "postern agent list",
	"credential": "postern credential list", "person": "postern admin list", "session": "postern admin sessions", "passkey": "postern admin passkeys", "queue row": "postern queue list", "message": "postern audit list",
	"setting": "postern policy keys", "held message": "postern approval list", "message in quarantine": "postern quarantine list --all", "allowed sender": "postern allow list", "captured message": "postern message captured list",
	"alert": "postern alert list --all", "webhook": "postern webhook list",
}

// people says what helps where it counts who asks.
var people = map[string]string{
	"session": "Log in: postern login --admin EMAIL",
	"ended":   "Log in again: postern login --admin EMAIL. To go on as the Unix user: postern logout, or --session none.",
	"factor":  "Ask an admin for one: postern admin reset-factor EMAIL. Then log in with its code.",
	"proof":   "Show it: postern login --renew. Who signs in by a passkey takes a new session from the panel.",
	"enrol":   "In the panel, or see what is missing: postern whoami",
	"role":    "See who may: postern admin list",
	"link":    "Make another: postern setup-link",
	"login":   "Codes work once: wait for the next. An admin sees the reason: postern audit list --verb person.refused",
}

// advice is what to do after a refusal.
func advice(e *control.Error) string {
	switch e.Code {
	case control.NotFound:
		if list := lists[e.Noun]; list != "" {
			return "To see what there is: " + list
		}
	case control.Unreachable:
		if errors.Is(e, fs.ErrPermission) {
			return "The group of the socket may use it: ask root to add you to that group."
		}
		return "Start one with `postern serve` or `postern dev`, or name its socket with --control or POSTERN_CONTROL."
	case control.Refused:
		return people[e.Noun]
	case control.Busy:
		return "Ask again in a moment."
	case control.Unavailable:
		return "The server's log says more. Nothing was recorded; what revoke, suspend or freeze ended stays ended until the server stops."
	case control.Interrupted:
		return "What was printed is not complete."
	}
	return ""
}
