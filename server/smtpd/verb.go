package smtpd

import (
	"encoding/base64"
	"fmt"
	"strings"

	"postern/server/directory"
)

// verbs are the commands, one function each. A function refuses what is wrong or out of turn, answers what needs no
// transaction, and passes the rest to the library in a form in which there is nothing left to misread; the arguments
// reach the session beside the library.
var verbs = map[string]func(c *conn, arg string){
	"EHLO":     func(c *conn, arg string) { c.greet(arg, true) },
	"HELO":     func(c *conn, arg string) { c.greet(arg, false) },
	"MAIL":     (*conn).mail,
	"RCPT":     (*conn).rcpt,
	"DATA":     (*conn).data,
	"BDAT":     (*conn).bdat,
	"RSET":     (*conn).rset,
	"AUTH":     (*conn).auth,
	"STARTTLS": (*conn).startTLS,
	"NOOP":     func(c *conn, _ string) { c.say(okDone) },
	"VRFY":     func(c *conn, _ string) { c.say(okVerify) },
	"EXPN":     func(c *conn, _ string) { c.refuse(noExpand) },
	"HELP":     func(c *conn, _ string) { c.say(okHelp) },
	"QUIT":     func(c *conn, _ string) { c.bye(byeQuit) },
}

// foreign are verbs of other protocols. A browser can be made to post a form to any port, with commands of SMTP among
// its lines: the first line gives it away.
var foreign = map[string]bool{"GET": true, "POST": true, "PUT": true, "HEAD": true, "OPTIONS": true, "CONNECT": true, "HOST:": true}

// step deals with the client's next line. It is called when the library has answered all before.
func (c *conn) step() {
	switch {
	case c.tx != nil && c.tx.body != nil:
		// It has refused a DATA of which we were sure: what comes now could be a chunk, and must not be read as commands.
		c.bye(byePanic)
		return
	case c.sasl:
		c.stepSASL()
		return
	}
	line, err := c.nextCommand()
	if err != nil {
		c.lost(err)
		return
	}
	c.run(line)
}

// nextCommand waits for a command as a client may let us wait, and as a shutdown does not.
func (c *conn) nextCommand() (line string, err error) {
	if c.pending != "" {
		line, c.pending = c.pending, ""
		return line, nil
	}
	limits := &c.server.limits
	c.patience = patience{stall: limits.Command, until: c.began.Add(limits.Session), late: byeSession}
	c.setIdle(true)
	if line, err = c.command(); err == nil {
		c.setIdle(false)
	}
	return line, err
}

// command reads lines until one may be obeyed.
func (c *conn) command() (string, error) {
	for {
		if c.farewell != nil {
			return "", errBye{*c.farewell}
		}
		if len(c.out) > flushAt { // the client may have sent very many commands ahead
			if err := c.flush(c.server.limits.Write); err != nil {
				return "", err
			}
		}
		line, bad, err := c.readLine(maxSASL)
		if err != nil {
			return "", err
		}
		if c.counts.commands++; c.counts.commands > c.server.limits.Commands {
			return "", errBye{byeCommands}
		}
		if bad.code == 0 {
			return line, nil
		}
		c.verb = ""
		c.refuse(bad)
	}
}

// run dispatches a command.
func (c *conn) run(line string) {
	verb, arg := splitCommand(line)
	f, ok := verbs[verb]
	c.verb = "OTHER" // refusals are counted by verb, and the client must not invent kinds
	if ok {
		c.verb = verb
	}
	switch {
	case !ok && foreign[verb]:
		c.bye(byeProtocol)
	case !ok:
		if c.counts.unknown++; c.counts.unknown > c.server.limits.Unknown {
			c.farewell = &byeErrors
		}
		c.refuse(badVerb)
	case len(line)+2 > longest(verb):
		c.refuse(badLong)
	default:
		f(c, arg)
	}
}

func longest(verb string) int {
	switch verb {
	case "AUTH":
		return maxSASL
	case "MAIL", "RCPT":
		return maxMail
	}
	return maxCommand
}

// pass gives the library a line to act on. When it assents the client gets the reply yes in place of its text; a zero
// yes leaves the text as it is.
func (c *conn) pass(line string, yes reply) {
	c.feed = []byte(line + "\r\n")
	c.yes = yes
}

// greet is EHLO and HELO. RFC 5321, section 4.1.4: it resets whatever was under way, which the library does.
func (c *conn) greet(arg string, extended bool) {
	name := helloName(arg)
	if name == "" {
		c.refuse(badHello)
		return
	}
	c.hello, c.extended = name, extended
	text := c.server.hostname
	if extended {
		text += "\n" + strings.Join(c.capabilities(), "\n")
	}
	c.pass("EHLO client", reply{code: 250, text: text})
}

// capabilities is what EHLO offers. DSN is left out: to offer it is to promise notices of success (RFC 3461).
func (c *conn) capabilities() []string {
	all := []string{"PIPELINING", fmt.Sprintf("SIZE %d", c.server.limits.Message), "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING"}
	if c.tls == nil && c.server.tls != nil {
		all = append(all, "STARTTLS")
	}
	if c.tls != nil {
		all = append(all, "REQUIRETLS") // RFC 8689, section 2: within TLS alone
	}
	if c.door.submission && c.tls != nil { // AC-10
		all = append(all, "AUTH "+strings.Join(directory.Mechanisms, " "))
	}
	return all
}

