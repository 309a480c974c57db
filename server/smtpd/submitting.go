package smtpd

import (
	"context"
	"slices"

	"postern/server/directory"
	"postern/server/message"
	"postern/server/submission"
	"postern/storage"
)

// submitting is the desk of ports 587 and 465: mail from an agent that has authenticated, to anybody.
type submitting struct {
	c         *conn
	principal *directory.Principal // nil before AUTH
	to        []message.Path
}

// enter begins the agent's session. From now on it is cut, in the middle of whatever it does, when its credential ends
// (invariant 8).
func (s *submitting) enter(p *directory.Principal) {
	s.principal = p
	s.c.trace = p.Session.String()[24:]
	s.c.server.directory.Register(p, func(reason string) { s.c.kill(byeEnded(reason)) })
}

// byeEnded is the farewell to a session that was ended from outside; the rule is why, as the event of its end has it.
func byeEnded(reason string) reply {
	r := byeRevoked
	if reason == "session-length" { // AC-11
		r = byeSession
	}
	r.rule = reason
	return r
}

func (s *submitting) sender(ctx context.Context, from message.Path) error {
	return s.c.server.outbound.CheckSender(ctx, s.principal, from)
}

// recipient asks what a submission may say about a recipient, which is not whether it exists. // AC-5
func (s *submitting) recipient(ctx context.Context, to message.Path) error {
	if slices.Contains(s.to, to) {
		return nil // one copy is enough
	}
	if err := s.c.server.outbound.CheckRecipient(ctx, s.principal, to, len(s.to)+1); err != nil {
		return err
	}
	s.to = append(s.to, to)
	return nil
}

// deliver hands the message to the queue.
func (s *submitting) deliver(ctx context.Context, stage *storage.Stage) (string, error) {
	c := s.c
	receipt, err := c.server.outbound.Submit(ctx, submission.Submitted{
		Principal: s.principal,
		HELO:      c.hello, With: c.protocol(), TLS: c.tlsVersion(), Cipher: c.tlsCipher(),
		From: c.tx.from, To: s.to, Stage: stage, RequireTLS: c.tx.requireTLS,
	})
	if err != nil {
		return "", err
	}
	if receipt.Held {
		return "held for approval, id " + receipt.ID.String(), nil // AGENT-SIDE.md, section 5
	}
	return okMessage + receipt.ID.String(), nil
}

func (s *submitting) reset() { s.to = nil }

func (s *submitting) close() {
	if s.principal != nil {
		s.c.server.directory.End(s.principal, s.c.ended)
		s.principal = nil
	}
}
