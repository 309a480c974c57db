package smtpd

import (
	"errors"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"postern/server/directory"
	"postern/server/message"
	"postern/server/policy"
	"postern/server/report"
	"postern/storage"
)

// A reply is what the client is told: a code (RFC 5321, section 4.2), an enhanced code (RFC 3463) and a text of our own,
// never that of an error from inside. The rule is for the log of refusals. The zero reply is silence.
type reply struct {
	code     int
	enhanced string // "5.1.1"; empty where RFC 2034 wants none
	text     string // several lines are separated by LF
	rule     string // one word, of refusals
}

// Error makes a refusal an error. It is for us, and names the rule.
func (r reply) Error() string { return "smtpd: refused by rule " + r.rule }

// bytes is the reply on the wire.
func (r reply) bytes() []byte {
	if r.code == 0 {
		return nil
	}
	var b []byte
	for text, more := r.text, true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		b = strconv.AppendInt(b, int64(r.code), 10)
		if more {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if r.enhanced != "" {
			b = append(append(b, r.enhanced...), ' ')
		}
		b = append(append(b, line...), '\r', '\n')
	}
	return b
}

// library is the reply as the library wants it. It writes what Data returns as it stands, whatever the code, so that a
// 250 with a text of ours is an "error" too. Silence is any reply: the guard will keep it to itself.
func (r reply) library() error {
	if r.code == 0 {
		r = unavailable
	}
	e := &smtp.SMTPError{Code: r.code, EnhancedCode: smtp.NoEnhancedCode, Message: r.text}
	if parts := strings.Split(r.enhanced, "."); len(parts) == 3 {
		for i, s := range parts {
			e.EnhancedCode[i], _ = strconv.Atoi(s)
		}
	}
	return e
}

