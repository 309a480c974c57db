package control

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/queue"
	"postern/server/webhook"
	"postern/storage"
)

// Code is the class of an error, for programs.
type Code string

// The closed list.
const (
	Invalid     Code = "invalid"     // the request or a value in it has the wrong form
	NotFound    Code = "not_found"   // what was named does not exist
	Taken       Code = "taken"       // the name or address exists already
	InUse       Code = "in_use"      // it cannot go while something depends on it
	State       Code = "state"       // not possible in the state that it is in
	Refused     Code = "refused"     // a rule of the installation says no
	Busy        Code = "busy"        // something is under way with it: ask again
	Unavailable Code = "unavailable" // the log or the database cannot be written, or the disk is full
	Failed      Code = "failed"      // anything else
	Unreachable Code = "unreachable" // no server answers at the socket; only the client says this
	Interrupted Code = "interrupted" // the answer ended in the middle; only the client says this
)

// Error is a refusal as it crosses the socket.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Noun    string `json:"noun,omitempty"` // of NotFound: what kind of thing is not there; of Refused: session, ended, factor, role, login

	cause error
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause, which does not cross the socket.
func (e *Error) Unwrap() error { return e.cause }

// classes is the table from the errors of the floors below to codes.
var classes = []struct {
	err  error
	code Code
}{
	{directory.ErrInvalid, Invalid}, {storage.ErrNotFound, NotFound}, {directory.ErrTaken, Taken},
	{directory.ErrRefused, Refused},
	{directory.ErrInUse, InUse}, {directory.ErrState, State}, {queue.ErrState, State}, {queue.ErrReserved, Refused}, {queue.ErrBusy, Busy},
	{delivery.ErrDecided, State}, {delivery.ErrReserved, Refused},
	{webhook.ErrInvalid, Invalid}, {webhook.ErrState, State},
	{storage.ErrFull, Unavailable}, {storage.ErrUnavailable, Unavailable}, {storage.ErrNoEvent, Unavailable},
}

// refusal turns any error into one that crosses the socket.
func refusal(err error) *Error {
	var ready *Error
	if errors.As(err, &ready) {
		return ready
	}
	var filter *FilterError
	if errors.As(err, &filter) {
		return &Error{Code: Invalid, Message: filter.Error(), cause: err}
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return &Error{Code: c.code, Message: plain(err, c.err), cause: err}
		}
	}
	return &Error{Code: Failed, Message: err.Error(), cause: err}
}

// plain is the text of an error without the words of its class, where more
// follows them.
func plain(err, class error) string {
	text := strings.TrimPrefix(err.Error(), class.Error()+": ")
	if _, rest, ok := strings.Cut(class.Error(), ": "); ok && text == class.Error() {
		return rest
	}
	return text
}

// missing gives a look-up that found nothing the words of what was looked for.
func missing(err error, noun, ref string) error {
	if errors.Is(err, storage.ErrNotFound) {
		return &Error{Code: NotFound, Message: fmt.Sprintf("there is no %s %q", noun, ref), Noun: noun, cause: err}
	}
	return err
}

// invalid is the refusal of a request's form.
func invalid(format string, args ...any) error {
	return &Error{Code: Invalid, Message: fmt.Sprintf(format, args...)}
}

// status is the HTTP status of a code. Our client looks at the code only; the
// status is for people who ask with curl.
func (c Code) status() int {
	switch c {
	case Invalid:
		return http.StatusBadRequest
	case NotFound:
		return http.StatusNotFound
	case Taken, InUse, State, Busy:
		return http.StatusConflict
	case Refused:
		return http.StatusForbidden
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
