package smtpd

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/server/directory"
	"postern/server/message"
	"postern/server/policy"
	"postern/storage"
)

// TestTrap6_OneTableFromErrorToReply: whatever the error, its own text stays inside.
func TestTrap6_OneTableFromErrorToReply(t *testing.T) {
	const secret = "SELECT secret FROM inside"
	for _, c := range []struct {
		err      error
		code     int
		enhanced string
	}{
		{errors.New(secret), 451, "4.3.0"},
		{fmt.Errorf("%w: %s", storage.ErrUnavailable, secret), 451, "4.3.0"},
		{fmt.Errorf("%w: %s", storage.ErrCorrupt, secret), 451, "4.3.0"},
		{fmt.Errorf("%w: %s", storage.ErrFull, secret), 452, "4.3.1"},
		{context.DeadlineExceeded, 451, "4.3.0"},
		{&smtp.SMTPError{Code: 550, Message: secret}, 451, "4.3.0"},
		{fmt.Errorf("%w: %s", directory.ErrNoSuchInbox, secret), 550, "5.1.1"},
		{fmt.Errorf("%w: %s", directory.ErrNotLocal, secret), 550, "5.7.1"},
		{policy.Refusal(policy.MailLoop), 554, "5.4.6"},
		{policy.Refusal(policy.OverSize), 552, "5.3.4"},
		{policy.Refusal(policy.TooManyRecipients), 452, "4.5.3"},
		{&message.PathError{Rule: message.RuleUTF8}, 553, "5.6.7"},
		{&message.PathError{Rule: message.RuleDomain}, 501, "5.1.3"},
		{&directory.AuthError{Class: directory.ErrCredentials, Rule: secret}, 535, "5.7.8"},
		{&directory.AuthError{Class: directory.ErrExpired}, 535, "5.7.8"},
		{&directory.AuthError{Class: directory.ErrTooManyFailures}, 454, "4.7.0"},
		{&directory.AuthError{Class: directory.ErrUnavailable, Cause: errors.New(secret)}, 454, "4.7.0"},
		{fmt.Errorf("wrapped: %w", bareBytes), 550, "5.6.0"},
	} {
		r := replyTo(c.err)
		if r.code != c.code || r.enhanced != c.enhanced {
			t.Errorf("%v: %d %s, want %d %s", c.err, r.code, r.enhanced, c.code, c.enhanced)
		}
		if regexp.MustCompile(secret).MatchString(r.text) {
			t.Errorf("%v: the peer reads %q", c.err, r.text)
		}
	}
}

func TestReplyBytes(t *testing.T) {
	for want, r := range map[string]reply{
		"":                                    silence,
		"250 2.0.0 OK\r\n":                    okDone,
		"250-a\r\n250-b\r\n250 c\r\n":         {code: 250, text: "a\nb\nc"},
		"214-2.0.0 a\r\n214 2.0.0 b\r\n":      {code: 214, enhanced: "2.0.0", text: "a\nb"},
		"538 5.7.11 Authentication needs\r\n": {code: 538, enhanced: "5.7.11", text: "Authentication needs"},
	} {
		if got := string(r.bytes()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	e := authNeedTLS.library().(*smtp.SMTPError)
	if e.Code != 538 || e.EnhancedCode != (smtp.EnhancedCode{5, 7, 11}) {
		t.Errorf("%+v", e)
	}
}
