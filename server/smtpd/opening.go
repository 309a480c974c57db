package smtpd

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// open comes before the banner: TLS where the door has it from the start, and an ear for those who speak too early.
func (c *conn) open() {
	if c.door.implicit && !c.handshake() {
		return
	}
	if c.door.greeting > 0 && c.speaksEarly() {
		c.bye(byeEarly)
		return
	}
	c.say(reply{code: 220, text: c.server.hostname + " ESMTP Postern"})
}

// speaksEarly reports whether the client sends before it was greeted. RFC 5321, section 4.3.1: it SHOULD wait.
func (c *conn) speaksEarly() bool {
	c.patience = patience{stall: c.door.greeting, until: time.Now().Add(c.door.greeting)}
	_, err := c.in.Peek(1)
	return err == nil
}

// handshake puts TLS over the socket.
func (c *conn) handshake() bool {
	t := tls.Server(c.Conn, c.server.tls)
	c.mu.Lock()
	c.Conn.SetDeadline(time.Now().Add(c.server.limits.Handshake))
	c.mu.Unlock()
	if err := t.HandshakeContext(c.ctx); err != nil {
		// No word: there is no channel in which the client would understand it.
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err // without the addresses
		}
		c.server.log.Debug("TLS handshake failed", "trace", c.trace, "door", c.door.name, "error", err)
		c.bye(gone)
		return false
	}
	c.tls = t
	return true
}
