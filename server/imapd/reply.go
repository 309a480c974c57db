package imapd

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/emersion/go-imap/v2"

	"postern/server/directory"
	"postern/storage"
)

// no is a refusal with a response code (RFC 9051, section 7.1; RFC 5530).
func no(code imap.ResponseCode, text string) *imap.Error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

// bad says that the command makes no sense.
func bad(text string) *imap.Error {
	return &imap.Error{Type: imap.StatusResponseTypeBad, Code: imap.ResponseCodeClientBug, Text: text}
}

// Answers that say the same for every mailbox.
var (
	errNoMailbox = no(imap.ResponseCodeNonExistent, "No such mailbox")
	errTryCreate = no(imap.ResponseCodeTryCreate, "No such mailbox")
	errReadOnly  = no(imap.ResponseCodeNoPerm, "The mailbox is selected read-only")
	errScope     = no(imap.ResponseCodeNoPerm, "Your credential does not allow this")
	errKeyword   = no(imap.ResponseCodeCannot, "Only the server sets this keyword")
	errOutbox    = no(imap.ResponseCodeCannot, "What is in this mailbox waits for its delivery and cannot be changed")
	errTooMuch   = no(imap.ResponseCodeLimit, "The command asks for too much at once")
)

// codeExpungeIssued says that some of the messages asked for are gone (RFC 5530, section 3).
const codeExpungeIssued imap.ResponseCode = "EXPUNGEISSUED"

// fault is the one table from an error to the response. What it does not know is a failure of ours: the client gets a
// trace id to ask with, the log has it beside the cause, and nothing from inside reaches the client word for word.
func (s *session) fault(err error) error {
	var ours *imap.Error
	var login *directory.AuthError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &login):
		return faultOfLogin(login)
	case errors.Is(err, directory.ErrSASLForm):
		return bad("Malformed SASL response")
	case errors.Is(err, directory.ErrSASLOver):
		return bad("The exchange is over")
	case errors.Is(err, errNoSuchMessage):
		return bad("No message has this number") // RFC 9051, section 9, seq-number
	case errors.Is(err, storage.ErrNotFound):
		return errNoMailbox
	case errors.Is(err, storage.ErrConflict):
		return no(imap.ResponseCodeAlreadyExists, "The name is taken")
	case errors.Is(err, storage.ErrName):
		return no(imap.ResponseCodeCannot, "Not a name that a mailbox or a keyword can have")
	case errors.Is(err, storage.ErrLimit):
		return no(imap.ResponseCodeLimit, "There are as many as there can be")
	}
	if s.ctx.Err() != nil || s.guard.out.over() {
		return no(imap.ResponseCodeUnavailable, "The connection is over") // nobody hears it, and nothing has failed
	}
	trace := newTrace()
	code, text := imap.ResponseCodeServerBug, "Internal failure"
	switch {
	case errors.Is(err, storage.ErrFull):
		code, text = imap.ResponseCodeOverQuota, "No space left"
	case errors.Is(err, storage.ErrCorrupt):
		code, text = imap.ResponseCodeCorruption, "Stored data cannot be read"
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code, text = imap.ResponseCodeUnavailable, "Temporary failure"
	}
	s.server.log.Error("imap command failed", "trace", trace, "code", string(code), "error", err.Error())
	return no(code, text+" ("+trace+")")
}

// faultOfLogin answers a failed login by its class (RFC 5530, section 3).
func faultOfLogin(e *directory.AuthError) *imap.Error {
	code := imap.ResponseCodeAuthenticationFailed
	switch {
	case errors.Is(e, directory.ErrExpired):
		code = imap.ResponseCodeExpired
	case errors.Is(e, directory.ErrIdentity):
		code = imap.ResponseCodeAuthorizationFailed
	case errors.Is(e, directory.ErrTooManySessions):
		code = imap.ResponseCodeLimit // AC-11
	case errors.Is(e, directory.ErrUnavailable), errors.Is(e, directory.ErrTooManyFailures):
		code = imap.ResponseCodeUnavailable
	}
	return no(code, e.Public())
}

// into is an error about the mailbox that messages are to go to: one that is not there may be created (RFC 9051,
// section 6.3.12).
func into(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return errTryCreate
	}
	return err
}

// newTrace makes the short id that a client is told.
func newTrace() string { return rand.Text()[:10] }
