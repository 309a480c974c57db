package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"

	"postern/server/directory"
)

// Login is the LOGIN command. The user name names the inbox, the password is the agent's token. // AC-1
func (s *session) Login(username, password string) error {
	return s.fault(s.login("LOGIN", directory.Claim{Login: username, Secret: password}))
}

// AuthenticateMechanisms lists what AUTHENTICATE takes. Each sends the secret, which is why there is no way to this
// server but TLS. // AC-10
func (s *session) AuthenticateMechanisms() []string { return directory.Mechanisms }

// Authenticate begins an exchange.
func (s *session) Authenticate(mechanism string) (sasl.Server, error) {
	x, ok := directory.NewExchange(mechanism, func(l directory.Claim) error { return s.login(mechanism, l) })
	if !ok {
		return nil, no(imap.ResponseCodeCannot, "Mechanisms are PLAIN, LOGIN, OAUTHBEARER and XOAUTH2")
	}
	return exchange{s, x}, nil
}

// login opens the inbox that a login names, and says how the session is cut when the login ends.
func (s *session) login(mechanism string, l directory.Claim) error {
	p, err := s.server.directory.Authenticate(s.ctx, directory.Attempt{
		Login: l.Login, Secret: l.Secret, Identity: l.Identity, Remote: remoteAddr(s.guard), Door: door,
		TLS: s.tlsVersion(), Mechanism: mechanism,
	})
	if err != nil {
		return err
	}
	s.principal, s.inbox = p, p.Inbox
	if p.Credential.Safe() {
		s.inbox = p.Inbox.Safe() // CO-6
	}
	s.server.directory.Register(p, s.kill)
	return nil
}

// An exchange is an authentication of a session, with errors that the library understands.
type exchange struct {
	s *session
	*directory.Exchange
}

// Next takes the client's response; it is nil when the command had none.
func (x exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = x.Exchange.Next(response)
	return challenge, done, x.s.fault(err)
}
