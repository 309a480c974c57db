package smtpd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// kill ends the connection at once, from any goroutine: whoever waits for the client is woken, whoever is about to
// store a message finds his context cancelled.
func (c *conn) kill(r reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending != nil {
		return
	}
	c.ending = &r
	c.cancel()
	c.Conn.SetReadDeadline(time.Unix(1, 0))
	c.Conn.SetWriteDeadline(time.Now().Add(lingerTime))
}

// drain ends the connection when it next waits for a command, from any goroutine.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.idle {
		c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *conn) setIdle(idle bool) {
	c.mu.Lock()
	c.idle = idle
	c.mu.Unlock()
}

// lost ends the connection after a failed read, with the word that fits.
func (c *conn) lost(err error) {
	c.mu.Lock()
	ending, draining := c.ending, c.draining && c.idle
	c.mu.Unlock()
	var last errBye
	switch {
	case ending != nil:
		c.bye(*ending)
	case draining:
		c.bye(byeShutdown)
	case errors.As(err, &last):
		c.bye(last.reply)
	case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(c.patience.until):
		c.bye(byeIdle)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.bye(c.patience.late)
	default: // the client has gone
		c.bye(gone)
	}
}

// bye says the last word and closes the socket. What the client is still sending is read for a moment and thrown away:
// a socket that is closed with unread bytes in it is reset, and the client would never read the word.
func (c *conn) bye(r reply) {
	if c.over {
		return
	}
	c.over = true
	c.ended = r.rule
	r = c.noted(r)
	c.out = append(c.out, r.bytes()...)
	err := c.flush(lingerTime)
	c.desk.close() // the session is over with the last word, not with the client's patience
	if err == nil {
		c.linger()
	}
	c.Conn.Close()
}

func (c *conn) linger() {
	if c.tls != nil {
		c.tls.CloseWrite()
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, c.Conn, lingerBytes)
}

// Close is called by the library when it is done with the connection.
func (c *conn) Close() error {
	c.once.Do(func() {
		if !c.over {
			c.bye(gone)
		}
		c.cancel()
		c.desk.close()
		c.slot.release()
		c.server.leave(c)
	})
	return nil
}

// recovered turns a panic of ours into the end of this connection, not of the server. What went wrong is logged without
// its value, which may hold what the client sent.
func (c *conn) recovered() {
	if v := recover(); v != nil {
		c.server.log.Error("panic in a session", "trace", c.trace, "kind", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
		c.bye(byePanic)
	}
}
