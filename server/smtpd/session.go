package smtpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
)

// transaction is a message under way, from MAIL on.
type transaction struct {
	from       message.Path
	utf8       bool // MAIL had SMTPUTF8
	requireTLS bool // MAIL had REQUIRETLS
	recipients int  // accepted
	body       body // from DATA or BDAT on
}

// A desk is what the two kinds of door do with a message: receiving on port 25, submitting on the others. Its methods
// are called in the order of the protocol; an error is the refusal, by replyTo.
type desk interface {
	sender(ctx context.Context, from message.Path) error
	recipient(ctx context.Context, to message.Path) error
	deliver(ctx context.Context, stage *storage.Stage) (answer string, err error) // the text behind 250 2.0.0
	reset()                                                                       // forgets the message
	close()                                                                       // the connection is over
}

// session is what the library calls when a command is in its place. The arguments that the library parsed are those of
// the line that the guard made up: the real ones are in conn.named.
type session struct{ c *conn }

// answering is the context of what is done between a command and its reply.
func (c *conn) answering() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, c.server.limits.Answer)
}

// Mail begins a message.
func (s session) Mail(string, *smtp.MailOptions) error {
	c := s.c
	if err := c.server.store.Room(); err != nil {
		return c.fault(err)
	}
	ctx, cancel := c.answering()
	defer cancel()
	if err := c.desk.sender(ctx, c.named.path); err != nil {
		return c.fault(err)
	}
	_, utf8 := c.named.parameters["SMTPUTF8"]
	c.tx = &transaction{from: c.named.path, utf8: utf8, requireTLS: c.named.requireTLS()}
	return nil
}

// Rcpt adds a recipient.
func (s session) Rcpt(string, *smtp.RcptOptions) error {
	c := s.c
	ctx, cancel := c.answering()
	defer cancel()
	err := c.desk.recipient(ctx, c.named.path)
	if err == nil {
		c.tx.recipients++
		return nil
	}
	if !temporary(err) {
		if c.counts.refused++; c.counts.refused > c.server.limits.RefusedRecipients {
			c.farewell = &byeRecipients
		}
	}
	if errors.Is(err, directory.ErrNoSuchInbox) {
		c.slowDown()
	}
	return c.fault(err)
}

// Data takes the message. It does not read what the library offers, which is only the mark that the guard makes of the
// end: see the package comment.
func (s session) Data(io.Reader) error {
	c := s.c
	defer func() { c.feed = []byte(".\r\n") }()
	c.listen()
	r := c.take()
	c.mute = r.code == 0 // the command that ended it is answered instead
	return r.library()
}

// take reads a message and stores it; the reply is silence when none is due.
func (c *conn) take() reply {
	stage := c.server.store.Stage()
	defer stage.Discard()
	bad, err := c.collect(stage)
	switch {
	case errors.Is(err, errAborted):
		return silence
	case err != nil:
		c.lost(err)
		return silence
	case bad.code != 0:
		return c.noted(bad)
	}
	ended := time.Now()
	if err := stage.Finish(); err != nil {
		return c.explain(err)
	}
	ctx, cancel := c.answering()
	defer cancel()
	answer, err := c.desk.deliver(ctx, stage)
	switch {
	case err != nil && c.ctx.Err() != nil:
		c.lost(err) // killed: nothing was stored, and the farewell says why
		return silence
	case err != nil:
		return c.explain(err)
	}
	c.accepted()
	c.server.answered(c.door.name, time.Since(ended))
	return reply{code: 250, enhanced: "2.0.0", text: answer}
}

// accepted gives the session new credit.
func (c *conn) accepted() {
	c.counts.messages++
	c.counts.commands, c.counts.unknown, c.counts.errors = 0, 0, 0
	if c.counts.messages >= c.server.limits.Messages {
		c.farewell = &byeMessages
	}
}

// collect reads the message from the wire into the stage. The reply bad says what is wrong with a message that was read
// as far as the client must be heard; after an error nothing more can be read.
func (c *conn) collect(stage *storage.Stage) (bad reply, err error) {
	var t text
	for {
		p, err := c.tx.body.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return reply{}, err
		}
		switch {
		case !t.write(p):
			bad = bareBytes
		case stage.Size()+int64(len(p)) > c.server.limits.Message:
			bad = tooLarge
		default:
			if _, err := stage.Write(p); err != nil {
				bad = c.explain(err)
			}
		}
		if bad.code != 0 {
			return bad, c.tx.body.skip()
		}
	}
	if !t.end() {
		bad = bareBytes
	}
	return bad, nil
}

// Reset forgets the message. The library calls it for RSET and EHLO, and when DATA is over.
func (s session) Reset() {
	s.c.tx = nil
	s.c.desk.reset()
}

// Logout is the library's word for the end, which conn.Close hears of as well.
func (s session) Logout() error { return nil }

// AuthMechanisms is what the library would offer; the guard writes the offer.
func (s session) AuthMechanisms() []string { return directory.Mechanisms }

// Auth begins an authentication. The guard has seen to it that the door, TLS and the moment are right.
func (s session) Auth(mechanism string) (sasl.Server, error) { return s.c.newSASL(mechanism) }

// fault is explain for the library.
func (c *conn) fault(err error) error { return c.explain(err).library() }

// explain turns an error into the reply, and logs what the peer is not told.
func (c *conn) explain(err error) reply {
	r := replyTo(err)
	if r == unavailable && c.ctx.Err() == nil {
		c.server.log.Error("mail refused for now", "trace", c.trace, "door", c.door.name, "command", c.verb, "error", err)
	}
	var login *directory.AuthError
	if errors.As(err, &login) {
		switch {
		case c.authenticated && r.code/100 == 5:
			farewell := byeEnded(login.Rule)
			c.farewell = &farewell
		case r.code == 421: // RFC 5321, section 3.8: the connection is closed behind it
			c.farewell = &gone
		}
		return r // it has a trace id of its own, which the event of the refusal has too
	}
	return c.noted(r)
}

// noted counts a refusal of a stranger, whoever decided it, and adds the trace id. Refusals of agents are recorded one
// by one where they are decided. // AU-13
func (c *conn) noted(r reply) reply {
	if !c.authenticated && r.code >= 400 {
		command := c.verb
		if command == "" {
			command = "NONE"
		}
		c.server.directory.Refuse(c.remote.Addr(), command, r.rule)
	}
	return c.traced(r)
}

// traced adds the trace id to a refusal, and logs under it what was refused. It is the end of the session's id in the
// audit log once there is a login.
func (c *conn) traced(r reply) reply {
	if r.code < 400 {
		return r
	}
	level := slog.LevelDebug // strangers must not fill the log
	if c.authenticated {
		level = slog.LevelInfo
	}
	c.server.log.Log(c.ctx, level, "refused", "trace", c.trace, "door", c.door.name, "command", c.verb, "code", r.code, "rule", r.rule)
	r.text += " (" + c.trace + ")"
	return r
}

func temporary(err error) bool { return replyTo(err).code/100 == 4 }
