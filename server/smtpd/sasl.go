package smtpd

import (
	"errors"
	"slices"

	"github.com/emersion/go-sasl"

	"postern/server/directory"
)

func offered(mechanism string) bool { return slices.Contains(directory.Mechanisms, mechanism) }

// An exchange is an authentication of this connection, which counts those that come to nothing.
type exchange struct {
	c *conn
	*directory.Exchange
}

func (c *conn) newSASL(mechanism string) (sasl.Server, error) {
	x, ok := directory.NewExchange(mechanism, func(l directory.Claim) error { return c.login(mechanism, l) })
	if !ok {
		return nil, authMech.library()
	}
	return exchange{c, x}, nil
}

// Next takes the client's response; it is nil when the AUTH command had none.
func (x exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = x.Exchange.Next(response)
	if err != nil {
		x.c.authFailed()
		return nil, false, x.c.fault(err)
	}
	return challenge, done, nil
}

// authFailed counts an authentication that came to nothing.
func (c *conn) authFailed() {
	if c.counts.auth++; c.counts.auth >= c.server.limits.AuthFailures {
		c.farewell = &byeAuth
	}
}

// login authenticates the connection.
func (c *conn) login(mechanism string, l directory.Claim) error {
	a := directory.Attempt{
		Login: l.Login, Secret: l.Secret, Identity: l.Identity, Remote: c.remote.Addr().Unmap(), Door: c.door.name,
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