// Assents.
var (
	silence  = reply{}
	gone     = reply{rule: "closed"} // nobody is there to say it to
	byeQuit  = reply{221, "2.0.0", "Bye", "quit"}
	okReady  = reply{220, "2.0.0", "Ready to start TLS", ""}
	okHelp   = reply{214, "2.0.0", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP AUTH STARTTLS QUIT", ""}
	okAuth   = reply{235, "2.7.0", "Authenticated", ""}
	okDone   = reply{250, "2.0.0", "OK", ""}
	okSender = reply{250, "2.1.0", "Sender OK", ""}
	okRcpt   = reply{250, "2.1.5", "Recipient OK", ""}
	okChunk  = reply{250, "2.0.0", "Chunk taken", ""}
	okVerify = reply{252, "2.5.0", "Cannot say, but will take mail for a mailbox that exists", ""} // RFC 5321, section 3.5.3
)

// okMessage stands before the id under which the log knows a message that was taken.
const okMessage = "OK id="

// Farewells: after these the connection is closed. RFC 5321, section 3.8: a server that must close says 421. Other codes
// stand where to try again would be of no use.
var (
	byeFull       = reply{421, "4.3.2", "Too many connections, try again later", "connections"}
	byeAddress    = reply{421, "4.7.0", "Too many connections from your network, try again later", "connections-network"}
	byeGuesses    = reply{421, "4.7.0", "Too many unknown recipients from your network, try again later", "guesses"}
	byeRecipients = reply{421, "4.7.0", "Too many refused recipients", "refused-recipients"}
	byeErrors     = reply{421, "4.7.0", "Too many errors", "errors"}
	byeCommands   = reply{421, "4.7.0", "Too many commands", "commands"}
	byeMessages   = reply{421, "4.7.0", "Too many messages in one session, open another", "messages"}
	byeAuth       = reply{421, "4.7.0", "Too many failed authentications", "auth-failures"}
	byeSession    = reply{421, "4.7.0", "The session lasted too long, open another", "session-time"}
	byeIdle       = reply{421, "4.4.2", "Timeout waiting for you", "idle"}
	byeSlow       = reply{421, "4.7.0", "The message arrives too slowly", "rate"}
	byeShutdown   = reply{421, "4.3.2", "Shutting down, try again later", "shutdown"}
	byeRevoked    = reply{421, "4.7.0", "This login has ended", "revoked"}
	byePanic      = reply{421, "4.3.0", "Internal error, try again later", "panic"}
	byeEarly      = reply{554, "5.5.1", "You spoke before your turn", "early-talker"}       // RFC 5321, section 4.3.1
	byeProtocol   = reply{554, "5.5.1", "This is an SMTP server", "other-protocol"}         // a browser, or a form that it posts
	byeLineEnd    = reply{500, "5.5.2", "A line ends with CR LF", "line-end"}               // RFC 5321, section 2.3.8
	byeLong       = reply{500, "5.5.6", "The line is far too long", "line-length"}          // where it ends is unknown
	byeChunk      = reply{501, "5.5.4", "BDAT needs a size, and LAST or nothing", "syntax"} // nobody knows how much to skip
	byeSkip       = reply{552, "5.3.4", "The message is far too large", "size"}             // more than we read away
	byeInjection  = reply{554, "5.5.1", "Nothing may follow STARTTLS in the clear", "starttls-injection"}
)

// Refusals of a command for its form.
var (
	badLong      = reply{500, "5.5.6", "The line is too long", "line-length"}
	badControl   = reply{500, "5.5.2", "Control characters are not allowed in a command", "control"}
	badVerb      = reply{500, "5.5.1", "Unknown command", "unknown-command"}
	badArgument  = reply{501, "5.5.4", "This command takes no argument", "syntax"}
	badHello     = reply{501, "5.5.4", "Your name is missing", "syntax"}
	badMail      = reply{501, "5.5.4", "The form is MAIL FROM:<address>", "syntax"}
	badRcpt      = reply{501, "5.5.4", "The form is RCPT TO:<address>", "syntax"}
	badParameter = reply{501, "5.5.4", "Malformed parameter", "syntax"}
	badUnknown   = reply{555, "5.5.4", "Unknown parameter", "parameter"} // RFC 5321, section 4.1.1.11
	badBody      = reply{504, "5.5.4", "BODY is 7BIT or 8BITMIME", "parameter"}
	badSender    = reply{501, "5.1.7", "Malformed sender address", "sender-syntax"}
	badRecipient = reply{501, "5.1.3", "Malformed recipient address", "recipient-syntax"}
	needUTF8     = reply{553, "5.6.7", "The address needs SMTPUTF8", "smtputf8"} // RFC 6531, section 3.5
)

// Refusals of a command for its moment or its door.
var (
	needHello   = reply{503, "5.5.1", "Say EHLO first", "sequence"}
	needMail    = reply{503, "5.5.1", "MAIL comes first", "sequence"}
	needRcpt    = reply{554, "5.5.1", "No valid recipients", "sequence"} // RFC 5321, section 3.3
	nestedMail  = reply{503, "5.5.1", "A message is under way: say RSET first", "sequence"}
	inChunks    = reply{503, "5.5.1", "Chunks are under way: BDAT or RSET", "sequence"}
	needTLS     = reply{530, "5.7.0", "Say STARTTLS first", "tls"} // RFC 3207, section 4
	hasTLS      = reply{503, "5.5.1", "TLS is already active", "sequence"}
	noTLS       = reply{502, "5.5.1", "STARTTLS is not offered", "not-offered"}
	noExpand    = reply{502, "5.5.1", "EXPN is not offered", "not-offered"}
	noAuth      = reply{502, "5.5.1", "AUTH is not offered here", "not-offered"}
	needAuth    = reply{530, "5.7.0", "Authentication required", "auth"} // RFC 4954, section 6
	authNeedTLS = reply{538, "5.7.11", "Authentication needs encryption: say STARTTLS first", "tls"}
	hasAuth     = reply{503, "5.5.1", "Already authenticated", "sequence"}
	authInMail  = reply{503, "5.5.1", "AUTH is not allowed while a message is under way", "sequence"} // RFC 4954, section 4
	authMech    = reply{504, "5.5.4", "Mechanisms are PLAIN, LOGIN, OAUTHBEARER and XOAUTH2", "mechanism"}
	authForm    = reply{501, "5.5.2", "Malformed authentication", "auth-syntax"}
	authCancel  = reply{501, "5.7.0", "Authentication cancelled", "auth-cancelled"}
)

// Refusals of mail.
var (
	tooManyRcpt = reply{452, "4.5.3", "Too many recipients", "recipients"} // RFC 5321, section 4.5.3.1.10
	oneReport   = reply{452, "4.5.3", "A report comes alone: send it to each recipient by itself", "report-alone"}
	tooLarge    = reply{552, "5.3.4", "The message is too large", "size"}
	bareBytes   = reply{550, "5.6.0", "The message has a CR, LF or NUL on its own", "bare-line-end"}
	noInbox     = reply{550, "5.1.1", "No such mailbox here", "no-such-inbox"}
	noRelay     = reply{550, "5.7.1", "Not a domain of this server: relaying is denied", "relay-denied"}
	noRoom      = reply{452, "4.3.1", "No space for mail now, try again later", "no-space"}
	unavailable = reply{451, "4.3.0", "Temporary failure, try again later", "unavailable"}
)

// replyTo is the one table from an error to the reply. What it does not know is a temporary failure of ours: nothing
// from inside reaches the peer word for word, and nothing unknown makes a sender give up.
func replyTo(err error) reply {
	var ours reply
	var refused *policy.RefusedError
	var reported *report.RefusedError
	var login *directory.AuthError
	var path *message.PathError
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &refused):
		return reply{refused.Code, refused.Enhanced, refused.Public, refused.Rule.String()}
	case errors.As(err, &reported):
		return reply{reported.Code, reported.Enhanced, reported.Public, reported.Rule}
	case errors.As(err, &login):
		return replyToLogin(login)
	case errors.Is(err, directory.ErrSASLForm), errors.Is(err, directory.ErrSASLOver):
		return authForm
	case errors.As(err, &path):
		if path.Rule == message.RuleUTF8 {
			return needUTF8
		}
		return badRecipient
	case errors.Is(err, directory.ErrNoSuchInbox):
		return noInbox
	case errors.Is(err, directory.ErrNotLocal):
		return noRelay
	case errors.Is(err, storage.ErrFull):
		return noRoom
	}
	return unavailable
}

// replyToLogin answers a failed login by its class (RFC 4954, section 6).
func replyToLogin(e *directory.AuthError) reply {
	r := reply{535, "5.7.8", e.Public(), e.Rule}
	if errors.Is(e, directory.ErrUnavailable) || errors.Is(e, directory.ErrTooManyFailures) {
		r.code, r.enhanced = 454, "4.7.0"
	}
	if errors.Is(e, directory.ErrTooManySessions) { // AC-11
		r.code, r.enhanced = 421, "4.7.0"
	}
	return r
}