func (c *conn) mail(arg string) {
	e, bad, ok := parseMail(arg, c.door.submission)
	switch {
	case c.hello == "":
		c.refuse(needHello)
	case c.door.submission && c.tls == nil:
		c.refuse(needTLS)
	case c.door.submission && !c.authenticated:
		c.refuse(needAuth)
	case c.tx != nil:
		c.refuse(nestedMail)
	case !ok:
		c.refuse(bad)
	case e.requireTLS() && c.tls == nil:
		c.refuse(badUnknown) // it was not offered
	case e.size() > c.server.limits.Message:
		c.refuse(tooLarge)
	default:
		c.named = e
		c.pass("MAIL FROM:<>", okSender)
	}
}

func (c *conn) rcpt(arg string) {
	if c.tx == nil {
		c.refuse(needMail)
		return
	}
	e, bad, ok := parseRcpt(arg, c.tx.utf8)
	switch {
	case !ok:
		c.refuse(bad)
	case c.tx.recipients >= c.server.limits.Recipients:
		c.refuse(tooManyRcpt)
	default:
		c.named = e
		c.pass("RCPT TO:<recipient@postern.invalid>", okRcpt)
	}
}

func (c *conn) data(arg string) {
	switch {
	case arg != "":
		c.refuse(badArgument)
	case !c.ready():
	default:
		c.tx.body = &dotted{c: c}
		c.pass("DATA", reply{})
	}
}

// ready reports whether there is somebody to take a message for, and refuses otherwise.
func (c *conn) ready() bool {
	switch {
	case c.tx == nil:
		c.refuse(needMail)
	case c.tx.recipients == 0:
		c.refuse(needRcpt)
	default:
		return true
	}
	return false
}

// bdat begins a message in chunks. A chunk follows its command whatever the answer is.
func (c *conn) bdat(arg string) {
	b := &chunked{c: c}
	err := b.begin(arg)
	if err == nil && !c.ready() {
		c.listen()
		err = b.skip()
	} else if err == nil {
		c.tx.body = b
		c.pass("DATA", reply{})
		c.mute = true // its 354: the client did not say DATA
	}
	if err != nil {
		c.lost(err)
	}
}

func (c *conn) rset(arg string) {
	if arg != "" {
		c.refuse(badArgument)
		return
	}
	c.pass("RSET", okDone)
}

// startTLS begins TLS. RFC 3207, section 4.2: nothing that was said in the clear counts afterwards, so EHLO is due
// again, and with it the library resets what it knew.
func (c *conn) startTLS(arg string) {
	switch {
	case arg != "":
		c.refuse(badArgument)
	case c.tls != nil:
		c.refuse(hasTLS)
	case c.server.tls == nil:
		c.refuse(noTLS)
	case c.in.Buffered() > 0:
		// Whoever is in the middle could have put it there, to be read as if it had come encrypted.
		c.bye(byeInjection)
	default:
		c.say(okReady)
		if err := c.flush(c.server.limits.Write); err != nil {
			c.lost(err)
			return
		}
		if c.handshake() {
			c.hello, c.extended, c.tx = "", false, nil
			c.desk.reset()
		}
	}
}

// auth begins an authentication (RFC 4954).
func (c *conn) auth(arg string) {
	mechanism, initial, _ := strings.Cut(arg, " ")
	mechanism = strings.ToUpper(mechanism)
	switch {
	case !c.door.submission:
		c.refuse(noAuth)
	case c.tls == nil:
		c.refuse(authNeedTLS) // AC-10
	case c.hello == "":
		c.refuse(needHello)
	case c.authenticated:
		c.refuse(hasAuth)
	case c.tx != nil:
		c.refuse(authInMail)
	case !offered(mechanism):
		c.refuse(authMech)
	case initial != "" && initial != "=" && !isBase64(initial):
		c.refuse(authForm)
	case initial != "":
		c.pass("AUTH "+mechanism+" "+initial, okAuth)
	default:
		c.pass("AUTH "+mechanism, okAuth)
	}
}

// stepSASL reads the client's answer to a challenge: one line of base64, or "*" to give up. Anything else must not run
// as a command, and the library must learn that the exchange is over.
func (c *conn) stepSASL() {
	c.sasl = false
	c.setIdle(true)
	line, bad, err := c.readLine(maxSASL)
	if err == nil {
		c.setIdle(false)
	}
	switch {
	case err != nil:
		c.lost(err)
		return
	case bad.code == 0 && line == "*":
		bad = authCancel
	case bad.code == 0 && !isBase64(line):
		bad = authForm
	}
	if bad.code == 0 {
		c.feed = []byte(line + "\r\n")
		return
	}
	c.refuse(bad)
	c.authFailed()
	c.feed = []byte("*\r\n")
	c.mute = true
}

func isBase64(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil
}
