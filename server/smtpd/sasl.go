package smtpd

import (
	"bytes"
	"errors"
	"slices"

	"github.com/emersion/go-sasl"

	"postern/server/directory"
)

// mechanisms are those that clients without an SDK have. Both send the secret, so neither works without TLS (AC-10).
var mechanisms = []string{sasl.Plain, sasl.Login}

func offered(mechanism string) bool { return slices.Contains(mechanisms, mechanism) }

// An exchange is the server's side of PLAIN and LOGIN.
type exchange struct {
	c    *conn
	next func(response []byte) (challenge []byte, err error) // nil when the exchange is over
	user string
}

func (c *conn) newSASL(mechanism string) sasl.Server {
	x := &exchange{c: c}
	x.next = x.plain
	if mechanism == sasl.Login {
		x.next = x.username
	}
	return x
}

// Next takes the client's response; it is nil when the AUTH command had none.
func (x *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if challenge, err = x.next(response); err != nil {
		x.c.authFailed()
		return nil, false, x.c.fault(err)
	}
	return challenge, x.next == nil, nil
}

// authFailed counts an authentication that came to nothing.
func (c *conn) authFailed() {
	if c.counts.auth++; c.counts.auth >= c.server.limits.AuthFailures {
		c.farewell = &byeAuth
	}
}

// plain is RFC 4616: authorization identity, authentication identity and password between NULs.
func (x *exchange) plain(response []byte) ([]byte, error) {
	if response == nil {
		return nil, nil
	}
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 {
		return nil, authForm
	}
	identity, user, password := string(parts[0]), string(parts[1]), string(parts[2])
	if identity != "" && identity != user {
		return nil, authOther
	}
	x.next = nil
	return nil, x.c.login(sasl.Plain, user, password)
}

// username and password are LOGIN, which was never standardised (draft-murchison-sasl-login): the prompts are those
// that clients compare with.
func (x *exchange) username(response []byte) ([]byte, error) {
	if response == nil {
		return []byte("Username:"), nil
	}
	x.user = string(response)
	x.next = x.password
	return []byte("Password:"), nil
}

func (x *exchange) password(response []byte) ([]byte, error) {
	x.next = nil
	return nil, x.c.login(sasl.Login, x.user, string(response))
}

// login authenticates the connection.
func (c *conn) login(mechanism, user, password string) error {
	a := directory.Attempt{
		Login: user, Secret: password, Remote: c.remote.Addr().Unmap(), Door: c.door.name,
		TLS: c.tlsVersion(), Mechanism: mechanism,
	}
	ctx, cancel := c.answering()
	defer cancel()
	p, err := c.server.directory.Authenticate(ctx, a)
	if err != nil {
		return err
	}
	submitting, ok := c.desk.(*submitting)
	if !ok {
		return errors.New("smtpd: a login at a door that has none")
	}
	submitting.enter(p)
	c.authenticated = true
	c.slot.known()
	return nil
}
